//! Who has the keyboard of everything that one identity has on one target: asked at each write.

use tokio::sync::watch;

use crate::{
    domain::{control::Control, id::Id},
    protocol::error::{Code, Failure},
};

/// Shared by all sessions of one identity on one target.
pub struct Keyboard {
    control: watch::Sender<Control>,
}

impl Default for Keyboard {
    fn default() -> Self {
        Self { control: watch::Sender::new(Control::Agent) }
    }
}

impl Keyboard {
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

    /// Refuses what an agent does while the operator has the keyboard.
    pub fn check_agent(&self, session: &Id) -> Result<(), Failure> {
        if self.control().is_agents() { Ok(()) } else { Err(taken(session)) }
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
