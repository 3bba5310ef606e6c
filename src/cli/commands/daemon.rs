//! `sgw daemon`: what `unlock` starts, seen from outside, or in the foreground.

use std::{ffi::OsString, process::ExitCode};

use crate::{
    cli::{
        Context, Outcome, Run,
        proof::Proof,
        ui::{Ui, exit::Exit},
        views,
    },
    client::{self, Error, group, launch},
    protocol::{
        error::{Code, Failure},
        handover::Start,
        operator, view,
    },
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
        /// As a service of the machine, with the sockets that systemd hands over; the operator unlocks it
        #[arg(long)]
        service: bool,
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
            // By itself alone, and before anything else: see `how_started`.
            What::Run { service: true, .. } => {
                let message = "--service goes with no other flag";
                Err(Failure::new(Code::UsageArguments, message, "sgw daemon run --service").into())
            }
            What::Run { proof, .. } => super::unlock::in_foreground(context, &proof),
            What::Status { .. } => status(context),
        }
    }
}

fn status(context: &Context) -> Outcome {
    let place = context.place()?;
    let home = place.path().display().to_string();
    let mode = match place.service() {
        Some(_) => view::Running::Service,
        None => view::Running::Personal,
    };
    let status = context.block_on(async {
        let asked = match place.service() {
            // It answers without its key, too.
            Some(_) => client::service::status(&place).await,
            None => context.ask(&operator::Request::Status {}).await,
        };
        match asked {
            Err(
                Error::Locked
                | Error::NotSetUp
                | Error::Down
                | Error::Home(crate::home::HomeError::Missing(_)),
            ) => Ok(view::DaemonStatus {
                running: false,
                pid: None,
                version: None,
                uptime_s: None,
                sessions: None,
                connections: None,
                home,
                mode,
                unlocked: false,
            }),
            status => status,
        }
    })?;
    context.ui.result(&status, || views::daemon(&status));
    Ok(Exit::DONE)
}

/// How this process is to be the daemon, where it is.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// `unlock` started it.
    Handed,
    /// systemd did.
    Service,
}

pub fn how_started(args: &[OsString]) -> Option<How> {
    let is = |flag: &str| args.iter().skip(1).eq(["daemon", "run", flag].iter());
    match () {
        () if is(launch::KEY_ON_STDIN) => Some(How::Handed),
        () if is("--service") => Some(How::Service),
        () => None,
    }
}

pub fn start(daemon: crate::cli::Daemon, how: How) -> ExitCode {
    if group::renounce().is_err() {
        return ExitCode::FAILURE;
    }
    let start = match how {
        How::Handed => launch::inherited().map(Start::Handed),
        How::Service => Ok(Start::Service),
    };
    // Whoever started it waits for a word, and gets the end of the socket.
    let Ok(start) = start else { return ExitCode::FAILURE };
    daemon(start).unwrap_or_else(|failure| {
        // To the journal.
        Ui::new(false, false).failure(&failure);
        ExitCode::FAILURE
    })
}
