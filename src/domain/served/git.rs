//! What git's clients run on a server: `git-upload-pack 'PATH'` (gitprotocol-pack(5)), `git-receive-pack`,
//! `git-upload-archive`, and the same as `git upload-pack`.

use super::{Kind, Named, Program, Served, Word};
use crate::domain::bytes::Bytes;

/// The program's name, and what stands behind it.
pub fn read(name: &[u8], rest: &[Word]) -> Option<Served> {
    let (verb, rest) = match name.strip_prefix(b"git-") {
        Some(verb) => (verb, rest),
        None => {
            let (verb, rest) = rest.split_first()?;
            (verb.plain()?, rest)
        }
    };
    let program = match verb {
        b"upload-pack" | b"upload-archive" => Program::Fetch,
        b"receive-pack" => Program::Push,
        _ => return None,
    };
    let [word] = rest else { return None };
    let bytes = path(&home_in_quotes(word)?)?;
    let argv = match name {
        b"git" => vec![Bytes(b"git".to_vec()), Bytes(verb.to_vec())],
        name => vec![Bytes(name.to_vec())],
    };
    let paths = vec![Named { path: Bytes(bytes), kind: Kind::Repository }];
    let changes = program == Program::Push;
    Some(Served { program, argv, paths, changes, removes: false, tree: true })
}

/// git itself reads a `~/`, and the names of others' homes.
fn home_in_quotes(word: &Word) -> Option<Word> {
    match word.bytes.as_slice() {
        b"~" | [b'~', b'/', ..] => Some(Word { home: true, ..word.clone() }),
        [b'~', ..] => None,
        _ => Some(word.clone()),
    }
}

/// A word as a path, with `~/` only where it is the account's home.
pub fn path(word: &Word) -> Option<Vec<u8>> {
    let bytes = word.bytes.clone();
    match bytes.first() {
        None | Some(b'-') => None,
        Some(b'~') if !word.home => Some([b"./", bytes.as_slice()].concat()),
        _ => Some(bytes),
    }
}
