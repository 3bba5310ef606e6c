//! A command as its caller sees it: its streams on ours, or within one JSON object, and its end as
//! our exit status.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    context::{self, Context, Patience},
    kept::{Cut as Unshown, First, Keeper, Kept, Last},
    ui::{
        Stream, Ui,
        exit::{self, Exit, Owner},
    },
    values,
};
use crate::{
    client::{
        Connection, Error,
        stream::{self, Cut, Ended, Feed, Sink, Streams, Told},
    },
    domain::bytes::Bytes,
    protocol::{
        agent::Request,
        error::{Code, Failure},
        view::{ExecEnd, Kind},
    },
};

/// What `--json` keeps of a stream unless told otherwise.
const JSON_BYTES: u64 = 32 * 1024;
/// What must fit into memory.
const MOST_KEPT: u64 = 1 << 30;

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Budget {
    /// Print at most so much of each stream, like 64k or 10M; what is cut is told
    /// [default: all of it; with --json 32k, its head and its tail]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub max_output: Option<u64>,
    /// Of a longer output print the end, not the beginning [default with it: 64k]
    #[arg(long)]
    pub tail: bool,
}

/// What `--tail` keeps without `--max-output`.
const TAIL_BYTES: u64 = 64 * 1024;

impl Budget {
    fn most(&self) -> Result<Option<u64>, Failure> {
        let most = match self.max_output {
            Some(most) => Some(most),
            None => context::variable("SGW_MAX_OUTPUT")?
                .map(|text| values::size(&text))
                .transpose()
                .map_err(|error| context::bad_variable("SGW_MAX_OUTPUT", &error))?,
        };
        Ok(most.map(|most| most.min(MOST_KEPT)))
    }
}

/// Both streams, and what was done with them.
struct Shape {
    stdout: Half,
    stderr: Half,
}

struct Half {
    kept: Option<Keeper>,
    unshown: Unshown,
}

impl Shape {
    fn new(ui: Ui, budget: &Budget) -> Result<(Self, Sink, Sink), Failure> {
        let most = budget.most()?;
        let half = |stream: Stream| -> Result<(Half, Sink), Failure> {
            let unshown = Unshown::default();
            if ui.json {
                let most = most.unwrap_or(JSON_BYTES) as usize;
                let head = if budget.tail { 0 } else { most - most / 2 };
                let kept = Keeper::new(Kept::new(head, most - head));
                return Ok((Half { kept: Some(kept.clone()), unshown }, Box::new(kept)));
            }
            let plain = stream.open().map_err(Error::local("open our own output"))?;
            let cut = unshown.clone();
            let sink: Sink = match (most, budget.tail) {
                (None, false) => Box::new(plain),
                (Some(most), false) => Box::new(First::new(plain, most, cut)),
                (most, true) => {
                    Box::new(Last::new(plain, most.unwrap_or(TAIL_BYTES) as usize, cut))
                }
            };
            Ok((Half { kept: None, unshown }, sink))
        };
        let (stdout, out) = half(Stream::Stdout)?;
        let (stderr, err) = half(Stream::Stderr)?;
        Ok((Self { stdout, stderr }, out, err))
    }
}

impl Half {
    fn cut(&self) -> u64 {
        self.kept.as_ref().map_or_else(|| self.unshown.bytes(), |kept| kept.with(|kept| kept.cut()))
    }

    fn json(&self, id: &str) -> Value {
        let gap = |cut| format!("\n[sgw: {cut} bytes cut here; sgw output {id}]\n");
        let bytes = self.kept.as_ref().map(|kept| kept.with(|kept| kept.joined(gap)));
        serde_json::to_value(Bytes(bytes.unwrap_or_default())).unwrap_or_default()
    }
}

/// Sends the request, follows what it starts, and tells how it ended. What is not a command's end is
/// given to `other`.
pub async fn follow(
    context: &Context,
    connection: Connection,
    request: &Request,
    call: Call,
    other: impl FnOnce(Value) -> Result<Exit, Failure>,
) -> Result<Exit, Error> {
    let ui = context.ui;
    let (shape, stdout, stderr) = Shape::new(ui, &call.budget)?;
    let leave_at = match call.patience.said() {
        Some(said) => Some(said),
        None if call.results_too => call.patience.holds()?,
        None => None,
    };
    let leave_at = leave_at.and_then(|wait| Instant::now().checked_add(wait));
    let streams = Streams {
        stdout,
        stderr,
        stdin: if call.stdin { Feed::Ours } else { Feed::Nothing },
        leave_at,
    };
    let ended = stream::run(connection, request, streams, &mut |told| tell(ui, told)).await?;
    Ok(tell_end(ui, &shape, ended, other)?)
}

/// How a call treats what it follows.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub budget: Budget,
    pub patience: Patience,
    /// Whether the default patience is for results too (`wait`), not for persons alone (`exec`).
    pub results_too: bool,
    pub stdin: bool,
}

pub fn tell(ui: Ui, told: Told) {
    match told {
        Told::Waiting { id, kind } => waiting(ui, &id, kind),
        Told::Long { id } => ui.note(&format!("{id} runs; if this call is cut off: sgw wait {id}")),
        Told::Note(text) => ui.note(&text),
    }
}

