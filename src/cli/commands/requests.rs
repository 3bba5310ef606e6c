//! `sgw requests`: what waits for the operator.

use crate::{
    cli::{Context, Outcome, Run, ui::exit::Exit, views},
    protocol::{operator, view},
};

/// List what waits for the operator's decision
///
/// Everyone's requests, over the operator's socket; it needs no passphrase.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw requests
  sgw requests --json")]
pub struct Requests {
    #[command(flatten)]
    proof: crate::cli::proof::Unneeded,
}

impl Run for Requests {
    fn run(self, context: &Context) -> Outcome {
        let requests: view::Requests =
            context.block_on(async { context.ask(&operator::Request::Requests {}).await })?;
        context.ui.result(&requests, || views::requests(&requests.requests));
        Ok(Exit::DONE)
    }
}
