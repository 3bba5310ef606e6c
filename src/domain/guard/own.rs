//! The operator's own part of the policy, as it is kept: the text of a `policy.toml` that they accepted.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Policy,
    policy::{Allow, BUILT_IN, PolicyError},
};
use crate::domain::{
    digest::{Digest, Digester},
    escape::visible,
};

/// The longest text that is accepted, in bytes: what differs from the policy that sgw comes with.
pub const MAX_BYTES: usize = 192 * 1024;

/// In a word that was shown these may stand for others: a glob, home, what only the server knows.
const NOT_ITSELF: [char; 5] = ['*', '?', '[', '~', '…'];
/// Of what is wrong with it, in columns.
const SHOWN: usize = 400;

/// What the operator accepted, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    pub text: String,
    pub accepted_at: Timestamp,
}

impl Own {
    /// There is one of them, under this name.
    pub const ID: &str = "own";

    /// This text over the policy that sgw comes with.
    pub fn compiled(&self) -> Result<Arc<Policy>, PolicyError> {
        Policy::built_in().over(&self.text).map(Arc::new)
    }
}

/// Why a text is not taken over what sgw comes with. Says nothing that the text itself made up, unescaped.
pub fn check(text: &str) -> Result<Policy, String> {
    if text.len() > MAX_BYTES {
        return Err(format!(
            "it is larger than {} KiB: it says only what differs",
            MAX_BYTES / 1024
        ));
    }
    Policy::built_in().over_anew(text).map_err(|error| visible(&error.to_string(), SHOWN))
}

/// Own text with one `[[allow]]` more, as it would be typed. Words stand for themselves alone.
pub fn with_allow(own: Option<&str>, allow: &Allow) -> Result<String, String> {
    if let Some(word) = allow.argv.iter().find(|word| word.contains(NOT_ITSELF)) {
        let word = visible(word, SHOWN);
        return Err(format!("a rule for {word} would be for more than this command"));
    }
    let mut text = own.unwrap_or("version = 1\n").to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!("\n[[allow]]\nrule = {}\n", quoted(&allow.rule)));
    for (key, name) in [("target", &allow.target), ("token", &allow.token)] {
        if let Some(name) = name {
            text.push_str(&format!("{key} = {}\n", quoted(&literal(name))));
        }
    }
    let words: Vec<String> = allow.argv.iter().map(|word| quoted(word)).collect();
    text.push_str(&format!("argv = [{}]\nexpires = \"{}\"\n", words.join(", "), allow.expires));
    check(&text).map(|_| text)
}

/// As TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A pattern that only this name fits.
fn literal(name: &str) -> String {
    let literal = |char| match char {
        '*' | '?' | '[' => format!("[{char}]"),
        char => char.to_string(),
    };
    name.chars().map(literal).collect()
}

/// What a text of the operator's is known by.
pub fn digest(text: &str) -> Digest {
    Digester::new("policy.toml").text("text", text).finish()
}

/// Binds all that commands are judged by: what sgw comes with, and what the operator accepted.
pub fn revision(own: Option<&str>) -> Digest {
    Digester::new("policy in force").text("built in", BUILT_IN).optional("own", own).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::guard::{Context, Decision, judge};

    #[test]
    fn a_dated_rule_is_for_one_command_on_one_target() {
        let allow = |argv: &[&str], rule: &str| Allow {
            rule: rule.to_owned(),
            target: Some("root@[::1]:22".to_owned()),
            token: None,
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            expires: jiff::civil::date(2027, 1, 31),
        };
        let own = "version = 1\n[defaults]\nunmatched = \"allow\"";
        let one = allow(&["rm", "-r", "/srv/a \"b\"\\c"], "fs.rm");
        let text = with_allow(Some(own), &one).unwrap();
        assert!(text.starts_with(own));
        let text = with_allow(Some(&text), &allow(&["rm", "-r", "/srv/x"], "fs.rm")).unwrap();
        let policy = check(&text).unwrap();
        let said = |line: &str, target: &str, day: i8| {
            let today = Some(jiff::civil::date(2027, 1, day));
            let context = Context { target: Some(target), today, ..Context::default() };
            judge(line.as_bytes(), &context, &policy).decision
        };
        let here = "root@[::1]:22";
        assert_eq!(said("rm -r /srv/x", here, 30), Decision::Allow);
        assert_eq!(said("rm -r '/srv/a \"b\"\\c'", here, 30), Decision::Allow);
        assert_eq!(said("rm -r /srv/x", here, 31), Decision::Approve);
        assert_eq!(said("rm -r /srv/x", "root@:]:22", 30), Decision::Approve);
        assert_eq!(said("rm -r /srv/xy", here, 30), Decision::Approve);
        assert_eq!(said("rm -r /srv/x; rm -rf /", here, 30), Decision::Block);
        for refused in [
            allow(&["rm", "-r", "/srv/*"], "fs.rm"),
            allow(&["rm", "-r", "~/x"], "fs.rm"),
            allow(&["rm", "-r", "…"], "fs.rm"),
            allow(&["rm", "-rf", "/"], "fs.rm-critical"),
            allow(&["rm", "-r", "/srv/x"], "fs.nowhere"),
        ] {
            assert!(with_allow(Some(own), &refused).is_err(), "{refused:?}");
        }
        assert!(with_allow(Some("version = 1\nallow = []"), &one).is_err());
    }

    #[test]
    fn another_text_is_another_revision() {
        let all = [None, Some(""), Some("version = 1\n"), Some("version = 1\n\n")].map(revision);
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one));
        }
    }
}
