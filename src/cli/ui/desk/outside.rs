//! What the desk leaves its screen for, and comes back from: questions on the way to a yes, and the
//! keyboard of a session.

use std::{cell::Cell, rc::Rc};

use super::{calls::told, words};
use crate::{
    cli::{
        Context, Stop,
        approval::Approval,
        attach::{self, How},
        ui::{
            prompt,
            terminal::{Tty, escape::Escape},
        },
        views, watch,
    },
    client::{Connection, operator::Proven},
    domain::escape::exact,
    protocol::{
        error::{Code, Failure},
        operator::Request,
        view::{Control, Decided, Session, Thing},
    },
};

/// Gives access, or logs in: shows it all once more, and asks what is left to ask.
pub async fn give(
    context: &Context,
    approval: Box<Approval<'_>>,
    mut connection: Connection,
) -> Result<Decided, Failure> {
    context.ui.say(&approval.text());
    match approval.give(&mut connection).await {
        Ok(decided) => {
            context.ui.say(&views::decided(&decided));
            Ok(decided)
        }
        Err(stop) => {
            let broken_off = matches!(stop, Stop::Exit(_));
            let failure = told(stop);
            if !broken_off {
                stay(context, &failure).await;
            }
            Err(failure)
        }
    }
}

/// The failure stays in sight until the person goes on.
async fn stay(context: &Context, failure: &Failure) {
    context.ui.failure_text(failure);
    // Without an answer the desk comes back all the same.
    let _ = prompt::line("Enter goes back to the desk", true).await;
}

/// The keyboard of a session, until it is given back or left.
pub async fn attach(proven: Rc<Proven>, session: String) -> String {
    let attached = async {
        let tty = Tty::find("attach")?;
        let (connection, session) = find(&proven, session).await?;
        let how = How { fresh: false, private: None, take: false, escape: Escape::default() };
        let end = attach::run(connection, tty, &session, how, &Cell::default()).await?;
        Ok((session.id, end))
    };
    let (id, end) = match attached.await {
        Ok(attached) => attached,
        Err(stop) => return words::failure(&told(stop)),
    };
    let id = exact(id.as_bytes(), 20);
    let agents = end.attached.is_some_and(|attached| attached.control == Control::Agent);
    match end.returned {
        Some(_) => format!("{id} is the agent's again"),
        None if end.closed => format!("{id} is closed"),
        None if agents => format!("{id} is the agent's"),
        None => format!("you have the keyboard of {id}; sgw return {id} gives it back"),
    }
}

/// A session as it goes on, without its keyboard.
pub async fn watch(proven: Rc<Proven>, session: String) -> String {
    let watched = async {
        let tty = Tty::find("watch")?;
        let (connection, session) = find(&proven, session).await?;
        let id = session.id.clone();
        let thing = Thing::Session(Box::new(session));
        let end = watch::in_window(connection, tty, &thing, &id).await?;
        Ok((id, end))
    };
    match watched.await {
        Ok((id, watch::End::Over)) => format!("{} has ended", exact(id.as_bytes(), 20)),
        Ok(_) => String::new(),
        Err(stop) => words::failure(&told(stop)),
    }
}

async fn find(proven: &Proven, id: String) -> Result<(Connection, Session), Stop> {
    let mut connection = proven.connect().await?;
    match connection.call(&Request::Show { id }).await? {
        Thing::Session(session) => Ok((connection, *session)),
        _ => {
            let message = "only a session has a keyboard";
            Err(Failure::new(Code::UsageId, message, "sgw sessions --all").into())
        }
    }
}
