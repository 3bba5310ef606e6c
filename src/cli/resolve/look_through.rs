//! Reads ssh_config and what it includes before `ssh -G` does, to name the line that would run a
//! program. It takes every block for reachable and every doubtful form for the worse one.
//!
//! The files can change between this reading and ssh's: see `SHELL` in `ssh_config.rs` for why nothing
//! runs even then.

use std::{
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use crate::domain::known_hosts::matches;

use super::{
    account::Account,
    file::{self, FileError},
    ssh_config::{ConfigError, Place, Sources},
    tokens::tilde,
};

const MAX_FILE: usize = 1 << 20;
const MAX_FILES: usize = 256;
/// As in OpenSSH (`READCONF_MAX_DEPTH`).
const MAX_DEPTH: usize = 16;
/// Names in one folder that a pattern is held against.
const MAX_NAMES: usize = 4096;

/// A line that can matter later: its keyword in lower case, and where it stands.
#[derive(Debug)]
pub struct Line {
    pub keyword: String,
    pub place: Place,
    /// The words behind it, as written.
    pub arguments: Vec<String>,
}

/// Which keywords are worth remembering, to point at when `ssh -G` reports their values.
const TOLD: [&str; 7] = [
    "host",
    "proxycommand",
    "knownhostscommand",
    "localcommand",
    "canonicalizehostname",
    "canonicalizepermittedcnames",
    "proxyjump",
];

/// Looks through all that ssh will read. Fails at the first `Match exec`.
pub fn look_through(sources: &Sources, account: &Account) -> Result<Vec<Line>, ConfigError> {
    let mut walk = Walk { account, checked_by_ssh: false, files: 0, lines: Vec::new() };
    match sources {
        Sources::Usual => {
            // ssh checks the owner and mode of the user's files itself, and knows the group better.
            walk.checked_by_ssh = true;
            let user = account.home.join(".ssh");
            walk.file(&user.join("config"), &user, 0)?;
            walk.checked_by_ssh = false;
            walk.file("/etc/ssh/ssh_config".as_ref(), "/etc/ssh".as_ref(), 0)?;
        }
        Sources::File(path) => {
            let missing = matches!(file::open(path), Err(FileError::Missing));
            if missing {
                return Err(ConfigError::File { path: path.clone(), error: FileError::Missing });
            }
            walk.file(path, &account.home.join(".ssh"), 0)?;
        }
    }
    Ok(walk.lines)
}

struct Walk<'a> {
    account: &'a Account,
    checked_by_ssh: bool,
    files: usize,
    lines: Vec<Line>,
}

