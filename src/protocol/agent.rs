//! What an agent can say, and what it is told. What only the operator may do cannot be expressed
//! here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Failure;
use crate::domain::{bytes::Bytes, grant::Mode};

/// A JSON frame from an agent. One request number holds one request; `ack`, `leave` and `cancel`
/// speak of the request whose number they carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    Status {},
    Whoami {},
    /// Asks for a session. Answer: [`super::view::Session`].
    Request(Access),
    /// My requests. Answer: [`super::view::Requests`].
    Requests {},
    /// Runs a command. Answer: `started`, output frames, then [`super::view::ExecEnd`].
    Exec(Exec),
    /// Puts a plan before the operator. Answer: [`super::view::Request`], decided on; or
    /// [`super::view::DryRun`].
    Plan(Plan),
    /// Runs what is next of an approved plan. Answer as [`Request::Exec`]'s; where nothing is left, as
    /// [`Request::Plan`]'s.
    PlanStep(PlanStep),
    /// Finishes what an id began.
    Wait(Wait),
    /// What an exec printed. Answer: [`super::view::Output`].
    Output(Output),
    /// Sends a signal to an exec or a session's PTY.
    Signal {
        id: String,
        signal: String,
    },
    /// Types into a session's PTY. Answer: [`super::view::Typed`].
    Input(Input),
    /// Does something with files on a target. Answer: [`super::files::Done`].
    Files(super::files::Files),
    /// Gives the keyboard to the operator. Answer when it comes back: [`super::view::Returned`].
    Handoff {
        session: String,
        message: String,
        wait_ms: Option<u64>,
    },
    Sessions {},
    History {
        session: String,
    },
    Show {
        id: String,
    },
    /// Closes a session, ends an exec, withdraws a request.
    Close {
        id: String,
    },
    /// Makes the connection an SSH client's. Answer: [`super::ssh::Bridged`], and then SSH.
    Bridge(super::ssh::Bridge),
    /// What an ssh_config is made of. Answer: [`super::ssh::Configuration`].
    SshConfig {},
    /// Words for the shell's completion.
    Complete {
        what: Completable,
    },

    /// The client has written the output up to these offsets.
    Ack {
        stdout: u64,
        stderr: u64,
    },
    /// Ends the command (Ctrl-C, a closed stdout).
    Cancel {},
    /// The caller goes on purpose, and will come back with `wait`: no orphan.
    Leave {},
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// `[USER@]HOST[:PORT]`, a target's name, or a session's id to prolong it.
    pub destination: String,
    pub reason: String,
    pub name: Option<String>,
    /// Seconds; the default is an hour.
    pub duration_s: Option<u64>,
    /// Capabilities; the default is exec, pty, files:read, files:write.
    pub only: Option<Vec<String>>,
    pub mode: Option<Mode>,
    pub max_commands: Option<u32>,
    /// Another session even where one is open.
    pub new: bool,
    /// How long the request waits for a person, in seconds; the default is a day.
    pub expires_s: Option<u64>,
    /// How long this call waits; absent: without end.
    pub wait_ms: Option<u64>,
    /// Fail rather than ask a person.
    pub no_ask: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// A session's id, its name, or its target.
    pub session: String,
    pub command: Command,
    /// Stdin frames follow; else the command's standard input is empty.
    pub stdin: bool,
    pub env: Vec<(String, Bytes)>,
    pub cwd: Option<Bytes>,
    pub timeout_ms: Option<u64>,
    /// How long the command outlives a caller that vanished; the default is 60 s.
    pub orphan_ms: Option<u64>,
    /// How long this call waits for a person.
    pub wait_ms: Option<u64>,
    pub no_ask: bool,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// A line for the remote shell, as it is.
    Line(Bytes),
    /// Words, each quoted for the remote shell.
    Argv(Vec<Bytes>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub session: String,
    /// A shell line a line; `@cwd DIR`, comments.
    pub text: Bytes,
    pub reason: String,
    /// Only say the verdicts: nobody is asked.
    pub dry_run: bool,
    /// How long this call waits for a person; absent: without end.
    pub wait_ms: Option<u64>,
    pub no_ask: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanStep {
    /// The plan's request.
    pub id: String,
    /// What the caller saw of it last: where something else ran since, that is followed first.
    pub after: Option<String>,
    /// How long this call waits for a person; absent: without end.
    pub wait_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    pub id: String,
    /// How long this call waits for a person, or for a result; absent: without end.
    pub wait_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    pub id: String,
    /// From this offset on.
    pub since: Option<u64>,
    /// From my last read on; with `since` from there, and it counts as my last read.
    pub new: bool,
    /// At most the first so many lines.
    pub limit: Option<u64>,
    /// At most the last so many lines.
    pub tail: Option<u64>,
    pub grep: Option<String>,
    /// The bytes, not lines: output frames, then the page without lines.
    pub raw: bool,
    pub screen: bool,
    /// Waits until there is something after `since`, or the end.
    pub follow: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub session: String,
    /// What to type; keys follow it.
    pub text: Option<Bytes>,
    pub keys: Vec<String>,
    /// Enter after the text.
    pub enter: bool,
    /// Read on until this matches what came after the input and is not its echo.
    pub wait_for: Option<String>,
    /// Read on until nothing came for so long; the default is 300.
    pub settle_ms: Option<u64>,
    /// How long to read at most; the default is 10 s. Nothing is ended.
    pub timeout_ms: Option<u64>,
    /// A secret's name to type in place of a text.
    pub secret: Option<String>,
    /// How long this call waits for a person; absent: without end.
    pub wait_ms: Option<u64>,
    pub no_ask: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completable {
    Sessions,
    Execs,
    Requests,
    Any,
}

/// A JSON frame to a client, on either socket. `done` and `error` end a request; all else is on
/// the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// A person is waited for; `id` is what to `wait` for if this call is cut off.
    Waiting {
        id: String,
        kind: super::view::Kind,
    },
    /// A command runs; its output goes on from these offsets.
    Started {
        id: String,
        stdout: u64,
        stderr: u64,
    },
    /// So many more bytes of standard input are taken.
    Credit {
        bytes: u64,
    },
    /// A sentence for the caller, in sgw's own words.
    Note {
        text: String,
    },
    Done {
        result: Value,
    },
    Error(Failure),
}

impl Message {
    pub fn done(result: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::Done { result: serde_json::to_value(result)? })
    }
}
