//! What is kept of a long output: its head, its tail, or both, and how much was cut.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The first and the last bytes of a stream of any length.
#[derive(Debug)]
pub struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    most_head: usize,
    most_tail: usize,
    total: u64,
}

impl Kept {
    pub fn new(most_head: usize, most_tail: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), most_head, most_tail, total: 0 }
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min(self.most_head - self.head.len()));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(self.most_tail)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.most_tail);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    /// How many of them are gone.
    pub fn cut(&self) -> u64 {
        self.total - (self.head.len() + self.tail.len()) as u64
    }

    /// Head and tail; where something is missing between them, `gap` says so.
    pub fn joined(&self, gap: impl FnOnce(u64) -> String) -> Vec<u8> {
        let (head, tail) = (self.head.as_slice(), self.tail.iter().copied());
        let mark = if self.cut() > 0 { gap(self.cut()).into_bytes() } else { Vec::new() };
        head.iter().copied().chain(mark).chain(tail).collect()
    }
}

/// A sink that keeps, shared with whoever looks at it in the end.
#[derive(Clone, Debug)]
pub struct Keeper(Arc<Mutex<Kept>>);

impl Keeper {
    pub fn new(kept: Kept) -> Self {
        Self(Arc::new(Mutex::new(kept)))
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Keeper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|kept| kept.add(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How many bytes of a stream were not shown, told from the thread that writes it.
#[derive(Clone, Debug, Default)]
pub struct Cut(Arc<AtomicU64>);

impl Cut {
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Passes so many bytes on, and counts the rest.
#[derive(Debug)]
pub struct First<W> {
    inner: W,
    room: u64,
    cut: Cut,
}

impl<W: Write> First<W> {
    pub fn new(inner: W, room: u64, cut: Cut) -> Self {
        Self { inner, room, cut }
    }
}

impl<W: Write> Write for First<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pass = usize::try_from(self.room).map_or(bytes.len(), |room| room.min(bytes.len()));
        self.inner.write_all(&bytes[..pass])?;
        self.room -= pass as u64;
        self.cut.0.fetch_add((bytes.len() - pass) as u64, Ordering::AcqRel);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Keeps the last bytes, and writes them when the stream ends.
#[derive(Debug)]
pub struct Last<W> {
    inner: W,
    kept: Kept,
    cut: Cut,
}

impl<W: Write> Last<W> {
    pub fn new(inner: W, room: usize, cut: Cut) -> Self {
        Self { inner, kept: Kept::new(0, room), cut }
    }
}

impl<W: Write> Write for Last<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.kept.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.cut.0.store(self.kept.cut(), Ordering::Release);
        self.inner.write_all(&self.kept.joined(|_| String::new()))?;
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_tail_are_kept_and_the_cut_is_counted() {
        let mut kept = Kept::new(3, 4);
        for chunk in [b"ab".as_slice(), b"cdef", b"", b"ghijklmnop", b"q"] {
            kept.add(chunk);
        }
        assert_eq!((kept.total, kept.cut()), (17, 10));
        assert_eq!(kept.joined(|cut| format!("<{cut}>")), b"abc<10>nopq");
        let mut whole = Kept::new(3, 4);
        whole.add(b"abcdefg");
        assert_eq!(whole.joined(|_| unreachable!()), b"abcdefg");
    }

    #[test]
    fn only_the_first_bytes_pass() {
        let (mut out, cut) = (Vec::new(), Cut::default());
        let mut first = First::new(&mut out, 5, cut.clone());
        first.write_all(b"abc").unwrap();
        first.write_all(b"defgh").unwrap();
        assert_eq!((out.as_slice(), cut.bytes()), (b"abcde".as_slice(), 3));
    }

    #[test]
    fn only_the_last_bytes_pass_and_only_at_the_end() {
        let (mut out, cut) = (Vec::new(), Cut::default());
        let mut last = Last::new(&mut out, 5, cut.clone());
        last.write_all(b"abcdefgh").unwrap();
        last.flush().unwrap();
        assert_eq!((out.as_slice(), cut.bytes()), (b"defgh".as_slice(), 3));
    }
}
