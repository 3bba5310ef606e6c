//! `attach`: the operator takes the keyboard and sits at the session's terminal, or at a fresh one.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Open,
    draw::Canvas,
    keys::{Full, Key, Keys},
    shown_now,
};
use crate::{
    daemon::{
        Parts,
        door::{
            agent::ending,
            link::{Gone, to_its_end, value},
            operator::Operator,
        },
        session::{Session, keyboard::Seat, pty::Pty},
    },
    domain::terminal::Size,
    protocol::{
        agent::Message,
        error::{Code, Failure},
        view::{self, Attached},
    },
};

/// A fresh terminal gets so long to end.
const ENDS: Duration = Duration::from_secs(10);

/// How to attach.
pub struct How {
    pub fresh: bool,
    pub rows: u16,
    pub columns: u16,
    pub private: Option<bool>,
    pub take: bool,
}

/// Why an attachment ended.
enum Left {
    /// The keyboard is the agent's again.
    Returned,
    /// The operator left, and keeps it.
    Cancelled,
    /// The terminal has ended.
    Ended,
}

/// A terminal that only this attachment knows ends with it.
struct Fresh(Option<Arc<Pty>>);

impl Operator {
    /// Takes the keyboard and stays at it until it is returned, the terminal ends, or the client goes.
    /// Control stays with the operator but for the first.
    pub(in crate::daemon::door::operator) async fn attach(
        &self,
        open: &Open,
        word: &str,
        how: How,
    ) -> Result<serde_json::Value, Failure> {
        let number = open.stream.number;
        let size = read_size(how.rows, how.columns)?;
        let session = self.parts.sessions.to_see(word, None)?;
        if let Some(why) = session.over() {
            return Err(why.about(&session.id));
        }
        let (parts, taken) = (self.parts.clone(), session.clone());
        let taking = async move { sit_down(&parts, &taken, &how, size).await };
        let (seat, pty, fresh) = to_its_end(taking).await?;
        let Some(keys) = &open.stream.keys else { return Ok(serde_json::Value::Null) };
        let mut canvas = Canvas::new(&self.outbox, number, &session.id);
        let left = tokio::select! {
            biased;
            // Its terminals end too: that is not what is told.
            () = self.parts.end.cancelled() => return Err(ending()),
            () = open.stream.cancel.cancelled() => Ok(Left::Cancelled),
            () = seat.lost() => return Err(unseated(&session)),
            told = self.tell_control(number, &session, true) => told.map(|()| Left::Returned),
            drawn = canvas.follow(pty.drawn(), || pty.operator_screen()) => drawn.map(|()| Left::Ended),
            Err(gone) = self.type_keys(number, &session, &pty, keys) => Err(gone),
        };
        drop((seat, fresh));
        // A client that is gone hears nothing.
        let ended = matches!(left.map_err(|_: Gone| gone())?, Left::Ended);
        if let Some(why) = pty.why().filter(|_| ended) {
            return Err(why.about(&session.id));
        }
        value(&Attached {
            id: session.id.to_string(),
            kind: view::Kind::Session,
            control: shown_now(&session.keyboard),
            ended,
        })
    }

    /// Types what comes, and does what was said between, in that order. Ends with the client.
    async fn type_keys(
        &self,
        number: u32,
        session: &Session,
        pty: &Arc<Pty>,
        keys: &Keys,
    ) -> Result<(), Gone> {
        loop {
            match keys.next().await {
                Key::Typed(typed) => {
                    // What is typed where a password is asked for is kept nowhere, whoever has said
                    // so. A terminal that has ended is told by its end.
                    let set = match pty.asks_operator_for_secret() {
                        true => self.parts.sessions.set_private(session, true).await,
                        false => Ok(()),
                    };
                    let done = match set {
                        Ok(()) => type_out(pty.clone(), session, typed).await,
                        Err(failure) => Err(failure),
                    };
                    if let Err(failure) = done
                        && failure.code != Code::SessionLost
                    {
                        let text = format!("nothing was typed: {}", failure.message);
                        self.outbox.json(number, &Message::Note { text }).await?;
                    }
                }
                Key::Private { number, on } => {
                    let set = self.parts.sessions.set_private(session, on).await;
                    self.outbox.answer(number, set.map(|()| serde_json::Value::Null)).await?;
                }
                Key::Resize { number, rows, columns } => {
                    let resized = match read_size(rows, columns) {
                        Ok(size) => pty.resize(size.rows.get(), size.columns.get()).await,
                        Err(failure) => Err(failure),
                    };
                    self.outbox.answer(number, resized.map(|()| serde_json::Value::Null)).await?;
                }
            }
        }
    }

