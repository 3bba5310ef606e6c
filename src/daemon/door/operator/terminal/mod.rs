//! The operator at a terminal, or beside it: `attach` and `watch`. What is drawn comes from the
//! daemon's model of the terminal, never from the server.

mod attach;
mod draw;
mod keys;
mod many;
mod watch;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use self::keys::Keys;
pub use self::{attach::How, keys::Key};
use super::Operator;
use crate::{
    daemon::{
        door::link::Gone,
        session::{Session, keyboard::Keyboard},
    },
    domain::{control::Control, id::Id},
    protocol::{
        error::{Code, Failure},
        operator::{Event, Request},
        view,
    },
};

/// What only time ends (a handoff's expiry) wakes nobody: it is looked for so often.
const ROUND: Duration = Duration::from_secs(1);
/// Between what several handoffs ask.
const ALSO: &str = "; and: ";

/// What a connection streams: one thing at a time.
#[derive(Default)]
pub struct Streams(Mutex<Option<Arc<Stream>>>);

/// An `attach`, a `watch` or a `subscribe`, as the connection's reader sees it.
pub struct Stream {
    pub number: u32,
    pub cancel: CancellationToken,
    /// Where what is typed goes; only `attach` takes any.
    pub keys: Option<Keys>,
}

/// Frees the connection for another stream.
pub struct Open {
    streams: Arc<Streams>,
    pub stream: Arc<Stream>,
}

impl Streams {
    /// The stream that a request asks for, if it asks for one: at once, so that keys that come behind
    /// it have a place.
    pub fn of(self: &Arc<Self>, number: u32, request: &Request) -> Result<Option<Open>, Failure> {
        match request {
            Request::Attach { .. } => self.open(number, Some(Keys::default())).map(Some),
            Request::Watch { .. } | Request::Subscribe {} => self.open(number, None).map(Some),
            _ => Ok(None),
        }
    }

    fn open(self: &Arc<Self>, number: u32, keys: Option<Keys>) -> Result<Open, Failure> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_some() {
            return Err(Failure::new(
                Code::LimitStreams,
                "a connection carries one stream",
                "open another connection",
            ));
        }
        let stream = Arc::new(Stream { number, cancel: CancellationToken::new(), keys });
        *current = Some(stream.clone());
        drop(current);
        Ok(Open { streams: self.clone(), stream })
    }

    pub fn current(&self) -> Option<Arc<Stream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one whose request has this number ends.
    pub fn cancel(&self, number: u32) {
        if let Some(stream) = self.current().filter(|stream| stream.number == number) {
            stream.cancel.cancel();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        *self.streams.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Operator {
    /// Tells who has the keyboard, now and at each change, until the agent has it where `until_agents`.
    async fn tell_control(
        &self,
        number: u32,
        session: &Session,
        until_agents: bool,
    ) -> Result<(), Gone> {
        let mut changes = session.keyboard.changes();
        let mut desk = self.parts.desk.changes();
        let mut told = None;
        loop {
            desk.mark_unchanged();
            let control = *changes.borrow_and_update();
            let now = Some((control, self.asked_of_me(session)));
            if told != now {
                let message = now.as_ref().and_then(|(_, message)| message.clone());
                let event = control_event(session, control, message);
                self.outbox.json(number, &event).await?;
                told = now;
            }
            if until_agents && control.is_agents() {
                return Ok(());
            }
            // The senders are the keyboard, which the session holds, and the daemon's.
            tokio::select! {
                _there = changes.changed() => {}
                _there = desk.changed() => {}
                () = tokio::time::sleep(ROUND) => {}
            }
        }
    }

    /// What the handoffs that wait for this keyboard ask, oldest first.
    fn asked_of_me(&self, session: &Session) -> Option<String> {
        let parts = &self.parts;
        let shown = |id: &Id| parts.desk.show(id.as_str(), None, |id| parts.session_shown(id)).ok();
        let asked = parts.handoffs_at(session);
        let asked: Vec<_> = asked.iter().filter_map(|id| shown(id)?.reason).collect();
        (!asked.is_empty()).then(|| asked.join(ALSO))
    }
}

fn control_event(session: &Session, control: Control, message: Option<String>) -> Event {
    Event::Control {
        session: session.id.to_string(),
        control: shown(control),
        private: control.is_private(),
        message,
    }
}

fn shown(control: Control) -> view::Control {
    match control.is_agents() {
        true => view::Control::Agent,
        false => view::Control::Operator,
    }
}

fn shown_now(keyboard: &Keyboard) -> view::Control {
    shown(keyboard.control())
}
