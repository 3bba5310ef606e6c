//! What happens in a session, for whoever watches it now: kept for nobody, and lost to whoever is slow.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::{exec::Exec, output::Stream};
use crate::{
    domain::{guard::forward::Way, id::Id},
    protocol::view::{self, FilesRun},
};

/// What a slow watcher may be behind; further behind, it loses the oldest.
const BEHIND: usize = 128;
/// Of one piece of output this much is shown, in bytes.
const SHOWN: usize = 4096;

#[derive(Clone)]
pub enum Happened {
    Started(Arc<Exec>),
    /// `at`: bytes of this stream before it.
    Printed {
        exec: Id,
        stream: Stream,
        at: u64,
        bytes: Arc<[u8]>,
    },
    Ended(Arc<Exec>),
    /// Something with files has begun or ended.
    Files(Arc<FilesRun>),
    /// A terminal was opened.
    Terminal,
    Forward(Arc<view::Forward>),
}

/// Told of by a session, heard by its watchers.
#[derive(Clone)]
pub struct Live(broadcast::Sender<Happened>);

impl Default for Live {
    fn default() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }
}

impl Live {
    pub fn watch(&self) -> broadcast::Receiver<Happened> {
        self.0.subscribe()
    }

    fn tell(&self, happened: impl FnOnce() -> Happened) {
        if self.0.receiver_count() > 0 {
            // The last watcher may leave at this moment.
            let _nobody = self.0.send(happened());
        }
    }

    pub fn started(&self, exec: &Arc<Exec>) {
        self.tell(|| Happened::Started(exec.clone()));
    }

    pub fn ended(&self, exec: &Arc<Exec>) {
        self.tell(|| Happened::Ended(exec.clone()));
    }

    pub fn files(&self, run: &FilesRun) {
        self.tell(|| Happened::Files(Arc::new(run.clone())));
    }

    pub fn terminal(&self) {
        self.tell(|| Happened::Terminal);
    }

    /// One was opened, or closed; `from` is who connected to where the server listens.
    pub fn forward(&self, way: &Way, from: Option<&str>, open: bool) {
        self.tell(|| {
            let [direction, end] = way.words();
            let from = from.map(str::to_owned);
            Happened::Forward(Arc::new(view::Forward { direction, end, from, open }))
        });
    }

    /// The last bytes of a longer piece are shown: what is before them counts as missed.
    pub fn printed(&self, exec: &Id, stream: Stream, at: u64, bytes: &[u8]) {
        self.tell(|| {
            let skipped = bytes.len().saturating_sub(SHOWN);
            let (exec, at) = (exec.clone(), at + skipped as u64);
            Happened::Printed { exec, stream, at, bytes: bytes[skipped..].into() }
        });
    }
}
