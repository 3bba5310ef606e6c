//! Patterns of a policy against whole paths of a server: `*` within a name, `**` over any number of names, `~`
//! the account's home.

use std::borrow::Cow;

use crate::domain::guard::paths::glob;

/// A pattern, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// It hangs on the account's home.
    home: bool,
    names: Vec<Name>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// Any number of names.
    Deep,
    Exactly(String),
    Like(String),
}

impl Pattern {
    /// None where it is neither absolute nor hangs on `~` or `**`: what it would mean depends on a directory
    /// that a file has not.
    pub fn new(text: &str) -> Option<Self> {
        let home = text == "~" || text.starts_with("~/");
        if !home && !text.starts_with('/') && !text.starts_with("**") {
            return None;
        }
        let names = text.trim_start_matches('~').split('/').filter(|name| !name.is_empty());
        let name = |name: &str| match name {
            "**" => Name::Deep,
            name if name.contains(['*', '?', '[']) => Name::Like(name.to_owned()),
            name => Name::Exactly(name.to_owned()),
        };
        Some(Self { home, names: names.map(name).collect() })
    }

    /// The same for servers that don't tell case apart: see [`fold`].
    pub fn folded(&self) -> Self {
        let names = self.names.iter().map(|name| match name {
            Name::Deep => Name::Deep,
            Name::Exactly(name) => Name::Exactly(fold(name).into_owned()),
            Name::Like(name) => Name::Like(fold(name).into_owned()),
        });
        Self { home: self.home, names: names.collect() }
    }

    /// Whether it names this path.
    pub fn matches(&self, path: &Names<'_>) -> bool {
        self.within(path).is_some_and(|names| whole(names, &self.names))
    }

    /// Whether it names the directory and all below it.
    pub fn covers(&self, directory: &Names<'_>) -> bool {
        self.names.last() == Some(&Name::Deep) && self.matches(directory)
    }

    /// Whether it may name something below this directory. One that begins with `**` does where the directory's
    /// own name is part of it (`**/.ssh/*` for `/home/bob/.ssh`): else it would speak of all there are.
    pub fn below(&self, directory: &Names<'_>) -> bool {
        match self.within(directory) {
            Some(names) => self.reaches(names),
            // Home itself is below it.
            None => self.home && directory.home.starts_with(&directory.all),
        }
    }

    /// Whether it names something that could come to be below this directory.
    pub fn may_be_below(&self, directory: &Names<'_>) -> bool {
        self.names.first() == Some(&Name::Deep) || self.below(directory)
    }

    /// The names that its own are compared with.
    fn within<'a>(&self, path: &'a Names<'_>) -> Option<&'a [Cow<'a, str>]> {
        match self.home {
            true => path.all.strip_prefix(path.home),
            false => Some(&path.all),
        }
    }

    /// Where a walk over the names can stand within the pattern; beyond a leading `**` only once a name was met.
    fn reaches(&self, names: &[Cow<'_, str>]) -> bool {
        let leading = usize::from(self.names.first() == Some(&Name::Deep));
        let mut at = vec![false; self.names.len() + 1];
        at[0] = true;
        self.skip_deep(&mut at);
        for name in names {
            let mut next = vec![false; at.len()];
            for (place, part) in self.names.iter().enumerate().filter(|(place, _)| at[*place]) {
                match part {
                    Name::Deep => next[place] = true,
                    part if part.is(name) => next[place + 1] = true,
                    _ => {}
                }
            }
            at = next;
            self.skip_deep(&mut at);
        }
        // Without `**` before it, the beginning is as good as any place.
        let first = if leading == 0 { 0 } else { 2 };
        (first..self.names.len()).any(|place| at[place])
    }

    fn skip_deep(&self, at: &mut [bool]) {
        for (place, part) in self.names.iter().enumerate() {
            at[place + 1] |= at[place] && *part == Name::Deep;
        }
    }
}

impl Name {
    fn is(&self, name: &str) -> bool {
        match self {
            Self::Deep => true,
            Self::Exactly(own) => own == name,
            Self::Like(pattern) => glob(pattern, name),
        }
    }
}

/// As with a star in a text: the last `**` takes one name more where what follows does not fit.
fn whole(names: &[Cow<'_, str>], pattern: &[Name]) -> bool {
    let (mut name, mut part) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    // Most patterns end with a name, and most paths with another one.
    if let (Some(last), Some(end)) = (names.last(), pattern.last())
        && !end.is(last)
    {
        return false;
    }
    while name < names.len() {
        match pattern.get(part) {
            Some(Name::Deep) => {
                part += 1;
                retry = Some((part, name));
            }
            Some(own) if own.is(&names[name]) => (name, part) = (name + 1, part + 1),
            _ => match retry {
                Some((back, from)) => {
                    retry = Some((back, from + 1));
                    (name, part) = (from + 1, back);
                }
                None => return false,
            },
        }
    }
    pattern[part..].iter().all(|part| *part == Name::Deep)
}

/// A path's names, and those of the account's home.
pub struct Names<'a> {
    all: Vec<Cow<'a, str>>,
    home: &'a [Cow<'a, str>],
}

