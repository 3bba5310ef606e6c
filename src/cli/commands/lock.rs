//! `sgw lock`: ends the daemon, and with it the key in its memory.

use serde_json::{Value, json};

use crate::{
    cli::{Context, Outcome, Run, ui::exit::Exit},
    client::Error,
    protocol::{error::Code, operator},
};

/// End the daemon: every session is closed, and the key leaves memory
///
/// It needs no passphrase. Where no daemon runs there is nothing to do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw lock")]
pub struct Lock {
    #[command(flatten)]
    proof: crate::cli::proof::Unneeded,
}

impl Run for Lock {
    fn run(self, context: &Context) -> Outcome {
        let did = context.block_on(async {
            let mut connection = match context.operator().await {
                Ok(connection) => connection,
                Err(Error::Locked) => return Ok(false),
                Err(error) if deaf(&error) => {
                    context.place()?.end_daemon().await?;
                    return Ok(true);
                }
                Err(error) => return Err(error),
            };
            match connection.call::<Value>(&operator::Request::Lock {}).await {
                // It ended before it could say so.
                Ok(_) | Err(Error::Lost) => {}
                Err(error) if deaf(&error) => context.place()?.end_daemon().await?,
                Err(error) => return Err(error),
            }
            // Locked is when it is gone: it holds the connection until then.
            while connection.read().await.is_ok() {}
            Ok(true)
        })?;
        let text = if did { "locked" } else { "locked already" };
        context.ui.result(&json!({ "locked": true, "was_running": did }), || text.to_owned());
        Ok(Exit::DONE)
    }
}

/// A daemon of another version, one that hangs, or one that others keep busy is ended by a signal.
fn deaf(error: &Error) -> bool {
    match error {
        Error::Silent => true,
        error if error.is_crowded() => true,
        Error::Told(failure) => failure.code == Code::DaemonVersion,
        _ => false,
    }
}
