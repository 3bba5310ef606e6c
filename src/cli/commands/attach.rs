//! `sgw attach`: the operator takes the keyboard of a session.

use std::cell::{Cell, RefCell};

use crate::{
    cli::{
        Context, Outcome, Run, Stop,
        attach::{self, End, How},
        proof::Proof,
        ui::{
            exit::Exit,
            terminal::{Tty, escape::Escape},
        },
        views,
    },
    client::Connection,
    protocol::{
        error::{Code, Failure},
        operator::Request,
        view::{self, Thing},
    },
};

/// Take the keyboard of a session: type into its terminal, and give it back with a word
///
/// While you have it, the agent can do nothing with that target. The last line of the window is
/// sgw's own, out of the server's reach: it says SHARED, or PRIVATE - the agent sees nothing. It is
/// private from the start where echo is off or the agent asked for help.
///
/// At the start of a line: ~. leaves (and asks: hand back, keep, close), ~p switches private, ~k
/// lists and ends what runs, ~? helps, ~~ types a tilde. sgw asks for no passphrase while attached.
/// Where the window is closed, or a signal ends it (status 128 and its number), the keyboard stays
/// yours: attach again, or sgw return. After kill -9 the terminal is as it was left: type `reset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw attach s-4fk
  sgw attach s-4fk --fresh         # a new, clean shell: for typing a password
  sgw attach s-4fk --escape ^]
  sgw attach s-4fk --take          # another window of yours has it, and hangs")]
pub struct Attach {
    /// A session: its id, its name, or its target
    #[arg(value_name = "SESSION", add = super::completions::ids("sessions"))]
    session: String,
    /// A new channel with a clean shell (env -i /bin/sh), not the terminal that the agent used
    #[arg(long)]
    fresh: bool,
    /// Private from the start: the agent sees nothing of it [default: where echo is off, or the
    /// agent asked]
    #[arg(long)]
    private: bool,
    /// Sit down here in place of another terminal of yours, whose window ends (one that hangs, or is
    /// out of reach); the keyboard stays yours
    #[arg(long)]
    take: bool,
    /// What begins a command to sgw at a line's start: a character, ^ and a letter, or none
    #[arg(long, value_name = "C", default_value = "~")]
    escape: Escape,
    #[command(flatten)]
    proof: Proof,
}

impl Run for Attach {
    fn run(self, context: &Context) -> Outcome {
        let tty = Tty::find("attach")?;
        let private = self.private.then_some(true);
        let how = How { fresh: self.fresh, private, take: self.take, escape: self.escape };
        let (id, taken) = (RefCell::default(), Cell::new(false));
        let outcome = context.interactive(async {
            let mut connection = self.proof.open(context).await?.connect().await?;
            let session = find(&mut connection, self.session).await?;
            id.replace(session.id.clone());
            let end = attach::run(connection, tty, &session, how, &taken).await?;
            Ok(tell(context, &session.id, &end))
        });
        // A signal ended this client, not the hold.
        if let Err(Stop::Exit(_)) = &outcome
            && taken.get()
        {
            kept(context, &id.borrow());
        }
        outcome
    }
}

fn kept(context: &Context, id: &str) {
    context.ui.note(&format!("you keep the keyboard of {id}; go on: sgw attach {id}"));
    context.ui.note(&format!("give it back: sgw return {id}"));
}

/// The session that the word means.
async fn find(connection: &mut Connection, word: String) -> Result<view::Session, Failure> {
    match connection.call(&Request::Show { id: word }).await? {
        Thing::Session(session) => Ok(*session),
        _ => {
            let message = "only a session has a keyboard";
            Err(Failure::new(Code::UsageId, message, "sgw sessions --all"))
        }
    }
}

/// Who has the keyboard now, and how to go on.
fn tell(context: &Context, id: &str, end: &End) -> Exit {
    // Ended by a signal that closed the window: 128 + SIGHUP.
    if end.window_gone {
        return Exit(129);
    }
    let ui = context.ui;
    if let Some(returned) = &end.returned {
        ui.result(returned, || views::given_back(returned));
        return Exit::DONE;
    }
    if let Some(attached) = &end.attached {
        ui.result(attached, String::new);
    }
    if end.closed {
        ui.note(&format!("{id} is closed"));
        return Exit::DONE;
    }
    match &end.attached {
        Some(attached) if attached.control == view::Control::Agent => {
            ui.note(&format!("the agent has the keyboard of {id}"));
        }
        Some(attached) if attached.ended => {
            ui.note(&format!("the terminal of {id} has ended; you keep the keyboard"));
            ui.note(&format!("give it back: sgw return {id}"));
        }
        Some(_) => kept(context, id),
        None => ui.note(&format!("the daemon has not said how it ended: sgw show {id}")),
    }
    Exit::DONE
}
