//! Standard input that is read before the question: the very bytes that are judged and decided on,
//! kept until they are sent or nobody wants them any more.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Session, Sessions,
    spool::{Allowance, Need, SLOT, Share, Slot, Spool, SpoolError},
};
use crate::{
    domain::{action::Whole, digest::Sum, id::Id, identity::Identity},
    protocol::error::{Code, Failure},
};

/// The most that is read before a question, in bytes.
pub const MOST: u64 = 64 * 1024 * 1024;
/// So much of one input is kept in memory where there is room, the rest in the session's spool.
const IN_MEMORY: usize = 1024 * 1024;
/// The beginning, which is judged and shown, always is.
pub const HEAD: usize = 64 * 1024;
/// What all inputs take in memory beyond their beginnings, in bytes.
const MEMORY_ALL: usize = 8 * 1024 * 1024;
/// What waits of one identity, and in all, in bytes.
const EACH: u64 = 128 * 1024 * 1024;
const ALL: u64 = 512 * 1024 * 1024;

/// What all sessions share to keep input.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    counts: Mutex<Counts>,
    memory: Allowance,
}

#[derive(Default)]
struct Counts {
    all: u64,
    each: BTreeMap<Identity, u64>,
}

impl Default for Store {
    fn default() -> Self {
        let memory = Allowance::new(MEMORY_ALL);
        Self(Arc::new(Shared { counts: Mutex::default(), memory }))
    }
}

/// Bytes that are counted as somebody's until it is dropped.
struct Counted {
    shared: Arc<Shared>,
    owner: Identity,
    bytes: u64,
}

impl Counted {
    fn more(&mut self, bytes: u64) -> Result<(), Failure> {
        let mut counts = lock(&self.shared.counts);
        let own = counts.each.get(&self.owner).copied().unwrap_or(0);
        if own + bytes > EACH || counts.all + bytes > ALL {
            let message = "too much standard input waits with commands that are asked about";
            return Err(full(message));
        }
        counts.all += bytes;
        *counts.each.entry(self.owner.clone()).or_default() += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = lock(&self.shared.counts);
        counts.all -= self.bytes;
        if let Some(own) = counts.each.get_mut(&self.owner) {
            *own -= self.bytes;
            if *own == 0 {
                counts.each.remove(&self.owner);
            }
        }
    }
}

/// Input that was read, from its first byte on.
pub struct Held {
    memory: Vec<u8>,
    slots: Vec<Slot>,
    whole: Whole,
    _share: Option<Share>,
    _counted: Counted,
}

impl Held {
    /// How much, and what it sums up to.
    pub fn whole(&self) -> Whole {
        self.whole
    }

    /// The beginning: at least [`HEAD`] bytes where there are so many.
    pub fn head(&self) -> &[u8] {
        &self.memory
    }

    /// All of it, where memory holds all.
    pub fn all(&self) -> Option<&[u8]> {
        self.slots.is_empty().then_some(&self.memory)
    }

    pub(super) fn chunks(&self) -> usize {
        1 + self.slots.len()
    }

    /// Blocks on the disk.
    pub(super) fn chunk(&self, number: usize) -> Result<Vec<u8>, SpoolError> {
        match number.checked_sub(1).and_then(|at| self.slots.get(at)) {
            Some(slot) => slot.read(),
            None => Ok(self.memory.clone()),
        }
    }
}

/// Takes input in as it comes.
pub struct Keeper {
    spool: Spool,
    memory: Vec<u8>,
    share: Option<Share>,
    /// Not yet in a slot; only once memory is full.
    rest: Vec<u8>,
    slots: Vec<Slot>,
    sum: Sum,
    counted: Counted,
}

impl Keeper {
    /// How much was taken.
    pub fn bytes(&self) -> u64 {
        self.counted.bytes
    }

    /// # Errors
    /// There is no room: nothing of it can be kept.
    pub async fn add(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.counted.more(chunk.len() as u64)?;
        self.sum.add(chunk);
        let taken =
            if self.rest.is_empty() && self.slots.is_empty() { self.room(chunk.len()) } else { 0 };
        self.memory.extend_from_slice(&chunk[..taken]);
        self.rest.extend_from_slice(&chunk[taken..]);
        while self.rest.len() >= SLOT {
            let slot: Vec<u8> = self.rest.drain(..SLOT).collect();
            self.spool(slot).await?;
        }
        Ok(())
    }

    /// How much of so many bytes memory takes.
    fn room(&mut self, bytes: usize) -> usize {
        let at = self.memory.len();
        let free = HEAD.saturating_sub(at).min(bytes);
        let more = (bytes - free).min(IN_MEMORY.saturating_sub(at + free));
        match self.counted.shared.memory.take(more) {
            Some(share) => {
                match &mut self.share {
                    Some(all) => all.merge(share),
                    None => self.share = Some(share),
                }
                free + more
            }
            None => free,
        }
    }

    async fn spool(&mut self, bytes: Vec<u8>) -> Result<(), Failure> {
        let spool = self.spool.clone();
        let kept = tokio::task::spawn_blocking(move || spool.keep(&bytes, Need::Delivery)).await;
        let slot = kept
            .map_err(|error| error.to_string())
            .and_then(|kept| kept.map_err(|error| error.to_string()));
        let slot =
            slot.map_err(|why| full(format!("its standard input could not be kept: {why}")))?;
        self.slots.push(slot);
        Ok(())
    }

