//! Why something did not happen on a target's files, and what the agent hears of it.

use crate::{
    daemon::upstream::{self, OpenError},
    domain::{
        escape,
        sftp::{Malformed, Status, StatusCode},
    },
    protocol::error::{Code, Failure},
};

/// The most of a path, or of a server's words, that a message holds, in columns.
const SHOWN: usize = 300;

/// What ends a call to an SFTP server.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The server's answer.
    Status(Status),
    /// The connection broke.
    Lost,
    /// Not within so long.
    Silent,
    /// The server has no such subsystem.
    NoSubsystem,
    /// What the server says is no SFTP, or no answer to what was asked.
    Odd(&'static str),
    Malformed(Malformed),
    /// sgw's own word: the keyboard is taken, the session is over, the path is no path.
    Told(Failure),
}

impl Fault {
    pub fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Status(status) => Some(status.code),
            _ => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.code() == Some(StatusCode::NoSuchFile)
    }

    /// What was done, to which path: `reading`, `/etc/hosts`.
    pub fn at(&self, doing: &str, path: &[u8]) -> Failure {
        let shown = escape::exact(path, SHOWN);
        match self {
            Self::Status(status) => refused(status, doing, &shown),
            Self::Told(failure) => failure.clone(),
            Self::Lost => Failure::new(
                Code::SessionLost,
                format!("the connection broke while {doing} {shown}"),
                "look at what is there (sgw files stat), then run it again",
            )
            .sent(true),
            Self::Silent => Failure::new(
                Code::SessionLost,
                format!("the server did not answer while {doing} {shown}"),
                "look at what is there (sgw files stat), then run it again",
            )
            .sent(true),
            Self::NoSubsystem => Failure::new(
                Code::FilesUnsupported,
                "this server offers no SFTP",
                "the same without it: sgw files … --via exec",
            )
            .sent(false),
            Self::Odd(what) => odd(what),
            Self::Malformed(why) => odd(&why.to_string()),
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Told(failure)
    }
}

fn odd(what: &str) -> Failure {
    Failure::new(
        Code::FilesFailed,
        format!("what the server sent is no SFTP that sgw understands: {what}"),
        "a start-up file of the account may print something: sgw exec SESSION -- true",
    )
    .sent(true)
}

fn refused(status: &Status, doing: &str, shown: &str) -> Failure {
    let words = escape::visible_bytes(status.message(), SHOWN);
    let said = if words.is_empty() { String::new() } else { format!(" (the server: {words})") };
    let (code, what, hint) = match status.code {
        StatusCode::NoSuchFile => {
            (Code::FilesNotFound, "is not there", "sgw files ls SESSION DIRECTORY shows what is")
        }
        StatusCode::PermissionDenied => (
            Code::FilesDenied,
            "is not permitted to this account",
            "sgw files stat SESSION PATH shows whose it is; repeating won't help",
        ),
        StatusCode::Unsupported => (
            Code::FilesUnsupported,
            "is nothing that this server can do",
            "use a command for it: sgw exec SESSION -- …",
        ),
        _ => (Code::FilesFailed, "failed", "sgw files stat SESSION PATH shows what is there"),
    };
    let message = match status.code {
        StatusCode::NoSuchFile => format!("{shown} {what}{said}"),
        _ => format!("{doing} {shown} {what}{said}"),
    };
    Failure::new(code, message, hint).sent(true)
}

/// Why there is no channel: nothing was sent.
pub fn no_channel(error: &OpenError) -> Failure {
    let failure = match error {
        OpenError::Connect(why) => upstream::failure(why),
        OpenError::Closed => Failure::new(
            Code::SessionUnknown,
            "the session is closed",
            "sgw request DEST --reason … asks for a new session",
        ),
        OpenError::Refused(_) | OpenError::Alone => Failure::new(
            Code::TargetRefused,
            format!("nothing was done: {error}"),
            "the server may allow no sessions for this account: ask your user",
        ),
        OpenError::Lost | OpenError::Busy(_) => Failure::new(
            Code::SessionLost,
            format!("nothing was done: {error}"),
            "try again; if it goes on, ask for a new session: sgw request DEST --reason … --new",
        ),
    };
    failure.sent(false)
}
