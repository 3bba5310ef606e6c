//! Handoffs in the queue: the agent asks a person to the keyboard, and the keyboard's return answers.

use super::{Asker, Desk};
use crate::{
    domain::{
        action::{Action, Handoff},
        id::Id,
        request::WAITS,
    },
    protocol::{error::Failure, view::Returned},
};

impl Desk {
    /// Puts a handoff into the queue, or joins the one there with this message; another message is
    /// another request, and all of a keyboard are answered at once. The flag says whether it is new.
    pub fn ask_handoff(&self, asker: &Asker, handoff: Handoff) -> Result<(Id, bool), Failure> {
        let sameness = handoff.sameness(&asker.identity);
        // Nobody approves it, so that nothing has to be bound.
        let digest = |_: &Id, _| sameness;
        self.ask(asker, Action::Handoff(handoff), None, WAITS, sameness, digest)
    }

    /// The handoffs that wait in the sessions that `of` picks.
    pub fn handoffs(&self, of: impl Fn(&Id) -> bool) -> Vec<Id> {
        let now = (self.now)();
        let mut queue = self.queue();
        let mut ids = queue.all(now, |entry| match &entry.request.action {
            Action::Handoff(handoff) => of(&handoff.session),
            _ => false,
        });
        ids.retain(|id| queue.get(id).is_some_and(|entry| entry.request.is_pending(now)));
        ids
    }

    /// Answers a handoff: the keyboard is the agent's again. Kept for whoever asks later.
    pub fn handed_back(&self, id: &Id, returned: &Returned) {
        let now = (self.now)();
        let answered = self.entry(id, None, |entry| {
            let digest = entry.request.digest;
            if entry.request.approve(&digest, now).is_err() {
                return false;
            }
            let spent = entry.request.spend(now).is_ok();
            entry.returned = Some(Returned { id: id.to_string(), ..returned.clone() });
            entry.decided_at = Some(now);
            spent
        });
        // One that was withdrawn meanwhile has its answer.
        if matches!(answered, Ok(true)) {
            self.tell(id);
        }
    }
}
