//! `sgw whoami`: who the daemon takes the caller for, and what it has.

use crate::{
    cli::{Context, Outcome, Run, ui::exit::Exit, views},
    protocol::{agent, view},
};

/// Show who you are to sgw, and what you have access to
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw whoami
  sgw whoami --json")]
pub struct Whoami {}

impl Run for Whoami {
    fn run(self, context: &Context) -> Outcome {
        let me: view::Whoami = context
            .block_on(async { context.agent().await?.call(&agent::Request::Whoami {}).await })?;
        context.ui.result(&me, || views::whoami(&me));
        Ok(Exit::DONE)
    }
}
