//! `sgw input`: types into a session's terminal and shows what comes.

use std::{io::Read, time::Duration};

use serde_json::Value;

use crate::{
    cli::{
        Context, Outcome, Run,
        context::{Asking, Patience, millis, session_or_default},
        follow,
        ui::exit::{self, Exit, Owner},
        values,
    },
    client::{Connection, Error, connection},
    domain::bytes::Bytes,
    protocol::{
        agent::{self, Message},
        error::{Code, Failure},
        view,
    },
};

/// The most that is typed at once, in bytes.
const MOST: u64 = 64 * 1024;

/// Type into a session's terminal, and show what comes
///
/// The terminal is opened at its first use: the account's login shell, 160 columns by 48 rows, pagers
/// that don't wait. TEXT is followed by Enter, then the keys. Shown is what came after that: until
/// REGEX is found in a line that is not the echo of what was typed, or else until nothing came for a
/// moment. Nothing is ended when the time is over: read on with `sgw output SESSION --new`. Where a
/// password seems to be asked for, TEXT is refused: hand the keyboard over.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw input s-4fk 'cd /var/log'
  sgw input s-4fk 'apt-get upgrade' --wait-for 'Do you want to continue' --timeout 2m
  sgw input s-4fk y
  sgw input s-4fk --key ctrl-c
  sgw input s-4fk 'select 1;' --wait-for '=> $'
  sgw input s-4fk --key down --key enter
  sgw input s-4fk -- -v
With SGW_SESSION set the session may be left out before `--`: sgw input -- 'make test'
Keys: enter tab esc up down left right home end pageup pagedown insert delete backspace space f1 … f12,
ctrl-x, alt-x, shift-tab")]
pub struct Input {
    /// A session's id or name, or its target [default: SGW_SESSION]
    #[arg(value_name = "SESSION", add = super::completions::ids("sessions"))]
    session: Option<String>,
    /// What to type; Enter follows it
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// Type what our standard input holds
    #[arg(long, conflicts_with = "text")]
    stdin: bool,
    /// Press a key after the text; may be repeated
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// No Enter after the text
    #[arg(long)]
    no_enter: bool,
    /// Read on until this regular expression is found in what came
    #[arg(long, value_name = "REGEX", conflicts_with = "settle")]
    wait_for: Option<String>,
    /// Read on until nothing came for so long [default: 300ms]
    #[arg(long, value_name = "DUR", value_parser = values::duration, allow_hyphen_values = true)]
    settle: Option<Duration>,
    /// Read for so long at most; with --wait-for, exit 124 then [default: 10s]
    #[arg(long, value_name = "DUR", value_parser = values::duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
    /// Type this secret of the operator's in place of a text
    #[arg(long, value_name = "NAME", conflicts_with_all = ["text", "stdin"])]
    secret: Option<String>,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    asking: Asking,
}

impl Run for Input {
    fn run(self, context: &Context) -> Outcome {
        let request = agent::Request::Input(self.request()?);
        Ok(context.block_on(async {
            let mut connection = context.agent().await?;
            let typed = ask(context, &mut connection, &request).await?;
            connection.close().await;
            Ok(show(context, &typed))
        })?)
    }
}

impl Input {
    fn request(self) -> Result<agent::Input, Failure> {
        let wait = self.patience.holds()?;
        let text = match (self.stdin, self.text) {
            (true, _) => Some(standard_input()?),
            (false, text) => text.map(|text| Bytes(text.into_bytes())),
        };
        Ok(agent::Input {
            session: session_or_default(self.session)?,
            text,
            keys: self.keys,
            enter: !self.no_enter,
            wait_for: self.wait_for,
            settle_ms: self.settle.map(millis),
            timeout_ms: self.timeout.map(millis),
            secret: self.secret,
            wait_ms: wait.map(millis),
            no_ask: self.asking.never(),
        })
    }
}

fn standard_input() -> Result<Bytes, Failure> {
    let mut bytes = Vec::new();
    // One byte more than is taken, so that the daemon says what is too much.
    let read = std::io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes);
    read.map_err(|error| {
        let message = format!("our standard input can't be read: {error}");
        Failure::new(Code::UsageArguments, message, "sgw input SESSION TEXT")
    })?;
    if bytes.is_empty() {
        return Err(Failure::new(
            Code::UsageArguments,
            "our standard input is empty, so there is nothing to type",
            "look at what should have printed it; Enter alone: sgw input SESSION --key enter",
        ));
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    Ok(Bytes(bytes))
}

async fn ask(
    context: &Context,
    connection: &mut Connection,
    request: &agent::Request,
) -> Result<view::Typed, Error> {
    let number = connection.begin(request).await?;
    loop {
        let frame = connection.read().await?;
        if frame.request != number && frame.request != 0 {
            continue;
        }
        match connection::message(&frame)? {
            Message::Waiting { id, kind } => follow::waiting(context.ui, &id, kind),
            Message::Note { text } => context.ui.note(&text),
            Message::Done { result } => return Ok(serde_json::from_value(result)?),
            Message::Error(failure) => return Err(failure.into()),
            Message::Started { .. } | Message::Credit { .. } => {}
        }
    }
}

/// As much of what came as one answer holds, and the status.
pub fn show(context: &Context, typed: &view::Typed) -> Exit {
    if !context.ui.json {
        lines(context, &typed.output);
    }
    end(context, typed)
}

fn lines(context: &Context, page: &view::Output) {
    super::output::missed(context, page.missed);
    page.lines.iter().for_each(|line| context.ui.line(line));
}

/// With `--json` all of it, else what is said below the lines.
fn end(context: &Context, typed: &view::Typed) -> Exit {
    let (ui, output) = (context.ui, &typed.output);
    let over = typed.timed_out && typed.matched.is_some();
    if ui.json {
        ui.object(typed);
    } else {
        super::output::more(context, output);
        if output.status == view::OutputStatus::Ended {
            ui.note("the terminal has ended; the next input opens a new one");
        }
        if typed.asks_for_secret {
            let id = &output.id;
            ui.note(&format!(
                "this looks like a question for a password (a guess): sgw handoff {id} MESSAGE"
            ));
        }
        if over {
            ui.failure_text(&too_late(&output.id));
        }
    }
    match over {
        true => exit::of(Code::InputTimeout.class(), Owner::Sgw),
        false => Exit::DONE,
    }
}

fn too_late(session: &str) -> Failure {
    let message =
        "what was waited for did not come in time; what came was shown, nothing was ended";
    let hint = format!("sgw output {session} --new reads on");
    Failure::new(Code::InputTimeout, message, hint).about(session)
}

/// The answer to an input that `wait` finished.
pub fn typed(value: &Value) -> Option<view::Typed> {
    serde_json::from_value(value.clone()).ok()
}
