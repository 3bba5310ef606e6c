//! The queue of requests: who asked what, who waits for it, and what became of it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::files::{Carried, Ended};

use crate::{
    domain::{
        action::Action,
        digest::Digest,
        id::Id,
        identity::Identity,
        plan::Progress,
        request::{Request, State},
    },
    protocol::view::Returned,
};

/// The most requests of one identity that may wait at once, or were denied within the hour.
pub const WAITING_EACH: usize = 10;
/// The most that may wait in all.
pub const WAITING_ALL: usize = 100;
/// The most decided requests that are remembered.
const REMEMBERED: usize = 1000;
/// How long a denial answers the same asking.
const DENIED_FOR: SignedDuration = SignedDuration::from_hours(1);

pub struct Entry {
    pub request: Request,
    /// Why a person is asked, where a rule did.
    pub rule: Option<String>,
    /// What came of an approved access request.
    pub session: Option<Id>,
    /// What came of an approved command.
    pub exec: Option<Id>,
    /// How far an approved operation on files is.
    pub files: Option<super::files::Carried>,
    /// What of an approved plan passes, and what has.
    pub progress: Option<Progress>,
    /// How the keyboard came back after a handoff.
    pub returned: Option<Returned>,
    /// The operator's connection that decides on it now.
    pub claimed: Option<u64>,
    pub decided_at: Option<Timestamp>,
    /// It was withdrawn because the policy changed.
    pub outdated: bool,
    /// Whoever took the decision, in words for people.
    pub decided_by: Option<String>,
    /// Woken at every change.
    pub changed: Arc<Notify>,
}

/// Requests by id, in the order of their making.
#[derive(Default)]
pub struct Queue {
    entries: BTreeMap<Id, Entry>,
    order: Vec<Id>,
}

pub enum Same {
    Pending(Id),
    Denied(Id),
}

impl Queue {
    pub fn get(&mut self, id: &Id) -> Option<&mut Entry> {
        self.entries.get_mut(id)
    }

    /// An asking that this one would repeat.
    pub fn same(&mut self, identity: &Identity, sameness: &Digest, now: Timestamp) -> Option<Same> {
        for id in self.order.iter().rev() {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            // A token may have the name of an earlier one.
            if entry.request.sameness != *sameness || entry.request.identity != *identity {
                continue;
            }
            let is_carried_out = match entry.request.action {
                Action::Exec(_) | Action::Files(_) | Action::Input(_) | Action::Forward(_) => true,
                // An access has its session, and the others are answered for whoever waited.
                Action::Access(_) | Action::Handoff(_) | Action::Login(_) | Action::Plan(_) => {
                    false
                }
            };
            match entry.request.state(now) {
                State::Pending => return Some(Same::Pending(id.clone())),
                // A yes that nobody has come for yet is this asking's too.
                State::Approved { .. } if is_carried_out && !entry.outdated => {
                    return Some(Same::Pending(id.clone()));
                }
                State::Denied { .. } => {
                    let fresh = entry.decided_at.is_some_and(|at| now < at + DENIED_FOR);
                    return fresh.then(|| Same::Denied(id.clone()));
                }
                _ => return None,
            }
        }
        None
    }

    /// Lets go of what operations on files read, the oldest first, until no more than so many bytes are kept.
    pub fn let_go(&mut self, most: usize) {
        let mut kept = 0;
        for id in self.order.iter().rev() {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            let Some(Carried::Ended(ended)) = &entry.files else { continue };
            let size = ended.output.as_ref().map_or(0, Vec::len);
            kept += size;
            if size > 0 && kept > most {
                let ended = Ended { output: None, done: ended.done.clone() };
                entry.files = Some(Carried::Ended(Arc::new(ended)));
            }
        }
    }

    pub fn waiting(&mut self, identity: Option<&Identity>, now: Timestamp) -> usize {
        self.all(now, |entry| identity.is_none_or(|one| entry.request.identity == *one))
            .iter()
            .filter(|id| self.entries.get_mut(id).is_some_and(|e| e.request.is_pending(now)))
            .count()
    }

