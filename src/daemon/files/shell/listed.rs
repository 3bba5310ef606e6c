//! What is kept of a listing: so much, whatever a server says.

use crate::{
    daemon::files::{fault::Fault, list::ENTRIES, room::LISTED},
    domain::{bytes, sftp::MAX_NAME},
};

/// What a listing has told so far.
#[derive(Default)]
pub(super) struct Listed {
    pub entries: u64,
    pub truncated: bool,
    /// Directories that could not be read.
    pub unread: Vec<bytes::Bytes>,
    /// Bytes of paths that it was told, and keeps.
    bytes: u64,
    /// There is no room for more.
    full: bool,
}

impl Listed {
    pub fn is_full(&self) -> bool {
        self.full || self.entries >= ENTRIES
    }

    /// One more entry, with so many bytes of names; false where there is no room for it.
    pub fn takes(&mut self, bytes: usize) -> bool {
        let more = self.bytes + bytes as u64;
        self.full = self.is_full() || more > LISTED;
        if !self.full {
            (self.entries, self.bytes) = (self.entries + 1, more);
        }
        !self.full
    }
}

/// A name or a path, as long as there can be.
pub(super) fn short(name: &[u8]) -> Result<&[u8], Fault> {
    match name.len() {
        0..=MAX_NAME => Ok(name),
        _ => Err(Fault::Odd("a name or path of more than 4096 bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_keeps_so_many_entries_and_so_many_bytes() {
        let mut listed = Listed::default();
        while listed.takes(5000) {}
        assert!((LISTED - 5000..=LISTED).contains(&listed.bytes) && listed.is_full());
        let mut listed = Listed::default();
        while listed.takes(1) {}
        assert_eq!((listed.entries, listed.is_full()), (ENTRIES, true));
        assert!(short(&[b'x'; MAX_NAME]).is_ok() && short(&[b'x'; MAX_NAME + 1]).is_err());
    }
}
