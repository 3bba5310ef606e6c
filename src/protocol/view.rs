//! The objects that `--json` prints: what a caller is shown of sessions, requests and results.

mod history;

pub use history::{FilesRun, Happened, History};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::operator::{grant as standing, token};
use crate::domain::{
    bytes::Bytes,
    capability::Capabilities,
    digest::Digest,
    files::replaced::Change,
    grant::{Grant, Mode, Terms},
    guard::Decision as Verdict,
    identity::Seen,
    target::Hop,
};

/// What an object with an `id` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Session,
    Exec,
    Output,
    Access,
    Command,
    Plan,
    Handoff,
    Login,
    Secret,
    Transfer,
    Forward,
    Files,
    Setting,
    Token,
    Grant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionStatus {
    Active,
    /// The server went away; the next exec connects anew where it may.
    Lost,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    Agent,
    Operator,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub id: String,
    pub kind: Kind,
    pub name: Option<String>,
    pub target: String,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub identity: String,
    pub status: SessionStatus,
    pub control: Control,
    pub mode: Mode,
    pub granted: Grant,
    /// Commands that may still be run, by its own budget and its standing grant's; absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_commands: Option<u64>,
    /// The same of bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_bytes: Option<u64>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub running: Vec<String>,
    pub waiting: Option<Waiting>,
    /// The operator has stopped it for a while.
    #[serde(default)]
    pub paused: bool,
    /// Who stopped it, where it is paused: the operator, or sgw because too much was refused in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_by: Option<PausedBy>,
    /// What the operator denies here by its rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied_rules: Vec<DeniedRule>,
    /// How the operator had the keyboard last, once the agent has it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<HadKeyboard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PausedBy {
    Operator,
    /// `sgw resume` with the session's id lets it go on.
    Refusals,
}

/// A rule whose findings are denied to an identity in all its sessions on an account of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeniedRule {
    pub rule: String,
    /// The session with which that ends.
    pub until: String,
}

/// The operator had the keyboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HadKeyboard {
    /// What they said when they gave it back.
    pub word: Option<String>,
    pub private: bool,
    pub duration_ms: u64,
}

/// What somebody waits for in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub id: String,
    pub kind: Kind,
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    pub sessions: Vec<Session>,
}

/// A request in the queue. Host, port and user are as asked until the operator's client resolves
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub id: String,
    pub kind: Kind,
    pub identity: String,
    pub status: RequestStatus,
    pub target: String,
    pub host: String,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub command: Option<Bytes>,
    pub reason: Option<String>,
    /// Why a person is asked.
    pub rule: Option<String>,
    pub only: Capabilities,
    pub hop: Option<String>,
    pub session: Option<String>,
    /// A plan's commands; in lists of requests only how many there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<PlanLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_count: Option<u32>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// A command of a plan: what was said of it, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLine {
    /// Where it stands in the plan's text, from 1.
    pub number: u32,
    /// With its directory in front, as a shell on the target reads it.
    pub command: Bytes,
    pub verdict: Verdict,
    pub rule: Option<String>,
    /// The policy's own words.
    pub reason: Option<String>,
    /// The bytes of `command` that decided: from, to.
    pub span: Option<(usize, usize)>,
    /// Whether the operator's yes was for it; `null` before there is one.
    #[serde(default)]
    pub approved: Option<bool>,
    /// What it was run as.
    #[serde(default)]
    pub exec: Option<String>,
}

/// What `plan --dry-run` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRun {
    pub session: String,
    /// The strictest of all.
    pub verdict: Verdict,
    /// As a plan it would be put before the operator; else it would be refused whole.
    #[serde(default)]
    pub asks: bool,
    pub lines: Vec<PlanLine>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestStatus {
    Pending,
    Approved,
    Denied,
    Expired,
    Withdrawn,
    Used,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    pub requests: Vec<Request>,
}

