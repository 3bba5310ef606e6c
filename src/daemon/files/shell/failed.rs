//! What is wrong, by the program's own word or by the system's.

use std::time::Duration;

use super::ODD;
use crate::{
    daemon::{
        files::{
            compare::not_as_shown,
            fault::Fault,
            leads_elsewhere,
            read::kind,
            write::{exists, piece_left},
        },
        session::Session,
    },
    domain::escape,
    protocol::error::{Code, Failure},
};

/// How long it may take to open a file: a disk may sleep.
pub(super) const OPENS: Duration = Duration::from_secs(120);

/// What failed there; a full disk has its own words.
pub(super) fn told(fault: &Fault, doing: &str, at: &[u8]) -> Failure {
    let failure = fault.at(doing, at);
    let full = |words: &[u8]| {
        let text = String::from_utf8_lossy(words).to_lowercase();
        text.contains("no space left") || text.contains("quota exceeded")
    };
    match fault {
        Fault::Status(status) if full(status.message()) => {
            let message = format!("{}: the disk there is full", failure.message);
            let hint =
                "make room there (sgw files df SESSION PATH shows it): the same call goes on"
                    .to_owned();
            Failure { message, hint, ..failure }
        }
        _ => failure,
    }
}

/// It was an ordinary file a moment ago.
pub(super) fn does_not_open(at: &[u8]) -> Failure {
    let (shown, seconds) = (escape::exact(at, 300), OPENS.as_secs());
    let message = format!(
        "{shown} was not open after {seconds} seconds: it may be a pipe by now, or its disk does not answer"
    );
    let hint = "look what is there: sgw files stat SESSION PATH";
    Failure::new(Code::FilesFailed, message, hint).sent(true)
}

pub(super) fn no_listing(word: Option<&str>, at: &[u8], session: &Session) -> Failure {
    match word {
        Some("elsewhere") => leads_elsewhere(at),
        _ => no("denied", at, session),
    }
}

/// The program's own word for what is wrong.
pub(super) fn no(word: &str, at: &[u8], session: &Session) -> Failure {
    let shown = escape::exact(at, 300);
    let unsupported = |message: &str| {
        let hint = "use a command for it: sgw exec SESSION -- …";
        Failure::new(Code::FilesUnsupported, message, hint).sent(true)
    };
    match word.split(' ').next().unwrap_or_default() {
        "elsewhere" => leads_elsewhere(at),
        "exists" => exists(at),
        "directory" => kind(at, "is a directory", "sgw files ls"),
        "tree" => kind(at, "is a directory: -r removes it", "sgw files ls"),
        "no-directory" => kind(at, "is no directory", "sgw files stat"),
        "other" => kind(at, "is no ordinary file", "sgw files stat"),
        "nowhere" => kind(at, "is a link that leads nowhere", "sgw files stat"),
        "changed" => {
            let sum =
                word.split(' ').nth(1).filter(|sum| sum.bytes().all(|b| b.is_ascii_hexdigit()));
            crate::daemon::files::write::changed(at, sum)
        }
        "piece" => {
            let now = word.split(' ').nth(1).and_then(|size| size.parse().ok());
            piece_left(at, now)
        }
        "denied" => Failure::new(
            Code::FilesDenied,
            format!("reading {shown} is not permitted"),
            "sgw files stat SESSION PATH shows whose it is; repeating won't help",
        )
        .sent(true),
        "device" => Failure::new(
            Code::FilesFailed,
            format!("{shown} lies on another file system: it would not be moved at once"),
            "get and put it, or use a command for it: sgw exec SESSION -- mv …",
        )
        .sent(true),
        "shown" => not_as_shown(at),
        "cut" => Failure::new(
            Code::FilesChanged,
            format!("what came for {shown} ended before its end; nothing is in its place"),
            "run it again",
        )
        .sent(true),
        "root" => super::no_root(session, b"", None),
        "stat" => unsupported("this server has no stat(1), which sgw needs where SFTP is not"),
        "hash" => unsupported("this server has nothing that reckons SHA-256"),
        _ => Fault::Odd(ODD).at("working on", at),
    }
}
