//! What can go wrong on the way to a target, told apart as the person who reads it would.

use std::{io, sync::Arc, time::Duration};

use crate::domain::target::Hop;

/// Why no connection came about, and at which machine.
#[derive(Debug, thiserror::Error)]
#[error("{hop}: {cause}")]
pub struct ConnectError {
    pub hop: Hop,
    pub cause: ConnectFault,
}

impl ConnectError {
    /// The server closed the connection while it waited for the login (`LoginGraceTime`).
    pub fn hung_up_at_login(&self) -> bool {
        matches!(self.cause, ConnectFault::Closed { at: Step::Login, .. })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectFault {
    #[error("the name does not resolve: {0}")]
    NoSuchHost(io::Error),
    #[error("unreachable: {0}")]
    Unreachable(io::Error),
    /// A jump host did not make the connection to this hop; its words.
    #[error("the jump host before it does not reach it: {0}")]
    JumpRefused(String),
    #[error("{0} took longer than {seconds} seconds", seconds = .1.as_secs())]
    TimedOut(Step, Duration),
    /// Something else answers there. The start of what it said, at most 80 characters, unescaped.
    #[error("no SSH server: it answers {0:?}")]
    NoSsh(String),
    /// The command that leads there did not start, or had something to say.
    #[error("the proxy command: {0}")]
    Proxy(String),
    #[error("no {kind} algorithm in common; the server offers {theirs}")]
    NoCommonAlgorithm { kind: String, theirs: String },
    #[error(transparent)]
    HostKey(#[from] HostKeyRefusal),
    /// No credential was taken; the methods with which the server would go on.
    #[error("login refused; the server offers {list}", list = list(.offered))]
    AuthRefused { offered: Vec<String> },
    #[error("the server asks questions at login that need a person")]
    LoginInteractive,
    #[error("the operator did not answer what the server asks at login")]
    LoginDeclined,
    #[error("nobody answered what the server asks at login within {minutes} minutes", minutes = .0.as_secs() / 60)]
    LoginUnanswered(Duration),
    /// More than a login takes: it is not going to end.
    #[error("the server asks too much at login: {0}")]
    LoginEndless(String),
    /// The client library gives no other sign of SSH_MSG_USERAUTH_PASSWD_CHANGEREQ (RFC 4252, 8).
    #[error(
        "the server did not answer the password within {seconds} seconds; one that wants it changed \
         first (SSH_MSG_USERAUTH_PASSWD_CHANGEREQ) looks like this", seconds = .0.as_secs()
    )]
    PasswordUnanswered(Duration),
    /// The server hung up; its words if it said any, at most 200 characters, unescaped.
    #[error("the server closed the connection at {at}{said}", said = said(.words))]
    Closed { at: Step, words: Option<String> },
    /// Logged in, but the server opens no session there.
    #[error("logged in, but the server opens no session: {0}")]
    NoSession(String),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("a plan without a hop")]
    NoRoute,
}

fn list(words: &[String]) -> String {
    if words.is_empty() { String::from("nothing else") } else { words.join(", ") }
}

fn said(words: &Option<String>) -> String {
    words.as_ref().map(|words| format!(": {words:?}")).unwrap_or_default()
}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Connecting,
    /// From the first byte to the host key.
    Handshake,
    Login,
    /// After the login succeeded.
    Session,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::Connecting => "connecting",
            Step::Handshake => "the SSH handshake",
            Step::Login => "login",
            Step::Session => "opening a session",
        })
    }
}

/// Why a presented host key was not taken. Fingerprints are `SHA256:…`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyRefusal {
    #[error("the host key changed: it is {presented}, known is {known}", known = .known.join(", "))]
    Changed { known: Vec<String>, presented: String },
    #[error("the host key {presented} is revoked")]
    Revoked { presented: String },
    #[error("the host key {presented} is not known")]
    Unknown { presented: String },
    #[error("the operator did not accept the host key {presented}")]
    Declined { presented: String },
    /// It proved itself with a certificate that nobody who is trusted made for it.
    #[error("the server presented a certificate that does not vouch for it: {0}")]
    Certificate(String),
    /// The machine may be right, but what would log in there was given for others.
    #[error(
        "the password of {target} is for the host key {known} alone, and this machine shows \
         {presented}", known = .known.join(", ")
    )]
    Bound { target: String, known: Vec<String>, presented: String },
}

/// Why there is no channel. Nothing was sent in any of these cases.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the session is closed")]
    Closed,
    #[error("the connection is lost, and the credential can't be used again")]
    Lost,
    #[error("the connection was lost; connecting again failed: {0}")]
    Connect(Arc<ConnectError>),
    #[error("the server opens no session: {0}")]
    Refused(String),
    #[error("a person had to log in there, so that there is one connection alone")]
    Alone,
    #[error("no channel became free within {seconds} seconds", seconds = .0.as_secs())]
    Busy(Duration),
}

/// Why a channel can't be used. Only [`ChannelError::Stale`] is an answer to [`super::Channel::exec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The channel was gone before the command was handed to it: it can be run on another.
    #[error("the channel was gone before the command was sent")]
    Stale,
    /// What was written may or may not have arrived.
    #[error("the connection is lost")]
    Lost,
    #[error("the channel is closed")]
    Closed,
}
