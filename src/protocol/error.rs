//! Failures as callers see them: a stable code, what happened, and what to do next.

use serde::{Deserialize, Serialize};

use crate::domain::authorize::Denied;

/// What kind of answer a code is, which the exit status tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The call itself is wrong.
    Usage,
    /// sgw failed.
    Failed,
    /// No daemon to talk to.
    NoDaemon,
    /// The daemon went away during a call.
    Lost,
    /// Not yet: don't repeat it, wait.
    NotYet,
    /// No: repeating won't help.
    No,
    /// Ended by `--timeout`.
    TimedOut,
    /// The target can't be reached, or the connection broke.
    Unreachable,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal is $class:ident,)*) => {
        /// The stable codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl Code {
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }

            /// Whether it speaks of one file, and says nothing of others.
            pub fn is_of_files(self) -> bool {
                self.as_str().starts_with("files.")
            }

            pub fn class(self) -> Class {
                match self { $(Code::$variant => Class::$class,)* }
            }
        }
    };
}

codes! {
    UsageArguments = "usage.arguments" is Usage,
    UsageDestination = "usage.destination" is Usage,
    UsageName = "usage.name" is Usage,
    UsageReason = "usage.reason" is Usage,
    UsageCommand = "usage.command" is Usage,
    /// A plan's text that can't be read; the message names the line.
    UsagePlan = "usage.plan" is Usage,
    UsageId = "usage.id" is Usage,
    UsageHome = "usage.home" is Usage,
    UsageSetting = "usage.setting" is Usage,
    /// A frame or message that the other side does not take.
    UsageFrame = "usage.frame" is Usage,
    DaemonUnreachable = "daemon.unreachable" is NoDaemon,
    DaemonVersion = "daemon.version" is NoDaemon,
    /// The daemon's end, or its failure, in the middle of a call.
    DaemonLost = "daemon.lost" is Lost,
    DaemonFailed = "daemon.failed" is Failed,
    OperatorNone = "operator.none" is NoDaemon,
    OperatorExists = "operator.exists" is Failed,
    OperatorProof = "operator.proof" is No,
    OperatorPassphrase = "operator.passphrase" is Usage,
    VaultDamaged = "vault.damaged" is Failed,
    /// Somebody else changed its passphrase or key first.
    VaultChanged = "vault.changed" is Failed,
    /// What an import brings is there already, and is other.
    VaultExists = "vault.exists" is Failed,
    /// Not an export, a damaged one, or a newer one.
    VaultExport = "vault.export" is Failed,
    /// The vault takes no more.
    LimitVault = "limit.vault" is Failed,
    HomeUnsafe = "home.unsafe" is Failed,
    HomeBusy = "home.busy" is Failed,
    /// Only root can set up a service.
    ServiceRoot = "service.root" is Failed,
    /// A step of setting it up failed; those before it are done.
    ServiceFailed = "service.failed" is Failed,
    /// What is asked for can't be in service mode, or not on this machine.
    ServiceUnfit = "service.unfit" is Failed,
    /// This kernel, or this directory, allows no sandbox.
    SandboxUnfit = "sandbox.unfit" is Failed,
    RequestPending = "request.pending" is NotYet,
    RequestDenied = "request.denied" is No,
    RequestExpired = "request.expired" is No,
    /// Somebody else decided or is deciding, or it was withdrawn.
    RequestClosed = "request.closed" is Failed,
    /// What was shown is not what is asked.
    RequestChanged = "request.changed" is Failed,
    RequestCredential = "request.credential" is Failed,
    RequestUnknown = "request.unknown" is Failed,
    ApprovalPending = "approval.pending" is NotYet,
    ApprovalDenied = "approval.denied" is No,
    ApprovalExpired = "approval.expired" is No,
    ApprovalRequired = "approval.required" is No,
    /// The policy blocks it; nobody can lift that but a change of the policy.
    GuardBlocked = "guard.blocked" is No,
    /// It would run as code what comes on standard input, which does not end or is too long to be judged.
    GuardStdin = "guard.stdin" is No,
    GrantMissing = "grant.missing" is No,
    GrantExhausted = "grant.exhausted" is No,
    GrantExpired = "grant.expired" is No,
    GrantUnknown = "grant.unknown" is Failed,
    /// Somebody else changed a token or a grant first.
    GrantChanged = "grant.changed" is Failed,
    ControlOperator = "control.operator" is NotYet,
    ControlPaused = "control.paused" is NotYet,
    SessionUnknown = "session.unknown" is Failed,
    SessionLost = "session.lost" is Unreachable,
    SessionAmbiguous = "session.ambiguous" is Failed,
    TargetUnknown = "target.unknown" is Failed,
    TargetExists = "target.exists" is Failed,
    /// Somebody else changed it first, or a session was opened on what it was.
    TargetChanged = "target.changed" is Failed,
    /// What was said of it can't be.
    TargetUnfit = "target.unfit" is Usage,
    /// It leads nowhere: a jump host that is not there, a circle.
    TargetWay = "target.way" is Failed,
    /// Others are reached through it.
    TargetUsed = "target.used" is Failed,
    /// What logs in there can't be kept or used.
    TargetCredential = "target.credential" is Failed,
    /// Its credential is borrowed or asked for: the operator has to be there.
    TargetBorrowed = "target.borrowed" is No,
    /// Its password is bound to other host keys than the machine shows.
    TargetBound = "target.bound" is No,
    SecretExists = "secret.exists" is Failed,
    SecretUnknown = "secret.unknown" is Failed,
    /// Too easy to guess to be used by name.
    SecretWeak = "secret.weak" is Usage,
    TargetUnreachable = "target.unreachable" is Unreachable,
    TargetAuth = "target.auth" is No,
    TargetConfig = "target.config" is No,
    /// The server took the connection and refused a channel or the command.
    TargetRefused = "target.refused" is Failed,
    HostkeyUnknown = "hostkey.unknown" is No,
    HostkeyChanged = "hostkey.changed" is No,
    LoginInteractive = "login.interactive" is No,
    ExecUnknown = "exec.unknown" is Failed,
    ExecRunning = "exec.running" is NotYet,
    ExecTimeout = "exec.timeout" is TimedOut,
    /// Its kept output is gone, or was never kept.
    OutputGone = "output.gone" is Failed,
    InputTimeout = "input.timeout" is TimedOut,
    InputRegex = "input.regex" is Usage,
    InputEchoOff = "input.echo_off" is No,
    FilesNotFound = "files.not_found" is Failed,
    /// The account may not, by the server's word.
    FilesDenied = "files.denied" is Failed,
    /// What is there is not what it was, or was said to be.
    FilesChanged = "files.changed" is Failed,
    FilesExists = "files.exists" is Failed,
    /// What another operation sent may still be done there: names are not turned meanwhile.
    FilesBusy = "files.busy" is NotYet,
    /// A directory where a file is needed, or the other way round.
    FilesKind = "files.kind" is Failed,
    /// The server offers no SFTP, or not this part of it.
    FilesUnsupported = "files.unsupported" is Failed,
    /// A person is to decide: the call says again what it puts, with the SHA-256 of each file.
    FilesSums = "files.sums" is Failed,
    /// It holds a mark that stands for a secret.
    FilesRedacted = "files.redacted" is Failed,
    /// The server does not let the account be root without a password.
    SudoRefused = "sudo.refused" is No,
    /// A full disk, a directory that is not empty: the server says only that it failed.
    FilesFailed = "files.failed" is Failed,
    /// What is to be written, or to be shown at once, has more bytes than that is for.
    LimitContent = "limit.content" is Failed,
    TokenInvalid = "token.invalid" is No,
    TokenExists = "token.exists" is Failed,
    TokenUnknown = "token.unknown" is Failed,
    /// A policy's file that can't be read, or says what no policy can; the message has line and column.
    PolicyInvalid = "policy.invalid" is Usage,
    PolicyRule = "policy.rule" is Usage,
    /// The operator's editor could not be used.
    PolicyEditor = "policy.editor" is Failed,
    /// Another policy came into force meanwhile.
    PolicyChanged = "policy.changed" is Failed,
    /// What the operator accepted says what this sgw can't read: nothing passes.
    PolicySealed = "policy.sealed" is Failed,
    EvidenceFailed = "evidence.failed" is Failed,
    LimitCommand = "limit.command" is Usage,
    LimitReason = "limit.reason" is Usage,
    LimitFrame = "limit.frame" is Usage,
    LimitStreams = "limit.streams" is Failed,
    LimitConnections = "limit.connections" is Failed,
    /// It was refused too often: the operator says when it goes on.
    LimitRefusals = "limit.refusals" is NotYet,
    LimitRequests = "limit.requests" is NotYet,
    LimitGrants = "limit.grants" is Failed,
    LimitSessions = "limit.sessions" is Failed,
    LimitSpool = "limit.spool" is Failed,
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure. The hint is sgw's own words and never holds text of an agent or a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub code: Code,
    pub message: String,
    pub hint: String,
    /// What to wait for, or what it was about.
    pub id: Option<String>,
    /// Whether a command may have reached the target; `null` where that is no question.
    pub sent: Option<bool>,
    /// The rule by which a person is asked, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into(), id: None, sent: None, rule: None }
    }

    pub fn about(mut self, id: impl ToString) -> Self {
        self.id = Some(id.to_string());
        self
    }

    pub fn by_rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    pub fn sent(mut self, sent: bool) -> Self {
        self.sent = Some(sent);
        self
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotYours => Failure::new(
                Code::SessionUnknown,
                "no such session",
                "sgw sessions lists yours; sgw request opens one",
            ),
            Denied::Capability(capability) => Failure::new(
                Code::GrantMissing,
                format!("this session was not given {capability}"),
                format!("ask for it: sgw request DEST --only {capability} --reason …"),
            ),
            Denied::Expired => Failure::new(
                Code::GrantExpired,
                "the session's time is over",
                "sgw request DEST --reason … asks for a new one",
            ),
            Denied::Exhausted => Failure::new(
                Code::GrantExhausted,
                "the session's commands are used up",
                "sgw request DEST --reason … --new asks for a new one",
            ),
            Denied::StandingCapability(capability) => Failure::new(
                Code::GrantMissing,
                format!("the standing grant does not hold {capability}"),
                format!("ask for it: sgw request DEST --only {capability} --reason …"),
            ),
            Denied::StandingRemoved => Failure::new(
                Code::GrantMissing,
                "the operator took the standing grant back",
                "ask for a session: sgw request DEST --reason …",
            ),
            Denied::StandingExpired => Failure::new(
                Code::GrantExpired,
                "the standing grant's time is over",
                "ask for a session: sgw request DEST --reason …",
            ),
            Denied::StandingExhausted => Failure::new(
                Code::GrantExhausted,
                "the standing grant's budget is used up",
                "ask for a session: sgw request DEST --reason …; or ask your user for a new grant",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_and_writes_as_its_text() {
        for code in Code::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), *code);
        }
    }
}
