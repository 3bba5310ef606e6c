//! `sgw unlock`: opens the data key and starts the daemon with it.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    cli::{Context, Outcome, Run, Stop, person, proof::Proof, ui::exit::Exit, views},
    client::{self, Error, launch},
    domain::{escape::visible, seal::DataKey},
    protocol::{
        error::{Code, Failure},
        handover::Ready,
    },
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
            return already(context);
        }
        let data_key = context.interactive(self.proof.data_key(context))?;
        match start(context, &data_key)? {
            None => already(context),
            Some(ready) => {
                tell(context, &ready);
                Ok(Exit::DONE)
            }
        }
    }
}

/// Sees to it that a daemon runs; what it is ready with, where it was started here.
pub fn start(context: &Context, data_key: &DataKey) -> Result<Option<Ready>, Stop> {
    let place = context.place()?;
    if place.service().is_some() {
        return Ok(context.block_on(client::service::unlock(&place, data_key))?);
    }
    let over = Instant::now() + ANOTHER;
    if runs(context)? {
        return Ok(None);
    }
    loop {
        match launch::launch(&place, data_key).map_err(Stop::from) {
            Err(Stop::Failure(failure))
                if failure.code == Code::HomeBusy && Instant::now() < over => {}
            launched => return launched.map(|launched| Some(launched.ready)),
        }
        // Another unlock was faster, or a daemon is just ending: it will answer, or make room.
        if comes_to_answer(context)? {
            return Ok(None);
        }
    }
}

/// How long a daemon that holds the home may take until it answers, or is gone.
const ANOTHER: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// So often it is asked before the next try to take its place.
const LOOKS: u32 = 20;

fn comes_to_answer(context: &Context) -> Result<bool, Stop> {
    for _ in 0..LOOKS {
        sleep(LOOK_AGAIN);
        if runs(context)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn already(context: &Context) -> Outcome {
    let already = json!({ "running": true, "started": false });
    context.ui.result(&already, || "unlocked already".to_owned());
    Ok(Exit::DONE)
}

/// `sgw daemon run`.
pub fn in_foreground(context: &Context, proof: &Proof) -> Outcome {
    if context.place()?.service().is_some() {
        let message = "this program belongs to a service of the machine: systemd runs its daemon";
        let hint = "root starts it: systemctl start sgw-agent.socket sgw-operator.socket";
        return Err(Failure::new(Code::UsageArguments, message, hint).into());
    }
    if runs(context)? {
        let message = "a daemon runs here already";
        return Err(Failure::new(Code::HomeBusy, message, "sgw daemon status").into());
    }
    let data_key = context.interactive(proof.data_key(context))?;
    let launched = launch::launch(&context.place()?, &data_key)?;
    tell(context, &launched.ready);
    drop(data_key);
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

fn tell(context: &Context, ready: &Ready) {
    if let Some(warning) = &ready.warning {
        context.ui.say(&format!("sgw: warning: {}", visible(warning, 400)));
    }
    let started = json!({ "running": true, "started": true, "daemon": ready });
    context.ui.result(&started, || views::ready(ready));
}
