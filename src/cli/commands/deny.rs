//! `sgw deny`: the operator's no.

use crate::{
    cli::{Context, Outcome, Run, proof::Proof, ui::exit::Exit, views},
    protocol::{operator, view},
};

/// Say no to a request
///
/// It needs no passphrase, unless you send the agent a word with it. The start of an id is enough
/// where it is unique.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw deny r-7k3
  sgw deny r-7k3 --rule
  sgw deny r-7k3 --message 'use the staging server'")]
pub struct Deny {
    /// Which request: r-…
    #[arg(value_name = "ID", add = super::completions::ids("requests"))]
    id: String,
    /// A word to the agent: why, or what to do instead
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Also deny whatever the same rule finds from now on: to that identity, in all its sessions on that
    /// account of that machine, until the session that asked ends, or `sgw resume SESSION --rule RULE`;
    /// what else waits there because of it is denied too
    #[arg(long)]
    rule: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Run for Deny {
    fn run(self, context: &Context) -> Outcome {
        let request =
            operator::Request::Deny { id: self.id, message: self.message, rule: self.rule };
        let decided: view::Decided = context.interactive(async {
            if request.needs_proof() {
                let mut connection = self.proof.open(context).await?.connect().await?;
                return Ok(connection.call(&request).await?);
            }
            Ok(context.ask(&request).await?)
        })?;
        context.ui.result(&decided, || views::decided(&decided));
        Ok(Exit::DONE)
    }
}