    /// A frame of keys: to whoever is attached on this connection.
    pub(in crate::daemon::door::operator) async fn typed(&self, request: u32, typed: Vec<u8>) {
        let Some(stream) = self.streams.current().filter(|stream| stream.number == request) else {
            // It has just ended.
            return;
        };
        let size = typed.len();
        if let Some(Err(Full)) = stream.keys.as_ref().map(|keys| keys.push(Key::Typed(typed))) {
            let text = format!("the terminal takes no input: {size} bytes were dropped");
            let _gone = self.outbox.json(request, &Message::Note { text }).await;
        }
    }

    /// A word for the attached terminal, after what was typed before it. It is answered there.
    pub(in crate::daemon::door::operator) fn say_at_keyboard(
        &self,
        word: Key,
    ) -> Result<(), Failure> {
        let stream = self.streams.current();
        let keys = stream.as_ref().and_then(|stream| stream.keys.as_ref());
        let keys = keys.ok_or_else(|| {
            Failure::new(
                Code::UsageArguments,
                "nothing is attached on this connection",
                "sgw attach SESSION",
            )
        })?;
        keys.push(word).map_err(|Full| {
            Failure::new(
                Code::LimitStreams,
                "the terminal takes no input, and too much waits for it",
                "leave it: Enter ~ .",
            )
        })
    }
}

/// What is on record is typed, also where the window is closed meanwhile, as long as the operator has
/// the keyboard.
async fn type_out(pty: Arc<Pty>, session: &Session, typed: Vec<u8>) -> Result<(), Failure> {
    let keyboard = session.keyboard.clone();
    to_its_end(async move {
        tokio::select! {
            biased;
            () = keyboard.agents() => Ok(()),
            done = pty.type_as_operator(&typed) => done,
        }
    })
    .await
}

/// Takes the keyboard, opens the terminal, and makes it private where that is due. A keyboard that was
/// taken for a terminal that can't be had is given back.
async fn sit_down(
    parts: &Arc<Parts>,
    session: &Arc<Session>,
    how: &How,
    size: Size,
) -> Result<(Seat, Arc<Pty>, Fresh), Failure> {
    let was_agents = session.keyboard.control().is_agents();
    // Taken back meanwhile is as good: an agent must not choose by that what it sees.
    let handed_over =
        session.keyboard.lately_handed_over() || !parts.handoffs_at(session).is_empty();
    let seat = parts.sessions.take_seat(session, how.fresh, how.take).await?;
    let opened = match how.fresh {
        true => parts.sessions.fresh_pty(session).await,
        false => parts.sessions.pty(session).await,
    };
    let pty = match opened {
        Ok(pty) => pty,
        Err(failure) => {
            drop(seat);
            if was_agents {
                parts.give_back(session, None).await?;
            }
            return Err(failure);
        }
    };
    let fresh = Fresh(how.fresh.then(|| pty.clone()));
    // Echo can't be seen from here: a guess.
    let secret = || pty.asks_operator_for_secret();
    let private = how.private.unwrap_or_else(|| {
        how.fresh || handed_over || session.keyboard.control().is_private() || secret()
    });
    let anew = !pty.is_hidden();
    parts.sessions.set_private(session, private).await?;
    pty.resize(size.rows.get(), size.columns.get()).await?;
    if !how.fresh {
        pty.look_before(anew).await;
    }
    Ok((seat, pty, fresh))
}

fn read_size(rows: u16, columns: u16) -> Result<Size, Failure> {
    Size::new(rows, columns).map_err(|error| {
        let hint = "make the terminal's window smaller, or larger than nothing";
        Failure::new(Code::UsageArguments, error.to_string(), hint)
    })
}

fn unseated(session: &Session) -> Failure {
    let hint = format!("sgw attach {} --take takes it back", session.id);
    Failure::new(Code::ControlOperator, "another of your terminals has taken this seat", hint)
        .about(&session.id)
}

fn gone() -> Failure {
    Failure::new(Code::DaemonLost, "the client is gone", "sgw attach SESSION")
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(pty) = self.0.take() {
            pty.close();
            tokio::spawn(async move { timeout(ENDS, pty.ended()).await });
        }
    }
}
