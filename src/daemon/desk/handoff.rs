//! Handoffs in the queue: the agent asks a person to the keyboard, and the keyboard's return answers.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::{Asker, Desk};
use crate::{
    domain::{
        action::{Action, Handoff},
        id::Id,
        identity::Identity,
        request::WAITS,
    },
    protocol::{
        error::{Code, Failure},
        view::Returned,
    },
};

/// The most handoffs of an identity within an hour: each calls a person, and fills the record.
const HANDOFFS: usize = 60;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// When whose handoffs were asked, within the last hour.
#[derive(Default)]
pub(super) struct Recent(BTreeMap<Identity, VecDeque<Timestamp>>);

impl Recent {
    /// Counts one more, if there is room.
    fn add(&mut self, identity: &Identity, now: Timestamp) -> bool {
        for times in self.0.values_mut() {
            while times.front().is_some_and(|at| *at + HOUR <= now) {
                times.pop_front();
            }
        }
        self.0.retain(|_, times| !times.is_empty());
        let times = self.0.entry(identity.clone()).or_default();
        let room = times.len() < HANDOFFS;
        if room {
            times.push_back(now);
        }
        room
    }
}

impl Desk {
    /// Puts a handoff into the queue, or joins the one there with this message; another message is
    /// another request, and all of a keyboard are answered at once. The flag says whether it is new.
    pub fn ask_handoff(&self, asker: &Asker, handoff: Handoff) -> Result<(Id, bool), Failure> {
        let sameness = handoff.sameness(&asker.identity);
        // Nobody approves it, so that nothing has to be bound.
        let digest = |_: &Id, _| sameness;
        let now = (self.now)();
        let joins = self.queue().same(&asker.identity, &sameness, now).is_some();
        if !joins && !self.handoffs.lock().is_ok_and(|mut recent| recent.add(&asker.identity, now))
        {
            return Err(Failure::new(
                Code::LimitRequests,
                format!("more than {HANDOFFS} handoffs within an hour"),
                "don't repeat it; tell your user in your own words what they should do",
            ));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handoffs_are_bounded_by_the_hour_and_for_each() {
        let (me, other) = (Identity { uid: 1, token: None }, Identity { uid: 2, token: None });
        let (mut recent, now) = (Recent::default(), Timestamp::UNIX_EPOCH);
        assert_eq!((0..100).filter(|_| recent.add(&me, now)).count(), HANDOFFS);
        assert!(recent.add(&other, now));
        assert!(!recent.add(&me, now + HOUR - SignedDuration::from_secs(1)));
        assert!(recent.add(&me, now + HOUR));
        assert_eq!(recent.0.len(), 1, "who asks no more is forgotten");
    }
}
