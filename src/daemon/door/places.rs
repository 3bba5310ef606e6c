//! Who may stay at the operator's socket. Whoever has proven nothing gets one of few places, and loses
//! it to a newcomer: however many come, the operator gets through.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::protocol::error::{Code, Failure};

/// Connections without proof that are served at once.
const UNPROVEN: usize = 64;
/// Connections with proof.
const PROVEN: usize = 256;
/// A connection without proof and without an open call is closed after so long.
const IDLE: Duration = Duration::from_secs(10);

/// The places of one socket.
#[derive(Clone)]
pub struct Places {
    unproven: Arc<Mutex<Vec<Arc<Stay>>>>,
    proven: Arc<Semaphore>,
}

/// One connection without proof.
struct Stay {
    pid: u32,
    told: Mutex<Told>,
    gone: CancellationToken,
}

/// What it does.
#[derive(Clone, Copy)]
struct Told {
    open: usize,
    /// When it said something last, or its last call ended.
    since: Instant,
}

/// Somebody who has a place, until this is dropped.
pub struct Guest {
    places: Places,
    stay: Arc<Stay>,
    has_proven: AtomicBool,
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

/// A call of a guest's that goes on.
pub struct Call(Arc<Stay>);

impl Default for Places {
    fn default() -> Self {
        Self { unproven: Arc::default(), proven: Arc::new(Semaphore::new(PROVEN)) }
    }
}

impl Places {
    /// Gives a newcomer a place; where none is free, somebody else's: of the process that has most of
    /// them the one that said nothing for longest.
    pub fn enter(&self, pid: u32) -> Guest {
        let told = Mutex::new(Told { open: 0, since: Instant::now() });
        let stay = Arc::new(Stay { pid, told, gone: CancellationToken::new() });
        let mut all = self.unproven();
        if all.len() >= UNPROVEN
            && let Some(at) = last_of(&all)
        {
            all.swap_remove(at).gone.cancel();
        }
        all.push(stay.clone());
        drop(all);
        let (has_proven, place) = (AtomicBool::new(false), Mutex::default());
        Guest { places: self.clone(), stay, has_proven, place }
    }

    fn unproven(&self) -> MutexGuard<'_, Vec<Arc<Stay>>> {
        self.unproven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaves(&self, stay: &Arc<Stay>) {
        self.unproven().retain(|one| !Arc::ptr_eq(one, stay));
    }
}

/// Who has to go: whoever has no call open before whoever has one.
fn last_of(all: &[Arc<Stay>]) -> Option<usize> {
    let of = |pid: u32| all.iter().filter(|stay| stay.pid == pid).count();
    (0..all.len()).min_by_key(|at| {
        let Told { open, since } = all[*at].told();
        (open > 0, std::cmp::Reverse(of(all[*at].pid)), since)
    })
}

impl Stay {
    fn told(&self) -> Told {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// It has proven to be the operator, and gets a place where nobody sends it away.
    pub fn proves(&self) -> Result<(), Failure> {
        let place = self.places.proven.clone().try_acquire_owned().map_err(|_| sent_away())?;
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        self.has_proven.store(true, Ordering::Release);
        self.places.leaves(&self.stay);
        Ok(())
    }

    /// A call begins.
    pub fn calls(&self) -> Call {
        self.stay.lock().open += 1;
        Call(self.stay.clone())
    }

    /// Comes when it has to go.
    pub async fn sent_away(&self) -> Failure {
        let late = async {
            loop {
                let Told { open, since } = self.stay.told();
                match open {
                    0 if since.elapsed() >= IDLE => return,
                    0 => sleep_until(since + IDLE).await,
                    _ => sleep(IDLE).await,
                }
            }
        };
        tokio::select! {
            () = self.stay.gone.cancelled() => {}
            () = late => {}
        }
        if self.has_proven.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
        sent_away()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.places.leaves(&self.stay);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut told = self.0.lock();
        *told = Told { open: told.open - 1, since: Instant::now() };
    }
}

fn sent_away() -> Failure {
    Failure::new(
        Code::LimitConnections,
        "others needed the place of this connection, or it was silent for too long",
        "try again; sgw lock ends everything",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_there(guest: &Guest) -> bool {
        !guest.stay.gone.is_cancelled()
    }

    #[test]
    fn whoever_has_most_places_loses_the_oldest_that_does_nothing() {
        let places = Places::default();
        let operator = places.enter(1);
        let mut flood: Vec<_> = (1..UNPROVEN).map(|_| places.enter(2)).collect();
        let busy = flood[0].calls();
        flood.extend((0..1000).map(|_| places.enter(2)));
        assert!(is_there(&operator) && is_there(&flood[0]) && !is_there(&flood[1]));
        assert_eq!(places.unproven().len(), UNPROVEN);
        // Where all are busy the newcomer gets a place all the same.
        let calls: Vec<_> = flood.iter().chain([&operator]).map(Guest::calls).collect();
        let newcomer = places.enter(3);
        assert!(is_there(&newcomer) && is_there(&operator) && places.unproven().len() <= UNPROVEN);
        drop((busy, calls, flood));
        assert_eq!(places.unproven().len(), 2);
    }

    #[tokio::test]
    async fn who_proves_nothing_and_says_nothing_goes() {
        let places = Places::default();
        let (idle, proven) = (places.enter(1), places.enter(1));
        proven.proves().unwrap();
        assert_eq!(places.unproven().len(), 1);
        let call = idle.calls();
        let long_ago = Instant::now().checked_sub(IDLE).unwrap();
        let moment = Duration::from_millis(50);
        for guest in [&idle, &proven] {
            guest.stay.lock().since = long_ago;
            let sent = tokio::time::timeout(moment, guest.sent_away()).await;
            assert!(sent.is_err(), "the operator, or in the middle of a call");
        }
        drop(call);
        let fresh = tokio::time::timeout(moment, idle.sent_away()).await;
        assert!(fresh.is_err(), "its call has only just ended");
        idle.stay.lock().since = long_ago;
        assert_eq!(idle.sent_away().await.code, Code::LimitConnections);
    }
}
