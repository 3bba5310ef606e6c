//! How printed bytes are packed: blocks of at most one spool slot, each a row of runs of one stream.
//!
//! A run is a word of four bytes (the stream in the highest bit, the length in the others) and its
//! bytes. So a command that alternates between its streams byte by byte costs five times what it
//! prints, never more, and the order is kept.

use bytes::Bytes;

use crate::daemon::session::spool::SLOT;

/// Where a command printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(super) fn index(self) -> usize {
        match self {
            Stream::Stdout => 0,
            Stream::Stderr => 1,
        }
    }
}

const HEADER: usize = 4;
/// Up to here a block grows as it needs, from here it has its whole size.
const SMALL: usize = 8 * 1024;
const STDERR: u32 = 1 << 31;

/// A run inside a packed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) stream: Stream,
    /// Where its bytes begin in the body.
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Run {
    /// The run whose header stands at `at`; `None` behind the last one.
    pub(super) fn at(body: &[u8], at: usize) -> Option<Self> {
        let (header, rest) = body.get(at..)?.split_first_chunk::<HEADER>()?;
        let word = u32::from_be_bytes(*header);
        let stream = if word & STDERR == 0 { Stream::Stdout } else { Stream::Stderr };
        let len = ((word & !STDERR) as usize).min(rest.len());
        Some(Self { stream, start: at + HEADER, len })
    }

    /// Where the next run's header stands.
    pub(super) fn end(self) -> usize {
        self.start + self.len
    }
}

/// The block that is being filled.
#[derive(Default)]
pub(super) struct Packer {
    body: Vec<u8>,
    last: Option<Run>,
    last_at: usize,
}

impl Packer {
    /// Takes what fits and says how much that was: nothing once the block is full.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8]) -> usize {
        if self.body.len() + HEADER + bytes.len() > SMALL {
            // Else the doubling of a Vec would end beyond the slot.
            self.body.reserve_exact(SLOT - self.body.len());
        }
        let run = match self.last {
            Some(run) if run.stream == stream => run,
            _ if self.body.len() + HEADER >= SLOT => return 0,
            _ => {
                self.last_at = self.body.len();
                self.body.extend_from_slice(&[0; HEADER]);
                Run { stream, start: self.body.len(), len: 0 }
            }
        };
        let taken = bytes.len().min(SLOT - self.body.len());
        self.body.extend_from_slice(&bytes[..taken]);
        let run = Run { len: run.len + taken, ..run };
        let flag = if stream == Stream::Stderr { STDERR } else { 0 };
        // A run is at most a slot long.
        let word = flag | run.len as u32;
        self.body[self.last_at..self.last_at + HEADER].copy_from_slice(&word.to_be_bytes());
        self.last = Some(run);
        taken
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.body.capacity()
    }

    /// What was packed; the packer is empty afterwards.
    pub(super) fn close(&mut self) -> Bytes {
        let mut body = std::mem::take(self).body;
        body.shrink_to_fit();
        Bytes::from(body)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpack(body: &[u8]) -> Vec<(Stream, Vec<u8>)> {
        let mut runs = Vec::new();
        let mut at = 0;
        while let Some(run) = Run::at(body, at) {
            runs.push((run.stream, body[run.start..run.end()].to_vec()));
            at = run.end();
        }
        runs
    }

    #[test]
    fn a_block_never_outgrows_a_slot_and_fills_it() {
        let mut packer = Packer::default();
        assert_eq!(packer.push(Stream::Stdout, &[1; 2 * SLOT]), SLOT - 4);
        assert_eq!(packer.push(Stream::Stdout, &[1]), 0);
        assert_eq!(packer.push(Stream::Stderr, &[1]), 0);
        assert_eq!(packer.close().len(), SLOT);
        assert!(packer.is_empty());
    }

    proptest! {
        #[test]
        fn runs_come_back_in_order(pushes: Vec<(bool, Vec<u8>)>) {
            let mut packer = Packer::default();
            let mut expected: Vec<(Stream, Vec<u8>)> = Vec::new();
            for (err, bytes) in &pushes {
                let stream = if *err { Stream::Stderr } else { Stream::Stdout };
                prop_assert_eq!(packer.push(stream, bytes), bytes.len());
                match expected.last_mut() {
                    Some((last, all)) if *last == stream => all.extend(bytes),
                    _ => expected.push((stream, bytes.clone())),
                }
            }
            prop_assert_eq!(unpack(packer.body()), expected);
        }

        #[test]
        fn any_bytes_can_be_walked(body: Vec<u8>) {
            unpack(&body);
        }
    }
}
