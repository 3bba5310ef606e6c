//! Who has the keyboard of everything that one identity has on one target: asked at each write.

mod hold;
#[cfg(test)]
mod tests;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use self::hold::Hold;
pub use self::hold::{GivenBack, Held, Seat, agents_already};
use crate::{
    domain::{control::Control, id::Id},
    protocol::error::{Code, Failure},
};

/// How long a write that was told to stop may take to do so.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shared by all sessions of one identity on one target.
///
/// An agent's write is a [`Turn`]: taking the keyboard admits no further one, stops those that wait
/// for something, and is complete when none is left.
pub struct Keyboard {
    state: Mutex<State>,
    control: watch::Sender<Control>,
    /// Woken when the last turn has ended.
    idle: Notify,
    /// Woken when a seat was taken from whoever sat there.
    unseated: Notify,
    /// Held while control changes hands, with the record that is written of it.
    pub(super) changing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    turns: usize,
    /// Set while the operator has it.
    hold: Option<Hold>,
    /// How it was held last; none while it is.
    last: Option<Held>,
    /// When the agent gave it away last; none once the operator has come for it and given it back.
    handed_over: Option<Instant>,
    /// How many have sat down so far.
    seats: u64,
}

/// An agent's write in progress.
#[must_use = "what is written after it has ended is not covered by it"]
pub struct Turn<'k>(&'k Keyboard);

impl Default for Keyboard {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            control: watch::Sender::new(Control::Agent),
            idle: Notify::new(),
            unseated: Notify::new(),
            changing: tokio::sync::Mutex::default(),
        }
    }
}

impl Keyboard {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn control(&self) -> Control {
        *self.control.borrow()
    }

    /// Each change of control, from now on.
    pub fn changes(&self) -> watch::Receiver<Control> {
        self.control.subscribe()
    }

    /// Comes when the operator has it.
    pub async fn taken(&self) {
        let mut changes = self.changes();
        // Its sender is here, so that it can't be gone.
        let _there = changes.wait_for(|control| !control.is_agents()).await;
    }

    /// Comes when the operator has it and is private.
    pub async fn private(&self) {
        let mut changes = self.changes();
        let _there = changes.wait_for(|control| control.is_private()).await;
    }

    /// Comes when the agent has it.
    pub async fn agents(&self) {
        let mut changes = self.changes();
        let _there = changes.wait_for(|control| control.is_agents()).await;
    }

    /// Refuses what an agent does while the operator has the keyboard. It says nothing of the next
    /// moment: what writes takes a [`Turn`].
    pub fn check_agent(&self, session: &Id) -> Result<(), Failure> {
        if self.control().is_agents() { Ok(()) } else { Err(taken(session)) }
    }

    /// Begins a write of the agent's that ends in no time.
    pub fn turn(&self, session: &Id) -> Result<Turn<'_>, Failure> {
        let mut state = self.lock();
        if state.hold.is_some() {
            return Err(taken(session));
        }
        state.turns += 1;
        Ok(Turn(self))
    }

    /// Performs a write of the agent's. Where the keyboard is taken meanwhile, `writing` is dropped
    /// where it waits: what it has not sent by then is not sent.
    pub async fn write<T>(
        &self,
        session: &Id,
        writing: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let turn = self.turn(session)?;
        let written = tokio::select! {
            biased;
            () = self.taken() => Err(taken(session)),
            written = writing => Ok(written),
        };
        // Here, not before: `writing` is no more.
        drop(turn);
        written
    }

    /// Comes when no write of the agent's is in progress.
    async fn idle(&self) -> Result<(), Failure> {
        let idle = async {
            loop {
                let ended = self.idle.notified();
                tokio::pin!(ended);
                ended.as_mut().enable();
                if self.lock().turns == 0 {
                    return;
                }
                ended.await;
            }
        };
        tokio::time::timeout(PATIENCE, idle).await.map_err(|_| {
            Failure::new(
                Code::DaemonFailed,
                "the keyboard is the operator's, but a write of the agent's goes on",
                "sgw lock ends everything",
            )
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.turns -= 1;
        if state.turns == 0 {
            drop(state);
            self.0.idle.notify_waiters();
        }
    }
}

/// What an agent hears while the operator has the keyboard.
pub fn taken(session: &Id) -> Failure {
    Failure::new(
        Code::ControlOperator,
        "the operator has the keyboard",
        format!("don't repeat it; wait until it comes back: sgw wait {session}"),
    )
    .about(session)
}
