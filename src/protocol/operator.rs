//! What the operator can say. Without proof only what narrows is taken; the rest needs the Noise
//! session that the data key opens.

pub mod grant;
pub mod policy;
pub mod secret;
pub mod service;
pub mod target;
pub mod token;
pub mod vault;

use serde::{Deserialize, Serialize};

use super::agent;
use crate::domain::{
    bytes::Bytes,
    digest::Digest,
    grant::Terms,
    id::{Kind as Id, prefix_kind},
    known_hosts::Known,
    target::Route,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// What waits. Answer: [`super::view::Requests`].
    Requests {},
    /// All about one request. Answer: [`super::view::Question`].
    Question {
        id: String,
    },
    /// What runs. Answer: [`super::view::Sessions`].
    Sessions {},
    /// A session, exec or request of anyone.
    Show {
        id: String,
    },
    History {
        session: String,
    },
    /// Answer: [`super::view::DaemonStatus`].
    Status {},
    Complete {
        what: agent::Completable,
    },
    /// Says no. A word to the agent needs proof.
    Deny {
        id: String,
        message: Option<String>,
        /// Also what the same rule finds on that target, until the session ends.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rule: bool,
    },
    /// Ends a session, an exec, or a request, of anyone.
    Close {
        id: String,
    },
    /// Stops what an identity, a target, or everyone (absent) may do, until `resume`.
    Pause {
        what: Option<String>,
    },
    /// Ends the daemon.
    Lock {},

    /// Lets go on what was paused; with a rule, denies no more what that finds in the session `what`.
    Resume {
        what: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// Takes the decision on a request: while this connection lives, no other decides on it.
    Claim {
        id: String,
    },
    /// Says yes. Answer: questions, then [`super::view::Decided`].
    Approve(Box<Approve>),
    /// Answers a question that the daemon asked on this connection.
    Answer(Answer),
    /// Answer: `record` messages, oldest first, then `done`.
    AuditList {
        since: Option<u64>,
        /// Only the last so many.
        last: Option<u64>,
    },
    /// Answer: [`super::view::Verified`].
    AuditVerify {},
    /// Answer: [`super::view::Settings`].
    Settings {},
    Set {
        name: String,
        value: serde_json::Value,
    },
    Unset {
        name: String,
    },

    /// What the desk draws: everything that waits and runs as `request`, `session` and `exec`
    /// events, then each change, until `cancel`.
    Subscribe {},
    /// Shows a session, or one command, live: `screen`, `exec`, `printed` and `control` events and
    /// pty frames, until it ends or `cancel`.
    Watch {
        id: String,
    },
    /// Takes the keyboard of a session, and control of everything of its identity on its target.
    /// pty frames both ways until `return`, the session's end, or `cancel`, which leaves control
    /// with the operator. Answer: [`super::view::Attached`].
    Attach {
        session: String,
        /// A new channel with a clean shell, in place of the session's own terminal.
        fresh: bool,
        rows: u16,
        columns: u16,
        /// Private from the start; absent: where echo is off or a handoff asked.
        private: Option<bool>,
        /// Also from another terminal of the operator's, whose attachment ends.
        #[serde(default)]
        take: bool,
    },
    /// The size of the attached terminal has changed.
    Resize {
        rows: u16,
        columns: u16,
    },
    /// Gives control back, attached or not. Answer: [`super::view::Returned`].
    Return {
        session: String,
        message: Option<String>,
    },
    /// Private mode on or off, while attached.
    Private {
        on: bool,
    },
    /// Whether this is the operator's PIN: `done`, or `operator.proof`. After three failures
    /// only a new proof by the passphrase helps.
    Pin {
        /// The number of its secret frame.
        secret: u32,
    },
    /// Sets the PIN, or takes it away.
    SetPin {
        secret: Option<u32>,
    },
    /// Named targets.
    Target(target::Request),
    /// Named secrets.
    Secret(secret::Request),
    /// Tokens.
    Token(token::Request),
    /// Standing grants.
    Grant(grant::Request),
    /// The vault as a whole.
    Vault(vault::Request),
    /// The policy that commands are judged by.
    Policy(policy::Request),
    /// A service's beginning.
    Service(service::Request),

    Ack {
        stdout: u64,
        stderr: u64,
    },
    Cancel {},
}

impl Request {
    /// What is taken without proof: looking, and what only narrows.
    pub fn needs_proof(&self) -> bool {
        match self {
            Request::Requests {}
            | Request::Question { .. }
            | Request::Sessions {}
            | Request::History { .. }
            | Request::Status {}
            | Request::Complete { .. }
            | Request::Close { .. }
            | Request::Pause { .. }
            // The header is sealed; the others bring the proof themselves.
            | Request::Service(_)
            | Request::Lock {}
            | Request::Policy(policy::Request::Show {}) => false,
            Request::Deny { message, .. } => message.is_some(),
            // What agents are given is the operator's to see.
            Request::Show { id } => matches!(prefix_kind(id), Some(Id::Token | Id::Grant)),
            Request::Resume { .. }
            | Request::Claim { .. }
            | Request::Approve(_)
            | Request::Answer(_)
            | Request::AuditList { .. }
            | Request::AuditVerify {}
            | Request::Settings {}
            | Request::Set { .. }
            | Request::Unset { .. }
            | Request::Subscribe {}
            | Request::Watch { .. }
            | Request::Attach { .. }
            | Request::Resize { .. }
            | Request::Return { .. }
            | Request::Private { .. }
            | Request::Pin { .. }
            | Request::SetPin { .. }
            | Request::Target(_)
            | Request::Secret(_)
            | Request::Token(_)
            | Request::Grant(_)
            | Request::Vault(_)
            | Request::Policy(_)
            | Request::Ack { .. }
            | Request::Cancel {} => true,
        }
    }
}

/// A yes, with everything that it binds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// A whole id.
    pub id: String,
    /// The digest of what was shown.
    pub digest: Digest,
    /// What is given; never more than was asked. Absent for kinds that have none.
    pub terms: Option<Terms>,
    /// Where it leads and how to log in. Absent for a command, or more time.
    pub way: Option<Way>,
    /// Host keys that the operator accepts without a further question.
    pub accept_host_keys: Vec<String>,
    /// Whether this connection can be asked; without, an open question is an error.
    pub interactive: bool,
    /// What of a command passes from now on; absent: nothing but this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remember: Option<Remember>,
    /// Of a plan: the numbers of the lines that pass; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<u32>>,
}

