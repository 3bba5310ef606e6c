//! `sgw unlock`: opens the data key and starts the daemon with it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    cli::{Context, Outcome, Run, Stop, person, proof::Proof, ui::exit::Exit, views},
    client::{
        Error,
        launch::{self, Launched},
    },
    domain::escape::visible,
    protocol::error::{Code, Failure},
};

/// How long a daemon that another unlock has just started may take to answer.
const COMES: Duration = Duration::from_secs(10);

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
        let already = json!({ "running": true, "started": false });
        if runs(context)? {
            context.ui.result(&already, || "unlocked already".to_owned());
            return Ok(Exit::DONE);
        }
        match launch(context, &self.proof) {
            // Another unlock was quicker: what was wanted is there, or about to be.
            Err(Stop::Failure(busy)) if busy.code == Code::HomeBusy => {
                if !comes(context)? {
                    return Err(busy.into());
                }
                context.ui.result(&already, || "unlocked already".to_owned());
            }
            launched => drop(launched?),
        }
        Ok(Exit::DONE)
    }
}

/// Whether the daemon that holds the home answers before long.
fn comes(context: &Context) -> Result<bool, Stop> {
    let over = Instant::now() + COMES;
    while Instant::now() < over {
        if runs(context)? {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(false)
}

/// `sgw daemon run`.
pub fn in_foreground(context: &Context, proof: &Proof) -> Outcome {
    if runs(context)? {
        let message = "a daemon runs here already";
        return Err(Failure::new(Code::HomeBusy, message, "sgw daemon status").into());
    }
    let launched = launch(context, proof)?;
    let ended_well = context.block_on(launched.until_it_ends())?;
    Ok(if ended_well { Exit::DONE } else { Exit::FAILED })
}

fn runs(context: &Context) -> Result<bool, Stop> {
    person::not_under_an_agent(context.globals.i_am_the_operator)?;
    let runs = context.block_on(async {
        match context.operator().await {
            Ok(connection) => {
                connection.close().await;
                Ok(true)
            }
            Err(Error::Locked) => Ok(false),
            Err(error) => Err(error),
        }
    });
    Ok(runs?)
}

fn launch(context: &Context, proof: &Proof) -> Result<Launched, Stop> {
    let place = context.place()?;
    let data_key = context.interactive(proof.data_key(context))?;
    let launched = launch::launch(&place, data_key)?;
    let ready = &launched.ready;
    if let Some(warning) = &ready.warning {
        context.ui.say(&format!("sgw: warning: {}", visible(warning, 400)));
    }
    let started = json!({ "running": true, "started": true, "daemon": ready });
    context.ui.result(&started, || views::ready(ready));
    Ok(launched)
}
