//! `sgw return`: gives the keyboard back to the agent.

use crate::{
    cli::{Context, Outcome, Run, proof::Proof, ui::exit::Exit, views},
    protocol::{operator, view},
};

/// Give the keyboard back to the agent, attached or not
///
/// Everything of that agent on that target is its own again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw return s-4fk
  sgw return s-4fk --message 'logged in; leave the replica alone'")]
pub struct Return {
    /// A session's id or name, or its target
    #[arg(value_name = "SESSION", add = super::completions::ids("sessions"))]
    session: String,
    /// A word to the agent: what you did, or what to do next
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    proof: Proof,
}

impl Run for Return {
    fn run(self, context: &Context) -> Outcome {
        let request = operator::Request::Return { session: self.session, message: self.message };
        let returned: view::Returned = context.interactive(async {
            Ok(self.proof.open(context).await?.connect().await?.call(&request).await?)
        })?;
        context.ui.result(&returned, || views::given_back(&returned));
        Ok(Exit::DONE)
    }
}
