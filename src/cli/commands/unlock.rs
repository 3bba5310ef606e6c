//! `sgw unlock`: opens the data key and starts the daemon with it.

use crate::{
    cli::{Context, Outcome, Run, Stop, person, proof::Proof, ui::exit::Exit, views},
    client::{
        Error,
        launch::{self, Launched},
    },
    protocol::handover::Ready,
};

/// Start the daemon: from now on agents can ask
///
/// Asks for the passphrase, opens the data key and hands it to a daemon that keeps it in memory until
/// `sgw lock`. Where a daemon runs already there is nothing to do. It shows the state's revision and
/// the record's head: compare them with what you saw last.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw unlock
  sgw unlock --passphrase-file ~/.sgw-passphrase")]
pub struct Unlock {
    #[command(flatten)]
    proof: Proof,
}

impl Run for Unlock {
    fn run(self, context: &Context) -> Outcome {
        if runs(context)? {
            context.ui.result(&serde_json::json!({ "running": true, "started": false }), || {
                "unlocked already".to_owned()
            });
            return Ok(Exit::DONE);
        }
        let launched = launch(context, &self.proof)?;
        tell(context, &launched.ready);
        Ok(Exit::DONE)
    }
}

/// `sgw daemon run`.
pub fn in_foreground(context: &Context, proof: &Proof) -> Outcome {
    if runs(context)? {
        let message = "a daemon runs here already";
        let code = crate::protocol::error::Code::HomeBusy;
        return Err(crate::protocol::error::Failure::new(code, message, "sgw daemon status").into());
    }
    let launched = launch(context, proof)?;
    tell(context, &launched.ready);
    let ended_well = context.block_on(launched.until_it_ends())?;
    Ok(if ended_well { Exit::DONE } else { Exit::FAILED })
}

fn runs(context: &Context) -> Result<bool, Stop> {
    person::not_under_an_agent(context.globals.i_am_the_operator)?;
    Ok(context.block_on(async {
        match context.operator().await {
            Ok(connection) => {
                connection.close().await;
                Ok(true)
            }
            Err(Error::Locked) => Ok(false),
            Err(error) => Err(error),
        }
    })?)
}

fn launch(context: &Context, proof: &Proof) -> Result<Launched, Stop> {
    let place = context.place()?;
    let data_key = proof.data_key(context)?;
    Ok(launch::launch(&place, data_key)?)
}

fn tell(context: &Context, ready: &Ready) {
    if let Some(warning) = &ready.warning {
        context.ui.say(&format!("sgw: warning: {}", crate::domain::escape::visible(warning, 400)));
    }
    context
        .ui
        .result(&serde_json::json!({ "running": true, "started": true, "daemon": ready }), || {
            views::ready(ready)
        });
}
