//! `sgw pause`: stops agents without closing anything.

use serde_json::{Value, json};

use crate::{
    cli::{Context, Outcome, Run, ui::exit::Exit},
    protocol::operator,
};

/// Stop what agents may do, until resume; what runs goes on
///
/// It needs no passphrase. What runs prints on; what its agent sends to it (standard input, calls of SFTP,
/// bytes of a forward) waits, and goes on after `sgw resume`. Keys that are typed in a terminal are refused, and
/// what `sgw files` and `sgw cp` have begun goes on to its end.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw pause
  sgw pause uid:1000
  sgw pause web1")]
pub struct Pause {
    /// An identity or a target [default: everyone]
    #[arg(value_name = "IDENTITY|TARGET")]
    what: Option<String>,
    /// Everyone, everywhere
    #[arg(long, conflicts_with = "what")]
    all: bool,
    #[command(flatten)]
    proof: crate::cli::proof::Unneeded,
}

impl Run for Pause {
    fn run(self, context: &Context) -> Outcome {
        let request = operator::Request::Pause { what: self.what.clone() };
        let _done: Value = context.block_on(context.ask(&request))?;
        let what = self.what.as_deref().unwrap_or("everyone");
        context.ui.result(&json!({ "paused": what }), || format!("paused: {what}"));
        Ok(Exit::DONE)
    }
}
