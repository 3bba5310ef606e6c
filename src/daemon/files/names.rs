//! Names of an account that mean the same while something is done by them. Whoever gives a name another meaning
//! waits for whoever acts by names, and the other way round: what was looked at is then what is opened, as far
//! as only sgw changes it. Who is held up by a server while others wait does not hold them up for long; but what it
//! has sent may still be done, so that nobody gives a name another meaning before that is known.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{
    runtime,
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
pub struct All(Mutex<BTreeMap<String, Account>>);

/// Kept as long as somebody acts by its names, or what they sent may still be done.
type Account = (Weak<Names>, Weak<Holders>);

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
    state: Mutex<State>,
    next: AtomicU64,
    turns: AtomicU64,
}

#[derive(Default)]
struct State {
    now: BTreeMap<u64, Holder>,
    /// What may still be done by names, also where others went ahead meanwhile.
    under_way: BTreeMap<u64, Unanswered>,
}

struct Unanswered {
    /// Who sent it.
    by: u64,
    turning: bool,
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

/// Either of them.
pub enum Holds {
    Still(Still),
    Alone(Alone),
}

/// What was sent by names that were looked at, until it is answered: no name is turned while this lasts, and nothing is
/// changed by names while it turns one. Where it ends without an answer, that is so until nothing of it can be done.
#[must_use = "names may be turned again when this is dropped"]
pub struct UnderWay {
    of: Arc<Holders>,
    number: u64,
    settles: Option<Settles>,
}

/// Asked when nobody waits for an answer any more: when nothing of it can be done, where it still may be.
pub type Settles = Box<dyn FnOnce() -> Option<BoxFuture<'static, ()>> + Send>;

impl Still {
    /// Last thing before what is only looked at by names that were looked at, and after it.
    ///
    /// # Errors
    /// Others waited so long that they went ahead, and names may mean something else now.
    pub fn lasts(&self) -> Result<(), Failure> {
        self.0.lasts(&self.0.of.state(), false)
    }

    /// Last thing before something is sent that changes what names stand for.
    ///
    /// # Errors
    /// As [`Still::lasts`]; or what turns a name is not answered yet.
    pub fn sends(&self, settles: Settles) -> Result<UnderWay, Failure> {
        self.0.sends(settles, false)
    }
}

impl Alone {
    /// As [`Still::lasts`].
    ///
    /// # Errors
    /// Others waited so long that they went ahead.
    pub fn lasts(&self) -> Result<(), Failure> {
        self.0.lasts(&self.0.of.state(), true)
    }

    /// As [`Still::sends`].
    ///
    /// # Errors
    /// As [`Alone::lasts`]; or what others sent is not answered yet.
    pub fn sends(&self, settles: Settles) -> Result<UnderWay, Failure> {
        self.0.sends(settles, true)
    }
}

impl Holds {
    pub fn lasts(&self) -> Result<(), Failure> {
        match self {
            Self::Still(still) => still.lasts(),
            Self::Alone(alone) => alone.lasts(),
        }
    }

    pub fn sends(&self, settles: Settles) -> Result<UnderWay, Failure> {
        match self {
            Self::Still(still) => still.sends(settles),
            Self::Alone(alone) => alone.sends(settles),
        }
    }
}

impl Held {
    fn lasts(&self, state: &State, alone: bool) -> Result<(), Failure> {
        let held = state.now.contains_key(&self.number);
        match held || !alone && self.of.turns() == self.turns {
            true => Ok(()),
            false => Err(overtaken()),
        }
    }

    fn sends(&self, settles: Settles, alone: bool) -> Result<UnderWay, Failure> {
        let mut state = self.of.state();
        self.lasts(&state, alone)?;
        let turning = self.turning;
        let mut others = state.under_way.values().filter(|other| other.by != self.number);
        if others.any(|other| turning || other.turning) {
            return Err(busy());
        }
        let number = self.of.next.fetch_add(1, Ordering::Relaxed);
        state.under_way.insert(number, Unanswered { by: self.number, turning });
        Ok(UnderWay { of: self.of.clone(), number, settles: Some(settles) })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let unsettled = self.settles.take().and_then(|settles| settles());
        match (unsettled, runtime::Handle::try_current()) {
            (Some(unsettled), Ok(runtime)) => {
                let (of, number) = (self.of.clone(), self.number);
                runtime.spawn(async move {
                    unsettled.await;
                    of.landed(number);
                });
            }
            _ => self.of.landed(self.number),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = self.of.state().now.remove(&self.number);
        if held.is_none() && self.turning {
            // What it did may have been done after others went ahead.
            self.of.turned();
        }
    }
}

impl Holders {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turns(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }

    fn turned(&self) {
        self.turns.fetch_add(1, Ordering::AcqRel);
    }