impl<'a> Names<'a> {
    pub fn new(path: &'a str, home: &'a [Cow<'a, str>]) -> Self {
        Self { all: split(path), home }
    }
}

/// The names of an absolute path.
pub fn split(path: &str) -> Vec<Cow<'_, str>> {
    path.split('/').filter(|name| !name.is_empty()).map(Cow::Borrowed).collect()
}

/// As file systems compare names that don't tell case apart (APFS, HFS+, NTFS, ext4 with casefold): `/ETC/Shadow`
/// opens `/etc/shadow` there, and on HFS+ characters that nobody sees are left out.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    let seen = |char: &char| !matches!(char, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let upper = text.chars().filter(seen).flat_map(char::to_uppercase);
    Cow::Owned(upper.flat_map(char::to_lowercase).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, test: impl Fn(&Names<'_>) -> bool) -> bool {
        let home = split("/home/bob");
        test(&Names::new(path, &home))
    }

    fn matches(pattern: &str, path: &str) -> bool {
        names(path, |path| Pattern::new(pattern).unwrap().matches(path))
    }

    fn below(pattern: &str, path: &str) -> bool {
        names(path, |path| Pattern::new(pattern).unwrap().below(path))
    }

    #[test]
    fn a_pattern_names_whole_paths() {
        for (pattern, path) in [
            ("/etc/shadow", "/etc/shadow"),
            ("/etc/shadow*", "/etc/shadow-"),
            ("/etc/**", "/etc"),
            ("/etc/**", "/etc/a/b"),
            ("**/.ssh/id_*", "/home/bob/.ssh/id_rsa"),
            ("**/.env", "/.env"),
            ("~/x", "/home/bob/x"),
            ("~", "/home/bob"),
            ("/etc/pki/**/private/**", "/etc/pki/tls/private/k"),
            ("**/a/**/a/b", "/a/x/a/y/a/b"),
            ("/**", "/"),
            ("/", "/"),
            ("/x/[*]", "/x/*"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/etc/shadow", "/etc/shadow/x"),
            ("/etc/*", "/etc/a/b"),
            ("/etc/**", "/etcetera/x"),
            ("**/.ssh/id_*", "/home/bob/.ssh/old/id_rsa"),
            ("~/x", "/home/eve/x"),
            ("~/x", "/x"),
            ("/x/[*]", "/x/y"),
            ("/", "/x"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
        assert!(Pattern::new("etc/x").is_none() && Pattern::new("*.env").is_none());
    }

    #[test]
    fn a_directory_is_above_what_a_pattern_names_in_it() {
        for (pattern, path) in [
            ("/etc/cron.d/*", "/etc"),
            ("/etc/cron.d/*", "/"),
            ("/etc/cron.d/*", "/etc/cron.d"),
            ("**/.config/gcloud/**", "/home/bob/.config"),
            ("**/.ssh/*", "/srv/.ssh"),
            ("~/bin/**", "/home"),
            ("~/bin/**", "/home/bob"),
            ("/etc/pki/**/private/**", "/etc/pki/tls"),
            ("/home/*/x/y", "/home/eve"),
        ] {
            assert!(below(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/etc/cron.d/*", "/etc/ssh"),
            ("/etc/shadow", "/etc/shadow"),
            ("**/.config/gcloud/**", "/home/bob"),
            ("**/.env", "/srv/app"),
            ("~/bin/**", "/home/eve"),
            ("/home/*/x/y", "/srv/eve"),
        ] {
            assert!(!below(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_their_product() {
        let pattern = Pattern::new(&"**/a/".repeat(40)).unwrap();
        let path = "/a".repeat(2000) + "/b";
        assert!(!pattern.matches(&Names::new(&path, &[])));
        assert!(pattern.below(&Names::new(&path, &[])));
    }

    #[test]
    fn folding_goes_as_far_as_file_systems_do() {
        assert_eq!(fold("/ETC/Shadow"), "/etc/shadow");
        assert_eq!(fold(".gi\u{200c}t"), ".git");
        assert_eq!(fold("authorized_\u{212a}eys"), "authorized_keys");
        assert_eq!(fold("\u{17f}hadow"), "shadow");
    }
}
