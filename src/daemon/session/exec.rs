//! One running command: who follows it, what it may still do, and what is told of its end; `actor` drives it.

mod actor;

pub use actor::Actor;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    gate::Gate,
    keyboard::Keyboard,
    live::Live,
    output::{Output, Stream},
    stdin::Stdin,
    tty::Tty,
};
use crate::{
    daemon::{authority::Under, upstream::Writer},
    domain::{bytes::Bytes, id::Id},
    protocol::{
        error::{Class, Failure},
        view::{ExecEnd, Kind, Remote, Run},
    },
};

/// How long a command outlives a caller that vanished.
pub const ORPHAN: Duration = Duration::from_secs(60);
/// How long a command at least waits for its first caller to follow it.
const FIRST: Duration = Duration::from_secs(10);

/// Why a command is ended from here.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// Ctrl-C, a closed stdout, `sgw signal` or `sgw close`.
    Cancelled,
    TimedOut,
    /// Its caller vanished and nobody came for it.
    Orphaned,
    /// The session is over.
    Over(Failure),
    /// More output than can wait, on a connection that others need.
    TooSlow,
}

/// A command, running or ended. Shared by its actor and whoever asks for it.
pub struct Exec {
    pub id: Id,
    pub session: Id,
    pub line: Bytes,
    pub request: Option<Id>,
    pub started_at: Timestamp,
    pub output: Output<ExecEnd>,
    /// What its caller sends.
    pub stdin: Arc<Stdin>,
    pub keyboard: Arc<Keyboard>,
    pub(super) gate: Arc<Gate>,
    live: Live,
    /// What it prints and is fed counts there.
    under: Option<Arc<Under>>,
    started: Instant,
    stop: CancellationToken,
    why: Mutex<Option<Stop>>,
    presence: Mutex<Presence>,
    presence_changed: Notify,
    read_to: Mutex<u64>,
    writer: Mutex<Option<Writer>>,
    /// Where it has one of its own.
    pub tty: Option<Arc<Tty>>,
}

/// Whether somebody follows the command, and since when nobody does.
struct Presence {
    callers: usize,
    /// Set while nobody follows and nobody left on purpose.
    orphan_at: Option<Instant>,
    orphan: Duration,
    /// The operator had the keyboard meanwhile.
    held: bool,
}

impl Presence {
    fn held_no_more(&mut self) {
        if std::mem::take(&mut self.held) {
            let whole = Instant::now() + self.orphan;
            self.orphan_at = self.orphan_at.map(|_| whole);
        }
    }
}

/// What a new command is made of.
pub struct Parts {
    pub id: Id,
    pub session: Id,
    pub line: Bytes,
    pub request: Option<Id>,
    pub started_at: Timestamp,
    pub output: Output<ExecEnd>,
    pub stdin: Arc<Stdin>,
    pub orphan: Duration,
    pub keyboard: Arc<Keyboard>,
    pub gate: Arc<Gate>,
    pub live: Live,
    pub under: Option<Arc<Under>>,
    pub tty: Option<Arc<Tty>>,
}