    /// # Errors
    /// What others sent may still be done, where this turns a name.
    fn begin(self: &Arc<Self>, guard: Guard, turning: bool) -> Result<Held, Failure> {
        let mut state = self.state();
        if turning {
            if !state.under_way.is_empty() {
                return Err(busy());
            }
            self.turned();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        state.now.insert(number, Holder { since: Instant::now(), turning, guard });
        Ok(Held { of: self.clone(), number, turns: self.turns(), turning })
    }

    /// When the next of them has kept others waiting for long enough. They began in the order of their numbers.
    fn next_overtaken(&self) -> Instant {
        let since = self.state().now.first_key_value().map(|(_, oldest)| oldest.since);
        since.unwrap_or_else(Instant::now) + HELD
    }

    /// Those who hold names for too long do so no more.
    ///
    /// # Errors
    /// One of them has sent something that is not answered yet, and whoever waits turns a name.
    fn overtake(&self, now: Instant, turning: bool) -> Result<(), Failure> {
        let late = |holder: &Holder| now.duration_since(holder.since) >= HELD;
        let mut state = self.state();
        let State { now: holders, under_way } = &mut *state;
        let has_sent = |one: &Unanswered| holders.get(&one.by).is_some_and(late);
        if turning && under_way.values().any(has_sent) {
            return Err(busy());
        }
        let late: Vec<_> = holders.extract_if(.., |_, holder| late(holder)).collect();
        if late.iter().any(|(_, holder)| holder.turning) {
            self.turned();
        }
        Ok(())
    }

    /// It is answered, or nothing of it can be done any more.
    fn landed(&self, number: u64) {
        let mut state = self.state();
        let Some(Unanswered { by, turning }) = state.under_way.remove(&number) else { return };
        if turning && !state.now.contains_key(&by) {
            self.turned();
        }
    }
}

impl All {
    pub fn of(&self, account: &str) -> Arc<Names> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.get(account);
        if let Some(names) = kept.and_then(|(names, _)| names.upgrade()) {
            return names;
        }
        let holders = kept.and_then(|(_, holders)| holders.upgrade()).unwrap_or_default();
        all.retain(|_, (_, holders)| holders.strong_count() > 0);
        let names = Arc::new(Names { holders, ..Names::default() });
        let kept = (Arc::downgrade(&names), Arc::downgrade(&names.holders));
        all.insert(account.to_owned(), kept);
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
                Ok(guard) => return self.holders.begin(guard, turning),
                Err(_) if Instant::now() >= over => return Err(busy()),
                Err(_) => self.holders.overtake(Instant::now(), turning)?,
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
    let message = "another operation on this account's files has no answer from the server yet; nothing was done";
    let hint = "try again when it has ended: sgw history SESSION shows what runs";
    Failure::new(Code::FilesBusy, message, hint).sent(false)
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
        names.holders.overtake(began + HELD, true).unwrap();
        assert!(turning.as_mut().now_or_never().is_none(), "the other has just begun");
        assert!(hangs.lasts().is_ok(), "no name was turned");
        drop(young);
        let turning = turning.await.unwrap();
        assert!(hangs.lasts().is_err() && turning.lasts().is_ok());
        names.holders.overtake(Instant::now() + HELD, false).unwrap();
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

    /// Answered as soon as nobody waits any more.
    fn answered() -> Settles {
        Box::new(|| None)
    }

    #[tokio::test]
    async fn what_was_sent_and_is_not_answered_is_overtaken_by_no_turn() {
        let names = All::default().of("me");
        let removes = names.still().await.unwrap();
        let sent = removes.sends(answered()).unwrap();
        let later = Instant::now() + HELD;
        assert_eq!(names.holders.overtake(later, true).unwrap_err().code, Code::FilesBusy);
        // Who looks goes on, and lets nobody by who turns a name.
        assert!(names.still().await.is_ok());
        names.holders.overtake(later, false).unwrap();
        assert!(names.turning().await.is_err());
        assert_eq!(names.turns(), 0);
        drop(sent);
        assert!(names.turning().await.is_ok());
        assert!(removes.sends(answered()).is_err(), "a name was turned");
    }

    #[tokio::test]
    async fn while_a_turn_is_not_answered_others_look_and_change_nothing() {
        let names = All::default().of("me");
        let turning = names.turning().await.unwrap();
        let sent = turning.sends(answered()).unwrap();
        names.holders.overtake(Instant::now() + HELD, false).unwrap();
        let still = names.still().await.unwrap();
        assert!(turning.lasts().is_err() && still.lasts().is_ok());
        assert_eq!(still.sends(answered()).err().unwrap().code, Code::FilesBusy);
        drop(still);
        assert!(names.turning().await.is_err());
        let turns = names.turns();
        drop((sent, turning));
        assert!(names.turns() > turns);
        assert!(names.still().await.unwrap().sends(answered()).is_ok());
    }

    #[tokio::test]
    async fn what_ends_without_an_answer_may_be_done_until_it_is_known_that_it_is_not() {
        let all = All::default();
        let names = all.of("me");
        let (over, ended) = tokio::sync::oneshot::channel::<()>();
        let still = names.still().await.unwrap();
        let settles: Settles = Box::new(move || Some(Box::pin(async move { _ = ended.await })));
        drop(still.sends(settles).unwrap());
        drop((still, names));
        // Also where nobody acted by them in between.
        let names = all.of("me");
        assert!(names.turning().await.is_err());
        over.send(()).unwrap();
        while names.turning().await.is_err() {
            tokio::task::yield_now().await;
        }
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
