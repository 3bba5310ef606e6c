//! What a client has sent on a channel and nobody has taken yet: the command's standard input.
//!
//! russh opens a channel's window again when bytes arrive, not when they are taken, and reads nothing
//! else of the connection while its handler waits. So the handler waits for moments alone, and where too
//! much lies here the window is opened by two bytes at a time until less does.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// From here on a channel is behind, in bytes.
const BEHIND: usize = 1024 * 1024;
/// More than a client can have sent that keeps to its window and the crumbs beyond it.
const MOST: usize = 4 * 1024 * 1024;
/// The largest piece that is handed out.
pub const PIECE: usize = 64 * 1024;

#[derive(Default)]
pub struct Inbox {
    state: Mutex<State>,
    readable: Notify,
    room: Notify,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    held: usize,
    ended: bool,
    /// Nobody reads it any more.
    closed: bool,
}

impl Inbox {
    /// False where the client sends what it was not asked for.
    pub fn push(&self, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        if state.closed || state.ended {
            return true;
        }
        if state.held + bytes.len() > MOST {
            return false;
        }
        state.held += bytes.len();
        // Little by little would cost more than it holds.
        match state.chunks.back_mut() {
            Some(last) if last.len() + bytes.len() <= PIECE => last.extend_from_slice(bytes),
            _ => state.chunks.extend(bytes.chunks(PIECE).map(<[u8]>::to_vec)),
        }
        drop(state);
        self.readable.notify_one();
        true
    }

    /// The client has said all.
    pub fn end(&self) {
        self.lock().ended = true;
        self.readable.notify_one();
    }

    /// What comes from here on is dropped.
    pub fn close(&self) {
        *self.lock() = State { closed: true, ..State::default() };
        self.readable.notify_one();
        self.room.notify_one();
    }

    pub fn is_behind(&self) -> bool {
        self.held() >= BEHIND
    }

    /// In bytes.
    pub fn held(&self) -> usize {
        self.lock().held
    }

    /// Comes when it is not behind.
    pub async fn room(&self) {
        while self.is_behind() {
            self.room.notified().await;
        }
    }

    /// The next piece, of so many bytes at most; `None` at the end. Given up, it has taken nothing.
    pub async fn next(&self, most: usize) -> Option<Vec<u8>> {
        loop {
            {
                let mut state = self.lock();
                if let Some(mut piece) = state.chunks.pop_front() {
                    if piece.len() > most {
                        let rest = piece.split_off(most);
                        state.chunks.push_front(rest);
                    }
                    state.held -= piece.len();
                    drop(state);
                    self.room.notify_one();
                    return Some(piece);
                }
                if state.ended || state.closed {
                    return None;
                }
            }
            self.readable.notified().await;
        }
    }

    /// Lets go of all that lies here.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.chunks.clear();
        state.held = 0;
        drop(state);
        self.room.notify_one();
    }

    /// Comes when such a byte lies here, and takes it with all before it.
    pub async fn take_through(&self, byte: u8) {
        loop {
            {
                let mut state = self.lock();
                let found = |chunk: &Vec<u8>| chunk.iter().rposition(|one| *one == byte);
                let at = state.chunks.iter().rposition(|chunk| found(chunk).is_some());
                if let Some(at) = at {
                    state.chunks.drain(..at);
                    if let Some(first) = state.chunks.front_mut() {
                        let end = found(first).map_or(0, |end| end + 1);
                        first.drain(..end);
                    }
                    state.chunks.retain(|chunk| !chunk.is_empty());
                    state.held = state.chunks.iter().map(Vec::len).sum();
                    drop(state);
                    self.room.notify_one();
                    return;
                }
            }
            self.readable.notified().await;
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
    async fn what_was_sent_comes_in_order_and_then_the_end() {
        let inbox = Inbox::default();
        let all: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        for part in all.chunks(7919) {
            assert!(inbox.push(part));
        }
        inbox.end();
        let mut come = Vec::new();
        while let Some(piece) = inbox.next(5000).await {
            assert!(piece.len() <= 5000);
            come.extend(piece);
        }
        assert_eq!(come, all);
    }

    #[tokio::test]
    async fn who_keeps_sending_is_behind_and_then_told_off() {
        let inbox = Inbox::default();
        let packet = vec![0; PIECE];
        let pushed = (0..1000).take_while(|_| inbox.push(&packet)).count();
        assert_eq!(pushed, MOST / PIECE);
        assert!(inbox.is_behind());
        while inbox.is_behind() {
            inbox.next(PIECE).await.unwrap();
        }
        inbox.room().await;
        inbox.close();
        assert!(inbox.push(&packet) && !inbox.is_behind(), "nobody wants it any more");
        assert_eq!(inbox.next(PIECE).await, None);
    }

    #[tokio::test]
    async fn single_bytes_take_no_more_than_their_room() {
        let inbox = Inbox::default();
        (0..100_000).for_each(|_| assert!(inbox.push(b"x")));
        assert!(inbox.lock().chunks.len() <= 2);
    }

    #[tokio::test]
    async fn an_interrupt_takes_what_lies_before_it_along() {
        let inbox = Inbox::default();
        inbox.push(&vec![b'x'; PIECE]);
        inbox.push(b"a\x03b\x03ls");
        inbox.take_through(3).await;
        assert_eq!(inbox.next(PIECE).await.unwrap(), b"ls");
        inbox.push(b"y\x03");
        inbox.take_through(3).await;
        inbox.push(b"z");
        inbox.clear();
        inbox.end();
        assert_eq!(inbox.next(PIECE).await, None);
    }
}
