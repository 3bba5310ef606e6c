//! `sgw signal`: sends a signal to a running command, or to what runs in a terminal.

use serde_json::Value;

use crate::{
    cli::{Context, Outcome, Run, ui::exit::Exit, views},
    protocol::agent,
};

/// Send a signal to a running command, or to what runs in a session's terminal
///
/// To a command: INT, TERM, QUIT, HUP and KILL end it: every process that it started gets TERM, and KILL where it is
/// still there two seconds later. TSTP, CONT, USR1 and USR2 are passed on by the server; EOF closes its
/// standard input. To a terminal: INT, QUIT, TSTP and EOF are typed (ctrl-c, ctrl-\, ctrl-z, ctrl-d); the others go to
/// the program in the foreground.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw signal x-9fd INT
  sgw signal x-9fd KILL
  sgw signal s-4fk INT")]
pub struct Signal {
    /// Which command, x-…, or whose terminal: a session
    #[arg(value_name = "ID", add = super::completions::ids("any"))]
    id: String,
    /// Which signal
    #[arg(value_name = "SIGNAL", ignore_case = true,
        value_parser = ["INT", "TERM", "QUIT", "HUP", "KILL", "TSTP", "CONT", "USR1", "USR2", "EOF"])]
    signal: String,
}

impl Run for Signal {
    fn run(self, context: &Context) -> Outcome {
        let signal = self.signal.to_ascii_uppercase();
        let request = agent::Request::Signal { id: self.id, signal: signal.clone() };
        let sent: Value =
            context.block_on(async { context.agent().await?.call(&request).await })?;
        context.ui.result(&sent, || views::signalled(&signal, &sent));
        Ok(Exit::DONE)
    }
}
