//! `sgw resume`: lets agents go on.

use serde_json::{Value, json};

use crate::{
    cli::{Context, Outcome, Run, proof::Proof, ui::exit::Exit},
    protocol::operator,
};

/// Let agents go on after pause
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw resume
  sgw resume uid:1000")]
pub struct Resume {
    /// An identity or a target [default: everyone]
    #[arg(value_name = "IDENTITY|TARGET")]
    what: Option<String>,
    /// Everyone, everywhere
    #[arg(long, conflicts_with = "what")]
    all: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Run for Resume {
    fn run(self, context: &Context) -> Outcome {
        let request = operator::Request::Resume { what: self.what.clone() };
        let _done: Value = context.interactive(async {
            Ok(self.proof.open(context).await?.connect().await?.call(&request).await?)
        })?;
        let what = self.what.as_deref().unwrap_or("everyone");
        context.ui.result(&json!({ "resumed": what }), || format!("resumed: {what}"));
        Ok(Exit::DONE)
    }
}
