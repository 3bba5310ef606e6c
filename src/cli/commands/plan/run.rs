//! `sgw plan run`: what is left of a plan, line by line, up to the first that fails.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{left, numbers};
use crate::{
    cli::{
        Context, Outcome,
        context::{Patience, millis},
        follow::{self, Budget, Call, Came},
        ui::exit::{self, Exit, Owner},
    },
    client::Error,
    domain::escape::exact,
    protocol::{
        agent::{self, PlanStep},
        error::{Code, Failure},
        view,
    },
};

/// Why a run stops.
enum Stopped {
    /// Nothing is left.
    Done,
    /// The last line did not end with 0, or goes on without us.
    Line,
    /// Another line could not begin.
    Failure(Failure),
    Interrupted,
}

/// What a run came to.
struct Ran {
    /// The objects of its commands, in order.
    commands: Vec<Value>,
    exit: Exit,
    stopped: Stopped,
}

pub fn run(context: &Context, id: &str, patience: Patience, budget: Budget) -> Outcome {
    let wait = patience.holds()?;
    Ok(context.block_on(async {
        let ran = lines(context, id, patience, budget, wait).await?;
        if let (Stopped::Failure(failure), []) = (&ran.stopped, ran.commands.as_slice()) {
            return Err(failure.clone().into());
        }
        let mut connection = context.agent().await?;
        let show = agent::Request::Show { id: id.to_owned() };
        let plan: view::Request = connection.call(&show).await?;
        let exit = match (&ran.stopped, ran.commands.is_empty()) {
            // A second run gives the kept status, never a second run.
            (Stopped::Done, true) => kept(context, &plan).await?,
            _ => ran.exit,
        };
        tell(context, &plan, ran);
        Ok(exit)
    })?)
}

async fn lines(
    context: &Context,
    id: &str,
    patience: Patience,
    budget: Budget,
    wait: Option<std::time::Duration>,
) -> Result<Ran, Error> {
    let over = patience.said().and_then(|said| Instant::now().checked_add(said));
    let mut ran = Ran { commands: Vec::new(), exit: Exit::DONE, stopped: Stopped::Done };
    let mut after = None;
    loop {
        let rest = over.map(|over| over.saturating_duration_since(Instant::now()));
        let patience = Patience { wait: rest, no_wait: false };
        let wait_ms = rest.or(wait).map(millis);
        let step = PlanStep { id: id.to_owned(), after: after.take(), wait_ms };
        let call = Call { budget, patience, results_too: false, stdin: false };
        let connection = context.agent().await?;
        let step = agent::Request::PlanStep(step);
        match follow::one(context, connection, &step, call).await? {
            Came::Ended { end, exit, object } => {
                ran.commands.push(object);
                ran.exit = exit;
                if exit != Exit::DONE {
                    ran.stopped = Stopped::Line;
                    return Ok(ran);
                }
                after = Some(end.id);
            }
            Came::Other => return Ok(ran),
            Came::Failed(failure) => {
                ran.exit = exit::of(failure.code.class(), Owner::Command);
                ran.stopped = Stopped::Failure(failure);
                return Ok(ran);
            }
            Came::Interrupted => {
                ran.exit = Exit::INTERRUPTED;
                ran.stopped = Stopped::Interrupted;
                return Ok(ran);
            }
        }
    }
}

/// The status of what ran last of a plan of which nothing is left.
async fn kept(context: &Context, plan: &view::Request) -> Result<Exit, Error> {
    let Some(last) = plan.lines.iter().rev().find_map(|line| line.exec.clone()) else {
        return Ok(Exit::DONE);
    };
    let mut connection = context.agent().await?;
    let shown: view::ExecShown = connection.call(&agent::Request::Show { id: last }).await?;
    let status = exit::of_command(shown.run.exit_code, shown.run.signal.as_deref());
    Ok(status.unwrap_or(exit::of(Code::SessionLost.class(), Owner::Command)))
}

fn tell(context: &Context, plan: &view::Request, ran: Ran) {
    let line_of = |command: &Value| {
        let line = plan.lines.iter().find(|line| {
            line.exec.as_deref().is_some_and(|exec| command["id"].as_str() == Some(exec))
        });
        line.map(|line| line.number)
    };
    let done: Vec<Option<u32>> = ran.commands.iter().map(line_of).collect();
    let left = left(plan);
    let stopped_at = match &ran.stopped {
        Stopped::Line => done.last().copied().flatten(),
        _ => None,
    };
    if context.ui.json {
        let mut commands = ran.commands;
        for (command, line) in commands.iter_mut().zip(&done) {
            command["line"] = json!(line);
        }
        let mut object = json!({
            "id": plan.id,
            "kind": plan.kind,
            "status": plan.status,
            "session": plan.session,
            "ran": commands,
            "stopped_at": stopped_at,
            "left": left,
        });
        if let Stopped::Failure(failure) = &ran.stopped {
            object["error"] = json!(failure);
        }
        return context.ui.object(&object);
    }
    if let Stopped::Failure(failure) = &ran.stopped {
        context.ui.failure_text(failure);
    }
    let id = exact(plan.id.as_bytes(), 20);
    let done: Vec<u32> = done.into_iter().flatten().collect();
    let ran = match done.as_slice() {
        [] => format!("{id}: no line ran now"),
        done => format!("{id}: ran {}", numbers(done)),
    };
    let stopped = stopped_at.map(|line| format!("; stopped at line {line}")).unwrap_or_default();
    let rest = match left.as_slice() {
        [] => "; nothing is left".to_owned(),
        left => {
            format!("; left {}: sgw plan run {id} goes on with line {}", numbers(left), left[0])
        }
    };
    context.ui.note(&format!("{ran}{stopped}{rest}"));
}
