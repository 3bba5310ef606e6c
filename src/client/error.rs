//! What goes wrong between a client and its daemon, and how callers are told.

use crate::{
    home::HomeError,
    protocol::{
        error::{Code, Failure},
        frame::FrameError,
        noise::NoiseError,
    },
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("sgw is not set up here yet")]
    NotSetUp,
    #[error("no daemon answers: sgw is locked")]
    Locked,
    #[error("the daemon does not answer")]
    Silent,
    #[error("the daemon's socket belongs to uid {0}, not to you")]
    Foreign(u32),
    /// A service's socket is not there, or nobody listens.
    #[error("sgw's sockets are not there: the service does not run")]
    Down,
    #[error("{0} does not let you in")]
    Closed(&'static str),
    #[error("uid {uid} is not the operator of this machine's sgw (uid {operator} is)")]
    NotOperator { uid: u32, operator: u32 },
    #[error("this program has not the group that makes it the operator's")]
    NoGroup,
    #[error("the daemon went away in the middle of the call")]
    Lost,
    #[error("the daemon said something that this version does not understand: {0}")]
    Odd(String),
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Frame(FrameError),
    #[error("{action}: {source}")]
    Local { action: &'static str, source: std::io::Error },
    #[error(transparent)]
    Proof(#[from] NoiseError),
    /// What the daemon, or the client itself, has to say to the caller.
    #[error(transparent)]
    Told(#[from] Failure),
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Truncated | FrameError::Io(_) => Self::Lost,
            other => Self::Frame(other),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Odd(error.to_string())
    }
}

impl Error {
    /// Whether too many are there, and another try may get through.
    pub fn is_crowded(&self) -> bool {
        matches!(self, Self::Told(failure) if failure.code == Code::LimitConnections)
    }

    /// For `map_err` on the client's own system calls.
    pub fn local(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Local { action, source }
    }
}

/// The one place where the client's errors get their codes and hints.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let (code, hint) = match error {
            Error::Told(failure) => return failure,
            Error::NotSetUp => {
                (Code::OperatorNone, "ask the person at this machine to run: sgw init")
            }
            Error::Locked => {
                (Code::DaemonUnreachable, "ask the person at this machine to run: sgw unlock")
            }
            Error::Silent => {
                (Code::DaemonUnreachable, "ask the person to run: sgw lock; sgw unlock")
            }
            Error::Foreign(_) => (Code::HomeUnsafe, "find out who runs it; don't use it"),
            Error::Down => (
                Code::DaemonUnreachable,
                "root starts it: systemctl start sgw-agent.socket sgw-operator.socket",
            ),
            Error::Closed(_) => {
                (Code::DaemonUnreachable, "root lets you in: sgw init --service --agent NAME")
            }
            Error::NotOperator { .. } => (
                Code::OperatorProof,
                "ask the operator; a copy of the program outside of a bin directory is a personal sgw",
            ),
            Error::NoGroup => (
                Code::OperatorProof,
                "run the installed program itself: not traced, not in a sandbox, not a copy; sgw doctor",
            ),
            Error::Lost => (
                Code::DaemonLost,
                "see whether it runs: sgw; the person starts it again: sgw unlock",
            ),
            Error::Odd(_) => (Code::DaemonVersion, "ask the person to run: sgw lock; sgw unlock"),
            Error::Frame(FrameError::ChunkTooLong(_)) => {
                (Code::LimitFrame, "send less in one call")
            }
            Error::Frame(_) => (Code::UsageFrame, "sgw daemon status"),
            Error::Proof(NoiseError::Unproven) => (
                Code::OperatorProof,
                "the vault was replaced since the daemon started: sgw lock; sgw unlock",
            ),
            Error::Proof(_) => (Code::DaemonLost, "sgw daemon status"),
            Error::Local { .. } => (Code::DaemonFailed, "sgw daemon status"),
            Error::Home(HomeError::Missing(_)) => {
                (Code::OperatorNone, "ask the person at this machine to run: sgw init")
            }
            Error::Home(home) => {
                let hint = home.hint().unwrap_or_else(|| "sgw daemon status".to_owned());
                return Failure::new(home.code(), message, hint);
            }
        };
        Failure::new(code, message, hint)
    }
}
