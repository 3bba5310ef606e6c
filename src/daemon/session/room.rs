//! Room for what is about to be, sessions and commands: kept or counted before, so that of two that come
//! at once one finds none.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{Session, Sessions};
use crate::{
    daemon::authority::Under,
    domain::{authorize::Denied, identity::Identity},
    protocol::error::{Code, Failure},
};

/// The most sessions that are open at once.
const MOST_OPEN: usize = 2000;

/// Held while a session opens by itself.
pub type Turn = tokio::sync::Mutex<()>;

#[derive(Default)]
pub struct Rooms {
    /// Sessions that are about to be added, by whose they are.
    coming: Coming,
    /// By whose and on which target: who opens one by itself.
    turns: Mutex<BTreeMap<(Identity, String), Weak<Turn>>>,
}

type Coming = Arc<Mutex<BTreeMap<Identity, usize>>>;

/// A place that is kept for a session.
#[must_use = "the place is free again when this is dropped"]
pub struct Room {
    coming: Coming,
    owner: Identity,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = coming.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                coming.remove(&self.owner);
            }
        }
    }
}

impl Session {
    /// Whether it may run one command more: neither its own nor its standing grant's budget is used up.
    pub fn has_budget(&self) -> bool {
        let is_left = |under: &Under| under.standing.budget.is_left(&under.live().used);
        self.lock().grant.has_commands_left() && self.under.as_deref().is_none_or(is_left)
    }

    /// Counts a command before it is sent. It was judged before: of two at once one may come too late.
    pub(super) fn count_command(&self) -> Result<(), Failure> {
        if let Some(under) = &self.under {
            under.take_command().map_err(|failure| failure.about(&self.id).sent(false))?;
        }
        let mut state = self.lock();
        if !state.grant.has_commands_left() {
            drop(state);
            self.under.iter().for_each(|under| under.give_back_command());
            return Err(Failure::from(Denied::Exhausted).sent(false));
        }
        state.grant.used_commands += 1;
        state.collect_until = None;
        Ok(())
    }

    /// Counts an input, which is a command of so many bytes, before it is typed.
    pub(super) fn count_input(&self, bytes: usize) -> Result<(), Failure> {
        self.count_command()?;
        let Some(under) = &self.under else { return Ok(()) };
        under.take_all_bytes(bytes).map_err(|failure| {
            self.uncount_command();
            failure.about(&self.id).sent(false)
        })
    }

    /// Counts an operation on files, which is a command that sends so many bytes, before it begins.
    pub fn count_operation(&self, bytes: usize) -> Result<(), Failure> {
        self.count_input(bytes)
    }

    /// It was not typed.
    pub(super) fn uncount_input(&self, bytes: usize) {
        self.uncount_command();
        self.under.iter().for_each(|under| under.give_back_bytes(bytes));
    }

    /// It was not sent.
    pub(super) fn uncount_command(&self) {
        self.lock().grant.used_commands -= 1;
        self.under.iter().for_each(|under| under.give_back_command());
    }
}

impl Sessions {
    /// Room for one more session of an owner, who may have at most so many.
    pub fn room(&self, owner: &Identity, most: Option<u32>) -> Result<Room, Failure> {
        let mut coming = self.rooms.coming.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |of: &dyn Fn(&Session) -> bool| {
            self.lock().values().filter(|one| one.over().is_none() && of(one)).count()
        };
        let all = open(&|_| true) + coming.values().sum::<usize>();
        let own = open(&|one| one.owner == *owner) + coming.get(owner).copied().unwrap_or(0);
        let hint = "close one: sgw sessions, then sgw close s-…";
        if all >= MOST_OPEN {
            return Err(Failure::new(Code::LimitSessions, "too many sessions are open", hint));
        }
        if let Some(most) = most.filter(|most| own >= *most as usize) {
            let message = format!("this token may have {most} sessions open at once, and has");
            return Err(Failure::new(Code::LimitSessions, message, hint));
        }
        *coming.entry(owner.clone()).or_default() += 1;
        Ok(Room { coming: self.rooms.coming.clone(), owner: owner.clone() })
    }

    /// Held by whoever opens a session of this identity on this target.
    pub fn turn_to_open(&self, owner: &Identity, target: &str) -> Arc<Turn> {
        let mut turns = self.rooms.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        let key = (owner.clone(), target.to_owned());
        if let Some(turn) = turns.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn::default());
        turns.insert(key, Arc::downgrade(&turn));
        turn
    }
}
