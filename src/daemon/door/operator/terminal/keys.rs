//! What the attached operator types, in the order in which it came: keys, and what must not overtake
//! them, as going private before a password.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

/// Keys that wait for a terminal that takes none, in bytes.
const WAITING: usize = 256 * 1024;
/// Words that wait, of which each has an answer.
const WORDS: usize = 64;

pub enum Key {
    Typed(Vec<u8>),
    Private { number: u32, on: bool },
    Resize { number: u32, rows: u16, columns: u16 },
}

#[derive(Default)]
pub struct Keys {
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Default)]
struct Waiting {
    keys: VecDeque<Key>,
    bytes: usize,
}

/// There is no room for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Keys {
    pub fn push(&self, key: Key) -> Result<(), Full> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { keys, bytes } = &mut *waiting;
        let words = keys.len();
        match (key, keys.back_mut()) {
            (Key::Typed(typed), _) if *bytes + typed.len() > WAITING => return Err(Full),
            (Key::Typed(typed), Some(Key::Typed(before))) => {
                *bytes += typed.len();
                before.extend_from_slice(&typed);
            }
            (Key::Typed(typed), _) => {
                *bytes += typed.len();
                keys.push_back(Key::Typed(typed));
            }
            _ if words >= WORDS => return Err(Full),
            (word, _) => keys.push_back(word),
        }
        drop(waiting);
        self.came.notify_one();
        Ok(())
    }

    pub async fn next(&self) -> Key {
        loop {
            {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(key) = waiting.keys.pop_front() {
                    if let Key::Typed(typed) = &key {
                        waiting.bytes -= typed.len();
                    }
                    return key;
                }
            }
            self.came.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_overtakes_what_was_typed_before_and_tiny_pieces_become_one() {
        let keys = Keys::default();
        keys.push(Key::Typed(b"a".to_vec())).unwrap();
        keys.push(Key::Typed(b"b".to_vec())).unwrap();
        keys.push(Key::Private { number: 2, on: true }).unwrap();
        keys.push(Key::Typed(b"secret".to_vec())).unwrap();
        assert!(matches!(keys.next().await, Key::Typed(typed) if typed == b"ab"));
        assert!(matches!(keys.next().await, Key::Private { on: true, .. }));
        assert!(matches!(keys.next().await, Key::Typed(typed) if typed == b"secret"));
    }

    #[test]
    fn what_no_terminal_takes_is_bounded() {
        let keys = Keys::default();
        let mut taken = 0;
        while keys.push(Key::Typed(vec![b'x'; 1000])).is_ok() {
            taken += 1000;
        }
        assert!(taken <= WAITING && taken > WAITING - 1000);
        let words = (0..1000)
            .take_while(|number| keys.push(Key::Private { number: *number, on: true }).is_ok());
        assert!(words.count() < WORDS);
    }
}
