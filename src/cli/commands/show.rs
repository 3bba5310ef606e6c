//! `sgw show`: all about one id.

use serde_json::Value;

use crate::{
    cli::{Context, Outcome, Run, proof::Proof, ui::exit::Exit, views},
    protocol::{agent, operator},
};

/// Tell all about a session, a command, a request, a token or a grant
///
/// The start of an id is enough where it is unique. Agents see what is theirs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw show s-4fk
  sgw show r-7k3 --json
  sgw show --all g-2np")]
pub struct Show {
    /// What to show: s-…, x-…, r-…, t-… or g-…
    #[arg(value_name = "ID", add = super::completions::ids("any"))]
    id: String,
    /// Look also among what is not yours (for the operator; tokens and grants take the proof)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Run for Show {
    fn run(self, context: &Context) -> Outcome {
        let id = self.id;
        let thing: Value = context.interactive(async {
            if !self.all {
                return Ok(context.agent().await?.call(&agent::Request::Show { id }).await?);
            }
            let request = operator::Request::Show { id };
            if !request.needs_proof() {
                return Ok(context.ask(&request).await?);
            }
            Ok(self.proof.open(context).await?.connect().await?.call(&request).await?)
        })?;
        context.ui.result(&thing, || match super::plan::decided(&thing) {
            Some(plan) => super::plan::whole(&plan),
            None => views::any(&thing),
        });
        Ok(Exit::DONE)
    }
}
