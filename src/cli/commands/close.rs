//! `sgw close`: ends a session or a command, withdraws a request.

use serde_json::Value;

use crate::{
    cli::{Context, Outcome, Run, ui::exit::Exit, views},
    protocol::{agent, operator},
};

/// Close a session, end a command, or withdraw a request
///
/// What runs in the session is ended on the server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw close s-4fk
  sgw close r-7k3")]
pub struct Close {
    /// What to end: s-…, x-… or r-…
    #[arg(value_name = "ID", add = super::completions::ids("any"))]
    id: String,
    /// Also where it is another agent's (for the operator)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    proof: crate::cli::proof::Unneeded,
}

impl Run for Close {
    fn run(self, context: &Context) -> Outcome {
        let id = self.id;
        let closed: Value = context.block_on(async {
            match self.all {
                true => context.ask(&operator::Request::Close { id }).await,
                false => context.agent().await?.call(&agent::Request::Close { id }).await,
            }
        })?;
        context.ui.result(&closed, || views::closed(&closed));
        Ok(Exit::DONE)
    }
}
