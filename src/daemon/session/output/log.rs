//! The bookkeeping of one command's output, without waiting or I/O: which blocks there are, what a
//! client has been handed and has acknowledged, what history still wants, and what must leave memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::block::{Packer, Run, Stream};
use super::{
    CHUNK, Chunk, HISTORY_HEAD, HISTORY_TAIL, MEMORY, NotSent, SMALL, WINDOW, WINDOW_CHUNKS,
};
use crate::daemon::session::spool::{Allowance, LetGo, Need, Share, Slot};

/// One command's output.
#[derive(Default)]
pub(super) struct Log {
    blocks: BTreeMap<u64, Block>,
    /// The block that is being filled; its number is the next one.
    open: Packer,
    open_number: u64,
    open_position: u64,
    printed: [u64; 2],
    /// Bytes of closed blocks that are in memory: those that count against [`MEMORY`], and those
    /// that hold a share of the process's allowance.
    memory: usize,
    shared: usize,

    acked: [u64; 2],
    sent: Cursor,
    /// What was handed out and not acknowledged, in order. Bounded by the window.
    out: VecDeque<Handed>,
    out_bytes: u64,

    /// The first block that is not part of the head of history.
    head_end: Option<u64>,
    /// Blocks below were looked at after they had been delivered: they are where they shall stay.
    settled: u64,
    finished: bool,
    /// Finished with so little that it stays in memory.
    small: bool,
    history_gone: bool,
    undelivered_gone: u64,
}

struct Block {
    /// Bytes printed before it, both streams together.
    position: u64,
    size: u64,
    body: Body,
}

#[derive(Clone)]
pub(super) enum Body {
    Memory(Bytes, Option<Arc<Share>>),
    Sealed(Arc<Slot>),
}

/// A place in the log: a block, a run's header in it, bytes of that run, and the streams' offsets there.
#[derive(Clone, Copy, Default)]
struct Cursor {
    block: u64,
    at: usize,
    skip: usize,
    offset: [u64; 2],
}

struct Handed {
    from: Cursor,
    stream: Stream,
    end: u64,
    len: u64,
}

enum Found<'a> {
    /// The body, and where it can be shared rather than copied.
    Here(&'a [u8], Option<&'a Bytes>),
    Sealed(Arc<Slot>),
    Nothing,
}

/// What a reader gets next.
pub(super) enum Step {
    Chunk(Chunk),
    /// The block must be read from the spool first, and given back.
    Read(u64, Arc<Slot>),
    /// Nothing until something changes.
    Wait,
    /// Everything was handed out.
    End,
}

/// A block to be sealed.
pub(super) struct Victim {
    pub(super) number: u64,
    pub(super) body: Bytes,
    pub(super) need: Need,
}

/// Part of the log for a reader of history.
pub(super) struct Page {
    pub(super) number: u64,
    pub(super) position: u64,
    pub(super) body: Body,
}

impl Block {
    /// Bytes without and with a share of an allowance.
    fn in_memory(&self) -> (usize, usize) {
        match &self.body {
            Body::Memory(body, None) => (body.len(), 0),
            Body::Memory(body, Some(_)) => (0, body.len()),
            Body::Sealed(_) => (0, 0),
        }
    }
}