/// A yes to the part of a command that was asked about ([`super::view::Finding::part`]), beyond this once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Remember {
    /// Until its session ends, or so many times.
    Session { times: Option<u32> },
    /// As a rule of the operator's policy, for whoever has this token on this target.
    Rule { days: u16 },
}

/// The resolved route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    pub route: Route,
    /// For each hop: what to log in with, in order. For a named target's: what is borrowed.
    pub credentials: Vec<Vec<Credential>>,
    /// For each hop: what the operator's known_hosts files say of it. They can only refuse.
    pub known: Vec<Vec<Known>>,
    /// The digest of a named target's way, as it was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Credential {
    Password {
        /// The number of its secret frame.
        secret: u32,
    },
    Key {
        /// The number of its secret frame: the private key in OpenSSH's format.
        secret: u32,
        /// Of the public half, `SHA256:…`.
        fingerprint: String,
    },
    Agent {
        /// Which of the passed ssh-agent sockets, from 0, in the order they were passed.
        socket: u32,
        fingerprint: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The question's number.
    pub question: u32,
    pub reply: Reply,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Yes,
    No,
    /// The number of the secret frame that holds the answer.
    Secret(u32),
}

/// What the daemon says to the operator besides [`agent::Message`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// An unknown host key, or (later) a server's prompt. It may be withdrawn.
    Question(Question),
    Withdrawn {
        question: u32,
    },
    /// The next bytes of an export.
    Part {
        bytes: Bytes,
    },
    /// One audit record, opened.
    Record {
        record: serde_json::Value,
    },
    /// Something to draw: the whole object, so that a repeated event changes nothing. `by` says who
    /// decided, where somebody did.
    Request {
        request: super::view::Request,
        by: Option<String>,
    },
    Session {
        session: super::view::Session,
    },
    /// A command has started or ended.
    Exec {
        session: String,
        exec: super::view::Run,
    },
    /// Something with files has begun or ended.
    Files {
        session: String,
        files: super::view::FilesRun,
    },
    /// A forward of a watched session was opened or closed.
    Forward {
        session: String,
        forward: super::view::Forward,
    },
    /// What a command printed, shown to a watcher. `missed` bytes before it were too many to show.
    Printed {
        exec: String,
        stream: Stream,
        bytes: Bytes,
        missed: u64,
    },
    /// The terminal that the next pty frames draw on: they hold what a terminal of this size, cleared
    /// before, shows when it is fed with them. A further one starts anew.
    Screen {
        /// The session's id; of a command's own terminal the command's.
        session: String,
        rows: u16,
        columns: u16,
        /// What the remote program calls itself, as text.
        title: Option<String>,
    },
    /// Who has the keyboard, and whether the agent sees what happens. `message` is what a handoff asks.
    Control {
        session: String,
        control: super::view::Control,
        private: bool,
        message: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub number: u32,
    /// The request that it belongs to.
    pub id: String,
    /// `user@host:port` of the machine that it is about.
    pub hop: String,
    pub ask: Ask,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    HostKey {
        /// `ssh-ed25519`, …
        algorithm: String,
        fingerprint: String,
        /// The operator's known_hosts names this very key.
        known_to_ssh: bool,
        /// known_hosts expects this host to show a certificate, and it showed a plain key.
        certificate_expected: bool,
        /// Fingerprints of keys of other types that this machine is known by.
        other_types: Vec<String>,
        /// Other machines that showed this same key.
        same_key_as: Vec<String>,
    },
    /// A server's own prompt, quoted under the hop's name.
    Text { text: String, echo: bool },
}
