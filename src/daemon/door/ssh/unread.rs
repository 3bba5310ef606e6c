//! A client that reads no more of what its command prints (`ssh web1 yes | head -1`) says so in a request of OpenSSH's.
//! russh 0.65.1 hands requests that it does not know to nobody: it logs them, in the task that serves the connection. So
//! that line is listened for. It says of which connection, not of which channel: only where there is a single one it
//! is known whose word it is.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use log::{LevelFilter, Log, Metadata, Record};
use russh::ChannelId;
use tokio::task::{self, Id};
use tokio_util::sync::CancellationToken;

/// Where russh says it, and what.
const TARGET: &str = "russh::server::encrypted";
const LINE: &str = "unknown channel request eow@openssh.com";

/// By the task that serves a connection: its channels.
static SERVED: LazyLock<Mutex<HashMap<Id, Channels>>> = LazyLock::new(Mutex::default);

/// Each session channel, with what ends its command: nothing where none runs, or what runs is none.
type Channels = HashMap<ChannelId, Option<CancellationToken>>;

/// The session channels of one connection, as long as it is there.
#[derive(Default)]
pub struct Unread(Option<Id>);

/// Hears russh's log, and forgets it.
struct Ear;

impl Unread {
    /// A session channel is open. To be called where the connection is served.
    pub fn opens(&mut self, channel: ChannelId) {
        self.set(channel, None);
    }

    /// A command runs on it; `ends` ends it. To be called there too.
    pub fn begins(&mut self, channel: ChannelId, ends: CancellationToken) {
        self.set(channel, Some(ends));
    }

    fn set(&mut self, channel: ChannelId, ends: Option<CancellationToken>) {
        static EAR: Ear = Ear;
        if log::set_logger(&EAR).is_ok() {
            log::set_max_level(LevelFilter::Warn);
        }
        let task = self.0.or_else(task::try_id);
        if let Some(task) = task {
            served().entry(task).or_default().insert(channel, ends);
        }
        self.0 = task;
    }

    pub fn closed(&self, channel: ChannelId) {
        if let Some(task) = self.0
            && let Some(channels) = served().get_mut(&task)
        {
            channels.remove(&channel);
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(task) = self.0 {
            served().remove(&task);
        }
    }
}

impl Log for Ear {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        about.target() == TARGET
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || record.args().to_string() != LINE {
            return;
        }
        let Some(task) = task::try_id() else { return };
        let only = served().get(&task).filter(|channels| channels.len() == 1).cloned();
        match only {
            Some(channels) => channels.values().flatten().for_each(CancellationToken::cancel),
            None => tracing::info!("a client reads no more of one of several channels"),
        }
    }

    fn flush(&self) {}
}

fn served() -> MutexGuard<'static, HashMap<Id, Channels>> {
    SERVED.lock().unwrap_or_else(PoisonError::into_inner)
}
