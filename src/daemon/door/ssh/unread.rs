//! A client that reads no more of what its command prints (`ssh web1 yes | head -1`) says so in a request of OpenSSH's.
//! russh 0.65.1 hands requests that it does not know to nobody: it logs them, in the task that serves the connection. So
//! that line is listened for. It says of which connection, not of which channel.

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

/// By the task that serves a connection: what runs there.
static SERVED: LazyLock<Mutex<HashMap<Id, Commands>>> = LazyLock::new(Mutex::default);

type Commands = HashMap<ChannelId, CancellationToken>;

/// The commands of one connection, as long as it is there.
#[derive(Default)]
pub struct Unread(Option<Id>);

/// Hears russh's log, and forgets it.
struct Ear;

impl Unread {
    /// A command runs on a channel; `ends` ends it. To be called where the connection is served.
    pub fn begins(&mut self, channel: ChannelId, ends: CancellationToken) {
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

    pub fn ended(&self, channel: ChannelId) {
        if let Some(task) = self.0
            && let Some(commands) = served().get_mut(&task)
        {
            commands.remove(&channel);
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
        let only = served().get(&task).filter(|commands| commands.len() == 1).cloned();
        match only {
            Some(commands) => commands.values().for_each(CancellationToken::cancel),
            None => tracing::info!("a client reads no more of one of several commands"),
        }
    }

    fn flush(&self) {}
}

fn served() -> MutexGuard<'static, HashMap<Id, Commands>> {
    SERVED.lock().unwrap_or_else(PoisonError::into_inner)
}
