//! What people and agents type: arguments in, one result out. Each command is a file in [`commands`].

mod approval;
mod attach;
mod commands;
mod context;
mod doctor;
mod follow;
mod installation;
mod kept;
mod openssh;
mod pages;
mod person;
mod play;
mod proof;
pub mod resolve;
mod sandbox;
mod times;
pub mod ui;
mod usage;
mod values;
mod views;
mod watch;

use std::{ffi::OsString, process::ExitCode};

use clap::{ArgMatches, Args, Command, FromArgMatches};

use self::{
    commands::ENTRIES,
    context::{Context, Globals},
    ui::{
        Ui,
        exit::{self, Exit},
    },
};
use crate::{
    client::{Error, group},
    protocol::{error::Failure, handover::Start},
};

/// The daemon's entry point, which only `main` knows.
pub type Daemon = fn(Start) -> Result<ExitCode, Failure>;

/// How a command ends: a status, or a failure that is still to be told.
pub type Outcome = Result<Exit, Stop>;

/// Why a command stops early.
#[derive(Debug)]
pub enum Stop {
    /// Still to be told.
    Failure(Failure),
    /// The person broke it off, or it is told already.
    Exit(Exit),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failure(error.into())
    }
}

/// One command of the table.
pub struct Entry {
    pub name: &'static str,
    pub who: Who,
    pub define: fn(Command) -> Command,
    pub run: fn(&ArgMatches, &Context) -> Outcome,
}

/// Who types a command; the help lists them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Agent,
    Operator,
}

/// A command: its arguments, and what it does with them.
pub trait Run: Args + FromArgMatches {
    fn run(self, context: &Context) -> Outcome;
}

/// Parses, runs, and tells how it went.
pub fn main(daemon: Daemon) -> ExitCode {
    // Nothing below has the operator's group but where it connects to their socket.
    if group::lay_down().is_err() {
        return ExitCode::FAILURE;
    }
    if commands::completions::answers() {
        return ExitCode::SUCCESS;
    }
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(how) = commands::daemon::how_started(&args) {
        return commands::daemon::start(daemon, how);
    }
    ExitCode::from(run(args).0)
}

fn run(args: Vec<OsString>) -> Exit {
    let args = commands::exec::with_default_session(args);
    let owner = usage::owner(&args);
    let matches = match command(usage::only(&args)).try_get_matches_from(&args) {
        Ok(matches) => matches,
        Err(error) => return usage::tell(&error, &args, owner),
    };
    let globals = match Globals::from_arg_matches(&matches) {
        Ok(globals) => globals,
        Err(error) => return usage::tell(&error, &args, owner),
    };
    let ui = Ui::new(globals.json, globals.quiet);
    let context = Context { ui, globals };
    let outcome = match matches.subcommand() {
        None => commands::status::alone(&matches, &context),
        Some((name, matches)) => match ENTRIES.iter().find(|entry| entry.name == name) {
            Some(entry) => (entry.run)(matches, &context),
            None => Ok(Exit::FAILED),
        },
    };
    match outcome {
        Ok(exit) => exit,
        Err(Stop::Exit(exit)) => exit,
        Err(Stop::Failure(failure)) => {
            ui.failure(&failure);
            exit::of(failure.code.class(), owner)
        }
    }
}

/// The whole command line; with `only`, no command but that one, since building all of them would
/// take longer than running most.
pub fn command(only: Option<&str>) -> Command {
    let root = Command::new("sgw")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Secure gateway: AI agents use SSH servers without ever holding a credential")
        .long_about(usage::ABOUT)
        .disable_help_subcommand(true)
        .subcommand_value_name("COMMAND")
        .max_term_width(100);
    let mut root = commands::status::line_flag(Globals::augment_args(root));
    for entry in ENTRIES.iter().filter(|entry| only.is_none_or(|name| name == entry.name)) {
        root = root.subcommand((entry.define)(Command::new(entry.name)));
    }
    if only.is_none() { usage::list_commands(root) } else { root }
}