/// All that an operator decides on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    #[serde(flatten)]
    pub request: Request,
    /// What an approval must carry.
    pub digest: Digest,
    pub terms: Option<Terms>,
    pub name: Option<String>,
    /// The session that would live longer.
    pub prolongs: Option<String>,
    /// Standard input is open: what comes there is not known now.
    pub stdin: bool,
    /// What comes on standard input, all of it, where that was read before the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// It is about files: `command` says what is done to them, and nothing comes on standard input.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub files: bool,
    /// What files that are written hold now, and would hold; for an operator with proof, since nobody else need
    /// be let read them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
    /// The command is typed into the session's terminal: whatever runs there gets it.
    #[serde(default)]
    pub terminal: bool,
    pub seen: Seen,
    /// The asking process's uid, also where it showed a token.
    #[serde(default)]
    pub uid: Option<u32>,
    /// How often this identity was given and refused access to this destination since the start.
    pub past: Past,
    /// Where a command would run: the session's route with its host keys' fingerprints.
    pub place: Vec<Place>,
    /// Where a named target leads, for an operator with proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<super::operator::target::Way>,
    /// What the guard found in a command, where that is why a person is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
    /// Why a yes can be for this once only; absent where it can hold for longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_once: Option<String>,
}

/// A file that would be written, as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    pub path: Bytes,
    /// Of what is there, where something is and was read.
    pub bytes: Option<u64>,
    pub sha256: Option<String>,
    pub change: Change,
}

/// The very bytes that a command will read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub bytes: u64,
    pub sha256: Digest,
    /// The beginning, at most 64 KiB of it.
    pub head: Bytes,
    /// The bytes of it that decided: from, to.
    pub span: Option<(usize, usize)>,
}

/// Why the guard asks for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub rule: String,
    /// The policy's own words.
    pub reason: String,
    /// The bytes of the request's `command` that decided: from, to.
    pub span: Option<(usize, usize)>,
    /// The command that is asked about, resolved; `…` is what only the server knows.
    pub command: Vec<String>,
    /// Programs around it, the outermost first.
    pub chain: Vec<String>,
    /// Further rules that found something.
    pub also: Vec<String>,
    /// What a yes for the session would be for, exactly; absent where none can be given.
    pub part: Option<Vec<String>>,
    /// Digest of the policy.
    pub policy: Digest,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    pub approved: u32,
    pub denied: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    #[serde(flatten)]
    pub hop: Hop,
    pub host_key: Option<String>,
    /// The operator's command that leads there, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_command: Option<String>,
}

/// A forward that was opened or closed, for whoever watches its session. Nothing of what goes through it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// `local`: the server connects to `end`; `remote`: it listens there.
    pub direction: String,
    /// A host and port, or a socket's path.
    pub end: String,
    /// Of a connection to where the server listens: who made it, as the server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    pub open: bool,
}

/// The answer to `approve` and `deny`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    pub id: String,
    pub kind: Kind,
    pub status: RequestStatus,
    pub session: Option<String>,
    /// With a denial by its rule: what is denied from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_rule: Option<DeniedRule>,
    /// Further requests that it denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

/// Whether the remote processes of an ended command are known to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Remote {
    Ended,
    Unknown,
}

/// How a command ended, or that it goes on. The client adds the output to make the JSON of `exec`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecEnd {
    pub id: String,
    pub kind: Kind,
    pub exit_code: Option<i32>,
    /// Without `SIG`, as SSH names it: `TERM`.
    pub signal: Option<String>,
    pub stdout_bytes: u64,
    pub stderr_bytes: u64,
    pub timed_out: bool,
    pub running: bool,
    pub remote: Option<Remote>,
    pub duration_ms: u64,
    pub session: String,
    pub request: Option<String>,
    /// Set when it ended otherwise than by its own exit.
    pub failure: Option<super::error::Failure>,
}

/// A page of what an exec printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub id: String,
    pub kind: Kind,
    pub lines: Vec<String>,
    pub cursor: u64,
    pub oldest: u64,
    /// Bytes between the asked place and the first line that are gone.
    pub missed: u64,
    pub partial: bool,
    /// The page was full: what follows can be read at once, from the cursor on.
    pub more: bool,
    pub control: Control,
    pub status: OutputStatus,
}

