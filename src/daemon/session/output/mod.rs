//! What a running command prints, kept exact and bounded between the channel it comes from and the
//! client it goes to: delivered by acknowledged offsets, in memory while little waits, sealed in the
//! session's spool beyond, and kept afterwards as history.

mod attachment;
mod block;
mod history;
mod log;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore};

pub use attachment::{Attachment, Next};
pub use block::Stream;
pub use history::History;
use log::{Log, Victim};

use crate::daemon::session::spool::{Holder, LetGo, Need, Spool, SpoolError};

/// The largest chunk, in bytes (the wire's limit for a frame of a stream).
pub const CHUNK: usize = 64 * 1024;
/// What a client may be handed without having acknowledged it, in bytes and in chunks.
pub const WINDOW: u64 = 1024 * 1024;
const WINDOW_CHUNKS: usize = 4096;
/// What of the undelivered stays in memory, in bytes.
const MEMORY: usize = 1024 * 1024;
/// A finished command's output up to here needs no file, in bytes.
const SMALL: usize = 32 * 1024;
/// From here on a command should be alone on its connection, in bytes.
const BEHIND: u64 = 1024 * 1024;
/// Where the channel is left unread: nobody attached, somebody attached, and where it must not be
/// left unread because others share the connection. In bytes.
const FULL_ABSENT: u64 = 10 * 1024 * 1024;
const FULL_ATTACHED: u64 = 1024 * 1024;
const FULL_SHARED: u64 = 64 * 1024 * 1024;
/// What history keeps of the beginning and of the end, in bytes.
pub const HISTORY_HEAD: u64 = 5 * 1024 * 1024;
pub const HISTORY_TAIL: u64 = 5 * 1024 * 1024;

/// Part of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub stream: Stream,
    /// Bytes of this stream before it.
    pub offset: u64,
    pub bytes: Bytes,
}

/// May the channel be read?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Open,
    /// Yes, but so much waits that the command should get a connection for itself.
    Behind,
    /// No: wait for room. Where the channel may not be left unread, end the command and say so.
    Full,
}

/// The producer did not ask for room, and the bytes were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more output than may wait")]
pub struct Overflow;

/// A client acknowledged what it was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("acknowledged more than was sent")]
pub struct NotSent;

/// One command's output; `R` is how it ended. A cheap handle on what all its clones share.
pub struct Output<R>(Arc<Shared<R>>);

impl<R> Clone for Output<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<R> {
    spool: Spool,
    state: Mutex<State<R>>,
    /// Who may attach; first come, first served.
    seat: Arc<Semaphore>,
    /// There may be something to hand out.
    readable: Notify,
    /// Something left memory or was acknowledged, or somebody attached or left.
    room: Notify,
}

struct State<R> {
    log: Log,
    attached: bool,
    result: Option<R>,
    sealing: bool,
    trouble: Option<SpoolError>,
}

impl<R: Clone + Send + 'static> Output<R> {
    pub fn new(spool: &Spool) -> Self {
        let shared = Arc::new(Shared {
            spool: spool.clone(),
            state: Mutex::new(State {
                log: Log::default(),
                attached: false,
                result: None,
                sealing: false,
                trouble: None,
            }),
            seat: Arc::new(Semaphore::new(1)),
            readable: Notify::new(),
            room: Notify::new(),
        });
        spool.hold(holder(&shared));
        Self(shared)
    }

    /// Takes the bytes at the first poll, then waits while the disk is behind: dropping the future
    /// after that loses nothing. Ask for [`Output::room`] before.
    pub async fn push(&self, stream: Stream, bytes: &[u8]) -> Result<(), Overflow> {
        {
            let mut state = self.0.lock();
            if state.log.pending() + bytes.len() as u64 > FULL_SHARED + WINDOW {
                return Err(Overflow);
            }
            state.log.push(stream, bytes);
            self.0.readable.notify_waiters();
            self.0.seal(&mut state);
        }
        let disk_is_behind = |state: &mut State<R>| {
            let behind = state.sealing && state.log.unshared_memory() > 2 * MEMORY;
            (!behind).then_some(())
        };
        self.0.when(&self.0.room, disk_is_behind).await;
        Ok(())
    }

    /// `hold`: the command is alone on its connection, so that its channel may be left unread.
    pub fn room(&self, hold: bool) -> Room {
        self.0.lock().room(hold)
    }

    /// Returns as soon as there is room.
    pub async fn wait_for_room(&self, hold: bool) -> Room {
        let room = |state: &mut State<R>| Some(state.room(hold)).filter(|room| *room != Room::Full);
        self.0.when(&self.0.room, room).await
    }

    /// Why what waits can't be brought to disk at the moment. It is all in memory then, and
    /// [`Room::Full`] comes at 1 MiB.
    pub fn trouble(&self) -> Option<SpoolError> {
        self.0.lock().trouble
    }

    /// Nothing more comes. The first result stays.
    pub fn finish(&self, result: R) {
        let mut state = self.0.lock();
        if state.result.is_some() {
            return;
        }
        state.result = Some(result);
        state.log.finish(self.0.spool.small());
        self.0.seal(&mut state);
        drop(state);
        self.0.spool.finished(&holder(&self.0), Instant::now());
        self.0.readable.notify_waiters();
    }

    pub fn result(&self) -> Option<R> {
        self.0.lock().result.clone()
    }

    /// Bytes printed to one stream so far.
    pub fn printed(&self, stream: Stream) -> u64 {
        self.0.lock().log.printed(stream)
    }

    /// Bytes of one stream that a client has acknowledged.
    pub fn acknowledged(&self, stream: Stream) -> u64 {
        self.0.lock().log.acknowledged(stream)
    }

    #[cfg(test)]
    /// Bytes printed and not acknowledged.
    pub fn pending(&self) -> u64 {
        self.0.lock().log.pending()
    }

    #[cfg(test)]
    pub fn attached(&self) -> bool {
        self.0.lock().attached
    }

    /// Becomes the one client that output goes to, once those who asked before are gone. It goes on
    /// behind what the last one acknowledged. Cancel safe.
    pub async fn attach(&self) -> Attachment<R> {
        Attachment::take(&self.0).await
    }

    #[cfg(test)]
    /// The same, without waiting: `None` while somebody is attached.
    pub fn try_attach(&self) -> Option<Attachment<R>> {
        Attachment::try_take(&self.0)
    }

    /// What was printed from `position` on (bytes of both streams, in order of arrival), as far as
    /// it is kept. Takes nothing from delivery.
    pub fn history(&self, position: u64) -> History<R> {
        History::new(&self.0, position)
    }

    /// History was let go, for age or for room.
    pub fn history_gone(&self) -> bool {
        self.0.lock().log.history_gone()
    }

    #[cfg(test)]
    /// Bytes of output in memory at the moment.
    pub fn held_in_memory(&self) -> usize {
        self.0.lock().log.held_in_memory()
    }
}

