//! The targets that a standing grant is for: one name, or a glob over names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A target's name, or names with `*` (any characters) and `?` (one).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a target is a name, or a glob over names: 1 to 63 of a-z 0-9 . _ - * ?")]
pub struct NotAPattern;

impl Pattern {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_glob(&self) -> bool {
        self.0.contains(['*', '?'])
    }

    /// What every name that matches begins with.
    pub fn literal_start(&self) -> &str {
        self.0.split(['*', '?']).next().unwrap_or_default()
    }

    /// Linear in both: after a mismatch only the last `*` tries again.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut of) = (0, 0);
        let mut last_star: Option<(usize, usize)> = None;
        while of < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    last_star = Some((at, of));
                    at += 1;
                }
                Some(one) if *one == b'?' || *one == name[of] => {
                    at += 1;
                    of += 1;
                }
                _ => {
                    let Some((star, taken)) = last_star else { return false };
                    last_star = Some((star, taken + 1));
                    (at, of) = (star + 1, taken + 1);
                }
            }
        }
        pattern[at..].iter().all(|one| *one == b'*')
    }
}

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let fits = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-*?".contains(&byte)
        };
        let whole = (1..=63).contains(&text.len()) && text.bytes().all(fits);
        if whole { Ok(Self(text.to_owned())) } else { Err(NotAPattern) }
    }
}

impl TryFrom<String> for Pattern {
    type Error = NotAPattern;

    fn try_from(text: String) -> Result<Self, NotAPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(name)
    }

    #[test]
    fn globs_match_as_a_shell_s_do() {
        for (pattern, name) in [
            ("web1", "web1"),
            ("*", "web1"),
            ("web-*", "web-"),
            ("web-*", "web-1.eu"),
            ("*.eu", "web.eu.eu"),
            ("w?b*1", "web-11"),
            ("a*b*c", "aXbYbZc".to_lowercase().as_str()),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("web1", "web11"), ("web-*", "web"), ("?", ""), ("?", "ab"), ("a*b", "ac"), ("", "a")]
        {
            assert!(!pattern.parse::<Pattern>().is_ok_and(|one| one.matches(name)), "{pattern}");
        }
    }

    #[test]
    fn what_no_name_can_match_is_no_pattern() {
        for odd in ["", "A", "a b", "a/b", "[ab]", "a{b,c}", "é", &"a".repeat(64)] {
            assert_eq!(odd.parse::<Pattern>(), Err(NotAPattern), "{odd}");
        }
    }

    #[test]
    fn a_pattern_full_of_stars_costs_no_time() {
        let pattern: Pattern = "*a".repeat(31).parse().unwrap();
        let name = format!("{}b", "a".repeat(62));
        let started = std::time::Instant::now();
        for _ in 0..10_000 {
            assert!(!pattern.matches(&name));
        }
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn it_is_what_a_regular_expression_says(pattern in "[ab*?]{1,8}", name in "[ab]{0,10}") {
            let expression: String = pattern
                .chars()
                .map(|one| match one {
                    '*' => ".*".to_owned(),
                    '?' => ".".to_owned(),
                    other => other.to_string(),
                })
                .collect();
            let expected = regex::Regex::new(&format!("^{expression}$")).unwrap().is_match(&name);
            prop_assert_eq!(matches(&pattern, &name), expected);
            let parsed: Pattern = pattern.parse().unwrap();
            prop_assert!(!expected || name.starts_with(parsed.literal_start()));
        }
    }
}
