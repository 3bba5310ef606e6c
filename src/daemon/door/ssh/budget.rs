//! How much of what clients have sent may wait in memory: of one connection, and of all that one identity has.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::domain::identity::Identity;

/// Of one connection, in bytes: 32 channels that keep to their windows.
const CONNECTION: usize = 32 * 1024 * 1024;
/// Of one identity, in bytes.
const IDENTITY: usize = 64 * 1024 * 1024;

/// Room for bytes, which is part of a larger one's.
pub struct Budget {
    most: usize,
    held: AtomicUsize,
    above: Option<Arc<Budget>>,
}

/// Bytes that are counted as long as this is there.
pub struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// By whose they are, as long as they have a connection.
#[derive(Default)]
pub struct Budgets(Mutex<BTreeMap<Identity, Weak<Budget>>>);

impl Budgets {
    /// For one more connection of this identity's.
    pub fn connection(&self, identity: &Identity) -> Arc<Budget> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, budget| budget.strong_count() > 0);
        let whole = all.get(identity).and_then(Weak::upgrade).unwrap_or_else(|| {
            let whole = Budget::new(IDENTITY, None);
            all.insert(identity.clone(), Arc::downgrade(&whole));
            whole
        });
        Budget::new(CONNECTION, Some(whole))
    }
}

impl Budget {
    pub(super) fn new(most: usize, above: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self { most, held: AtomicUsize::new(0), above })
    }

    /// False where there is no room for all of them; then none is taken.
    pub fn take(&self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.most);
        if self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return false;
        }
        let fits = self.above.as_ref().is_none_or(|above| above.take(bytes));
        if !fits {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// Takes them whether there is room or not, until the guard is dropped.
    pub fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        let mut at = Some(self);
        while let Some(budget) = at {
            budget.held.fetch_add(bytes, Ordering::Relaxed);
            at = budget.above.as_ref();
        }
        Charge { budget: self.clone(), bytes }
    }

    /// They wait no longer.
    pub fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(above) = &self.above {
            above.give_back(bytes);
        }
    }

    /// Half of it is taken: nobody should be asked for more.
    pub fn is_tight(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.most / 2
            || self.above.as_ref().is_some_and(|above| above.is_tight())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_what_their_identity_has_and_nobody_elses() {
        let budgets = Budgets::default();
        let (me, other) = (Identity { uid: 1, token: None }, Identity { uid: 2, token: None });
        let mine: Vec<_> = (0..3).map(|_| budgets.connection(&me)).collect();
        assert!(!mine[0].take(CONNECTION + 1) && mine[0].take(CONNECTION));
        assert!(mine[0].is_tight() && mine[1].is_tight() && !mine[0].take(1));
        assert!(mine[1].take(IDENTITY - CONNECTION));
        assert!(!mine[2].take(1), "the others have it all");
        assert!(budgets.connection(&other).take(CONNECTION));
        mine[0].give_back(CONNECTION);
        let charge = mine[2].charge(CONNECTION);
        assert!(!mine[0].take(1) && !mine[2].take(1));
        drop(charge);
        assert!(mine[2].take(CONNECTION));
        drop(mine);
        assert!(budgets.connection(&me).take(CONNECTION), "nothing is left of who is gone");
    }
}
