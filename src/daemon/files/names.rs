//! Names of an account that mean the same while something is done by them. Whoever gives a name another meaning
//! waits for whoever acts by names, and the other way round: what was looked at is then what is opened, as far
//! as only sgw changes it. Who is held up by a server while others wait does not hold them up for long.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock},
    time::{Instant, timeout_at},
};

use crate::protocol::error::{Code, Failure};

/// How long an operation waits for its turn, behind all that came before it.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long one operation may keep others waiting: a server that does not answer holds up nobody else for longer.
const HELD: Duration = Duration::from_secs(5);

/// Of all accounts.
#[derive(Default)]
pub struct All(Mutex<BTreeMap<String, Weak<Names>>>);

/// Of one account.
#[derive(Default)]
pub struct Names {
    lock: Arc<RwLock<()>>,
    holders: Arc<Holders>,
    /// Parts of files that are being put.
    parts: Mutex<BTreeSet<Vec<u8>>>,
}

/// Who acts by names at the moment.
#[derive(Default)]
struct Holders {
    now: Mutex<BTreeMap<u64, Holder>>,
    next: AtomicU64,
    turns: AtomicU64,
}

struct Holder {
    since: Instant,
    turning: bool,
    #[allow(dead_code, reason = "held, not read")]
    guard: Guard,
}

#[allow(dead_code, reason = "held, not read")]
enum Guard {
    Still(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
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

/// No name gets another meaning while this lasts: short, between a look and what is done by it.
#[must_use = "names are free again when this is dropped"]
pub struct Still(Held);

/// Nobody else acts by names while this lasts.
#[must_use = "names are free again when this is dropped"]
pub struct Alone(Held);

struct Held {
    of: Arc<Holders>,
    number: u64,
    /// How often names had been turned when it began.
    turns: u64,
    turning: bool,
}

impl Still {
    /// Last thing before what is done by names that were looked at.
    ///
    /// # Errors
    /// Others waited so long that they went ahead, and names may mean something else now.
    pub fn lasts(&self) -> Result<(), Failure> {
        match self.0.lasts() || self.0.of.turns() == self.0.turns {
            true => Ok(()),
            false => Err(overtaken()),
        }
    }
}

impl Alone {
    /// As [`Still::lasts`].
    ///
    /// # Errors
    /// Others waited so long that they went ahead.
    pub fn lasts(&self) -> Result<(), Failure> {
        if self.0.lasts() { Ok(()) } else { Err(overtaken()) }
    }
}

impl Held {
    fn lasts(&self) -> bool {
        self.of.now().contains_key(&self.number)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = self.of.now().remove(&self.number);
        if held.is_none() && self.turning {
            // What it did may have been done after others went ahead.
            self.of.turned();
        }
    }
}

impl Holders {
    fn now(&self) -> MutexGuard<'_, BTreeMap<u64, Holder>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turns(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }

    fn turned(&self) {
        self.turns.fetch_add(1, Ordering::AcqRel);
    }

    fn begin(self: &Arc<Self>, guard: Guard, turning: bool) -> Held {
        if turning {
            self.turned();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.now().insert(number, Holder { since: Instant::now(), turning, guard });
        Held { of: self.clone(), number, turns: self.turns(), turning }
    }

    /// When the next of them has kept others waiting for long enough. They began in the order of their numbers.
    fn next_overtaken(&self) -> Instant {
        let since = self.now().first_key_value().map(|(_, oldest)| oldest.since);
        since.unwrap_or_else(Instant::now) + HELD
    }

    /// Those who hold names for too long do so no more.
    fn overtake(&self, now: Instant) {
        let late = |holder: &Holder| now.duration_since(holder.since) >= HELD;
        let late: Vec<_> = self.now().extract_if(.., |_, holder| late(holder)).collect();
        if late.iter().any(|(_, holder)| holder.turning) {
            self.turned();
        }
    }
}

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
    /// Other operations have been at it for too long; nothing was done.
    pub async fn still(&self) -> Result<Still, Failure> {
        let reading = self.lock.clone().read_owned();
        self.held(async { Guard::Still(reading.await) }, false).await.map(Still)
    }

    /// For a last look and what hangs on it, where two at once would both find what one of them changes.
    ///
    /// # Errors
    /// As [`Names::still`].
    pub async fn alone(&self) -> Result<Alone, Failure> {
        let writing = self.lock.clone().write_owned();
        self.held(async { Guard::Alone(writing.await) }, false).await.map(Alone)
    }

    /// For what makes a name lead elsewhere: moving, linking.
    ///
    /// # Errors
    /// As [`Names::still`].
    pub async fn turning(&self) -> Result<Alone, Failure> {
        let writing = self.lock.clone().write_owned();
        self.held(async { Guard::Alone(writing.await) }, true).await.map(Alone)
    }

    async fn held(
        &self,
        waiting: impl Future<Output = Guard>,
        turning: bool,
    ) -> Result<Held, Failure> {
        let (mut waiting, over) = (pin!(waiting), Instant::now() + PATIENCE);
        loop {
            match timeout_at(self.holders.next_overtaken(), &mut waiting).await {
                Ok(guard) => return Ok(self.holders.begin(guard, turning)),
                Err(_) if Instant::now() >= over => return Err(busy()),
                Err(_) => self.holders.overtake(Instant::now()),
            }
        }
    }

    /// The part of this name, for one transfer alone; none where another has it.
    pub fn part(self: &Arc<Self>, path: &[u8]) -> Option<Part> {
        let free = self.held_parts().insert(path.to_vec());
        free.then(|| Part { names: self.clone(), path: path.to_vec() })
    }

    fn held_parts(&self) -> MutexGuard<'_, BTreeSet<Vec<u8>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often names may have got another meaning through sgw.
    pub fn turns(&self) -> u64 {
        self.holders.turns()
    }
}

fn busy() -> Failure {
    let message = "another operation on this account's files does not end; nothing was done";
    Failure::new(Code::FilesFailed, message, "try again in a moment").sent(false)
}

fn overtaken() -> Failure {
    let message = "the server did not answer for so long that others went ahead on this account's files; \
                   nothing was done";
    Failure::new(Code::FilesFailed, message, "try again").sent(true)
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

    #[tokio::test]
    async fn who_does_not_come_to_an_end_is_overtaken_and_knows() {
        let names = All::default().of("me");
        let hangs = names.still().await.unwrap();
        let began = Instant::now();
        tokio::time::sleep(Duration::from_millis(2)).await;
        let young = names.still().await.unwrap();
        let mut turning = std::pin::pin!(names.turning());
        assert!(turning.as_mut().now_or_never().is_none());
        names.holders.overtake(began + HELD);
        assert!(turning.as_mut().now_or_never().is_none(), "the other has just begun");
        assert!(hangs.lasts().is_ok(), "no name was turned");
        drop(young);
        let turning = turning.await.unwrap();
        assert!(hangs.lasts().is_err() && turning.lasts().is_ok());
        names.holders.overtake(Instant::now() + HELD);
        let other = names.still().await.unwrap();
        assert!(turning.lasts().is_err() && other.lasts().is_ok());
        drop(turning);
        assert!(other.lasts().is_ok(), "it holds them now");
        assert_eq!(names.turns(), 3, "when it began, was overtaken, and ended");
    }

    #[tokio::test]
    async fn who_waits_overtakes_by_itself() {
        let names = All::default().of("me");
        let hangs = names.still().await.unwrap();
        let alone = names.alone().await.unwrap();
        assert!(alone.lasts().is_ok() && hangs.lasts().is_ok());
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
