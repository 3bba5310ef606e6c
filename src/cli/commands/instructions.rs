//! `sgw instructions`: all that an agent has to know.

use crate::cli::{Context, Outcome, Run, ui::exit::Exit};

/// Print what an agent has to know to work through sgw
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw instructions >> AGENTS.md")]
pub struct Instructions {}

const TEXT: &str = include_str!("instructions.md");

impl Run for Instructions {
    fn run(self, context: &Context) -> Outcome {
        context.ui.result(&serde_json::json!({ "instructions": TEXT }), || TEXT.to_owned());
        Ok(Exit::DONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_fit_into_an_agents_patience() {
        // About four bytes a token: 800 tokens and a little.
        assert!(TEXT.len() < 3_500, "{} bytes", TEXT.len());
    }
}