impl<R> State<R> {
    fn room(&self, hold: bool) -> Room {
        let stuck = self.trouble.is_some() && self.log.unshared_memory() > MEMORY;
        match stuck {
            true => Room::Full,
            false => room(self.log.pending(), hold, self.attached),
        }
    }
}

/// `hold`: the channel may be left unread.
fn room(pending: u64, hold: bool, attached: bool) -> Room {
    let full = match (hold, attached) {
        (false, _) => FULL_SHARED,
        (true, true) => FULL_ATTACHED,
        (true, false) => FULL_ABSENT,
    };
    match pending {
        _ if pending >= full => Room::Full,
        _ if pending > BEHIND => Room::Behind,
        _ => Room::Open,
    }
}

impl<R> Shared<R> {
    /// A panic under this lock would have to be a mistake in the log's arithmetic.
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` says so; it is asked again at each notification.
    async fn when<T>(
        &self,
        notify: &Notify,
        mut ready: impl FnMut(&mut State<R>) -> Option<T>,
    ) -> T {
        loop {
            let changed: Notified<'_> = notify.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(value) = ready(&mut self.lock()) {
                return value;
            }
            changed.await;
        }
    }
}

impl<R: Send + 'static> Shared<R> {
    /// Brings to disk what must leave memory, on a thread that may block: one at a time.
    fn seal(self: &Arc<Self>, state: &mut State<R>) {
        if state.sealing {
            return;
        }
        let Some(victim) = state.log.victim(self.spool.recent()) else { return };
        state.sealing = true;
        let shared = Arc::clone(self);
        tokio::task::spawn_blocking(move || shared.seal_all(victim));
    }

    fn seal_all(&self, mut victim: Victim) {
        let mut stuck = false;
        loop {
            let kept = self.spool.keep(&victim.body, victim.need);
            let mut state = self.lock();
            let error = kept.as_ref().err().copied();
            state.log.sealed(&victim, kept.ok());
            if error.is_none() || victim.need == Need::Delivery {
                state.trouble = error;
            }
            // What can't be kept for delivery stays in memory, and the next push or acknowledgement
            // tries again. What has been delivered meanwhile must leave all the same.
            stuck |= error.is_some() && victim.need == Need::Delivery;
            let recent = self.spool.recent();
            let next = if stuck { state.log.delivered(recent) } else { state.log.victim(recent) };
            state.sealing = next.is_some();
            drop(state);
            self.room.notify_waiters();
            match next {
                Some(next) => victim = next,
                None => return,
            }
        }
    }
}

impl<R: Send> Holder for Shared<R> {
    fn let_go(&self, what: LetGo) -> bool {
        let mut state = self.lock();
        let attached = state.attached;
        let still = state.log.let_go(what, attached);
        drop(state);
        self.readable.notify_waiters();
        still
    }
}

fn holder<R: Send + 'static>(shared: &Arc<Shared<R>>) -> Weak<dyn Holder> {
    Arc::downgrade(shared) as Weak<dyn Holder>
}
