//! From printed bytes to lines that can be read on from where one stopped.
//!
//! A cursor is an offset into the raw bytes. Those that a [`Page`] returns stand where a line begins,
//! or where an overlong one was cut; reading on from there delivers every line once and in order.

mod line;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, num::NonZeroU16};

pub use line::{LONGEST_LINE, LONGEST_RAW_LINE};
use line::{Line, Step};

/// The most text of one page, in bytes; so much more is another page.
pub const PAGE: usize = 512 * 1024;
/// What a line costs in a page beside its text.
const LINE_COST: usize = 32;
/// The unit in which old bytes are dropped.
const BLOCK: usize = 16 * 1024;

/// Raw bytes as they came, up to a cap; the oldest go first.
#[derive(Clone)]
pub struct Transcript {
    cap: usize,
    blocks: VecDeque<Block>,
    held: usize,
    end: u64,
    ended: bool,
    /// Where these are a terminal's bytes.
    width: Option<NonZeroU16>,
    /// The line that grows at the end: it says where lines begin.
    line: Line,
    begun: u64,
    /// What comes next has nothing to do with what stands before.
    apart: bool,
}

#[derive(Clone)]
struct Block {
    start: u64,
    bytes: Vec<u8>,
    /// What stands before it is another stream's.
    apart: bool,
    /// The first place in it where reading can begin.
    entry: Option<u64>,
}

/// Which lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The first so many from the cursor on.
    First(usize),
    /// The last so many of what there is from the cursor on.
    Last(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub text: String,
    /// The line is longer and goes on as the next one.
    pub cut: bool,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub lines: Vec<Shown>,
    /// Where to read on.
    pub cursor: u64,
    /// The first cursor that can still be read.
    pub oldest: u64,
    /// Raw bytes between the cursor given and what was read that are no longer there.
    pub missed: u64,
    /// The last line is unfinished, and `cursor` stands before it: it comes again, whole.
    pub partial: bool,
    /// The page was full: there is more to be read at once.
    pub more: bool,
}

impl Transcript {
    /// `cap` in bytes; it is met to within 16 KiB.
    pub fn new(cap: usize) -> Self {
        Self {
            cap,
            blocks: VecDeque::new(),
            held: 0,
            end: 0,
            ended: false,
            width: None,
            line: Line::default(),
            begun: 0,
            apart: false,
        }
    }

    /// These are a terminal's bytes: lines that reach its edge go on in another row. To be set before
    /// the first of them, and when the terminal's size changes.
    pub fn set_width(&mut self, columns: NonZeroU16) {
        self.width = Some(columns);
        self.line.set_width(columns);
    }

    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let full = self.blocks.back().is_none_or(|block| {
                block.bytes.len() >= BLOCK || block.start + block.bytes.len() as u64 != self.end
            });
            if full || self.apart {
                let entry = (self.begun == self.end).then_some(self.end);
                let apart = std::mem::take(&mut self.apart);
                self.blocks.push_back(Block { start: self.end, bytes: Vec::new(), apart, entry });
            }
            let Some(block) = self.blocks.back_mut() else { return };
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK - block.bytes.len()));
            block.bytes.extend_from_slice(now);
            for (offset, byte) in (self.end..).zip(now) {
                if let Some(begun) = follow(&mut self.line, offset, *byte) {
                    self.begun = begun;
                    let inside = (block.start..block.start + BLOCK as u64).contains(&begun);
                    block.entry = block.entry.or(inside.then_some(begun));
                }
            }
            self.end += now.len() as u64;
            self.held += now.len();
            bytes = rest;
        }
        self.forget();
    }

    fn forget(&mut self) {
        while self.held > self.cap
            && let Some(block) = self.blocks.pop_front()
        {
            self.held -= block.bytes.len();
        }
    }

    /// So many bytes were printed here and are not known. What stands before is cut off, what follows
    /// begins a line.
    pub fn gap(&mut self, bytes: u64) {
        if bytes > 0 {
            self.end += bytes;
            self.line = Line::new(self.width);
            self.begun = self.end;
        }
    }

    /// What comes from here on is another stream, though no byte lies between: what stands before is
    /// cut off, what follows begins a line.
    pub fn part(&mut self) {
        self.line = Line::new(self.width);
        self.begun = self.end;
        self.apart = true;
        self.ended = false;
    }

    /// Where the line begins that is unfinished, or will be the next.
    pub fn line_start(&self) -> u64 {
        self.begun
    }

    /// Keeps at most so many bytes from now on.
    pub fn shrink(&mut self, cap: usize) {
        self.cap = cap;
        self.forget();
    }

    /// Nothing more comes: an unfinished line is as finished as it will ever be.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The cursor behind everything that was pushed.
    pub fn cursor(&self) -> u64 {
        self.end
    }

    /// The first cursor that can be read.
    pub fn oldest(&self) -> u64 {
        self.blocks.iter().find_map(|block| block.entry).unwrap_or(self.end)
    }

    /// The bytes from `since` on that are still there, and where they begin.
    pub fn raw(&self, since: u64) -> (u64, Vec<u8>) {
        let since = since.min(self.end);
        let (mut begin, mut raw) = (self.end, Vec::new());
        for block in &self.blocks {
            let skip = since.saturating_sub(block.start).min(block.bytes.len() as u64);
            let bytes = &block.bytes[skip as usize..];
            if !bytes.is_empty() {
                begin = begin.min(block.start + skip);
                raw.extend_from_slice(bytes);
            }
        }
        (begin, raw)
    }

    /// Lines from `since` on that `keep` wants (it sees a line's text without its end).
    pub fn read(&self, since: u64, want: Want, keep: impl Fn(&str) -> bool) -> Page {
        let since = since.min(self.end);
        let mut reader = Reader::new(since, want, self.width, keep);
        if want == Want::First(0) {
            return reader.finish(self.oldest());
        }
        let readable = |block: &&Block| block.entry.is_some();
        let earlier = |block: &&Block| block.entry.is_some_and(|entry| entry <= since);
        let first = self.blocks.iter().rev().find(earlier);
        let Some(entry) =
            first.or_else(|| self.blocks.iter().find(readable)).and_then(|block| block.entry)
        else {
            // A line so long that its beginning is gone: its rest is missed when it has ended.
            if self.begun > since {
                reader.skip_to(self.begun);
            }
            return reader.finish(self.oldest());
        };
        reader.begin(entry);
        let from =
            self.blocks.partition_point(|block| block.start + block.bytes.len() as u64 <= entry);
        for block in self.blocks.range(from..) {
            if !reader.block(block) {
                return reader.finish(self.oldest());
            }
        }
        reader.rest(self.end, self.ended);
        reader.finish(self.oldest())
    }
}

