//! `sgw resume`: lets agents go on.

use serde_json::{Value, json};

use crate::{
    cli::{Context, Outcome, Run, proof::Proof, ui::exit::Exit},
    protocol::operator,
};

/// Let agents go on after pause, or lift what `sgw deny --rule` denies
///
/// A session that is paused because too much was refused in it goes on by its id; `sgw show s-…` says which
/// of both it is, and lists what is denied by its rule.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw resume
  sgw resume uid:1000
  sgw resume s-4fk
  sgw resume s-4fk --rule fs.rm")]
pub struct Resume {
    /// A session by its id, an identity or a target [default: everyone]
    #[arg(value_name = "SESSION|IDENTITY|TARGET")]
    what: Option<String>,
    /// Everyone, everywhere
    #[arg(long, conflicts_with = "what")]
    all: bool,
    /// Deny no more what this rule finds in the session, and in the other sessions of its identity on
    /// that account
    #[arg(long, value_name = "RULE", requires = "what")]
    rule: Option<String>,
    #[command(flatten)]
    proof: Proof,
}

impl Run for Resume {
    fn run(self, context: &Context) -> Outcome {
        let request =
            operator::Request::Resume { what: self.what.clone(), rule: self.rule.clone() };
        let _done: Value = context.interactive(async {
            Ok(self.proof.open(context).await?.connect().await?.call(&request).await?)
        })?;
        let what = self.what.as_deref().unwrap_or("everyone");
        match &self.rule {
            None => context.ui.result(&json!({ "resumed": what }), || format!("resumed: {what}")),
            Some(rule) => {
                let done = json!({ "resumed": what, "rule": rule });
                context.ui.result(&done, || format!("{rule} is not denied any more in {what}"));
            }
        }
        Ok(Exit::DONE)
    }
}
