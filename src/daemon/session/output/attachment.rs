//! The one client that a command's output goes to.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::log::Step;
use super::{Chunk, NotSent, Shared, Stream};
use crate::daemon::session::spool::{Slot, SpoolError};

/// What comes next for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<R> {
    Chunk(Chunk),
    /// So many bytes were let go before anybody came for them (a day later, or for want of room).
    Gone(u64),
    /// Everything was handed out, and this is how it ended. Comes again when asked again.
    Ended(R),
}

/// Dropping it is leaving: what was not acknowledged is handed to the next client.
pub struct Attachment<R> {
    shared: Arc<Shared<R>>,
    /// The block that was read from the spool last.
    read: Option<(u64, Bytes)>,
    told_gone: u64,
    _seat: OwnedSemaphorePermit,
}

impl<R: Clone + Send + 'static> Attachment<R> {
    pub(super) async fn take(shared: &Arc<Shared<R>>) -> Self {
        loop {
            // The semaphore is never closed.
            if let Ok(seat) = Arc::clone(&shared.seat).acquire_owned().await {
                return Self::sit(shared, seat);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn try_take(shared: &Arc<Shared<R>>) -> Option<Self> {
        let seat = Arc::clone(&shared.seat).try_acquire_owned().ok()?;
        Some(Self::sit(shared, seat))
    }

    fn sit(shared: &Arc<Shared<R>>, seat: OwnedSemaphorePermit) -> Self {
        shared.lock().attached = true;
        shared.room.notify_waiters();
        Self { shared: Arc::clone(shared), read: None, told_gone: 0, _seat: seat }
    }

    /// Waits while everything is handed out, or the window is full. Cancel safe: nothing counts as
    /// handed out that was not returned. After an error it can be tried again.
    pub async fn next(&mut self) -> Result<Next<R>, SpoolError> {
        loop {
            let (read, told) = (self.read.as_ref(), self.told_gone);
            let ready = |state: &mut super::State<R>| {
                let gone = state.log.undelivered_gone();
                if gone > told {
                    return Some(Ready::Gone(gone));
                }
                match state.log.next(read) {
                    Step::Chunk(chunk) => Some(Ready::Chunk(chunk)),
                    Step::Read(number, slot) => Some(Ready::Read(number, slot)),
                    Step::End => state.result.clone().map(Ready::Ended),
                    Step::Wait => None,
                }
            };
            match self.shared.when(&self.shared.readable, ready).await {
                Ready::Chunk(chunk) => return Ok(Next::Chunk(chunk)),
                Ready::Ended(result) => return Ok(Next::Ended(result)),
                Ready::Gone(gone) => {
                    let more = gone - self.told_gone;
                    self.told_gone = gone;
                    return Ok(Next::Gone(more));
                }
                Ready::Read(number, slot) => self.read = Some((number, read_slot(slot).await?)),
            }
        }
    }

    /// The client has written everything of `stream` before `offset`: it won't be handed out again.
    pub fn ack(&self, stream: Stream, offset: u64) -> Result<(), NotSent> {
        let mut state = self.shared.lock();
        state.log.ack(stream, offset)?;
        self.shared.seal(&mut state);
        drop(state);
        self.shared.readable.notify_waiters();
        self.shared.room.notify_waiters();
        Ok(())
    }
}

enum Ready<R> {
    Chunk(Chunk),
    Read(u64, Arc<Slot>),
    Gone(u64),
    Ended(R),
}

impl<R> Drop for Attachment<R> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.attached = false;
        state.log.rewind();
        drop(state);
        self.shared.room.notify_waiters();
    }
}

/// Reads on a thread that may block.
pub(super) async fn read_slot(slot: Arc<Slot>) -> Result<Bytes, SpoolError> {
    tokio::task::spawn_blocking(move || slot.read())
        .await
        .unwrap_or(Err(SpoolError::Disk(std::io::ErrorKind::Interrupted)))
        .map(Bytes::from)
}
