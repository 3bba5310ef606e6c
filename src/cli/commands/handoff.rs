//! `sgw handoff`: gives the keyboard to the person.

use serde_json::Value;

use super::wait::given;
use crate::{
    cli::{
        Context, Outcome, Run,
        context::{Patience, millis},
        follow::{self, Budget, Call},
    },
    protocol::agent,
};

/// Give the keyboard to the person, for a password, a second factor, or a doubt
///
/// From now on everything that you have on that target is theirs: your calls get 75 until they give it
/// back. Prints what they say then. Look before you go on: they may have changed something.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw handoff s-4fk 'please log in to the database as admin'
  sgw handoff s-4fk 'sudo asks for a password' --wait 100s")]
pub struct Handoff {
    /// A session's id or name, or its target
    #[arg(value_name = "SESSION", add = super::completions::ids("sessions"))]
    session: String,
    /// What the person should do, in one line
    #[arg(value_name = "MESSAGE")]
    message: String,
    #[command(flatten)]
    patience: Patience,
}

impl Run for Handoff {
    fn run(self, context: &Context) -> Outcome {
        let wait_ms = self.patience.holds()?.map(millis);
        let Self { session, message, patience } = self;
        let request = agent::Request::Handoff { session, message, wait_ms };
        let budget = Budget { max_output: None, tail: false };
        let call = Call { budget, patience, results_too: false, stdin: false };
        Ok(context.block_on(async {
            let connection = context.agent().await?;
            follow::follow(context, connection, &request, call, |value: Value| {
                given(context, value)
            })
            .await
        })?)
    }
}
