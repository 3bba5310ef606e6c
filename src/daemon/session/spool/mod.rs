//! What a session's commands printed and nobody has taken yet, on disk without being readable there:
//! one unlinked file a session, sealed under a key that lives in memory alone.
//!
//! Everything here blocks on the disk for up to 64 KiB at a time; call it from a blocking thread.

mod shelf;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chacha20poly1305::aead::{AeadInOut, Generate, Key, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rustix::fs::{Mode, OFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use shelf::Shelf;
pub use shelf::{Holder, LetGo, Need};

/// The most that one slot takes, in bytes.
pub const SLOT: usize = 64 * 1024;
/// A slot on disk: its bytes and the tag of Poly1305.
const SEALED_SLOT: usize = SLOT + 16;
/// What one session may keep on disk, in bytes, all its commands together.
pub const SESSION_BUDGET: u64 = 64 * 1024 * 1024;
/// What one session keeps in memory of the small outputs of its finished commands, in bytes.
const SMALL_BUDGET: usize = 256 * 1024;

/// Why something could not be kept, or what was kept not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    #[error("the session's spool is full")]
    Budget,
    #[error("the spool file failed: {0}")]
    Disk(io::ErrorKind),
    #[error("the spool file was changed by someone else")]
    Damaged,
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.kind())
    }
}

/// An amount of memory that many share; what is taken comes back when the [`Share`] is dropped.
#[derive(Clone, Debug)]
pub struct Allowance(Arc<Semaphore>);

/// Part of an [`Allowance`].
pub type Share = OwnedSemaphorePermit;

impl Allowance {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Never waits: `None` when so much is not left.
    pub fn take(&self, bytes: usize) -> Option<Share> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(bytes).ok()
    }
}

/// One session's spool. The file is made when something is first kept in it.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    file: Mutex<Option<Arc<Sealed>>>,
    space: Mutex<Space>,
    shelf: Mutex<Shelf>,
    recent: Allowance,
    small: Allowance,
}

struct Sealed {
    file: File,
    cipher: XChaCha20Poly1305,
    /// Never repeats under one key, whatever slot is written.
    next_nonce: AtomicU64,
}

struct Space {
    slots: u32,
    fresh: u32,
    free: BinaryHeap<Reverse<u32>>,
}

/// Bytes that were kept. Dropping it makes room for others.
pub struct Slot {
    file: Arc<Sealed>,
    place: Place,
    nonce: u64,
    len: usize,
}

/// A slot's number, given back when dropped, also when writing to it failed.
struct Place {
    spool: Arc<Inner>,
    number: u32,
}

impl Spool {
    /// `directory` is the home's own (0700); `budget` in bytes, normally [`SESSION_BUDGET`]; `recent`
    /// is what all sessions of the process share to hold the last output of busy commands in memory.
    pub fn new(directory: &Path, budget: u64, recent: Allowance) -> Self {
        let slots = u32::try_from(budget / SLOT as u64).unwrap_or(u32::MAX);
        Self(Arc::new(Inner {
            directory: directory.to_owned(),
            file: Mutex::new(None),
            space: Mutex::new(Space { slots, fresh: 0, free: BinaryHeap::new() }),
            shelf: Mutex::new(Shelf::default()),
            recent,
            small: Allowance::new(SMALL_BUDGET),
        }))
    }

    pub fn recent(&self) -> &Allowance {
        &self.0.recent
    }

    pub fn small(&self) -> &Allowance {
        &self.0.small
    }

    /// Seals at most [`SLOT`] bytes; more is a [`SpoolError::Disk`]. When the budget is used up, what
    /// is needed less is let go first: see [`Need`].
    pub fn keep(&self, bytes: &[u8], need: Need) -> Result<Slot, SpoolError> {
        if bytes.len() > SLOT {
            return Err(SpoolError::Disk(io::ErrorKind::InvalidInput));
        }
        let file = self.0.open()?;
        let place = self.place(need)?;
        let nonce = file.write(place.number, bytes)?;
        Ok(Slot { file, place, nonce, len: bytes.len() })
    }

    #[cfg(test)]
    /// Bytes on disk at the moment, in whole slots.
    pub fn used(&self) -> u64 {
        lock(&self.0.space).used() * SLOT as u64
    }
}

impl Slot {
    pub fn read(&self) -> Result<Vec<u8>, SpoolError> {
        self.file.read(self.place.number, self.nonce, self.len)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.spool.space).free.push(Reverse(self.number));
    }
}

impl Inner {
    fn open(&self) -> Result<Arc<Sealed>, SpoolError> {
        let mut file = lock(&self.file);
        if let Some(file) = file.as_ref() {
            return Ok(Arc::clone(file));
        }
        let key = Key::<XChaCha20Poly1305>::try_generate()
            .map_err(|_| SpoolError::Disk(io::ErrorKind::Other))?;
        let made = Arc::new(Sealed {
            file: unlinked_file(&self.directory)?,
            cipher: XChaCha20Poly1305::new(&key),
            next_nonce: AtomicU64::new(0),
        });
        *file = Some(Arc::clone(&made));
        Ok(made)
    }
}

impl Space {
    fn take(&mut self) -> Option<u32> {
        if let Some(Reverse(number)) = self.free.pop() {
            return Some(number);
        }
        let number = (self.fresh < self.slots).then_some(self.fresh)?;
        self.fresh += 1;
        Some(number)
    }

    #[cfg(test)]
    fn used(&self) -> u64 {
        u64::from(self.fresh) - self.free.len() as u64
    }
}

impl Sealed {
    fn write(&self, number: u32, bytes: &[u8]) -> Result<u64, SpoolError> {
        let nonce = self.next_nonce.fetch_add(1, Ordering::Relaxed);
        let mut sealed = Vec::with_capacity(bytes.len() + 16);
        sealed.extend_from_slice(bytes);
        self.cipher
            .encrypt_in_place(&spelled(nonce), &number.to_be_bytes(), &mut sealed)
            .map_err(|_| SpoolError::Damaged)?;
        self.file.write_all_at(&sealed, start_of(number))?;
        Ok(nonce)
    }

    fn read(&self, number: u32, nonce: u64, len: usize) -> Result<Vec<u8>, SpoolError> {
        let mut bytes = vec![0; len + 16];
        self.file.read_exact_at(&mut bytes, start_of(number)).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                SpoolError::Damaged
            } else {
                error.into()
            }
        })?;
        self.cipher
            .decrypt_in_place(&spelled(nonce), &number.to_be_bytes(), &mut bytes)
            .map_err(|_| SpoolError::Damaged)?;
        Ok(bytes)
    }
}

fn start_of(number: u32) -> u64 {
    u64::from(number) * SEALED_SLOT as u64
}

fn spelled(nonce: u64) -> XNonce {
    let mut bytes = XNonce::default();
    bytes[..8].copy_from_slice(&nonce.to_be_bytes());
    bytes
}

/// A file that has no name, or loses it before anything is in it (not every file system knows
/// O_TMPFILE: open(2)).
fn unlinked_file(directory: &Path) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    let base = OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(directory, base | OFlags::TMPFILE, mode) {
        Ok(file) => return Ok(File::from(file)),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::NOENT) => {
        }
        Err(error) => return Err(error.into()),
    }
    let name: [u8; 16] = Generate::try_generate().map_err(|_| io::ErrorKind::Other)?;
    let path = directory.join(format!("spool-{}", hex::encode(name)));
    let flags = base | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let file = File::from(rustix::fs::open(&path, flags, mode)?);
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// A panic elsewhere leaves nothing half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
