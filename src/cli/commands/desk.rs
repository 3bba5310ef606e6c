//! `sgw desk`: the queue of what waits for the operator.

use crate::{
    cli::{
        Context, Outcome, Run, Stop,
        approval::Answers,
        person,
        proof::Proof,
        ui::{
            self,
            desk::{self, signals::Signals},
        },
    },
    client::{Error, operator::Proven},
    domain::escape::visible,
    protocol::error::{Code, Failure},
};

/// Decide on what waits, and see what runs
///
/// A full screen: requests on top, the marked one in the middle with all that you decide on, open
/// sessions below. Nothing has a default and Enter decides nothing; each kind has a yes-key of its own.
/// Where no daemon runs it is started, as `sgw unlock` does. In the desk `?` tells the keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw desk
  sgw desk --plain      # a line a request, and a typed line for the answer")]
pub struct Desk {
    /// Lines in place of a full screen: for screen readers and dumb terminals [default: where TERM is
    /// dumb or unset]
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Run for Desk {
    fn run(self, context: &Context) -> Outcome {
        open(context, &self.proof, &Answers::default(), self.plain)
    }
}

/// Opens the desk, with what flags have answered in advance.
pub fn open(context: &Context, proof: &Proof, answers: &Answers, plain: bool) -> Outcome {
    person::not_under_an_agent(context.globals.i_am_the_operator)?;
    at_a_terminal(context, proof)?;
    let runtime = crate::client::runtime().map_err(Error::local("start"))?;
    // From here on none is lost: one that comes while nothing looks is heeded at the next look.
    let signals =
        runtime.block_on(async { Signals::watch() }).map_err(Error::local("watch for signals"))?;
    // The passphrase is sgw's own first question, before anything is drawn.
    let data_key = context.interactive(proof.data_key(context))?;
    let word = match super::unlock::start(context, &data_key)? {
        None => String::new(),
        Some(ready) => {
            let warning =
                ready.warning.as_ref().map(|text| format!("WARNING: {}", visible(text, 400)));
            let state = format!(
                "unlocked: state revision {}, {} records in the audit",
                ready.revision, ready.audit_records
            );
            warning.unwrap_or(state)
        }
    };
    let proven = Proven::new(context.place()?, data_key);
    let plain =
        plain || std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    let outcome = runtime.block_on(async {
        if plain {
            desk::plain::run(context, proven, answers, word, signals).await
        } else {
            desk::run(context, proven, answers, word, signals).await
        }
    });
    runtime.shutdown_background();
    outcome
}

fn at_a_terminal(context: &Context, proof: &Proof) -> Result<(), Stop> {
    if !context.ui.json && ui::can_prompt() {
        return Ok(());
    }
    let failure = match proof.can_ask(context, "your decision") {
        Err(failure) => failure,
        Ok(()) => Failure::new(Code::OperatorProof, "the desk needs a terminal", ""),
    };
    let hint = "sgw requests lists what waits; sgw approve ID --yes decides on one";
    Err(Failure { hint: hint.to_owned(), ..failure }.into())
}
