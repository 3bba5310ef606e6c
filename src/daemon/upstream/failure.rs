//! A failed connection as callers see it.

use super::{ConnectError, ConnectFault, HostKeyRefusal};
use crate::{
    domain::escape,
    protocol::error::{Code, Failure},
};

/// The most characters of a server's own words in a message.
const WORDS: usize = 300;

/// Message and code; what a server said in it is escaped.
pub fn failure(error: &ConnectError) -> Failure {
    let message = escape::visible(&error.to_string(), WORDS);
    let (code, hint) = match &error.cause {
        ConnectFault::NoSuchHost(_)
        | ConnectFault::Unreachable(_)
        | ConnectFault::JumpRefused(_)
        | ConnectFault::TimedOut(..)
        | ConnectFault::NoSsh(_)
        | ConnectFault::Proxy(_)
        | ConnectFault::NoCommonAlgorithm { .. }
        | ConnectFault::Closed { .. }
        | ConnectFault::NoSession(_)
        | ConnectFault::Broken(_)
        | ConnectFault::NoRoute => (
            Code::TargetUnreachable,
            String::from("check host and port, and that an SSH server runs there"),
        ),
        ConnectFault::AuthRefused { .. } => (
            Code::TargetAuth,
            String::from("the operator can try another: sgw approve ID --identity FILE"),
        ),
        ConnectFault::LoginInteractive => (
            Code::LoginInteractive,
            String::from(
                "the operator answers them in a terminal, without --yes and --json: sgw approve ID",
            ),
        ),
        ConnectFault::LoginDeclined | ConnectFault::LoginUnanswered(_) => {
            (Code::LoginInteractive, String::from("it still waits: sgw approve ID"))
        }
        ConnectFault::LoginEndless(_) => (
            Code::LoginInteractive,
            String::from("ask whoever runs the server, or log in with a key: sgw approve ID"),
        ),
        ConnectFault::PasswordUnanswered(_) => (
            Code::TargetUnreachable,
            String::from("log in there with ssh once and change it, then: sgw approve ID"),
        ),
        ConnectFault::HostKey(refusal) => host_key(refusal),
    };
    Failure::new(code, message, hint).sent(false)
}

fn host_key(refusal: &HostKeyRefusal) -> (Code, String) {
    match refusal {
        HostKeyRefusal::Unknown { presented } | HostKeyRefusal::Declined { presented } => (
            Code::HostkeyUnknown,
            format!(
                "compare it with the server's own, then: sgw approve ID --accept-host-key {presented}"
            ),
        ),
        HostKeyRefusal::Changed { .. } => (
            Code::HostkeyChanged,
            String::from(
                "somebody may be in between. If the server was really rebuilt, the operator clears the old key",
            ),
        ),
        HostKeyRefusal::Revoked { .. } | HostKeyRefusal::Certificate(_) => (
            Code::HostkeyChanged,
            String::from("this key must not be trusted: ask whoever runs the server"),
        ),
        HostKeyRefusal::Bound { target, .. } => (
            Code::TargetBound,
            format!(
                "where the new key is right, the operator gives the password again: sgw target edit \
                 {target} --password-file FILE"
            ),
        ),
    }
}
