//! A command's standard input between the socket and the channel: bounded by credit, so that the
//! daemon always reads its socket and `cancel` is never stuck behind data.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

/// What a client may send ahead of what the channel has taken, in bytes.
pub const CREDIT: u64 = 256 * 1024;
/// The same in chunks, so that tiny ones do not cost more than they hold.
const CHUNKS: usize = 1024;

/// How often somebody who waits for room looks for it.
const AGAIN: Duration = Duration::from_millis(20);

#[derive(Default)]
pub struct Stdin {
    state: Mutex<State>,
    readable: Notify,
    taken: Notify,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    held: u64,
    /// Taken by the channel and not yet granted anew.
    ungranted: u64,
    ended: bool,
}

/// The client sent more than it was granted.
#[derive(Debug, PartialEq, Eq)]
pub struct OverCredit;

impl Stdin {
    /// Standard input that is empty from the start.
    pub fn empty() -> Self {
        let stdin = Self::default();
        stdin.lock().ended = true;
        stdin
    }

    /// An empty chunk is the end.
    pub fn push(&self, chunk: Vec<u8>) -> Result<(), OverCredit> {
        let mut state = self.lock();
        if chunk.is_empty() || state.ended {
            state.ended = true;
        } else {
            let size = chunk.len() as u64;
            if state.held + state.ungranted + size > CREDIT || state.chunks.len() >= CHUNKS {
                return Err(OverCredit);
            }
            state.held += size;
            state.chunks.push_back(chunk);
        }
        drop(state);
        self.readable.notify_one();
        Ok(())
    }

    /// The same for somebody who asks for no credit: waits for room.
    pub async fn push_all(&self, chunk: Vec<u8>) {
        let piece = usize::try_from(CREDIT / 4).unwrap_or(usize::MAX);
        for piece in chunk.chunks(piece) {
            while self.push(piece.to_vec()).is_err() {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    pub fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// The next chunk; `None` at the end.
    pub async fn next(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut state = self.lock();
                if let Some(chunk) = state.chunks.pop_front() {
                    return Some(chunk);
                }
                if state.ended {
                    return None;
                }
            }
            self.readable.notified().await;
        }
    }

    /// The channel has taken so many bytes.
    pub fn took(&self, bytes: usize) {
        let mut state = self.lock();
        state.held = state.held.saturating_sub(bytes as u64);
        state.ungranted += bytes as u64;
        drop(state);
        self.taken.notify_one();
    }

    /// How many more bytes the client may send; waits until that is worth a message.
    pub async fn more_credit(&self) -> u64 {
        loop {
            {
                let mut state = self.lock();
                if state.ungranted >= CREDIT / 4 || (state.ungranted > 0 && state.held == 0) {
                    return std::mem::take(&mut state.ungranted);
                }
            }
            self.taken.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn chunks_come_in_order_and_then_the_end() {
        let stdin = Stdin::default();
        stdin.push(b"a".to_vec()).unwrap();
        stdin.push(b"b".to_vec()).unwrap();
        stdin.push(Vec::new()).unwrap();
        assert_eq!(stdin.next().await, Some(b"a".to_vec()));
        assert_eq!(stdin.next().await, Some(b"b".to_vec()));
        assert_eq!(stdin.next().await, None);
    }

    #[tokio::test]
    async fn nobody_sends_more_than_was_granted() {
        let stdin = Stdin::default();
        for _ in 0..4 {
            stdin.push(vec![0; 64 * 1024]).unwrap();
        }
        assert_eq!(stdin.push(vec![0]), Err(OverCredit));
        let taken = stdin.next().await.unwrap().len();
        stdin.took(taken);
        assert_eq!(stdin.push(vec![0]), Err(OverCredit), "taken is not yet granted");
        assert_eq!(stdin.more_credit().await, taken as u64);
        stdin.push(vec![0; taken]).unwrap();
    }

    #[test]
    fn tiny_chunks_are_bounded_too() {
        let stdin = Stdin::default();
        let pushed = (0..10_000).take_while(|_| stdin.push(vec![1]).is_ok()).count();
        assert_eq!(pushed, CHUNKS);
    }
}
