//! `sgw sessions`: what is open.

use crate::{
    cli::{Context, Outcome, Run, ui::exit::Exit, views},
    protocol::{agent, operator, view},
};

/// List your sessions
///
/// With --all those of every agent, over the operator's socket; it needs no passphrase.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw sessions
  sgw sessions --all --json")]
pub struct Sessions {
    /// Everyone's (for the operator)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    proof: crate::cli::proof::Unneeded,
}

impl Run for Sessions {
    fn run(self, context: &Context) -> Outcome {
        let sessions: view::Sessions = context.block_on(async {
            match self.all {
                true => context.ask(&operator::Request::Sessions {}).await,
                false => context.agent().await?.call(&agent::Request::Sessions {}).await,
            }
        })?;
        context.ui.result(&sessions, || views::sessions(&sessions.sessions, self.all));
        Ok(Exit::DONE)
    }
}