    /// # Errors
    /// As [`Keeper::add`].
    pub async fn finish(mut self) -> Result<Held, Failure> {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.spool(rest).await?;
        }
        let Self { memory, slots, sum, counted, share, .. } = self;
        let whole = Whole { bytes: counted.bytes, sum: sum.finish() };
        Ok(Held { memory, slots, whole, _share: share, _counted: counted })
    }
}

fn full(message: impl Into<String>) -> Failure {
    let hint = "wait for what waits (sgw requests), or put it into a file on the target first";
    Failure::new(Code::LimitSpool, message, hint).sent(false)
}

/// Input that waits in a session with a command, by the command's id.
#[derive(Default)]
pub struct Waiting(Mutex<BTreeMap<Id, Arc<Held>>>);

impl Session {
    /// For input that is read before a command is judged by it.
    pub fn keeper(&self, store: &Store) -> Keeper {
        let (shared, owner) = (store.0.clone(), self.owner.clone());
        Keeper {
            spool: self.spool.clone(),
            memory: Vec::new(),
            share: None,
            rest: Vec::new(),
            slots: Vec::new(),
            sum: Sum::default(),
            counted: Counted { shared, owner, bytes: 0 },
        }
    }

    /// Keeps the input of a command for as long as the caller has it too, or somebody may still say yes.
    pub fn hold(&self, exec: &Id, held: Arc<Held>) {
        lock(&self.waiting.0).insert(exec.clone(), held);
    }

    /// What a command that is asked about would be fed.
    pub fn held(&self, exec: &Id) -> Option<Arc<Held>> {
        lock(&self.waiting.0).get(exec).cloned()
    }

    pub(super) fn let_go(&self, exec: &Id) {
        lock(&self.waiting.0).remove(exec);
    }
}

impl Sessions {
    /// Lets go what no call has any more and no yes can be for: `waits` says of a command whether one can.
    pub(super) fn let_go_unwanted(&self, waits: impl Fn(&Id) -> bool) {
        for session in self.everyone() {
            lock(&session.waiting.0)
                .retain(|exec, held| Arc::strong_count(held) > 1 || waits(exec));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper(store: &Store, spool: &Spool, uid: u32) -> Keeper {
        let owner = Identity { uid, token: None };
        Keeper {
            spool: spool.clone(),
            memory: Vec::new(),
            share: None,
            rest: Vec::new(),
            slots: Vec::new(),
            sum: Sum::default(),
            counted: Counted { shared: store.0.clone(), owner, bytes: 0 },
        }
    }

    fn spool(directory: &std::path::Path, budget: u64) -> Spool {
        Spool::new(directory, budget, Allowance::new(0))
    }

    fn read(held: &Held) -> Vec<u8> {
        (0..held.chunks()).flat_map(|number| held.chunk(number).unwrap()).collect()
    }

    #[tokio::test]
    async fn what_was_taken_in_comes_out_wherever_it_was_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (store, spool) = (Store::default(), spool(directory.path(), 64 << 20));
        for size in [0, 1, HEAD, HEAD + 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY + 7] {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 251) as u8).collect();
            let mut keeper = keeper(&store, &spool, 1);
            for chunk in bytes.chunks(60_000) {
                keeper.add(chunk).await.unwrap();
            }
            let held = keeper.finish().await.unwrap();
            assert!(read(&held) == bytes, "{size}");
            assert_eq!(held.whole().bytes, size as u64);
            assert_eq!(held.all().is_some(), size <= IN_MEMORY, "{size}");
            let mut sum = Sum::default();
            sum.add(&bytes);
            assert_eq!(held.whole().sum, sum.finish());
        }
        assert_eq!(spool.used(), 0);
        assert_eq!(lock(&store.0.counts).all, 0);
    }

    #[tokio::test]
    async fn without_memory_only_the_beginning_is_in_it_and_a_full_spool_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (store, spool) = (Store::default(), spool(directory.path(), 4 * SLOT as u64));
        let _all = store.0.memory.take(MEMORY_ALL).unwrap();
        let mut keeper = keeper(&store, &spool, 1);
        keeper.add(&vec![7; HEAD + 4 * SLOT]).await.unwrap();
        assert_eq!((keeper.memory.len(), keeper.slots.len()), (HEAD, 4));
        let full = keeper.add(&vec![7; SLOT]).await.unwrap_err();
        assert_eq!((full.code, full.sent), (Code::LimitSpool, Some(false)));
        drop(keeper);
        assert_eq!((spool.used(), lock(&store.0.counts).all), (0, 0));
    }

    #[tokio::test]
    async fn one_identity_has_no_more_than_its_part() {
        let directory = tempfile::tempdir().unwrap();
        let (store, spool) = (Store::default(), spool(directory.path(), 64 << 20));
        let (mut mine, mut others) = (keeper(&store, &spool, 1), keeper(&store, &spool, 2));
        mine.counted.more(EACH).unwrap();
        assert!(mine.add(b"x").await.is_err());
        others.add(b"x").await.unwrap();
        drop(mine);
        keeper(&store, &spool, 1).add(b"x").await.unwrap();
    }
}
