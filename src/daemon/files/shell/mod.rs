//! Files without SFTP, and as root: a program of sgw's own, read by the server's `sh` from its standard input, does
//! one operation to the paths that were judged.
//!
//! What is other than over SFTP:
//! - A directory is held while something is done in it: who renames it, or one above it, meanwhile changes nothing.
//!   An open file is compared with what has its name, where the server has `/proc`.
//! - A write that is cut off leaves nothing: the program counts the bytes, and what is short is removed. It is on
//!   the disk where the server's dd(1) can say so, and not known to be elsewhere.
//! - What is looked at and what is done then are still two steps: of `mv` its source, of `chmod` what can't be read,
//!   of `ln -s` and `mkdir` what stood there.
//! - Files are got and put one after the other, each a command; a put that was cut off begins anew.

mod call;
mod failed;
mod listed;
mod resolve;
mod run;
mod transfer;
mod write;

pub use self::{
    resolve::resolve,
    run::{Run, content, lstat_if},
};

use crate::{
    daemon::session::Session,
    domain::{
        files::Way,
        sftp::{Attrs, Status, StatusCode},
    },
    protocol::error::{Code, Failure},
};

/// One attempt at an answer that can't be one.
const ODD: &str = "an answer that sgw's own program does not give";

/// What the program says of a file: type and rights, size, owner, group, time, device and inode.
fn attrs(line: &[u8]) -> Option<Attrs> {
    let words: Vec<&str> = std::str::from_utf8(line).ok()?.split_ascii_whitespace().collect();
    let [bits, size, uid, gid, time, _same] = words.as_slice() else { return None };
    let seconds: u32 = time.parse::<i64>().ok()?.clamp(0, u32::MAX.into()).try_into().ok()?;
    Some(Attrs {
        size: Some(size.parse().ok()?),
        owner: Some((uid.parse().ok()?, gid.parse().ok()?)),
        permissions: Some(u32::from_str_radix(bits, 16).ok()?),
        times: Some((seconds, seconds)),
        extended: None,
    })
}

/// A word as the program reads it: plain characters as they are, all others for printf(1).
fn word(bytes: &[u8], line: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'\\' | b'%' => line.extend(format!("\\{byte:03o}").into_bytes()),
            b' '..=b'~' => line.push(byte),
            _ => line.extend(format!("\\{byte:03o}").into_bytes()),
        }
    }
    line.push(b'\n');
}

/// What a failing command said, as SFTP would have: of its words only what the system's own errors are called
/// counts.
fn status(words: &[u8]) -> Status {
    let text = String::from_utf8_lossy(words).to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let code = if has(&["permission denied", "not permitted", "read-only file system"]) {
        StatusCode::PermissionDenied
    } else if has(&["no such file", "nonexistent", "not a directory"]) {
        StatusCode::NoSuchFile
    } else {
        StatusCode::Failure
    };
    let last = words.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Status::new(code, &String::from_utf8_lossy(last))
}

/// Why the account may not be root there.
fn no_root(session: &Session, words: &[u8], status: Option<u32>) -> Failure {
    let text = String::from_utf8_lossy(words).to_lowercase();
    let asks = ["password", "terminal", "tty", "askpass"].iter().any(|part| text.contains(part));
    let (message, hint) = if status == Some(127) {
        let hint = "without --sudo it is the account's own";
        ("this server has no sudo for this account, so nothing was done", hint.to_owned())
    } else if asks {
        let message = "sudo wants a password, and sgw gives none: nothing was done";
        (message, format!("a person can do it there: sgw handoff {} MESSAGE", session.id))
    } else {
        let message = "sudo does not let this account run a shell as root, so nothing was done";
        (message, format!("a person can do it there: sgw handoff {} MESSAGE", session.id))
    };
    Failure::new(Code::SudoRefused, message, hint).sent(true)
}

/// Nobody read the program.
fn no_shell(way: Way) -> Failure {
    let message = "this account runs no commands there, so that nothing was done";
    let hint = match way {
        Way::Sftp | Way::Exec => {
            "without --via exec it goes over SFTP; if neither works ask your user"
        }
        Way::Sudo => "ask your user: it needs an account that may run commands",
    };
    Failure::new(Code::FilesUnsupported, message, hint).sent(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_line_whatever_they_hold() {
        let mut line = Vec::new();
        word(b"/a b'\"$x`\n\\n%s\xff\x80", &mut line);
        assert_eq!(line, b"/a b'\"$x`\\012\\134n\\045s\\377\\200\n");
    }

    #[test]
    fn what_is_said_of_a_file_is_read_whole_or_not() {
        let seen = attrs(b"81a4 5 10 20 1700000000 fd01:7").unwrap();
        assert_eq!((seen.size, seen.owner, seen.mode()), (Some(5), Some((10, 20)), Some(0o644)));
        for wrong in [&b"81a4 5 10 20 17"[..], b"", b"x 5 1 1 1 1:1", b"81a4 -5 1 1 1 1:1", b"\xff"]
        {
            assert_eq!(attrs(wrong), None);
        }
    }

    #[test]
    fn a_failure_is_what_the_system_calls_it() {
        for (words, code) in [
            ("cat: x: Permission denied\n", StatusCode::PermissionDenied),
            ("sh: 1: cannot create ./x: Permission denied", StatusCode::PermissionDenied),
            ("sh: can't create x: nonexistent directory", StatusCode::NoSuchFile),
            ("ls: cannot access 'x': No such file or directory", StatusCode::NoSuchFile),
            ("cat: write error: No space left on device", StatusCode::Failure),
            ("", StatusCode::Failure),
        ] {
            assert_eq!(status(words.as_bytes()).code, code, "{words}");
        }
        assert_eq!(status(b"one\ntwo\n").message(), b"two");
    }
}
