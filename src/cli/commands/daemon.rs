//! `sgw daemon`: what `unlock` starts, seen from outside, or in the foreground.

use std::{ffi::OsString, process::ExitCode};

use crate::{
    cli::{Context, Outcome, Run, proof::Proof, ui::exit::Exit, views},
    client::{Error, launch},
    protocol::{operator, view},
};

/// Look at the daemon, or run it in the foreground
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw daemon status --json
  sgw daemon run --passphrase-file /run/keys/sgw")]
pub struct Daemon {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Unlock, and stay until the daemon ends (for a supervisor); Ctrl-C locks
    #[command(after_help = "\
Examples:
  sgw daemon run --passphrase-file /run/keys/sgw")]
    Run {
        #[command(flatten)]
        proof: Proof,
        /// The key comes over standard input: how `unlock` starts it
        #[arg(long, hide = true)]
        key_on_stdin: bool,
    },
    /// Say whether it runs, since when, and what it holds (always succeeds)
    #[command(after_help = "\
Examples:
  sgw daemon status
  sgw daemon status --json")]
    Status {
        #[command(flatten)]
        proof: crate::cli::proof::Unneeded,
    },
}

impl Run for Daemon {
    fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::Run { proof, .. } => super::unlock::in_foreground(context, &proof),
            What::Status { .. } => status(context),
        }
    }
}

fn status(context: &Context) -> Outcome {
    let home = context.place().map(|place| place.path().display().to_string())?;
    let status = context.block_on(async {
        match context.ask(&operator::Request::Status {}).await {
            Err(
                Error::Locked | Error::NotSetUp | Error::Home(crate::home::HomeError::Missing(_)),
            ) => Ok(view::DaemonStatus {
                running: false,
                pid: None,
                version: None,
                uptime_s: None,
                sessions: None,
                connections: None,
                home,
            }),
            status => status,
        }
    })?;
    context.ui.result(&status, || views::daemon(&status));
    Ok(Exit::DONE)
}

/// Whether this process is the daemon that `unlock` starts.
pub fn is_start(args: &[OsString]) -> bool {
    args.len() == 4 && args.iter().skip(1).eq(["daemon", "run", launch::KEY_ON_STDIN].iter())
}

pub fn start(daemon: crate::cli::Daemon) -> ExitCode {
    match launch::inherited() {
        Ok(socket) => daemon(socket),
        // Whoever started it waits for a word, and gets the end of the socket.
        Err(_) => ExitCode::FAILURE,
    }
}
