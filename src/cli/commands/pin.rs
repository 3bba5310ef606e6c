//! `sgw pin`: what the desk asks for where somebody else could type.

use std::path::PathBuf;

use serde_json::Value;

use crate::{
    cli::{
        Context, Outcome, Run, Stop,
        proof::{self, Proof},
        ui::{exit::Exit, prompt},
    },
    client::{Connection, Error},
    domain::{pin, secret::Secret},
    protocol::{
        error::{Code, Failure},
        operator::Request,
    },
};

/// Set the PIN that the desk asks for where somebody else could type
///
/// After 15 minutes without a key, and always under tmux, screen and their like, a yes at the desk asks
/// for it. It opens nothing and is no passphrase: after three wrong ones only the passphrase helps.
/// Without a PIN the desk asks for the passphrase there.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw pin
  sgw pin --pin-file ~/.sgw-pin
  sgw pin --clear")]
pub struct Pin {
    /// Read the PIN from this file, which nobody else may read (-: standard input)
    /// [default: ask for it]
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Take the PIN away
    #[arg(long, conflicts_with = "pin_file")]
    clear: bool,
    #[command(flatten)]
    proof: Proof,
}

impl Run for Pin {
    fn run(self, context: &Context) -> Outcome {
        let set: Value = context.interactive(async {
            let given = self.pin_file.as_deref().map(read).transpose()?;
            if given.is_none() && !self.clear {
                self.proof.can_ask(context, "the PIN")?;
            }
            let mut connection = self.proof.open(context).await?.connect().await?;
            let pin = match (given, self.clear) {
                (Some(pin), _) => Some(pin),
                (None, true) => None,
                (None, false) => Some(ask(context).await?),
            };
            Ok(send(&mut connection, pin.as_ref()).await?)
        })?;
        let word = if self.clear { "the PIN is gone" } else { "the PIN is set" };
        context.ui.result(&set, || word.to_owned());
        Ok(Exit::DONE)
    }
}

/// A PIN from a file that nobody else may read.
pub fn read(path: &std::path::Path) -> Result<Secret<String>, Failure> {
    checked(proof::read(path)?)
}

/// Asks for a new PIN, twice.
pub async fn ask(context: &Context) -> Result<Secret<String>, Stop> {
    let judge = |chosen: &Secret<String>| {
        pin::judge(chosen.expose().as_bytes()).map_err(|weak| format!("{weak}."))
    };
    prompt::new_password(context.ui, "PIN", "Once more", judge).await
}

fn checked(pin: Secret<String>) -> Result<Secret<String>, Failure> {
    match pin::judge(pin.expose().as_bytes()) {
        Ok(()) => Ok(pin),
        Err(weak) => {
            Err(Failure::new(Code::OperatorPassphrase, weak.to_string(), "sgw pin --help"))
        }
    }
}

async fn send(connection: &mut Connection, pin: Option<&Secret<String>>) -> Result<Value, Error> {
    const NUMBER: u32 = 1;
    if let Some(pin) = pin {
        connection.send_secret(0, NUMBER, pin.expose().as_bytes()).await?;
    }
    connection.call(&Request::SetPin { secret: pin.map(|_| NUMBER) }).await
}
