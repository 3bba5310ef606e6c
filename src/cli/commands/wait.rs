//! `sgw wait`: finishes what an id began, exactly once.

use serde_json::Value;

use crate::{
    cli::{
        Context, Outcome, Run,
        context::{Patience, millis},
        follow::{self, Budget, Call},
        ui::exit::Exit,
        views,
    },
    protocol::{
        agent,
        error::{Code, Failure},
        files, view,
    },
};

/// Finish what an id began, byte for byte as if the first call had stayed
///
/// A request: the decision, then the session's id. A command's approval: runs it once and gives its
/// output and status. That of a get or put: the same call goes on then. A plan's: which of its lines pass now. An input's: types it once and gives what came. A running command: its output from
/// where the last call stopped, and its status. A handoff: the person's word. A session that is paused,
/// or that the person has the keyboard of: until it goes on. A second wait gets the kept result, never a
/// second run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw wait r-7k3
  sgw wait x-9fd --wait 100s
  sgw wait r-7k3 --json")]
pub struct Wait {
    /// What to wait for: r-…, x-… or s-…
    #[arg(value_name = "ID", add = super::completions::ids("any"))]
    id: String,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    budget: Budget,
}

impl Run for Wait {
    fn run(self, context: &Context) -> Outcome {
        let wait_ms = self.patience.holds()?.map(millis);
        let request = agent::Request::Wait(agent::Wait { id: self.id, wait_ms });
        let call =
            Call { budget: self.budget, patience: self.patience, results_too: true, stdin: false };
        Ok(context.block_on(async {
            let connection = context.agent().await?;
            follow::follow(context, connection, &request, call, |value| given(context, value)).await
        })?)
    }
}

/// An answer that is none of those to what was asked.
pub fn odd() -> Failure {
    let message = "the daemon's answer is of another kind than was asked for";
    Failure::new(Code::DaemonVersion, message, "sgw daemon status")
}

/// What is no command's end: a session, the keyboard.
pub fn given(context: &Context, value: Value) -> Result<Exit, Failure> {
    if let Some(typed) = super::input::typed(&value) {
        return Ok(super::input::show(context, &typed));
    }
    if let Some(plan) = super::plan::decided(&value) {
        return Ok(super::plan::show(context, &plan));
    }
    if let Ok(again) = serde_json::from_value::<files::RunsAgain>(value.clone()) {
        match context.ui.json {
            true => context.ui.object(&again),
            false => context.ui.note("approved: run the same call again"),
        }
        return Ok(Exit::DONE);
    }
    if let Some(done) = super::files::done(&value) {
        context.ui.result(&done, || super::files::said(&done));
        return Ok(Exit::DONE);
    }
    if let Ok(session) = serde_json::from_value::<view::Session>(value.clone()) {
        context.ui.result(&session, || session.id.clone());
    } else if let Ok(returned) = serde_json::from_value::<view::Returned>(value.clone()) {
        context.ui.result(&returned, || views::returned(&returned));
    } else {
        context.ui.result(&value, || views::any(&value));
    }
    Ok(Exit::DONE)
}
