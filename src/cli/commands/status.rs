//! `sgw status`, and `sgw` alone: where things stand, in ten lines at most.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::{
    cli::{Context, Outcome, Run, ui::exit::Exit, views},
    protocol::{
        agent,
        error::{Code, Failure},
        view,
    },
};

/// Show who you are, your sessions, what runs, what waits, and the next command
///
/// `sgw` alone is the same. It succeeds where sgw is locked, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw
  sgw status --json
  sgw --line")]
pub struct Status {
    /// One short line, for a status bar
    #[arg(long)]
    line: bool,
}

/// `sgw --line`.
pub fn line_flag(root: Command) -> Command {
    let about = "Without a command: one short line, for a status bar";
    root.arg(Arg::new("line").long("line").action(ArgAction::SetTrue).help(about))
}

pub fn alone(matches: &ArgMatches, context: &Context) -> Outcome {
    Status { line: matches.get_flag("line") }.run(context)
}

impl Run for Status {
    fn run(self, context: &Context) -> Outcome {
        let service = context.place().is_ok_and(|place| place.service().is_some());
        let asked = context
            .block_on(async { context.agent().await?.call(&agent::Request::Status {}).await });
        let (mut status, why_not) = match asked {
            Ok(status) => (status, ""),
            Err(failure) if failure.code == Code::OperatorNone => {
                (not_there(failure)?, "not set up")
            }
            Err(failure) => (not_there(failure)?, "locked"),
        };
        if service {
            status.mode = view::Running::Service;
        }
        context.ui.result(&status, || match (status.unlocked, self.line) {
            (true, true) => views::status_line(&status),
            (true, false) => views::status(&status),
            (false, true) => format!("sgw: {why_not}"),
            (false, false) => views::not_there(&status, why_not),
        });
        Ok(Exit::DONE)
    }
}

/// No daemon is a state like others, not a failure.
fn not_there(failure: Failure) -> Result<view::Status, Failure> {
    match failure.code {
        // One that ends at this moment is as good as gone.
        Code::DaemonUnreachable | Code::DaemonLost | Code::OperatorNone => Ok(view::Status {
            unlocked: false,
            identity: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sessions: Vec::new(),
            requests: Vec::new(),
            standing: Vec::new(),
            paused: false,
            notes: Vec::new(),
            mode: view::Running::Personal,
            hint: failure.hint,
        }),
        _ => Err(failure),
    }
}
