//! What the policy says of a forward: which host and port, or socket, of the server's side it leads to, or
//! which it listens on. For what a client of the bridge asks.
//!
//! # Where a rule holds
//! For a grant of `forward` without `exec` and `pty`: whoever runs a command there connects to whatever the machine
//! reaches. A name leads where the server's resolver says, so that a rule that allows one trusts whoever
//! decides on that name; of addresses there is one form (see [`Host`]), which is what the server is told.

mod host;
mod pattern;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

use serde::Serialize;

pub use host::{Host, NotAHost};
pub use pattern::{HostPattern, Ports};

use super::{
    Context, Decision, Finding, Mode, Policy, Span, Verdict,
    files::{Canonical, EACH, READ_ONLY},
    policy::ForwardRule,
};
use crate::domain::grant;

/// What no rule allows.
pub const UNMATCHED: &str = "forward.unmatched";

/// Which way connections are made. In policies and examples `local`, `remote`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the client through the server to somewhere (`ssh -L`, `-D`, `-W`).
    Local,
    /// From somewhere to the server, which listens, to the client (`ssh -R`).
    Remote,
}

/// The end that is on the server's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Port(Host, u16),
    /// A socket in the server's file system, as it was named: a link there may lead elsewhere.
    Socket(Canonical),
}

/// What is judged, shown, bound and done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub direction: Direction,
    pub end: End,
}

impl Direction {
    pub const WORDS: [&'static str; 2] = ["local", "remote"];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

impl Way {
    /// To a host and a port (RFC 4254, 7.2).
    ///
    /// # Errors
    /// What is wrong with it, as a clause.
    pub fn to(host: &str, port: u32) -> Result<Self, String> {
        let host = Host::to(host).map_err(|error| error.to_string())?;
        match u16::try_from(port) {
            Ok(port) if port != 0 => {
                Ok(Self { direction: Direction::Local, end: End::Port(host, port) })
            }
            _ => Err("it has no port".to_owned()),
        }
    }

    /// Listening on the server (RFC 4254, 7.1); port 0 is any that is free.
    ///
    /// # Errors
    /// As [`Way::to`].
    pub fn from(host: &str, port: u32) -> Result<Self, String> {
        let host = Host::listening(host).map_err(|error| error.to_string())?;
        let port = u16::try_from(port).map_err(|_| "it has no port".to_owned())?;
        Ok(Self { direction: Direction::Remote, end: End::Port(host, port) })
    }

    /// To a socket of the server's.
    ///
    /// # Errors
    /// As [`Way::to`].
    pub fn to_socket(path: &str) -> Result<Self, String> {
        let path = Canonical::new(path.as_bytes()).filter(|_| !path.contains(char::is_control));
        let path = path.ok_or_else(|| {
            "a socket is named by its path, from / on, without . and ..".to_owned()
        })?;
        Ok(Self { direction: Direction::Local, end: End::Socket(path) })
    }

    /// `local db:5432`, `remote localhost:8080`, `local /run/app.sock`: as [`Way`] shows itself.
    pub fn read(text: &str) -> Option<Self> {
        let (direction, end) = text.split_once(' ')?;
        if end.starts_with('/') {
            return Self::to_socket(end).ok().filter(|_| direction == "local");
        }
        let (host, port) = end.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let port: u32 = port.parse().ok()?;
        match direction {
            "local" => Self::to(host, port).ok(),
            "remote" => Self::from(host, port).ok(),
            _ => None,
        }
    }

    /// What a yes for the session is for, and an `[[allow]]` lifts.
    pub fn words(&self) -> [String; 2] {
        [self.direction.as_str().to_owned(), self.end.to_string()]
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.direction.as_str(), self.end)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(host, port) => write!(f, "{host}:{port}"),
            Self::Socket(path) => f.write_str(&String::from_utf8_lossy(path.as_bytes())),
        }
    }
}

/// Judges one by the operator's rules: the strictest of all that speak, and a person where none allows it.
pub fn judge(way: &Way, context: &Context<'_>, mode: grant::Mode, policy: &Policy) -> Verdict {
    let defaults = policy.said_for(context);
    let mode = match (mode, defaults.mode) {
        (grant::Mode::Guarded, Mode::Read) => grant::Mode::Read,
        (mode, _) => mode,
    };
    let words = way.words();
    let lifted = |rule: &str| {
        !policy.allows().is_empty() && policy.lifts(rule, &words.each_ref().map(Cow::from), context)
    };
    let finding = |decision, rule: &str, reason: &str| {
        let span = Span { start: 0, end: way.to_string().len() };
        Finding { argv: words.to_vec(), ..Finding::new(decision, rule, reason, span) }
    };
    let (mut findings, mut known) = (Vec::new(), false);
    let speaks = |rule: &&ForwardRule| rule.is_for(context, mode) && rule.names(way);
    for rule in policy.forward_rules().filter(speaks) {
        match rule.decision {
            Decision::Allow => known = true,
            // It need not be asked.
            Decision::Approve if lifted(&rule.id) => known = true,
            decision => findings.push(finding(decision, &rule.id, &rule.reason)),
        }
    }
    match mode {
        grant::Mode::Guarded => {}
        grant::Mode::Read => {
            let reason = "a forward does more than read, and here only that passes unasked";
            findings.push(finding(Decision::Approve, READ_ONLY, reason));
        }
        grant::Mode::Each => {
            findings.push(finding(Decision::Approve, EACH, "each step is asked here"));
        }
    }
    let unmatched = defaults.unmatched.max(Decision::Approve);
    known = known || unmatched == Decision::Approve && lifted(UNMATCHED);
    if !known {
        let reason = match way.direction {
            Direction::Local => "no rule allows this destination",
            Direction::Remote => "no rule allows listening there",
        };
        findings.push(finding(unmatched, UNMATCHED, reason));
    }
    // Of equals the first stays before.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.decision));
    let first = findings.first().cloned();
    Verdict {
        decision: first.as_ref().map_or(Decision::Allow, |first| first.decision),
        rule: first.as_ref().map(|first| first.rule.clone()),
        reason: first.as_ref().map(|first| first.reason.clone()),
        span: first.as_ref().map(|first| first.span),
        chain: Vec::new(),
        resolved: vec![words.to_vec()],
        findings,
        reads_stdin: false,
        scripts: Vec::new(),
        written: Vec::new(),
    }
}
