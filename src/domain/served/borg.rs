//! borg's server side, as its client starts it: `borg serve [--umask=077] [--info]…`. What it does there is known
//! to the two of them alone, so that it is a command like any other, but for what stands in front of it.

use super::words;

/// Flags without a value. Not among them: what names a program or a file.
const FLAGS: &[&[u8]] = &[b"--append-only", b"--critical", b"--debug", b"--error", b"--info"];
/// With a value of letters, digits, dots and underscores in the same word.
const VALUES: &[&[u8]] = &[b"--debug-topic=", b"--storage-quota=", b"--umask="];

pub fn is_server(line: &[u8]) -> bool {
    let Some(words) = words(line) else { return false };
    let Some(words) = words.iter().map(|word| word.plain()).collect::<Option<Vec<_>>>() else {
        return false;
    };
    words
        .strip_prefix(&[b"borg".as_slice(), b"serve"])
        .is_some_and(|rest| rest.iter().all(|word| FLAGS.contains(word) || has_plain_value(word)))
}

fn has_plain_value(word: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._".contains(byte);
    VALUES.iter().any(|name| word.strip_prefix(*name).is_some_and(|value| value.iter().all(plain)))
}