/// The line that makes a call that is cut off harmless.
pub fn waiting(ui: Ui, id: &str, kind: Kind) {
    let what = match kind {
        Kind::Exec => "runs",
        Kind::Login => {
            let then = format!("if this call is cut off: sgw wait {id}, then run it again");
            return ui.note(&format!(
                "the connection was lost; {id} waits for the operator to log in again; nothing was \
                 sent; {then}"
            ));
        }
        _ => "waits for the operator",
    };
    ui.note(&format!("{id} {what}; if this call is cut off: sgw wait {id}"));
}

fn tell_end(
    ui: Ui,
    shape: &Shape,
    ended: Ended,
    other: impl FnOnce(Value) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let Ended { result, started, cut, earlier } = ended;
    match result {
        Some(Ok(value)) => match serde_json::from_value::<ExecEnd>(value.clone()) {
            Ok(end) if end.kind == Kind::Exec => {
                if earlier != (0, 0) && earlier == (end.stdout_bytes, end.stderr_bytes) {
                    let id = &end.id;
                    ui.note(&format!("what it printed was delivered before: sgw output {id}"));
                }
                Ok(command_end(ui, shape, end, cut))
            }
            _ => other(value),
        },
        Some(Err(failure)) if started.is_some() => {
            let failure = match started {
                Some(id) => of_started(failure, id),
                None => failure,
            };
            ui.failure(&failure);
            Ok(exit::of(failure.code.class(), Owner::Command))
        }
        Some(Err(failure)) => Err(failure),
        None if cut == Some(Cut::Interrupted) => Ok(Exit::INTERRUPTED),
        None => Err(left(started)),
    }
}

/// What ended the call ends no doubt: the command was sent, and it is named where the text does not.
fn of_started(failure: Failure, id: String) -> Failure {
    let is_named = failure.message.contains(&id) || failure.hint.contains(&id);
    let message = match is_named {
        true => failure.message.clone(),
        false => format!("{id} was cut off: {}", failure.message),
    };
    let sent = failure.sent.or(Some(true));
    let id = failure.id.clone().unwrap_or(id);
    Failure { message, sent, ..failure }.about(id)
}

fn left(started: Option<String>) -> Failure {
    match started {
        Some(id) => still_runs(id),
        None => Failure::new(Code::DaemonLost, "the daemon did not answer in time", "sgw"),
    }
}

fn still_runs(id: String) -> Failure {
    let (message, hint) = (format!("{id} still runs"), format!("sgw wait {id}"));
    Failure::new(Code::ExecRunning, message, hint).about(id)
}

/// The command ended, or goes on without us.
fn command_end(ui: Ui, shape: &Shape, end: ExecEnd, cut: Option<Cut>) -> Exit {
    let exit = status(&end, cut);
    if ui.json {
        ui.object(&object(shape, &end));
        return exit;
    }
    for (name, half) in [("stdout", &shape.stdout), ("stderr", &shape.stderr)] {
        let cut = half.cut();
        if cut > 0 {
            ui.note(&format!("{cut} bytes of {name} are not shown here: sgw output {}", end.id));
        }
    }
    if let Some(Cut::Unwritable(kind)) = cut {
        let message = format!("our standard output can't be written: {kind}");
        ui.failure_text(&Failure::new(
            Code::DaemonFailed,
            message,
            format!("sgw output {}", end.id),
        ));
    } else if end.running {
        ui.failure_text(&left(Some(end.id)));
    } else if let Some(failure) = &end.failure {
        ui.failure_text(failure);
    } else if let Some(signal) = end.signal.as_ref().filter(|_| cut.is_none()) {
        let signal = crate::domain::escape::exact(signal.as_bytes(), 40);
        ui.note(&format!("{} was ended by signal {signal}", end.id));
    }
    exit
}

fn status(end: &ExecEnd, cut: Option<Cut>) -> Exit {
    if let Some(Cut::Unwritable(_)) = cut {
        return exit::of(Code::DaemonFailed.class(), Owner::Command);
    }
    if end.running {
        return Exit::NOT_YET;
    }
    if end.timed_out {
        return exit::of(Code::ExecTimeout.class(), Owner::Command);
    }
    match cut {
        Some(Cut::Interrupted) => return Exit::INTERRUPTED,
        Some(Cut::Closed) if end.exit_code.is_none() => return Exit::CLOSED,
        _ => {}
    }
    if let Some(failure) = &end.failure {
        return exit::of(failure.code.class(), Owner::Command);
    }
    exit::of_command(end.exit_code, end.signal.as_deref())
        // It ended, and nobody said how: never a success.
        .unwrap_or(exit::of(Code::SessionLost.class(), Owner::Command))
}

/// The JSON of `exec`.
fn object(shape: &Shape, end: &ExecEnd) -> Value {
    let mut object = json!({
        "id": end.id,
        "kind": end.kind,
        "exit_code": end.exit_code,
        "signal": end.signal,
        "stdout": shape.stdout.json(&end.id),
        "stderr": shape.stderr.json(&end.id),
        "stdout_bytes": end.stdout_bytes,
        "stderr_bytes": end.stderr_bytes,
        "truncated": { "stdout": shape.stdout.cut() > 0, "stderr": shape.stderr.cut() > 0 },
        "timed_out": end.timed_out,
        "running": end.running,
        "remote": end.remote,
        "duration_ms": end.duration_ms,
        "session": end.session,
        "request": end.request,
    });
    if let Some(failure) = &end.failure {
        object["error"] = json!(failure);
    }
    object
}
