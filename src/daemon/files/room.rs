//! What of a server's names is kept at once: whatever it says, that much.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of the paths of one listing: more is told as cut short.
pub(super) const LISTED: u64 = 32 * 1024 * 1024;

/// For all directories that are read for one purpose.
pub(super) struct Room {
    entries: AtomicU64,
    bytes: AtomicU64,
}

/// What was taken of it: given back when it goes, unless it was kept.
pub(super) struct Taken<'r> {
    room: &'r Room,
    entries: u64,
    bytes: u64,
}

impl Room {
    pub fn new(entries: u64, bytes: u64) -> Self {
        Self { entries: AtomicU64::new(entries), bytes: AtomicU64::new(bytes) }
    }

    pub fn begin(&self) -> Taken<'_> {
        Taken { room: self, entries: 0, bytes: 0 }
    }
}

impl Taken<'_> {
    /// One more entry with so many bytes; false where there is no room for it.
    pub fn entry(&mut self, bytes: usize) -> bool {
        let taken = take(&self.room.entries, 1);
        if taken && self.bytes(bytes) {
            self.entries += 1;
            return true;
        }
        if taken {
            self.room.entries.fetch_add(1, Ordering::Relaxed);
        }
        false
    }

    /// More bytes of an entry.
    pub fn bytes(&mut self, bytes: usize) -> bool {
        let taken = take(&self.room.bytes, bytes as u64);
        self.bytes += if taken { bytes as u64 } else { 0 };
        taken
    }

    pub fn keep(mut self) {
        (self.entries, self.bytes) = (0, 0);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.room.entries.fetch_add(self.entries, Ordering::Relaxed);
        self.room.bytes.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

fn take(of: &AtomicU64, much: u64) -> bool {
    let less = |left: u64| left.checked_sub(much);
    of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_has_a_bound_and_comes_back_unless_it_is_kept() {
        let room = Room::new(2, 10);
        let mut one = room.begin();
        assert!(one.entry(4) && !one.entry(7) && one.entry(4) && !one.entry(1));
        drop(one);
        let mut kept = room.begin();
        assert!(kept.entry(8) && kept.bytes(2) && !kept.bytes(1) && !kept.entry(1));
        kept.keep();
        let mut other = room.begin();
        assert!(!other.entry(1) && other.entry(0));
    }
}
