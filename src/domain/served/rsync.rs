//! rsync's server side, as rsync(1) of versions 2.6 to 3.5 starts it: `rsync --server [--sender] FLAGS… . PATH…`.

use super::{Kind, Named, Program, Served, Word};
use crate::domain::bytes::Bytes;

/// Letters that need no more said than the rules for paths say. Not among them: what follows links out of the
/// paths (`L`, `k`, `K`), takes names as absolute (`R`), reads files of the account's own (`C`), or takes all its
/// words from the client (`s`).
const LETTERS: &[u8] = b"ADHIJNOSUWXbcdgilmnopqrtuvxyz";
/// Flags without a value.
const FLAGS: &[&str] = &[
    "append",
    "delay-updates",
    "dirs",
    "existing",
    "force",
    "fsync",
    "fuzzy",
    "group",
    "hard-links",
    "ignore-errors",
    "ignore-existing",
    "ignore-times",
    "inplace",
    "links",
    "list-only",
    "mkpath",
    "msgs2stderr",
    "new-compress",
    "no-W",
    "no-implied-dirs",
    "no-msgs2stderr",
    "no-r",
    "no-specials",
    "numeric-ids",
    "old-compress",
    "one-file-system",
    "open-noatime",
    "owner",
    "partial",
    "perms",
    "preallocate",
    "recursive",
    "safe-links",
    "size-only",
    "specials",
    "stats",
    "times",
    "use-qsort",
];
/// Those that remove something.
const REMOVES: &[&str] = &[
    "delete",
    "delete-after",
    "delete-before",
    "delete-delay",
    "delete-during",
    "delete-excluded",
    "delete-missing-args",
    "remove-sent-files",
    "remove-source-files",
];
/// With a value in the same word that names no file.
const VALUES: &[&str] = &[
    "block-size",
    "bwlimit",
    "checksum-choice",
    "checksum-seed",
    "compress-choice",
    "compress-level",
    "iconv",
    "info",
    "log-format",
    "max-alloc",
    "max-delete",
    "max-size",
    "min-size",
    "modify-window",
    "skip-compress",
    "stderr",
    "timeout",
];
/// With a name beneath the path, in the same word or the next.
const BENEATH: &[&str] = &["partial-dir", "backup-dir", "suffix"];

/// What stands behind the program's name.
pub fn read(rest: &[Word]) -> Option<Served> {
    let (server, mut rest) = rest.split_first()?;
    if server.plain()? != b"--server" {
        return None;
    }
    let mut argv: Vec<Bytes> = vec!["rsync".into(), "--server".into()];
    let (mut sender, mut removes) = (false, false);
    loop {
        let (word, after) = rest.split_first()?;
        rest = after;
        let text = str::from_utf8(word.plain()?).ok()?;
        argv.push(text.into());
        match text.strip_prefix("--") {
            _ if text == "." => break,
            Some("sender") if !sender && argv.len() == 3 => sender = true,
            Some(long) if REMOVES.contains(&long) => removes = true,
            Some(long) if FLAGS.contains(&long) => {}
            Some(long) => match long.split_once('=') {
                Some((name, _)) if VALUES.contains(&name) => {}
                Some((name, value)) if BENEATH.contains(&name) && is_beneath(value) => {}
                None if BENEATH.contains(&long) => {
                    let (value, after) = rest.split_first()?;
                    rest = after;
                    let value = str::from_utf8(value.plain()?).ok()?;
                    if !is_beneath(value) {
                        return None;
                    }
                    argv.push(value.into());
                }
                _ => return None,
            },
            None if is_letters(text) => {}
            None => return None,
        }
    }
    let paths: Vec<Named> = rest.iter().map(|word| named(word, sender)).collect::<Option<_>>()?;
    if paths.is_empty() || !sender && paths.len() != 1 {
        return None;
    }
    Some(Served { program: Program::Rsync, argv, paths, changes: !sender, removes, tree: true })
}

/// `-vlogDtprze.iLsfxCIvu`: letters, and what the client can do behind `e.`, which runs nothing on a server.
fn is_letters(text: &str) -> bool {
    let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
        return false;
    };
    let (letters, can) = match letters.split_once('e') {
        Some((letters, can)) => (letters, Some(can)),
        None => (letters, None),
    };
    let can = can.is_none_or(|can| {
        can.split_once('.').is_some_and(|(digits, flags)| {
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && flags.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        })
    });
    can && letters.bytes().all(|byte| LETTERS.contains(&byte))
}

/// A relative name that leads nowhere above.
fn is_beneath(value: &str) -> bool {
    !value.is_empty()
        && !value.starts_with(['/', '-', '~'])
        && !value.split('/').any(|name| name == "..")
}

fn named(word: &Word, sender: bool) -> Option<Named> {
    let path = super::git::path(word)?;
    let slash = path.ends_with(b"/");
    let inside = slash || path.ends_with(b"/.") || path == b"." || path == b"~";
    let kind = match sender {
        true if inside => Kind::Content,
        // A name above is no name of anything in it.
        true if path.ends_with(b"/..") || path == b".." => return None,
        true => Kind::Itself,
        false => Kind::Into { slash },
    };
    Some(Named { path: Bytes(path), kind })
}