impl Log {
    pub(super) fn push(&mut self, stream: Stream, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.open.push(stream, bytes);
            if taken == 0 {
                self.close_block();
            }
            self.printed[stream.index()] += taken as u64;
            bytes = &bytes[taken..];
        }
    }

    fn close_block(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let position = self.open_position;
        let body = self.open.close();
        let block =
            Block { position, size: self.total() - position, body: Body::Memory(body, None) };
        self.memory += block.in_memory().0;
        if self.head_end.is_none() && position >= HISTORY_HEAD {
            self.head_end = Some(self.open_number);
        }
        self.blocks.insert(self.open_number, block);
        self.open_number += 1;
        self.open_position = self.total();
        self.drop_the_middle();
    }

    /// No more is printed. Small output stays where it is when `small` has room for it.
    pub(super) fn finish(&mut self, small: &Allowance) {
        self.finished = true;
        self.settled = 0;
        let len = self.open.body().len();
        let share = (self.blocks.is_empty() && len <= SMALL).then(|| small.take(len)).flatten();
        self.close_block();
        if let (Some(share), Some(block)) = (share, self.blocks.values_mut().next())
            && let Body::Memory(_, held) = &mut block.body
        {
            *held = Some(Arc::new(share));
            (self.memory, self.shared, self.small) = (0, len, true);
        }
    }

    // ---- delivery

    /// `cached` is the block that was read last.
    pub(super) fn next(&mut self, cached: Option<&(u64, Bytes)>) -> Step {
        loop {
            let Cursor { block, at, skip, .. } = self.sent;
            let Some(run) = (match self.body_of(block, cached) {
                Found::Here(body, _) => Run::at(body, at),
                Found::Sealed(slot) => return Step::Read(block, slot),
                Found::Nothing => None,
            }) else {
                if block < self.open_number {
                    self.sent = Cursor { block: block + 1, at: 0, skip: 0, ..self.sent };
                    continue;
                }
                return if self.finished { Step::End } else { Step::Wait };
            };
            if skip == run.len {
                // The last run of the open block can still grow: only a successor ends it.
                let last = block == self.open_number && run.end() == self.open.body().len();
                if last && self.finished {
                    return Step::End;
                } else if last {
                    return Step::Wait;
                }
                self.sent = Cursor { at: run.end(), skip: 0, ..self.sent };
                continue;
            }
            let stream = run.stream.index();
            let acked = self.acked[stream].saturating_sub(self.sent.offset[stream]);
            if acked > 0 {
                // Acknowledged to an earlier client, while what lies before on the other stream was not.
                let known = acked.min((run.len - skip) as u64);
                self.sent.skip += known as usize;
                self.sent.offset[stream] += known;
                continue;
            }
            let left = WINDOW.saturating_sub(self.out_bytes) as usize;
            let len = (run.len - skip).min(CHUNK).min(left);
            if len == 0 || self.out.len() >= WINDOW_CHUNKS {
                return Step::Wait;
            }
            let from = run.start + skip;
            let bytes = match self.body_of(block, cached) {
                Found::Here(_, Some(body)) => body.slice(from..from + len),
                Found::Here(body, None) => Bytes::copy_from_slice(&body[from..from + len]),
                _ => return Step::Wait,
            };
            return Step::Chunk(self.hand_out(run.stream, bytes));
        }
    }

    fn body_of<'a>(&'a self, number: u64, cached: Option<&'a (u64, Bytes)>) -> Found<'a> {
        if number == self.open_number {
            return Found::Here(self.open.body(), None);
        }
        match (self.blocks.get(&number).map(|block| &block.body), cached) {
            (Some(Body::Memory(body, _)), _) => Found::Here(body, Some(body)),
            (Some(Body::Sealed(_)), Some((read, body))) if *read == number => {
                Found::Here(body, Some(body))
            }
            (Some(Body::Sealed(slot)), _) => Found::Sealed(Arc::clone(slot)),
            (None, _) => Found::Nothing,
        }
    }

    fn hand_out(&mut self, stream: Stream, bytes: Bytes) -> Chunk {
        let (from, len) = (self.sent, bytes.len());
        let offset = from.offset[stream.index()];
        let end = offset + len as u64;
        self.out.push_back(Handed { from, stream, end, len: len as u64 });
        self.out_bytes += len as u64;
        self.sent.skip += len;
        self.sent.offset[stream.index()] = end;
        Chunk { stream, offset, bytes }
    }

    pub(super) fn ack(&mut self, stream: Stream, offset: u64) -> Result<(), NotSent> {
        let acked = &mut self.acked[stream.index()];
        if offset > self.sent.offset[stream.index()].max(*acked) {
            return Err(NotSent);
        }
        *acked = offset.max(*acked);
        while let Some(first) = self.out.front()
            && first.end <= self.acked[first.stream.index()]
        {
            self.out_bytes -= first.len;
            self.out.pop_front();
        }
        Ok(())
    }

    /// The client is gone: what it has not acknowledged is handed out again.
    pub(super) fn rewind(&mut self) {
        if let Some(first) = self.out.front() {
            self.sent = first.from;
        }
        self.out.clear();
        self.out_bytes = 0;
    }

    /// Printed and not acknowledged, in bytes.
    pub(super) fn pending(&self) -> u64 {
        (0..2).map(|stream| self.printed[stream].saturating_sub(self.acked[stream])).sum()
    }

    /// Never delivered, and no longer there, in bytes.
    pub(super) fn undelivered_gone(&self) -> u64 {
        self.undelivered_gone
    }

    /// The first block that delivery still needs.
    fn needed_from(&self) -> u64 {
        if self.pending() == 0 {
            return self.open_number;
        }
        self.out.front().map_or(self.sent.block, |first| first.from.block)
    }

    // ---- what stays where

    /// The next block that must leave memory: delivered ones, then of the others the newest, once
    /// there are more than [`MEMORY`].
    pub(super) fn victim(&mut self, recent: &Allowance) -> Option<Victim> {
        self.delivered(recent).or_else(|| {
            if self.memory <= MEMORY {
                return None;
            }
            let unsealed = |(number, block): (&u64, &Block)| match &block.body {
                Body::Memory(body, None) => Some((*number, body.clone())),
                _ => None,
            };
            let (number, body) =
                self.blocks.range(self.needed_from()..).rev().find_map(unsealed)?;
            Some(Victim { number, body, need: Need::Delivery })
        })
    }

    /// The next delivered block that must leave memory: its history goes to the spool, unless `recent`
    /// has room for it.
    pub(super) fn delivered(&mut self, recent: &Allowance) -> Option<Victim> {
        let needed = self.needed_from();
        while self.settled < needed {
            let number = self.settled;
            let tail = self.head_end.is_some_and(|end| number >= end);
            let may_share = tail && !self.finished;
            let wanted = self.wanted(number);
            if !wanted {
                self.remove(number);
            }
            if let Some(block) = self.blocks.get_mut(&number)
                && let Body::Memory(body, share) = &mut block.body
                && !(share.is_some() && (may_share || self.small))
            {
                match may_share.then(|| recent.take(body.len())).flatten() {
                    Some(taken) => {
                        *share = Some(Arc::new(taken));
                        self.memory -= body.len();
                        self.shared += body.len();
                    }
                    None => {
                        return Some(Victim { number, body: body.clone(), need: Need::History });
                    }
                }
            }
            self.settled += 1;
        }
        None
    }

    /// A victim is in the spool now, or could not be brought there: history then goes without it.
    pub(super) fn sealed(&mut self, victim: &Victim, slot: Option<Slot>) {
        let Some(block) = self.blocks.get_mut(&victim.number) else { return };
        let (memory, shared) = block.in_memory();
        match slot {
            Some(slot) => {
                block.body = Body::Sealed(Arc::new(slot));
                self.memory -= memory;
                self.shared -= shared;
            }
            None if victim.need == Need::History => self.remove(victim.number),
            None => {}
        }
    }

    fn remove(&mut self, number: u64) {
        if let Some(block) = self.blocks.remove(&number) {
            let (memory, shared) = block.in_memory();
            self.memory -= memory;
            self.shared -= shared;
        }
    }

    fn wanted(&self, number: u64) -> bool {
        let Some(block) = self.blocks.get(&number) else { return false };
        let head = block.position < HISTORY_HEAD;
        !self.history_gone && (head || block.position + block.size + HISTORY_TAIL > self.total())
    }

    fn drop_the_middle(&mut self) {
        let (Some(head_end), needed) = (self.head_end, self.needed_from()) else { return };
        while let Some((&number, _)) = self.blocks.range(head_end..).next()
            && number < needed
            && !self.wanted(number)
        {
            self.remove(number);
        }
    }

    /// Says whether something is still held.
    pub(super) fn let_go(&mut self, what: LetGo, attached: bool) -> bool {
        if what == LetGo::Everything && self.finished && !attached {
            self.undelivered_gone += self.pending();
            (self.out, self.out_bytes) = (VecDeque::new(), 0);
            self.acked = self.printed;
            self.sent = Cursor { block: self.open_number, at: 0, skip: 0, offset: self.printed };
        }
        self.history_gone |= self.finished;
        let needed = self.needed_from();
        let gone: Vec<u64> = self.blocks.range(..needed).map(|(number, _)| *number).collect();
        gone.into_iter().for_each(|number| self.remove(number));
        !self.blocks.is_empty()
    }

    // ---- history

    /// The block that holds the byte `wanted`, or the first one behind it.
    pub(super) fn page(&self, from_number: u64, wanted: u64) -> Option<Page> {
        let closed = self.blocks.range(from_number..);
        for (&number, block) in closed {
            if block.position + block.size > wanted {
                return Some(Page { number, position: block.position, body: block.body.clone() });
            }
        }
        let position = self.open_position;
        let body = (self.total() > position.max(wanted))
            .then(|| Bytes::copy_from_slice(self.open.body()))?;
        Some(Page { number: self.open_number, position, body: Body::Memory(body, None) })
    }

    pub(super) fn acknowledged(&self, stream: Stream) -> u64 {
        self.acked[stream.index()]
    }

    pub(super) fn printed(&self, stream: Stream) -> u64 {
        self.printed[stream.index()]
    }

    pub(super) fn history_gone(&self) -> bool {
        self.history_gone
    }

    #[cfg(test)]
    /// In bytes; with and without a share in the allowances.
    pub(super) fn held_in_memory(&self) -> usize {
        self.memory + self.shared + self.open.capacity()
    }

    pub(super) fn unshared_memory(&self) -> usize {
        self.memory
    }

    fn total(&self) -> u64 {
        self.printed.iter().sum()
    }
}
