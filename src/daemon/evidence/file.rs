//! The audit's file: appended to whole lines at a time, or not at all.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::FileExt,
    sync::Arc,
};

use rustix::fs::{OFlags, fstat};

use super::{EvidenceError, EvidenceFailed};
use crate::{
    domain::record::MAX_LINE_BYTES,
    home::{AUDIT, Home},
};

/// `audit.log`, which only this process appends to.
pub struct Ledger {
    home: Arc<Home>,
    file: Arc<File>,
    inode: (u64, u64),
    /// Up to here it was written whole.
    length: u64,
    /// Bytes of a failed write are behind `length`, and could not be cut off yet.
    torn: bool,
}

impl Ledger {
    pub fn open(home: Arc<Home>) -> Result<Self, EvidenceError> {
        let fresh = !home.has(AUDIT)?;
        let file = home.open_file(AUDIT, OFlags::RDWR | OFlags::CREATE | OFlags::APPEND)?;
        if fresh {
            home.sync()?;
        }
        let stat = fstat(&file).map_err(|errno| failed("look at")(errno.into()))?;
        let length = u64::try_from(stat.st_size).unwrap_or_default();
        let inode = (stat.st_dev, stat.st_ino);
        Ok(Self { home, file: Arc::new(file), inode, length, torn: false })
    }

    pub fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// Cuts off what comes after the last newline: a crash left it. Returns how many bytes that was.
    pub fn cut_torn_end(&mut self) -> Result<u64, EvidenceError> {
        let mut end = self.length;
        let mut piece = vec![0; 64 * 1024];
        while end > 0 {
            let size = piece.len().min(usize::try_from(end).unwrap_or(usize::MAX));
            let start = end - size as u64;
            self.file.read_exact_at(&mut piece[..size], start).map_err(failed("read"))?;
            if let Some(place) = piece[..size].iter().rposition(|byte| *byte == b'\n') {
                end = start + place as u64 + 1;
                break;
            }
            end = start;
        }
        let torn = self.length - end;
        if torn > 0 {
            self.file.set_len(end).map_err(failed("cut"))?;
            self.length = end;
        }
        Ok(torn)
    }

    /// Appends lines, or leaves the file as it was.
    pub fn append(&mut self, line: &[u8]) -> Result<(), EvidenceFailed> {
        self.check()?;
        if let Err(error) = (&*self.file).write_all(line) {
            self.torn = true;
            self.cut_back();
            return Err(EvidenceFailed::Write(error.to_string()));
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// Takes back what was appended since `length`.
    pub fn take_back(&mut self, length: u64) {
        self.torn = self.torn || length < self.length;
        self.length = length;
        self.cut_back();
    }

    pub fn sync(&self) -> Result<(), EvidenceFailed> {
        self.file.sync_data().map_err(|error| EvidenceFailed::Sync(error.to_string()))
    }

    fn cut_back(&mut self) {
        if self.torn && self.file.set_len(self.length).is_ok() {
            self.torn = false;
        }
    }

    /// That the name still leads to this file, and that nobody else wrote to it.
    fn check(&mut self) -> Result<(), EvidenceFailed> {
        self.cut_back();
        if self.torn {
            return Err(EvidenceFailed::Write("the rest of a failed write is in the way".into()));
        }
        let named =
            self.home.inode(AUDIT).map_err(|error| EvidenceFailed::Write(error.to_string()))?;
        let stat = fstat(&self.file).map_err(|error| EvidenceFailed::Write(error.to_string()))?;
        if named != Some(self.inode) || u64::try_from(stat.st_size) != Ok(self.length) {
            return Err(EvidenceFailed::Replaced);
        }
        Ok(())
    }
}

pub fn failed(action: &'static str) -> impl FnOnce(io::Error) -> EvidenceError {
    move |source| EvidenceError::Io { action, source }
}

/// The lines of a part of the file, one at a time. Reads at places of its own, so that the writer's
/// file serves.
pub struct Lines {
    reader: BufReader<Part>,
    /// Where the next line begins.
    offset: u64,
    line: Vec<u8>,
}

struct Part {
    file: Arc<File>,
    offset: u64,
    end: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let size = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..size], self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// One line without its newline, and where it begins.
pub enum Next<'a> {
    Line(u64, &'a [u8]),
    /// Longer than any that sgw writes; passed over.
    TooLong,
    End,
}

impl Lines {
    pub fn new(file: Arc<File>, start: u64, end: u64) -> Self {
        let part = Part { file, offset: start, end };
        Self { reader: BufReader::with_capacity(64 * 1024, part), offset: start, line: Vec::new() }
    }

    pub fn next(&mut self) -> io::Result<Next<'_>> {
        self.line.clear();
        let start = self.offset;
        let mut too_long = false;
        loop {
            let piece = self.reader.fill_buf()?;
            if piece.is_empty() {
                break;
            }
            let newline = piece.iter().position(|byte| *byte == b'\n');
            let take = newline.unwrap_or(piece.len());
            too_long |= self.line.len() + take > MAX_LINE_BYTES;
            if !too_long {
                self.line.extend_from_slice(&piece[..take]);
            }
            let used = take + usize::from(newline.is_some());
            self.reader.consume(used);
            self.offset += used as u64;
            if newline.is_some() {
                break;
            }
        }
        Ok(match () {
            () if too_long => Next::TooLong,
            () if self.offset == start => Next::End,
            () => Next::Line(start, &self.line),
        })
    }
}
