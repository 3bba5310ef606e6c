//! What a client has sent on a channel and nobody has taken yet: the command's standard input.
//!
//! russh opens a channel's window again when bytes arrive, not when they are taken, and reads nothing
//! else of the connection while its handler waits. So the handler waits for moments alone, and where too
//! much lies here the window is opened by two bytes at a time until less does.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::budget::Budget;

/// From here on a channel is behind, in bytes.
const BEHIND: usize = 512 * 1024;
/// The same where much lies in others already.
const TIGHT: usize = 64 * 1024;
/// More than a client can have sent that keeps to its window and the crumbs beyond it.
const MOST: usize = 2 * 1024 * 1024;
/// By so much a piece grows at least, in bytes.
const STEP: usize = 4 * 1024;
/// The largest piece that is handed out.
pub const PIECE: usize = 64 * 1024;

pub struct Inbox {
    budget: Arc<Budget>,
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

/// Why no more is taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Full {
    /// The client sends what it was not asked for.
    Window,
    /// Too much of it, and of its like, lies here already.
    Budget,
}

impl Inbox {
    pub fn new(budget: Arc<Budget>) -> Arc<Self> {
        let (readable, room) = (Notify::new(), Notify::new());
        Arc::new(Self { budget, state: Mutex::default(), readable, room })
    }

    /// Where what comes is counted.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// What came: all of it is kept, or nothing.
    pub fn push(&self, bytes: &[u8]) -> Result<(), Full> {
        let mut state = self.lock();
        if state.closed || state.ended {
            return Ok(());
        }
        if state.held + bytes.len() > MOST {
            return Err(Full::Window);
        }
        if !self.budget.take(bytes.len()) {
            return Err(Full::Budget);
        }
        state.held += bytes.len();
        // Little by little would cost more than it holds.
        match state.chunks.back_mut() {
            Some(last) if last.len() + bytes.len() <= PIECE => {
                if last.capacity() - last.len() < bytes.len() {
                    last.reserve_exact(bytes.len().max(STEP));
                }
                last.extend_from_slice(bytes);
            }
            _ => state.chunks.extend(bytes.chunks(PIECE).map(<[u8]>::to_vec)),
        }
        drop(state);
        self.readable.notify_one();
        Ok(())
    }

    /// The client has said all.
    pub fn end(&self) {
        self.lock().ended = true;
        self.readable.notify_one();
    }

    /// What comes from here on is dropped.
    pub fn close(&self) {
        let mut state = self.lock();
        let held = std::mem::replace(&mut *state, State { closed: true, ..State::default() }).held;
        drop(state);
        self.budget.give_back(held);
        self.readable.notify_one();
        self.room.notify_one();
    }

    pub fn is_behind(&self) -> bool {
        self.held() >= if self.budget.is_tight() { TIGHT } else { BEHIND }
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
                    self.budget.give_back(piece.len());
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
        let held = std::mem::take(&mut state.held);
        drop(state);
        self.budget.give_back(held);
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
                    let held = state.chunks.iter().map(Vec::len).sum();
                    let gone = std::mem::replace(&mut state.held, held) - held;
                    drop(state);
                    self.budget.give_back(gone);
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

impl Drop for Inbox {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox() -> Arc<Inbox> {
        Inbox::new(Budget::new(2 * MOST, None))
    }

    #[tokio::test]
    async fn what_was_sent_comes_in_order_and_then_the_end() {
        let inbox = inbox();
        let all: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        for part in all.chunks(7919) {
            inbox.push(part).unwrap();
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
        let inbox = inbox();
        let packet = vec![0; PIECE];
        let pushed = (0..1000).take_while(|_| inbox.push(&packet).is_ok()).count();
        assert_eq!((pushed, inbox.push(&packet)), (MOST / PIECE, Err(Full::Window)));
        assert!(inbox.is_behind());
        while inbox.is_behind() {
            inbox.next(PIECE).await.unwrap();
        }
        inbox.room().await;
        inbox.close();
        inbox.push(&packet).unwrap();
        assert!(!inbox.is_behind(), "nobody wants it any more");
        assert_eq!(inbox.next(PIECE).await, None);
    }

    #[tokio::test]
    async fn single_bytes_take_no_more_than_their_room() {
        let inbox = inbox();
        (0..100_000).for_each(|_| inbox.push(b"x").unwrap());
        let chunks = &inbox.lock().chunks;
        let room: usize = chunks.iter().map(Vec::capacity).sum();
        assert!(chunks.len() <= 2 && room <= 100_000 + STEP * 2, "{room}");
    }

    #[tokio::test]
    async fn an_interrupt_takes_what_lies_before_it_along() {
        let inbox = inbox();
        inbox.push(&vec![b'x'; PIECE]).unwrap();
        inbox.push(b"a\x03b\x03ls").unwrap();
        inbox.take_through(3).await;
        assert_eq!(inbox.next(PIECE).await.unwrap(), b"ls");
        inbox.push(b"y\x03").unwrap();
        inbox.take_through(3).await;
        inbox.push(b"z").unwrap();
        inbox.clear();
        inbox.end();
        assert_eq!(inbox.next(PIECE).await, None);
    }

    #[tokio::test]
    async fn what_lies_in_one_is_room_that_others_lack_until_it_is_taken() {
        let budget = Budget::new(3 * PIECE, None);
        let [one, two] = [(); 2].map(|()| Inbox::new(budget.clone()));
        let packet = vec![0; PIECE];
        (0..3).for_each(|_| one.push(&packet).unwrap());
        assert_eq!(two.push(&packet), Err(Full::Budget));
        assert!(one.is_behind() && !two.is_behind());
        one.next(10).await.unwrap();
        assert_eq!(two.push(&packet), Err(Full::Budget));
        two.push(&packet[..10]).unwrap();
        one.clear();
        (0..2).for_each(|_| two.push(&packet).unwrap());
        two.close();
        (0..3).for_each(|_| one.push(&packet).unwrap());
        drop(one);
        assert!(budget.take(3 * PIECE), "all of it is there again");
    }
}