/// What came after an input, and why reading stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    #[serde(flatten)]
    pub output: Output,
    /// Whether the pattern of `wait_for` matched; `null` without one.
    pub matched: Option<bool>,
    /// The time was over before the pattern matched, or before it was quiet.
    pub timed_out: bool,
    /// The cursor stands at what looks like a question for a password: a guess.
    pub asks_for_secret: bool,
}

/// How the operator's control ended: the answer to a handoff, and to `return`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// The handoff's, or the session's where nobody asked.
    pub id: String,
    pub kind: Kind,
    pub control: Control,
    /// What the operator says to the agent.
    pub word: Option<String>,
    /// Whether some of it was kept from the agent.
    pub private: bool,
    pub duration_ms: u64,
    pub changed: Changed,
    /// For the operator alone: what they typed in private without Enter may still stand there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub line_left: bool,
}

/// What a fresh look at the terminal found to be other than before; `null` where it is as it was,
/// or can't be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    pub user: Option<String>,
    pub cwd: Option<Bytes>,
    pub program: Option<String>,
}

/// How an attachment ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    pub id: String,
    pub kind: Kind,
    /// Who has control now.
    pub control: Control,
    /// Whether the session or its terminal has ended.
    pub ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStatus {
    Running,
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: String,
    pub kind: Kind,
    pub command: Bytes,
    pub exit_code: Option<i32>,
    pub signal: Option<String>,
    pub running: bool,
    pub started_at: Timestamp,
    pub duration_ms: Option<u64>,
    /// The request whose approval let it run, if it took one.
    pub request: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whoami {
    pub identity: String,
    pub uid: u32,
    pub token: Option<String>,
    pub targets: Vec<Reach>,
}

/// A target that an identity has, now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    pub name: String,
    pub capabilities: Capabilities,
    /// A session opens by itself: `sgw exec NAME` needs no request.
    pub standing: bool,
    /// Why none does, where a standing grant is there all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What is left of the standing grant that has most; absent: any amount, or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_commands: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_bytes: Option<u64>,
}

/// What `sgw` alone shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// False when no daemon answers: locked, or never started.
    pub unlocked: bool,
    pub identity: Option<String>,
    pub version: String,
    pub sessions: Vec<Session>,
    pub requests: Vec<Request>,
    /// Targets where a session opens by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standing: Vec<Reach>,
    /// The operator has stopped all of it for a while.
    #[serde(default)]
    pub paused: bool,
    /// What the operator should know, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    #[serde(default)]
    pub mode: Running,
    pub hint: String,
}

/// Whose daemon it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Running {
    /// The operator's own, of their uid.
    #[default]
    Personal,
    /// The machine's, of a uid of its own.
    Service,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    pub running: bool,
    pub pid: Option<u32>,
    pub version: Option<String>,
    pub uptime_s: Option<u64>,
    pub sessions: Option<u64>,
    pub connections: Option<u64>,
    pub home: String,
    #[serde(default)]
    pub mode: Running,
    /// Whether it has its key; a personal one always has.
    #[serde(default)]
    pub unlocked: bool,
}

/// What `show` and `close` find behind an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Thing {
    Session(Box<Session>),
    Exec(Box<ExecShown>),
    Request(Box<Request>),
    Token(Box<token::Shown>),
    Grant(Box<standing::Shown>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecShown {
    #[serde(flatten)]
    pub run: Run,
    pub session: String,
    pub stdout_bytes: u64,
    pub stderr_bytes: u64,
    pub remote: Option<Remote>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub settings: Vec<Setting>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub name: String,
    pub kind: Kind,
    pub value: serde_json::Value,
    pub default: serde_json::Value,
    pub about: String,
}

/// What `audit verify` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    pub ok: bool,
    pub records: u64,
    pub head: Option<String>,
    pub first_bad: Option<u64>,
    pub message: Option<String>,
}

/// Candidates for the shell's completion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidates {
    pub candidates: Vec<Candidate>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub word: String,
    pub about: String,
}
