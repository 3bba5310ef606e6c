//! `sgw history`: what was run in a session.

use crate::{
    cli::{Context, Outcome, Run, context, ui::exit::Exit, views},
    protocol::{agent, operator, view},
};

/// List what was run in a session
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw history s-4fk
  sgw history web1 --json")]
pub struct History {
    /// A session's id or name, or its target [default: SGW_SESSION]
    #[arg(value_name = "SESSION", add = super::completions::ids("sessions"))]
    session: Option<String>,
    /// Look also where it is another agent's (for the operator)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    proof: crate::cli::proof::Unneeded,
}

impl Run for History {
    fn run(self, context: &Context) -> Outcome {
        let session = context::session_or_default(self.session)?;
        let history: view::History = context.block_on(async {
            if self.all {
                let request = operator::Request::History { session };
                return context.ask(&request).await;
            }
            context.agent().await?.call(&agent::Request::History { session }).await
        })?;
        context.ui.result(&history, || views::history(&history.history));
        Ok(Exit::DONE)
    }
}