/// Where a new line begins, if this byte begins one.
fn follow(line: &mut Line, offset: u64, byte: u8) -> Option<u64> {
    match line.feed(byte) {
        Step::Goes => None,
        Step::Ended => {
            line.restart();
            Some(offset + 1)
        }
        Step::Cut(back) => {
            line.restart();
            line.feed(byte);
            Some(offset - back)
        }
    }
}

/// One walk over the blocks.
struct Reader<F> {
    keep: F,
    want: Want,
    width: Option<NonZeroU16>,
    since: u64,
    line: Line,
    /// Where the line began, and the next byte that is expected.
    begun: u64,
    at: u64,
    lines: VecDeque<Shown>,
    cost: usize,
    cursor: u64,
    missed: u64,
    partial: bool,
    more: bool,
}

impl<F: Fn(&str) -> bool> Reader<F> {
    fn new(since: u64, want: Want, width: Option<NonZeroU16>, keep: F) -> Self {
        Self {
            keep,
            want,
            width,
            since,
            line: Line::new(width),
            begun: since,
            at: since,
            lines: VecDeque::new(),
            cost: 0,
            cursor: since,
            missed: 0,
            partial: false,
            more: false,
        }
    }

    /// Begins at an entry: what lies between it and the cursor tells in which state the cursor stands.
    fn begin(&mut self, entry: u64) {
        (self.at, self.begun) = (entry, entry);
        if entry >= self.since {
            self.skip_to(entry);
        }
    }

    /// Says whether to go on.
    fn block(&mut self, block: &Block) -> bool {
        if block.start > self.at || block.apart && block.start == self.at {
            if !self.cut_off() {
                return false;
            }
            self.line = Line::new(self.width);
            self.skip_to(block.start);
        }
        let inside = (self.at - block.start) as usize;
        for byte in &block.bytes[inside..] {
            if self.at == self.since {
                self.line.restart();
                self.begun = self.at;
            }
            let offset = self.at;
            self.at += 1;
            match self.line.feed(*byte) {
                Step::Goes => {}
                Step::Ended => {
                    if !self.line_ends(offset + 1, false) {
                        return false;
                    }
                }
                Step::Cut(back) => {
                    if !self.line_ends(offset - back, true) {
                        return false;
                    }
                    self.line.feed(*byte);
                }
            }
        }
        true
    }

    /// The rest of what there is, which no line feed ended.
    fn rest(&mut self, end: u64, ended: bool) {
        if end > self.at {
            if !self.cut_off() {
                return;
            }
            self.line = Line::new(self.width);
            self.skip_to(end);
        }
        if self.at <= self.since {
            return;
        }
        if ended {
            self.line.end();
        }
        let text = self.line.text();
        if ended {
            if !text.is_empty() {
                self.line_ends(end, false);
            }
            self.cursor = end;
        } else if !text.is_empty() && (self.keep)(&text) {
            self.add(Shown { text, cut: false });
            self.partial = true;
        }
    }

    /// What follows is not there: the line goes no further.
    fn cut_off(&mut self) -> bool {
        self.line.end();
        let at = self.at;
        self.line_ends(at, true)
    }

    fn skip_to(&mut self, offset: u64) {
        self.missed += offset.saturating_sub(self.cursor.max(self.since));
        (self.at, self.begun) = (offset, offset);
        self.cursor = self.cursor.max(offset);
    }

    /// Says whether to go on. A cut before anything was shown is none.
    fn line_ends(&mut self, next: u64, cut: bool) -> bool {
        let text = self.line.take();
        let begun = std::mem::replace(&mut self.begun, next);
        if begun < self.since {
            return true;
        }
        self.cursor = next;
        if cut && text.is_empty() || !(self.keep)(&text) {
            return true;
        }
        self.add(Shown { text, cut });
        let full = self.cost >= PAGE;
        self.more = full && matches!(self.want, Want::First(_));
        match self.want {
            Want::First(most) => self.lines.len() < most && !full,
            Want::Last(_) => true,
        }
    }

    fn add(&mut self, line: Shown) {
        self.cost += line.text.len() + LINE_COST;
        self.lines.push_back(line);
        let Want::Last(most) = self.want else { return };
        while self.lines.len() > most || self.cost > PAGE && self.lines.len() > 1 {
            let Some(first) = self.lines.pop_front() else { break };
            self.cost -= first.text.len() + LINE_COST;
        }
    }

    fn finish(self, oldest: u64) -> Page {
        Page {
            lines: self.lines.into(),
            cursor: self.cursor,
            oldest,
            missed: self.missed,
            partial: self.partial,
            more: self.more,
        }
    }
}
