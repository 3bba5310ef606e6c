//! The thread that writes: records in the order they came, those that came together synced together.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use jiff::{Timestamp, Unit};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{AuditState, EvidenceFailed, Written, file::Ledger};
use crate::{
    domain::record::{Keys, Kind, Record, Tip, write},
    home::random,
};

/// How long a record that is not durable may be written but not on the disk.
const SYNC_AFTER: Duration = Duration::from_secs(1);
/// The most records that one sync serves.
const MAX_BATCH: usize = 64;

type Reply = oneshot::Sender<Result<Tip, EvidenceFailed>>;

pub enum Job {
    Append { record: Box<Record>, reply: Reply, _room: OwnedSemaphorePermit },
    Sync { reply: Reply, _room: OwnedSemaphorePermit },
}

pub struct Writer {
    ledger: Ledger,
    keys: Arc<Keys>,
    tip: Tip,
    /// Records about the chain itself, which come before any other.
    owed: VecDeque<Record>,
    /// Since when something written is not on the disk.
    unsynced: Option<Instant>,
    /// The last sync failed: nothing more counts as written before one succeeds.
    distrust: bool,
}

impl Writer {
    /// Goes on after `tip`. Numbers up to the anchor's were given, even when their records are gone.
    pub fn new(ledger: Ledger, keys: Arc<Keys>, tip: Tip, anchor: Tip) -> Self {
        let tip = Tip { seq: tip.seq.max(anchor.seq), ..tip };
        Self { ledger, keys, tip, owed: VecDeque::new(), unsynced: None, distrust: false }
    }

    /// Notes in the chain how it was found, now or as soon as there is space.
    pub fn note(&mut self, torn_bytes: u64, amiss: Option<AuditState>) {
        // First: a number that is skipped must be followed by this.
        if let Some(state) = amiss {
            let mut record = Record::new(Kind::ChainBroken, "sgw");
            if let Some(bad) = state.first_bad() {
                record.action.insert("first_bad".into(), bad.seq.into());
                record.action.insert("why".into(), bad.why.to_string().into());
            }
            if let AuditState::Behind { anchor, .. } = state {
                record.action.insert("anchor".into(), anchor.into());
            }
            self.owed.push_back(record);
        }
        if torn_bytes > 0 {
            let mut record = Record::new(Kind::ChainTorn, "sgw");
            record.action.insert("bytes".into(), torn_bytes.into());
            self.owed.push_back(record);
        }
        if let Err(error) = self.pay().and_then(|()| self.sync()) {
            tracing::warn!(%error, "the audit can't say yet how it was found");
        }
    }

    pub fn written(&self) -> Written {
        Written { file: self.ledger.file(), length: self.ledger.length(), tip: self.tip }
    }

    /// Until nobody can send any more.
    pub fn run(mut self, queue: &Receiver<Job>, shown: &Mutex<Written>) {
        loop {
            self.show(shown);
            let first = match self.unsynced {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => queue.recv_timeout(SYNC_AFTER.saturating_sub(since.elapsed())),
            };
            match first {
                Ok(first) => {
                    let more = std::iter::from_fn(|| queue.try_recv().ok());
                    let batch = std::iter::once(first).chain(more).take(MAX_BATCH).collect();
                    self.serve(batch, shown);
                }
                Err(RecvTimeoutError::Timeout) => self.sync_in_passing(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // Under a steady stream of records the timeout above never comes.
            if self.unsynced.is_some_and(|since| since.elapsed() >= SYNC_AFTER) {
                self.sync_in_passing();
            }
        }
        self.sync_in_passing();
        self.show(shown);
    }

    fn show(&self, shown: &Mutex<Written>) {
        *shown.lock().unwrap_or_else(PoisonError::into_inner) = self.written();
    }

    /// Writes a batch, syncs when one of it asks for that, and only then answers.
    fn serve(&mut self, batch: Vec<Job>, shown: &Mutex<Written>) {
        let before = (self.ledger.length(), self.tip);
        let mut must_sync = self.distrust;
        let mut answers = Vec::with_capacity(batch.len());
        for job in batch {
            // Its room in the queue is free as soon as it left the queue.
            match job {
                Job::Append { record, reply, .. } => {
                    must_sync |= record.durable;
                    let result = self.pay().and_then(|()| self.append(&record));
                    answers.push((reply, result));
                }
                Job::Sync { reply, .. } => {
                    must_sync = true;
                    let result = self.pay().map(|()| self.tip);
                    answers.push((reply, result));
                }
            }
        }
        if must_sync && let Err(error) = self.sync() {
            // Whether it is on the disk nobody knows: so it was not written.
            self.ledger.take_back(before.0);
            self.tip = before.1;
            answers.iter_mut().for_each(|(_, result)| *result = Err(error.clone()));
        }
        self.show(shown);
        for (reply, result) in answers {
            // Who asked may have gone; the record stands.
            let _ = reply.send(result);
        }
    }

    /// Writes what is owed about the chain.
    fn pay(&mut self) -> Result<(), EvidenceFailed> {
        while let Some(record) = self.owed.front().cloned() {
            self.append(&record)?;
            self.owed.pop_front();
        }
        Ok(())
    }

    fn append(&mut self, record: &Record) -> Result<Tip, EvidenceFailed> {
        let now = Timestamp::now();
        let at = now.round(Unit::Millisecond).unwrap_or(now);
        let nonce = random().map_err(|error| EvidenceFailed::Random(error.to_string()))?;
        let (line, tip) = write(&self.keys, &self.tip.hash, self.tip.seq + 1, at, nonce, record)?;
        self.ledger.append(&line)?;
        self.tip = tip;
        self.unsynced.get_or_insert_with(Instant::now);
        Ok(tip)
    }

    fn sync(&mut self) -> Result<(), EvidenceFailed> {
        let synced = if self.unsynced.is_some() { self.ledger.sync() } else { Ok(()) };
        self.distrust = synced.is_err();
        if synced.is_ok() {
            self.unsynced = None;
        }
        synced
    }

    fn sync_in_passing(&mut self) {
        if let Err(error) = self.sync() {
            tracing::error!(%error, "the audit is not on the disk");
            // Not again at once: the next record tries, and fails if this does.
            self.unsynced = Some(Instant::now());
        }
    }
}
