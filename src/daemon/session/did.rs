//! What was done with files in a session, as far as it is remembered: the record has all of it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::Session;
use crate::protocol::view::FilesRun;

/// The most that is remembered of one session.
const MOST: usize = 1000;

#[derive(Default)]
pub struct Did(Mutex<Log>);

#[derive(Default)]
struct Log {
    next: u64,
    all: VecDeque<(u64, FilesRun)>,
}

impl Did {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn all(&self) -> Vec<FilesRun> {
        self.lock().all.iter().map(|(_, run)| run.clone()).collect()
    }

    pub fn last(&self) -> Option<FilesRun> {
        self.lock().all.back().map(|(_, run)| run.clone())
    }
}

impl Session {
    /// Something is done with files from here on; its number is for its end.
    pub fn files_begin(&self, run: FilesRun) -> u64 {
        self.live.files(&run);
        let mut log = self.did.lock();
        let number = log.next;
        log.next += 1;
        if log.all.len() >= MOST {
            let ended = log.all.iter().position(|(_, run)| !run.running).unwrap_or(0);
            log.all.remove(ended);
        }
        log.all.push_back((number, run));
        number
    }

    /// How it ended: how many bytes went to or fro where that is known, and the code where it failed.
    pub fn files_end(
        &self,
        number: u64,
        bytes: Option<u64>,
        outcome: Option<String>,
        now: Timestamp,
    ) {
        let mut log = self.did.lock();
        let Some((_, run)) = log.all.iter_mut().rev().find(|(one, _)| *one == number) else {
            return;
        };
        run.running = false;
        (run.bytes, run.outcome) = (bytes.or(run.bytes), outcome);
        run.duration_ms = u64::try_from(now.duration_since(run.started_at).as_millis()).ok();
        let run = run.clone();
        drop(log);
        self.live.files(&run);
    }
}
