//! What the audit says: records, how they look on disk, and the chain that holds them together.

mod chain;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use chain::{Bad, Keys, Link, MAX_LINE_BYTES, TooLarge, Walk, Why, write};

use super::id::Id;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    DaemonStarted,
    DaemonEnded,
    RequestCreated,
    RequestDenied,
    RequestClosed,
    RequestExpired,
    AccessApproved,
    /// An approval that led to no connection: unreachable, wrong credential.
    AccessFailed,
    CommandApproved,
    /// Lines of a plan pass from now on.
    PlanApproved,
    LoginApproved,
    ForwardApproved,
    SessionOpened,
    SessionClosed,
    SessionLost,
    /// One that was lost has a connection again.
    SessionResumed,
    /// The policy blocked a command: nothing was sent.
    ExecBlocked,
    /// … or what was to be typed.
    InputBlocked,
    ExecIntent,
    ExecResult,
    TerminalOpened,
    TerminalClosed,
    /// Written before what it holds is typed.
    InputIntent,
    /// Written before an operation on files does anything.
    FilesIntent,
    /// Before a server is asked where paths lead.
    FilesLook,
    FilesResult,
    /// The policy blocked one: nothing was done.
    FilesBlocked,
    /// Written before a forward is opened, or listens.
    ForwardIntent,
    ForwardResult,
    /// The policy blocked one: nothing was opened.
    ForwardBlocked,
    ControlTaken,
    ControlReturned,
    /// What happens at the keyboard is kept from everyone from here on, or no longer.
    ControlPrivate,
    Paused,
    Resumed,
    PinFailed,
    HostkeyPinned,
    HostkeyRefused,
    SettingsChanged,
    TokenCreated,
    TokenRotated,
    TokenRevoked,
    /// Tokens that were not taken: why, and how many since the last such record.
    TokenRefused,
    GrantAdded,
    GrantRemoved,
    /// A session is about to open by itself, under a standing grant.
    SessionOpening,
    /// A named target was added, changed or removed.
    TargetChanged,
    /// A named secret was added, replaced or removed.
    SecretChanged,
    /// The operator accepted another policy: its digest before and after, and what is otherwise in it.
    PolicyChanged,
    /// Another passphrase opens the vault.
    VaultPassphrase,
    /// The vault has another data key.
    VaultRotated,
    VaultExported,
    VaultImported,
    /// Records are missing or changed before this one; written when that was found.
    ChainBroken,
    /// The end of a record that a crash left was cut off.
    ChainTorn,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::DaemonStarted => "daemon.started",
            Kind::DaemonEnded => "daemon.ended",
            Kind::RequestCreated => "request.created",
            Kind::RequestDenied => "request.denied",
            Kind::RequestClosed => "request.closed",
            Kind::RequestExpired => "request.expired",
            Kind::AccessApproved => "access.approved",
            Kind::AccessFailed => "access.failed",
            Kind::CommandApproved => "command.approved",
            Kind::PlanApproved => "plan.approved",
            Kind::LoginApproved => "login.approved",
            Kind::ForwardApproved => "forward.approved",
            Kind::SessionOpened => "session.opened",
            Kind::SessionClosed => "session.closed",
            Kind::SessionLost => "session.lost",
            Kind::SessionResumed => "session.resumed",
            Kind::ExecBlocked => "exec.blocked",
            Kind::InputBlocked => "input.blocked",
            Kind::ExecIntent => "exec.intent",
            Kind::ExecResult => "exec.result",
            Kind::TerminalOpened => "terminal.opened",
            Kind::TerminalClosed => "terminal.closed",
            Kind::InputIntent => "input.intent",
            Kind::FilesLook => "files.look",
            Kind::FilesIntent => "files.intent",
            Kind::FilesResult => "files.result",
            Kind::FilesBlocked => "files.blocked",
            Kind::ForwardIntent => "forward.intent",
            Kind::ForwardResult => "forward.result",
            Kind::ForwardBlocked => "forward.blocked",
            Kind::ControlTaken => "control.taken",
            Kind::ControlReturned => "control.returned",
            Kind::ControlPrivate => "control.private",
            Kind::Paused => "pause.set",
            Kind::Resumed => "pause.lifted",
            Kind::PinFailed => "pin.failed",
            Kind::HostkeyPinned => "hostkey.pinned",
            Kind::HostkeyRefused => "hostkey.refused",
            Kind::SettingsChanged => "settings.changed",
            Kind::TokenCreated => "token.created",
            Kind::TokenRotated => "token.rotated",
            Kind::TokenRevoked => "token.revoked",
            Kind::TokenRefused => "token.refused",
            Kind::GrantAdded => "grant.added",
            Kind::GrantRemoved => "grant.removed",
            Kind::SessionOpening => "session.opening",
            Kind::TargetChanged => "target.changed",
            Kind::SecretChanged => "secret.changed",
            Kind::PolicyChanged => "policy.changed",
            Kind::VaultPassphrase => "vault.passphrase",
            Kind::VaultRotated => "vault.rotated",
            Kind::VaultExported => "vault.exported",
            Kind::VaultImported => "vault.imported",
            Kind::ChainBroken => "chain.broken",
            Kind::ChainTorn => "chain.torn",
        }
    }

    /// Whether such a record must survive a power cut before what it announces happens: what gives
    /// authority, and what is said of the chain itself.
    pub fn durable(self) -> bool {
        matches!(
            self,
            Kind::AccessApproved
                | Kind::CommandApproved
                | Kind::PlanApproved
                | Kind::LoginApproved
                | Kind::ForwardApproved
                | Kind::HostkeyPinned
                | Kind::SettingsChanged
                | Kind::TokenCreated
                | Kind::TokenRotated
                | Kind::TokenRevoked
                | Kind::GrantAdded
                | Kind::GrantRemoved
                | Kind::TargetChanged
                | Kind::SecretChanged
                | Kind::PolicyChanged
                | Kind::VaultPassphrase
                | Kind::VaultRotated
                | Kind::VaultExported
                | Kind::VaultImported
                | Kind::ChainBroken
                | Kind::ChainTorn
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the daemon wants written. Number, time and hash come with the writing.
#[derive(Clone, Debug)]
pub struct Record {
    pub kind: Kind,
    /// `uid:1000`, `token:ci`, `operator`, `sgw`. Sealed, as are `target`, `action`, `decision`
    /// and `result`.
    pub identity: String,
    pub target: Option<String>,
    /// In clear, as are the other ids.
    pub session: Option<Id>,
    pub request: Option<Id>,
    pub exec: Option<Id>,
    /// A stable code (`denied`, `target.unreachable`). In clear: nothing from outside belongs here.
    pub outcome: Option<String>,
    /// The vault's revision when this was written, in clear. A vault that is later behind it was
    /// rolled back.
    pub revision: Option<u64>,
    /// On the disk, not only written, before the effect. `Record::new` asks the kind.
    pub durable: bool,
    pub action: Map<String, Value>,
    pub decision: Option<Map<String, Value>>,
    pub result: Option<Map<String, Value>>,
}

impl Record {
    pub fn new(kind: Kind, identity: impl Into<String>) -> Self {
        Self {
            kind,
            identity: identity.into(),
            target: None,
            session: None,
            request: None,
            exec: None,
            outcome: None,
            revision: None,
            durable: kind.durable(),
            action: Map::new(),
            decision: None,
            result: None,
        }
    }
}

/// A record read back, as `sgw audit list --json` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Opened {
    pub seq: u64,
    pub at: Timestamp,
    pub kind: String,
    pub identity: String,
    pub target: Option<String>,
    pub session: Option<Id>,
    pub request: Option<Id>,
    pub exec: Option<Id>,
    pub outcome: Option<String>,
    pub action: Map<String, Value>,
    pub decision: Option<Map<String, Value>>,
    pub result: Option<Map<String, Value>>,
    pub hash: Hash,
}

/// A record's place in the chain: keyed, over everything in it and the hash before it. Hex as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hex::encode(hash.0)
    }
}

impl TryFrom<String> for Hash {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The end of the chain: its last record's number and hash. Number 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    pub seq: u64,
    pub hash: Hash,
}

#[cfg(test)]
mod tests;