impl Walk<'_> {
    /// `base` is where relative Includes lie.
    fn file(&mut self, path: &Path, base: &Path, depth: usize) -> Result<(), ConfigError> {
        let fail = |error| ConfigError::File { path: path.to_owned(), error };
        let (mut open, metadata) = match file::open(path) {
            Ok(opened) => opened,
            Err(FileError::Missing) => return Ok(()),
            Err(error) => return Err(fail(error)),
        };
        self.files += 1;
        if self.files > MAX_FILES || depth > MAX_DEPTH {
            return Err(ConfigError::TooMuch { path: path.to_owned() });
        }
        let foreign = metadata.uid() != 0 && metadata.uid() != self.account.uid;
        let writable = if self.checked_by_ssh { 0o002 } else { 0o022 };
        if foreign || metadata.mode() & writable != 0 {
            return Err(ConfigError::Writable { path: path.to_owned() });
        }
        let bytes = file::read_open(&mut open, MAX_FILE).map_err(fail)?;
        for (index, line) in String::from_utf8_lossy(&bytes).split('\n').enumerate() {
            let place = || Place::new(path, index + 1, line);
            let (keyword, words) = words(line);
            match keyword.as_str() {
                "match" if words.iter().any(|word| word.trim_start_matches('!') == "exec") => {
                    return Err(ConfigError::MatchExec { place: place() });
                }
                "include" => {
                    for included in arguments(line, keyword.len()) {
                        self.include(&included, base, depth)?;
                    }
                }
                told if TOLD.contains(&told) => {
                    let arguments = arguments(line, told.len());
                    self.lines.push(Line { keyword, place: place(), arguments });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn include(&mut self, text: &str, base: &Path, depth: usize) -> Result<(), ConfigError> {
        let Some(text) = tilde(&self.account.home, text) else { return Ok(()) };
        for path in glob(&base.join(text))? {
            self.file(&path, base, depth + 1)?;
        }
        Ok(())
    }
}

/// The keyword and the other words of a line, in lower case and without quotes. ssh takes `=` for a
/// space too, and a quote in the middle of a word for nothing.
pub(super) fn words(line: &str) -> (String, Vec<String>) {
    let plain = line.replace(['"', '\'', '\\'], "").to_lowercase();
    if plain.trim_start().starts_with('#') {
        return Default::default();
    }
    let split = |char: char| char.is_whitespace() || char == '=' || char == '\0';
    let mut words = plain.split(split).filter(|word| !word.is_empty()).map(str::to_owned);
    (words.next().unwrap_or_default(), words.collect())
}

/// What stands behind a keyword of so many bytes: quoted or not, up to a comment.
pub(super) fn arguments(line: &str, keyword: usize) -> Vec<String> {
    let line = line.trim();
    let rest = line.get(keyword..).unwrap_or_default().trim_start();
    let mut chars = rest.strip_prefix('=').unwrap_or(rest).chars().peekable();
    let mut arguments = Vec::new();
    loop {
        while chars.next_if(|char| char.is_whitespace()).is_some() {}
        match chars.peek() {
            None | Some('#') => return arguments,
            Some(_) => {}
        }
        let mut argument = String::new();
        let mut quote = None;
        while let Some(char) = chars.next_if(|char| quote.is_some() || !char.is_whitespace()) {
            match quote {
                Some(mark) if char == mark => quote = None,
                None if char == '"' || char == '\'' => quote = Some(char),
                _ => argument.push(char),
            }
        }
        arguments.push(argument);
    }
}

/// The files that fit a pattern of glob(7): `*` and `?` exactly, and a `[` as if it were `*` with all
/// that follows in that name, so that nothing is missed.
pub(super) fn glob(pattern: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let Component::Normal(name) = component else {
            found.iter_mut().for_each(|path| path.push(component));
            continue;
        };
        let name = name.to_string_lossy();
        if !name.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(&*name));
            continue;
        }
        let mut wide = name.split('[').next().unwrap_or_default().to_owned();
        if wide.len() < name.len() {
            wide.push('*');
        }
        let mut next = Vec::new();
        for folder in &found {
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            let names = entries.flatten().map(|entry| entry.file_name());
            next.extend(
                names
                    .filter(|entry| {
                        let entry = entry.to_string_lossy();
                        // A leading dot must be written.
                        (!entry.starts_with('.') || wide.starts_with('.')) && matches(&wide, &entry)
                    })
                    .take(MAX_NAMES)
                    .map(|entry| folder.join(entry)),
            );
            if next.len() >= MAX_NAMES {
                return Err(ConfigError::TooMuch { path: pattern.to_owned() });
            }
        }
        next.sort();
        found = next;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Home {
        folder: tempfile::TempDir,
        account: Account,
    }

    impl Home {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(folder.path().join(".ssh/d")).unwrap();
            let mut account = Account::current();
            account.home = folder.path().to_owned();
            Self { folder, account }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(".ssh").join(name)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            path
        }

        fn look(&self) -> Result<Vec<Line>, ConfigError> {
            look_through(&Sources::File(self.path("config")), &self.account)
        }

        fn look_at(&self, text: &str) -> Result<Vec<Line>, ConfigError> {
            self.write("config", text);
            self.look()
        }
    }

    fn refused_at(result: Result<Vec<Line>, ConfigError>) -> (String, usize) {
        match result {
            Err(ConfigError::MatchExec { place }) => {
                (place.file.file_name().unwrap().to_string_lossy().into_owned(), place.line)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_way_to_write_match_exec_is_found() {
        let home = Home::new();
        for line in [
            "Match exec \"touch x\"",
            "\tmatch host web1 !exec true",
            "MATCH=EXEC true",
            "Match host web1 exec=true",
            "\"Match\" \"exec\" true",
            "Match ex\"ec\" true",
            "Match all exec true # later",
            "=Match exec true",
        ] {
            let place = refused_at(home.look_at(&format!("Host a\n  User b\n{line}\n")));
            assert_eq!(place, ("config".into(), 3), "{line}");
        }
    }

    #[test]
    fn innocent_lines_pass() {
        let home = Home::new();
        let text = "# Match exec x\nHost exec\nMatch host executor\n  User exec\n Include none*\n";
        let lines = home.look_at(text).unwrap();
        let told: Vec<_> = lines.iter().map(|line| (&*line.keyword, &line.arguments[..])).collect();
        assert_eq!(told, [("host", &["exec".to_owned()][..])]);
    }

    #[test]
    fn included_files_are_looked_through_too() {
        let home = Home::new();
        home.write("d/a.conf", "Match exec true\n");
        home.write("b c", "User x\n\nMatch exec true\n");
        let absolute = home.path("d/a.conf");
        for line in [
            "Include d/a.conf",
            "Include none d/*.conf",
            "Host nothing\n include ~/.ssh/d/a.con?",
            "Include=\"d/a.conf\" # comment",
            "Include [d]/[a].conf",
            &format!("Include {}", absolute.display()),
        ] {
            assert_eq!(refused_at(home.look_at(line)), ("a.conf".into(), 1), "{line}");
        }
        assert_eq!(refused_at(home.look_at("Include \"b c\"")), ("b c".into(), 3));
        assert_eq!(refused_at(home.look_at("Include b' 'c")), ("b c".into(), 3));
        home.write("d/a.conf", "Include b*\n");
        assert_eq!(refused_at(home.look_at("Include d/*")), ("b c".into(), 3));
    }

    #[test]
    fn lines_that_matter_later_are_remembered_with_their_place() {
        let home = Home::new();
        let lines = home.look_at("Host a\n ProxyCommand nc %h\nLocalCommand \u{1b}[31m\n").unwrap();
        let told: Vec<_> = lines.iter().map(|line| (&*line.keyword, line.place.line)).collect();
        assert_eq!(told, [("host", 1), ("proxycommand", 2), ("localcommand", 3)]);
        assert_eq!(lines[2].place.text, "LocalCommand \\x1b[31m");
    }

    #[test]
    fn files_that_are_too_much_or_too_open_are_refused() {
        let home = Home::new();
        assert!(matches!(home.look_at("Include config"), Err(ConfigError::TooMuch { .. })));
        home.write("d/w", "User x\n");
        std::fs::set_permissions(home.path("d/w"), PermissionsExt::from_mode(0o666)).unwrap();
        assert!(matches!(home.look_at("Include d/w"), Err(ConfigError::Writable { .. })));
        let long = "#".repeat(MAX_FILE + 1);
        assert!(matches!(
            home.look_at(&long),
            Err(ConfigError::File { error: FileError::TooLong(_), .. })
        ));
        let fifo = home.path("d/fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        assert!(matches!(
            home.look_at("Include d/fifo"),
            Err(ConfigError::File { error: FileError::NotAFile(_), .. })
        ));
        std::fs::remove_file(home.path("config")).unwrap();
        assert!(matches!(home.look(), Err(ConfigError::File { error: FileError::Missing, .. })));
    }
}