    /// Requests of an identity that were denied within the hour.
    pub fn denied_lately(&mut self, identity: &Identity, now: Timestamp) -> usize {
        let lately = |at: Option<Timestamp>| at.is_some_and(|at| now < at + DENIED_FOR);
        let mine = self.entries.values_mut().filter(|entry| entry.request.identity == *identity);
        mine.filter(|entry| lately(entry.decided_at))
            .filter_map(|entry| {
                matches!(entry.request.state(now), State::Denied { .. }).then_some(())
            })
            .count()
    }

    pub fn add(&mut self, request: Request, rule: Option<String>) -> Arc<Notify> {
        self.forget(request.created_at);
        let changed = Arc::new(Notify::new());
        let id = request.id.clone();
        let entry = Entry {
            request,
            rule,
            session: None,
            exec: None,
            files: None,
            progress: None,
            returned: None,
            claimed: None,
            decided_at: None,
            outdated: false,
            decided_by: None,
            changed: changed.clone(),
        };
        self.order.push(id.clone());
        self.entries.insert(id, entry);
        changed
    }

    /// Ids of the entries that `which` picks, oldest first, with their states brought up to `now`.
    pub fn all(&mut self, now: Timestamp, which: impl Fn(&Entry) -> bool) -> Vec<Id> {
        for entry in self.entries.values_mut() {
            entry.request.state(now);
        }
        self.order.iter().filter(|id| self.entries.get(id).is_some_and(&which)).cloned().collect()
    }

    /// Ids that begin with `prefix`.
    pub fn starting_with(&self, prefix: &str) -> Vec<Id> {
        self.order.iter().filter(|id| id.as_str().starts_with(prefix)).cloned().collect()
    }

    /// Commands that wait in a session that ends are withdrawn with it.
    pub fn of_session(&self, session: &Id) -> Vec<Id> {
        let of = |entry: &Entry| match &entry.request.action {
            // More time in a session that is over is refused when it is approved.
            Action::Access(_) => false,
            action => action.session() == Some(session),
        };
        self.order.iter().filter(|id| self.entries.get(id).is_some_and(of)).cloned().collect()
    }

    /// Plans that were approved in a session, oldest first.
    pub fn plans_of(&self, session: &Id) -> Vec<Id> {
        let of = |entry: &Entry| {
            entry.progress.is_some() && entry.request.action.session() == Some(session)
        };
        self.order.iter().filter(|id| self.entries.get(id).is_some_and(of)).cloned().collect()
    }

    /// Lets the oldest go that nobody can act on any more: time alone ends some, undecided.
    fn forget(&mut self, now: Timestamp) {
        if self.order.len() < REMEMBERED {
            return;
        }
        let entries = &mut self.entries;
        let over = |id: &Id| {
            let state = entries.get_mut(id).map(|entry| entry.request.state(now));
            !matches!(state, Some(State::Pending | State::Approved { .. }))
        };
        if let Some(at) = self.order.iter().position(over) {
            let id = self.order.remove(at);
            self.entries.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        action::Access,
        capability::Capability,
        digest::Digester,
        grant::{Mode, Terms},
        id::Kind,
        identity::Seen,
        request::Parts,
    };

    fn request(number: u64, made: i64, lives: i64) -> Request {
        let terms = Terms {
            capabilities: Capability::usual(),
            mode: Mode::Guarded,
            duration_s: 60,
            max_commands: None,
            opaque: crate::domain::grant::Opaque::Ask,
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        Request::new(Parts {
            id: Id::from_number(Kind::Request, number),
            identity: Identity { uid: 1, token: None },
            seen: Seen::default(),
            action: Action::Access(Access {
                destination: "web1".parse().unwrap(),
                name: None,
                terms,
                reason: "r".into(),
                prolongs: None,
            }),
            created_at: at(made),
            expires_at: at(made + lives),
            digest: Digester::new("this").finish(),
            sameness: Digester::new("same").finish(),
        })
    }

    #[test]
    fn requests_that_time_ended_are_forgotten_and_waiting_ones_never() {
        let mut queue = Queue::default();
        queue.add(request(0, 0, 1_000_000), None);
        for number in 1..3_000 {
            queue.add(request(number, i64::try_from(number).unwrap() * 2, 1), None);
        }
        assert!(queue.order.len() <= REMEMBERED, "{}", queue.order.len());
        assert_eq!(queue.order.len(), queue.entries.len());
        assert!(queue.get(&Id::from_number(Kind::Request, 0)).is_some());
    }
}
