//! The time in which the operator has the keyboard: how it began, who sits at it, how it ends.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::Keyboard;
use crate::{
    domain::{control::Control, id::Id},
    protocol::error::{Code, Failure},
};

/// A handoff that ended without an answer may be why the operator comes, for so long.
const LATELY: Duration = Duration::from_secs(10 * 60);

/// The operator has it.
pub(super) struct Hold {
    since: Instant,
    private: bool,
    /// Some of it was private.
    was_private: bool,
    /// The operator has sat down at it: from then on only they give it back.
    came: bool,
    /// The seat that is taken now.
    seat: Option<u64>,
}

/// A hold that is over, as it is told to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub how: GivenBack,
    /// What the operator said.
    pub word: Option<String>,
    /// An agent's call has told of it.
    told: bool,
}

/// How a hold ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenBack {
    pub lasted: Duration,
    pub was_private: bool,
}

/// The operator sits at the keyboard, until this is dropped.
pub struct Seat {
    keyboard: Arc<Keyboard>,
    number: u64,
}

impl Keyboard {
    /// Takes it: from here on no write of an agent begins. Returns when none is in progress any more.
    ///
    /// # Errors
    /// A write did not stop in time. The keyboard is taken all the same.
    pub async fn take(&self) -> Result<(), Failure> {
        self.hold(false);
        self.idle().await
    }

    /// The same for the operator, who has come for it: also where a write does not stop in time, only
    /// they give it back.
    pub async fn take_in_person(&self) -> Result<(), Failure> {
        self.hold(true);
        self.idle().await
    }

    fn hold(&self, came: bool) {
        let mut state = self.lock();
        if !came {
            state.handed_over = Some(Instant::now());
        }
        if let Some(hold) = &mut state.hold {
            hold.came |= came;
            return;
        }
        let (since, seat) = (Instant::now(), None);
        state.hold = Some(Hold { since, private: false, was_private: false, came, seat });
        state.last = None;
        self.control.send_replace(Control::Operator { private: false });
    }

    /// The operator sits down at a keyboard that is theirs; one at a time.
    pub fn sit_down(self: &Arc<Self>, session: &Id) -> Result<Seat, Failure> {
        let mut state = self.lock();
        state.seats += 1;
        let number = state.seats;
        match &mut state.hold {
            None => Err(agents_already(session)),
            Some(hold) if hold.seat.is_some() => Err(Failure::new(
                Code::ControlOperator,
                format!("another terminal is attached to what this agent has there ({session})"),
                format!("sit down here in its place: sgw attach {session} --take"),
            )
            .about(session)),
            Some(hold) => {
                (hold.seat, hold.came) = (Some(number), true);
                Ok(Seat { keyboard: self.clone(), number })
            }
        }
    }

    /// Takes the seat from whoever sits there, for another terminal of the operator's.
    pub fn clear_seat(&self) {
        if let Some(hold) = &mut self.lock().hold {
            hold.seat = None;
        }
        self.unseated.notify_waiters();
    }

    /// Whether a terminal is attached.
    pub fn is_attached(&self) -> bool {
        self.lock().hold.as_ref().is_some_and(|hold| hold.seat.is_some())
    }

    /// Whether the agent gave it away and nobody has come for it.
    pub fn only_handed_over(&self) -> bool {
        self.lock().hold.as_ref().is_some_and(|hold| !hold.came)
    }

    /// Whether the agent gave it away within the last minutes and nobody came for it, also where it has
    /// taken that back: whoever comes now may still come for that.
    pub fn lately_handed_over(&self) -> bool {
        self.lock().handed_over.is_some_and(|at| at.elapsed() < LATELY)
    }

    /// Private on or off, while the operator has it. False where nothing changes.
    pub fn set_private(&self, on: bool) -> bool {
        let mut state = self.lock();
        let Some(hold) = state.hold.as_mut().filter(|hold| hold.private != on) else {
            return false;
        };
        hold.private = on;
        hold.was_private |= on;
        self.control.send_replace(Control::Operator { private: on });
        true
    }

    /// How the hold would end now; none where the agent has it.
    pub fn held(&self) -> Option<GivenBack> {
        self.lock().hold.as_ref().map(Hold::given_back)
    }

    /// It is the agent's again; `word` is what the operator says.
    pub fn give_back(&self, word: Option<String>) {
        let mut state = self.lock();
        if let Some(hold) = state.hold.take() {
            if hold.came {
                state.handed_over = None;
            }
            state.last = Some(Held { how: hold.given_back(), word, told: !hold.came });
            self.control.send_replace(Control::Agent);
        }
    }

    /// How the operator had it last, since the agent has it again.
    pub fn last(&self) -> Option<Held> {
        self.lock().last.clone()
    }

    /// The same, for the first one who asks: the operator sat at it, and the agent was not told yet.
    pub fn news(&self) -> Option<Held> {
        let mut state = self.lock();
        let last = state.last.as_mut().filter(|last| !last.told)?;
        last.told = true;
        Some(last.clone())
    }
}

impl Hold {
    fn given_back(&self) -> GivenBack {
        GivenBack { lasted: self.since.elapsed(), was_private: self.was_private }
    }
}

impl Seat {
    /// Comes when another terminal of the operator's has taken it.
    pub async fn lost(&self) {
        loop {
            let unseated = self.keyboard.unseated.notified();
            tokio::pin!(unseated);
            unseated.as_mut().enable();
            let mine = Some(self.number);
            if self.keyboard.lock().hold.as_ref().is_some_and(|hold| hold.seat != mine) {
                return;
            }
            unseated.await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.keyboard.lock();
        if let Some(hold) = state.hold.as_mut().filter(|hold| hold.seat == Some(self.number)) {
            hold.seat = None;
        }
    }
}

/// `return` without control.
pub fn agents_already(session: &Id) -> Failure {
    Failure::new(
        Code::UsageArguments,
        format!("the agent has the keyboard of {session} already"),
        format!("sgw attach {session} takes it"),
    )
    .about(session)
}
