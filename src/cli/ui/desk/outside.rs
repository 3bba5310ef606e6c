//! What the desk leaves its screen for, and comes back from: questions on the way to a yes, and the
//! keyboard of a session.

use std::rc::Rc;

use crate::{
    cli::{Context, Stop, approval::Approval, ui::prompt, views},
    client::{Connection, operator::Proven},
    protocol::{
        error::{Code, Failure},
        view::Decided,
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
            let failure = super::calls::told(stop);
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

/// The keyboard of a session, until it is given back.
pub async fn attach(_context: &Context, _proven: Rc<Proven>, session: String) -> String {
    not_yet(&session)
}

/// A session as it goes on, without its keyboard.
pub async fn watch(_context: &Context, _proven: Rc<Proven>, session: String) -> String {
    not_yet(&session)
}

fn not_yet(session: &str) -> String {
    let failure = Failure::new(Code::UsageFrame, format!("{session}: not offered yet"), "sgw");
    super::words::failure(&failure)
}
