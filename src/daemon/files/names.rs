//! Names of an account that mean the same while something is done by them. Whoever gives a name another meaning
//! waits for whoever acts by names, and the other way round: what was looked at is then what is opened, as far
//! as only sgw changes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock},
    time::timeout,
};

use crate::protocol::error::{Code, Failure};

/// How long an operation waits for its turn: longer than a server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(180);

/// Of all accounts.
#[derive(Default)]
pub struct All(Mutex<BTreeMap<String, Weak<Names>>>);

/// Of one account.
#[derive(Default)]
pub struct Names {
    lock: Arc<RwLock<()>>,
    turns: AtomicU64,
    /// Parts of files that are being put.
    parts: Mutex<BTreeSet<Vec<u8>>>,
}

/// A part that one transfer writes, and no other, while this is held.
#[must_use = "the part is anybody's again when this is dropped"]
pub struct Part {
    names: Arc<Names>,
    path: Vec<u8>,
}

impl Drop for Part {
    fn drop(&mut self) {
        self.names.held_parts().remove(&self.path);
    }
}

/// No name gets another meaning while this is held: short, between a look and what is done by it.
#[must_use = "names are free again when this is dropped"]
pub struct Still(#[allow(dead_code, reason = "held, not read")] OwnedRwLockReadGuard<()>);

/// Nobody else acts by names while this is held.
#[must_use = "names are free again when this is dropped"]
pub struct Alone(#[allow(dead_code, reason = "held, not read")] OwnedRwLockWriteGuard<()>);

impl All {
    pub fn of(&self, account: &str) -> Arc<Names> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = all.get(account).and_then(Weak::upgrade) {
            return names;
        }
        all.retain(|_, names| names.strong_count() > 0);
        let names = Arc::new(Names::default());
        all.insert(account.to_owned(), Arc::downgrade(&names));
        names
    }
}

impl Names {
    /// # Errors
    /// Another operation has been at it for too long; nothing was done.
    pub async fn still(&self) -> Result<Still, Failure> {
        let waited = timeout(PATIENCE, self.lock.clone().read_owned()).await;
        waited.map(Still).map_err(|_| busy())
    }

    /// For a last look and what hangs on it, where two at once would both find what one of them changes.
    ///
    /// # Errors
    /// As [`Names::still`].
    pub async fn alone(&self) -> Result<Alone, Failure> {
        let waited = timeout(PATIENCE, self.lock.clone().write_owned()).await;
        waited.map(Alone).map_err(|_| busy())
    }

    /// For what makes a name lead elsewhere: moving, linking.
    ///
    /// # Errors
    /// As [`Names::still`].
    pub async fn turning(&self) -> Result<Alone, Failure> {
        let alone = self.alone().await?;
        self.turns.fetch_add(1, Ordering::AcqRel);
        Ok(alone)
    }

    /// The part of this name, for one transfer alone; none where another has it.
    pub fn part(self: &Arc<Self>, path: &[u8]) -> Option<Part> {
        let free = self.held_parts().insert(path.to_vec());
        free.then(|| Part { names: self.clone(), path: path.to_vec() })
    }

    fn held_parts(&self) -> std::sync::MutexGuard<'_, BTreeSet<Vec<u8>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often names may have got another meaning through sgw.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }
}

fn busy() -> Failure {
    let message = "another operation on this account's files does not end; nothing was done";
    Failure::new(Code::FilesFailed, message, "try again in a moment").sent(false)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_turns_a_name_waits_for_who_acts_by_it_on_that_account_alone() {
        let all = All::default();
        let names = all.of("me at SHA256:x port 22");
        let (one, other) = (names.still().await.unwrap(), names.still().await.unwrap());
        let same = all.of("me at SHA256:x port 22");
        let mut turning = std::pin::pin!(same.turning());
        assert!(turning.as_mut().now_or_never().is_none());
        let _elsewhere = all.of("me at SHA256:y port 22").turning().await.unwrap();
        drop(one);
        assert!(turning.as_mut().now_or_never().is_none());
        assert_eq!(names.turns(), 0);
        drop(other);
        let held = turning.await.unwrap();
        assert_eq!(names.turns(), 1);
        let mut still = std::pin::pin!(names.still());
        assert!(still.as_mut().now_or_never().is_none());
        drop(held);
        assert!(still.await.is_ok());
    }

    #[test]
    fn a_part_is_of_one_transfer_at_a_time() {
        let names = All::default().of("me");
        let held = names.part(b"/srv/.x.sgw-part").unwrap();
        assert!(names.part(b"/srv/.x.sgw-part").is_none());
        assert!(names.part(b"/srv/.y.sgw-part").is_some());
        drop(held);
        assert!(names.part(b"/srv/.x.sgw-part").is_some());
    }

    #[tokio::test]
    async fn an_account_that_nobody_works_on_takes_no_room() {
        let all = All::default();
        for number in 0..100 {
            let _names = all.of(&format!("me at {number}"));
        }
        let _held = all.of("me");
        assert!(all.0.lock().unwrap().len() <= 2);
    }
}
