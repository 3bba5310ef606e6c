//! Who keeps something in a spool, and who lets go first when it is full.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::{Place, Spool, SpoolError, lock};

/// What room is wanted for. Delivery is owed to a client, history is a courtesy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Takes the place of finished commands' history.
    History,
    /// Takes the place of all history, and last of what a finished command printed and nobody came for.
    Delivery,
}

/// What a holder is asked to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetGo {
    /// What was delivered already and is kept to be looked at again.
    History,
    /// All of it, unless somebody is attached.
    Everything,
}

/// Somebody who keeps slots. Asked with no lock held.
pub trait Holder: Send + Sync {
    /// Says whether something is still held afterwards.
    fn let_go(&self, what: LetGo) -> bool;
}

/// All holders of one spool, oldest first.
#[derive(Default)]
pub(super) struct Shelf {
    running: Vec<Weak<dyn Holder>>,
    finished: VecDeque<(Instant, Weak<dyn Holder>)>,
    /// Finished, without history, but with output that nobody came for.
    undelivered: VecDeque<(Instant, Weak<dyn Holder>)>,
}

impl Spool {
    /// Registers a command that starts to print.
    pub fn hold(&self, holder: Weak<dyn Holder>) {
        let mut shelf = lock(&self.0.shelf);
        shelf.running.retain(|other| other.strong_count() > 0);
        shelf.finished.retain(|(_, other)| other.strong_count() > 0);
        shelf.undelivered.retain(|(_, other)| other.strong_count() > 0);
        shelf.running.push(holder);
    }

    /// From now on this holder's history may go.
    pub fn finished(&self, holder: &Weak<dyn Holder>, now: Instant) {
        let mut shelf = lock(&self.0.shelf);
        shelf.running.retain(|other| !Weak::ptr_eq(other, holder));
        shelf.finished.push_back((now, Weak::clone(holder)));
    }

    /// Lets go all that finished before, delivered or not. Whoever is attached meanwhile stays.
    pub fn forget_finished_before(&self, time: Instant) {
        let mut old = Vec::new();
        {
            let mut shelf = lock(&self.0.shelf);
            let Shelf { finished, undelivered, .. } = &mut *shelf;
            for queue in [finished, undelivered] {
                while queue.front().is_some_and(|(since, _)| *since < time) {
                    old.extend(queue.pop_front());
                }
            }
        }
        old.retain(|(_, holder)| holder.upgrade().is_some_and(|it| it.let_go(LetGo::Everything)));
        lock(&self.0.shelf).undelivered.extend(old);
    }

    /// A free slot, made free where it must be.
    pub(super) fn place(&self, need: Need) -> Result<Place, SpoolError> {
        if let Some(place) = self.free_place() {
            return Ok(place);
        }
        while let Some((since, holder)) = self.pop(|shelf| &mut shelf.finished) {
            if holder.upgrade().is_some_and(|it| it.let_go(LetGo::History)) {
                lock(&self.0.shelf).undelivered.push_back((since, holder));
            }
            if let Some(place) = self.free_place() {
                return Ok(place);
            }
        }
        if need == Need::History {
            return Err(SpoolError::Budget);
        }
        let running = lock(&self.0.shelf).running.clone();
        for holder in running.iter().filter_map(Weak::upgrade) {
            holder.let_go(LetGo::History);
            if let Some(place) = self.free_place() {
                return Ok(place);
            }
        }
        let undelivered = lock(&self.0.shelf).undelivered.len();
        for _ in 0..undelivered {
            let Some((since, holder)) = self.pop(|shelf| &mut shelf.undelivered) else { break };
            if holder.upgrade().is_some_and(|it| it.let_go(LetGo::Everything)) {
                lock(&self.0.shelf).undelivered.push_back((since, holder));
            }
            if let Some(place) = self.free_place() {
                return Ok(place);
            }
        }
        Err(SpoolError::Budget)
    }

    fn free_place(&self) -> Option<Place> {
        let number = lock(&self.0.space).take()?;
        Some(Place { spool: Arc::clone(&self.0), number })
    }

    fn pop(
        &self,
        queue: impl Fn(&mut Shelf) -> &mut VecDeque<(Instant, Weak<dyn Holder>)>,
    ) -> Option<(Instant, Weak<dyn Holder>)> {
        queue(&mut lock(&self.0.shelf)).pop_front()
    }
}
