//! Evidence first: the record of an intent is on its way to the disk before the effect, or the
//! effect does not happen. One append-only, keyed chain of records, written by one thread.

mod file;
mod list;
mod writer;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

pub use list::{Filter, Listing, Verified};

use self::{
    file::Ledger,
    writer::{Job, Writer},
};
use crate::{
    domain::record::{Bad, Keys, Opened, Record, Tip, TooLarge, Why},
    home::{Home, HomeError},
};

/// Records on their way to the writer. Who comes when there are more waits for room.
const MAX_WAITING: usize = 256;

/// The audit, open for appending. Shared behind an `Arc`; before the process ends, `sync`.
pub struct Evidence {
    keys: Arc<Keys>,
    room: Arc<Semaphore>,
    jobs: mpsc::SyncSender<Job>,
    written: Arc<Mutex<Written>>,
}

/// What of the file counts: all that is before `length` was written whole.
#[derive(Clone, Debug)]
struct Written {
    file: Arc<std::fs::File>,
    length: u64,
    tip: Tip,
}

/// Why nothing was written, and so nothing may happen (`evidence.failed`).
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EvidenceFailed {
    #[error("the audit can't be written: {0}")]
    Write(String),
    #[error("the audit can't be made durable: {0}")]
    Sync(String),
    #[error("the audit's file was removed, replaced or changed while the daemon ran")]
    Replaced,
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error("no randomness from the kernel: {0}")]
    Random(String),
    #[error("the audit's writer has ended")]
    Ended,
}

#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("can't {action} the audit: {source}")]
    Io { action: &'static str, source: io::Error },
}

/// How the audit was found. Whatever it is, the daemon can start, and says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditState {
    Whole,
    /// The first record that is not what it should be.
    Broken(Bad),
    /// It ends before the record that the vault remembers: it was cut or rolled back.
    Behind {
        last: u64,
        anchor: u64,
    },
}

impl AuditState {
    /// The first record that is missing or not what it should be.
    pub fn first_bad(self) -> Option<Bad> {
        match self {
            Self::Whole => None,
            Self::Broken(bad) => Some(bad),
            Self::Behind { last, .. } => Some(Bad { seq: last + 1, why: Why::Missing }),
        }
    }
}

/// What opening the audit found.
#[derive(Debug)]
pub struct Found {
    pub state: AuditState,
    pub tip: Tip,
    /// The bytes of a record that a crash left unfinished, now cut off.
    pub torn_bytes: u64,
    /// `exec.intent` records without an `exec.result`, oldest first (the newest 1,024): what a daemon
    /// that was killed left running. Write each one's result when it is ended.
    pub unfinished: Vec<Opened>,
    /// The highest revision of the vault that a record tells of. A vault behind it was rolled back.
    pub revision: Option<u64>,
}

impl Evidence {
    /// Opens the audit, or begins one: goes along the whole chain, cuts off a torn end, compares with
    /// the vault's anchor, and notes in the chain itself what it found amiss. Blocks. Within a tokio
    /// runtime it also keeps SIGXFSZ (setrlimit(2), `RLIMIT_FSIZE`) from ending the process.
    pub fn open(home: Arc<Home>, keys: Keys, anchor: Tip) -> Result<(Self, Found), EvidenceError> {
        survive_file_size_limit();
        let keys = Arc::new(keys);
        let mut ledger = Ledger::open(home)?;
        let torn_bytes = ledger.cut_torn_end()?;
        let survey = list::survey(&ledger, &keys, anchor)?;
        let mut found = survey.found;
        found.torn_bytes = torn_bytes;
        let mut writer = Writer::new(ledger, keys.clone(), found.tip, anchor);
        writer.note(torn_bytes, (!survey.noted).then_some(found.state));
        let written = Arc::new(Mutex::new(writer.written()));
        let (jobs, queue) = mpsc::sync_channel(MAX_WAITING);
        let shown = written.clone();
        std::thread::Builder::new()
            .name("evidence".into())
            .spawn(move || writer.run(&queue, &shown))
            .map_err(|source| EvidenceError::Io { action: "start the writer of", source })?;
        let room = Arc::new(Semaphore::new(MAX_WAITING));
        Ok((Self { keys, room, jobs, written }, found))
    }

    /// Writes a record and gives its number. When it returns, the record is written (write(2)), and
    /// a durable one is on the disk (fdatasync(2)); the others follow within a second. When it
    /// fails, nothing was written, and what the record announces must not happen.
    pub async fn append(&self, record: Record) -> Result<u64, EvidenceFailed> {
        let (reply, written) = oneshot::channel();
        self.send(|room| Job::Append { record: Box::new(record), reply, _room: room }).await?;
        written.await.unwrap_or(Err(EvidenceFailed::Ended)).map(|tip| tip.seq)
    }

    /// Puts all that was written on the disk, and gives the end of the chain: for the vault's anchor.
    pub async fn sync(&self) -> Result<Tip, EvidenceFailed> {
        let (reply, synced) = oneshot::channel();
        self.send(|room| Job::Sync { reply, _room: room }).await?;
        synced.await.unwrap_or(Err(EvidenceFailed::Ended))
    }

    async fn send(
        &self,
        job: impl FnOnce(OwnedSemaphorePermit) -> Job,
    ) -> Result<(), EvidenceFailed> {
        let room = self.room.clone().acquire_owned().await.map_err(|_| EvidenceFailed::Ended)?;
        // As many permits as places: there is room, or the writer is gone.
        self.jobs.try_send(job(room)).map_err(|_| EvidenceFailed::Ended)
    }

    /// The end of the chain as it is written.
    pub fn tip(&self) -> Tip {
        self.written().tip
    }

    /// The records that pass the filter, oldest first, as they are on disk now. Reads the file as it
    /// is iterated, in bounded memory: iterate on a blocking thread.
    pub fn list(&self, filter: Filter) -> Listing {
        Listing::new(self.written(), self.keys.clone(), filter)
    }

    /// Goes along the whole chain again. Blocks. `anchor` is the vault's.
    pub fn verify(&self, anchor: Tip) -> Result<Verified, EvidenceError> {
        list::verify(self.written(), &self.keys, anchor)
    }

    fn written(&self) -> Written {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A handler of tokio's in place of the default action of SIGXFSZ, which ends the process: the write then
/// fails with EFBIG, as it should. Within a tokio runtime.
pub fn survive_file_size_limit() {
    use tokio::signal::unix::{SignalKind, signal};
    if tokio::runtime::Handle::try_current().is_ok() {
        let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        // Once installed the handler stays; nobody needs to listen.
        if let Err(error) = signal(kind) {
            tracing::warn!(%error, "SIGXFSZ keeps its default action");
        }
    }
}

#[cfg(test)]
mod tests;