impl Exec {
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { id, session, line, request, started_at, output, stdin, .. } = parts;
        let Parts { orphan, keyboard, gate, live, under, tty, .. } = parts;
        Arc::new(Self {
            id,
            session,
            line,
            request,
            started_at,
            output,
            stdin,
            keyboard,
            gate,
            live,
            under,
            started: Instant::now(),
            stop: CancellationToken::new(),
            why: Mutex::new(None),
            presence: Mutex::new(Presence {
                callers: 0,
                // Its first caller may be gone before it follows.
                orphan_at: Some(Instant::now() + orphan.max(FIRST)),
                orphan,
                held: false,
            }),
            presence_changed: Notify::new(),
            read_to: Mutex::new(0),
            writer: Mutex::new(None),
            tty,
        })
    }

    /// Counts what is to go to it or came from it, and gives what of that may pass on.
    pub(super) fn within_budget<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        match &self.under {
            Some(under) => &bytes[..under.take_bytes(bytes.len())],
            None => bytes,
        }
    }

    /// Ends it; the first reason stays.
    pub fn stop(&self, why: Stop) {
        lock(&self.why).get_or_insert(why);
        self.stop.cancel();
    }

    pub fn is_running(&self) -> bool {
        self.output.result().is_none()
    }

    /// A caller follows it from now on.
    pub fn came(&self) {
        let mut presence = lock(&self.presence);
        presence.callers += 1;
        presence.orphan_at = None;
        drop(presence);
        self.presence_changed.notify_waiters();
    }

    /// A caller is gone; `on_purpose`, and will be back.
    pub fn went(&self, on_purpose: bool) {
        let mut presence = lock(&self.presence);
        presence.callers = presence.callers.saturating_sub(1);
        if presence.callers == 0 && !on_purpose {
            presence.orphan_at = Some(Instant::now() + presence.orphan);
        }
        drop(presence);
        self.presence_changed.notify_waiters();
    }

    /// Where the last `--new` read ended; moves to `to`.
    pub fn read_to(&self, to: Option<u64>) -> u64 {
        let mut at = lock(&self.read_to);
        match to {
            Some(to) => std::mem::replace(&mut *at, to),
            None => *at,
        }
    }

    /// Asks the server to pass a signal on (RFC 4254, 6.9). False where nothing runs.
    pub async fn signal(&self, name: &str) -> bool {
        let writer = lock(&self.writer).clone();
        match writer {
            Some(writer) if self.is_running() => writer.signal(name).await.is_ok(),
            _ => false,
        }
    }

    /// The state as it is now, whether running or ended.
    pub fn state(&self) -> ExecEnd {
        self.output.result().unwrap_or_else(|| self.end(&Ending::default(), None, true))
    }

    pub fn shown(&self) -> Run {
        let state = self.state();
        Run {
            id: self.id.to_string(),
            kind: Kind::Exec,
            command: self.line.clone(),
            exit_code: state.exit_code,
            signal: state.signal,
            running: state.running,
            started_at: self.started_at,
            duration_ms: (!state.running).then_some(state.duration_ms),
            request: self.request.as_ref().map(Id::to_string),
        }
    }

    fn end(&self, ending: &Ending, remote: Option<Remote>, running: bool) -> ExecEnd {
        let failure = ending.failure.clone().map(|failure| self.told(failure));
        ExecEnd {
            id: self.id.to_string(),
            kind: Kind::Exec,
            exit_code: ending.exit_code,
            signal: ending.signal.clone(),
            stdout_bytes: self.output.printed(Stream::Stdout),
            stderr_bytes: self.output.printed(Stream::Stderr),
            timed_out: ending.timed_out,
            running,
            remote,
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            session: self.session.to_string(),
            request: self.request.as_ref().map(Id::to_string),
            failure,
        }
    }

    /// A failure as this command's, whatever ended it: where its session's end did, the text names the
    /// command, and what it printed can still be read.
    fn told(&self, failure: Failure) -> Failure {
        let ended = failure.code.class() == Class::No && failure.sent == Some(true);
        let failure = failure.about(&self.id);
        if !ended {
            return failure;
        }
        let message = format!("{} was ended: {}", self.id, failure.message);
        let hint = match self.output.printed(Stream::Stdout) + self.output.printed(Stream::Stderr) {
            0 => failure.hint,
            _ => format!("what it printed: sgw output {}; {}", self.id, failure.hint),
        };
        Failure { message, hint, ..failure }
    }

    /// A command that never ran.
    pub fn failed_to_start(&self, failure: Failure) -> ExecEnd {
        self.end(&Ending { failure: Some(failure), ..Ending::default() }, None, false)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Ending {
    exit_code: Option<i32>,
    signal: Option<String>,
    timed_out: bool,
    /// The budget took no more: some of its output is not delivered.
    cut: bool,
    failure: Option<Failure>,
}
