//! `sgw show`: all about one id.

use serde_json::Value;

use crate::{
    cli::{Context, Outcome, Run, ui::exit::Exit, views},
    protocol::{agent, operator},
};

/// Tell all about a session, a command or a request
///
/// The start of an id is enough where it is unique.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw show s-4fk
  sgw show r-7k3 --json")]
pub struct Show {
    /// What to show: s-…, x-… or r-…
    #[arg(value_name = "ID", add = super::completions::ids("any"))]
    id: String,
    /// Look also among what is not yours (for the operator)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    proof: crate::cli::proof::Unneeded,
}

impl Run for Show {
    fn run(self, context: &Context) -> Outcome {
        let id = self.id;
        let thing: Value = context.block_on(async {
            match self.all {
                true => context.ask(&operator::Request::Show { id }).await,
                false => context.agent().await?.call(&agent::Request::Show { id }).await,
            }
        })?;
        context.ui.result(&thing, || views::any(&thing));
        Ok(Exit::DONE)
    }
}
