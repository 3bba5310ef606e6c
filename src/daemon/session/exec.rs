//! One running command: its channel, its input and output, and every way in which it ends.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    feed,
    gate::Gate,
    held::Held,
    keyboard::Keyboard,
    live::Live,
    output::{Output, Room, Stream},
    stdin::Stdin,
    tty::Tty,
};
use crate::{
    daemon::{
        authority::Under,
        upstream::{Event, Pool, Reader, RemoteEnd, Writer},
    },
    domain::{authorize::Denied, bytes::Bytes, id::Id, terminal::Window},
    protocol::{
        error::{Class, Code, Failure},
        view::{ExecEnd, Kind, Remote, Run},
    },
};

/// How long a command outlives a caller that vanished.
pub const ORPHAN: Duration = Duration::from_secs(60);
/// How long a command at least waits for its first caller to follow it.
const FIRST: Duration = Duration::from_secs(10);
/// How long to go on reading after its processes were ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often it is looked for what is to end: a server that has much to do begins with a command late, and what has not
/// begun carries no marker yet.
const LOOKS: u32 = 4;
/// When it is looked for again where nobody could say that it has ended: a server under load, or one out of reach.
const LATER: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
];
/// How often a channel that is left unread is looked at again.
const LOOK: Duration = Duration::from_millis(200);
/// A time that never comes within a daemon's life.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

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

    /// Tells its terminal's new window.
    pub async fn resize(&self, window: Window) {
        let Some(tty) = &self.tty else { return };
        tty.resize(window);
        let writer = lock(&self.writer).clone();
        if let Some(writer) = writer {
            // One that has ended has no window.
            let _gone = writer.resize(window).await;
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

/// Drives a command from its first byte to its end.
pub struct Actor {
    pub exec: Arc<Exec>,
    pub pool: Arc<Pool>,
    pub marker: String,
    /// What was read of its input before it was judged.
    pub first: Option<Arc<Held>>,
    pub timeout: Option<Duration>,
    /// The session's lease: over means the command ends.
    pub lease: CancellationToken,
    /// Why the lease was over.
    pub why_over: Arc<dyn Fn() -> Failure + Send + Sync>,
}

impl Actor {
    /// Runs to the end and says how it ended. The caller records that, then publishes it.
    pub async fn run(mut self, mut reader: Reader, writer: Writer) -> ExecEnd {
        *lock(&self.exec.writer) = Some(writer.clone());
        if let Some(window) = self.exec.tty.as_ref().and_then(|tty| tty.resized()) {
            // It changed on the way. A channel that is gone shows itself below.
            let _gone = writer.resize(window).await;
        }
        let pump = tokio::spawn(feed::pump(self.exec.clone(), self.first.take(), writer.clone()));
        let mut ending = Ending::default();
        let mut remote = None;
        if self.read(&mut reader, &mut ending).await == Read::Stopped {
            remote = Some(self.end_remote(&mut reader, &mut ending).await);
        }
        pump.abort();
        lock(&self.exec.writer).take();
        writer.close().await;
        self.exec.end(&ending, remote, false)
    }

    /// Reads until the channel ends or something stops the command.
    async fn read(&self, reader: &mut Reader, ending: &mut Ending) -> Read {
        let deadline = Instant::now() + self.timeout.unwrap_or(NEVER);
        let mut secluded = false;
        loop {
            let hold = secluded && reader.is_alone();
            let room = self.exec.output.room(hold);
            if room != Room::Open && !secluded {
                secluded = reader.seclude();
                if secluded {
                    continue;
                }
            }
            if room == Room::Full && !hold {
                self.exec.stop(Stop::TooSlow);
                return Read::Stopped;
            }
            tokio::select! {
                event = reader.next(), if room != Room::Full => {
                    let ended = self.take(event, ending).await;
                    if ending.cut {
                        self.exec.stop(Stop::Over(Denied::StandingExhausted.into()));
                        return Read::Stopped;
                    }
                    if ended {
                        return Read::Ended;
                    }
                }
                _ = self.exec.output.wait_for_room(hold), if room == Room::Full => {}
                () = tokio::time::sleep(LOOK), if room == Room::Full => {}
                () = self.exec.stop.cancelled() => return Read::Stopped,
                () = self.lease.cancelled() => {
                    self.exec.stop(Stop::Over((self.why_over)()));
                    return Read::Stopped;
                }
                () = sleep_until(deadline) => {
                    self.exec.stop(Stop::TimedOut);
                    return Read::Stopped;
                }
                () = self.orphaned() => {
                    self.exec.stop(Stop::Orphaned);
                    return Read::Stopped;
                }
            }
        }
    }

    /// Returns when nobody has followed the command for too long. While the operator has the keyboard
    /// nobody may, and nothing is orphaned; afterwards there is as much time as before.
    async fn orphaned(&self) {
        loop {
            if !self.exec.keyboard.control().is_agents() {
                lock(&self.exec.presence).held = true;
                self.exec.keyboard.agents().await;
            }
            lock(&self.exec.presence).held_no_more();
            let changed = self.exec.presence_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let at = lock(&self.exec.presence).orphan_at;
            tokio::select! {
                () = changed => {}
                () = self.exec.keyboard.taken() => {}
                () = sleep_until(at.unwrap_or_else(|| Instant::now() + NEVER)) => {
                    // Somebody may have come at the last moment.
                    if lock(&self.exec.presence).orphan_at.is_some_and(|at| at <= Instant::now()) {
                        return;
                    }
                }
            }
        }
    }

    /// True at the end of the channel.
    async fn take(&self, event: Event, ending: &mut Ending) -> bool {
        match event {
            Event::Stdout(bytes) => ending.cut |= !self.keep(Stream::Stdout, &bytes).await,
            Event::Stderr(bytes) => ending.cut |= !self.keep(Stream::Stderr, &bytes).await,
            Event::ExitStatus(status) => {
                ending.exit_code = Some(i32::try_from(status).unwrap_or(255));
            }
            Event::ExitSignal { name, .. } => ending.signal = Some(signal_name(&name)),
            Event::Refused => {
                ending.failure = Some(
                    Failure::new(
                        Code::TargetRefused,
                        "the server refused to run the command",
                        "the account may not allow commands: ask your user",
                    )
                    .sent(true),
                );
                return true;
            }
            Event::Closed => {
                let told = ending.exit_code.is_some() || ending.signal.is_some();
                if !told && ending.failure.is_none() && lock(&self.exec.why).is_none() {
                    ending.failure = Some(lost("the server closed the channel without a status"));
                }
                return true;
            }
            Event::Lost => {
                if ending.exit_code.is_none() && ending.signal.is_none() {
                    ending.failure = Some(lost("the connection broke; the command may have run"));
                }
                return true;
            }
        }
        false
    }

    /// Passes on what the budget has room for; false where that is not all of it.
    async fn keep(&self, stream: Stream, printed: &[u8]) -> bool {
        let bytes = self.exec.within_budget(printed);
        let private = self.exec.keyboard.control().is_private();
        if let Some(tty) = &self.exec.tty {
            tty.draw(bytes, private).await;
        } else if !private {
            let at = self.exec.output.printed(stream);
            self.exec.live.printed(&self.exec.id, stream, at, bytes);
        }
        if self.exec.output.push(stream, bytes).await.is_err() {
            self.exec.stop(Stop::TooSlow);
        }
        bytes.len() == printed.len()
    }

    /// Ends the remote processes, delivering what they still print.
    async fn end_remote(&self, reader: &mut Reader, ending: &mut Ending) -> Remote {
        let had_ended = ending.exit_code.is_some();
        let markers = [self.marker.clone()];
        let (mut open, mut looks) = (true, 0);
        let found = loop {
            let found = self.look_for(&markers, reader, ending, &mut open).await;
            looks += 1;
            // Nothing is there, and the channel is open: it may be about to begin.
            if !open || found == RemoteEnd::Unknown || looks >= LOOKS {
                break found;
            }
        };
        if found == RemoteEnd::Unknown {
            self.look_later(markers);
        }
        if !had_ended && ending.exit_code == Some(0) {
            // Its children were ended first: a shell that waited for them calls that success.
            ending.exit_code = None;
        }
        self.name_the_stop(ending);
        match found {
            // A channel that stays open is held by a process that carries no marker.
            RemoteEnd::Ended if !open => Remote::Ended,
            RemoteEnd::Ended | RemoteEnd::Unknown => Remote::Unknown,
        }
    }

    /// Ends what carries a marker, and gives the channel a moment to close.
    async fn look_for(
        &self,
        markers: &[String],
        reader: &mut Reader,
        ending: &mut Ending,
        open: &mut bool,
    ) -> RemoteEnd {
        let killing = self.pool.end_processes(markers);
        tokio::pin!(killing);
        let found = loop {
            let room = self.exec.output.room(false) != Room::Full;
            tokio::select! {
                found = &mut killing => break found,
                event = reader.next(), if *open && room => *open = !self.take(event, ending).await,
            }
        };
        let over = Instant::now() + LAST_WORDS;
        while *open && self.exec.output.room(false) != Room::Full {
            tokio::select! {
                event = reader.next() => *open = !self.take(event, ending).await,
                () = sleep_until(over) => break,
            }
        }
        found
    }

    /// Nobody is kept waiting by a server that has no time to look; what is there ends when it has.
    fn look_later(&self, markers: [String; 1]) {
        let pool = self.pool.clone();
        tokio::spawn(async move {
            for pause in LATER {
                tokio::time::sleep(pause).await;
                if pool.end_processes(&markers).await == RemoteEnd::Ended {
                    return;
                }
            }
            tracing::info!("it is not known whether a command's processes have ended");
        });
    }

    fn name_the_stop(&self, ending: &mut Ending) {
        let why = lock(&self.exec.why).clone();
        match why {
            Some(Stop::TimedOut) => {
                // It was ended from here: what the ending looked like from there says nothing.
                (ending.exit_code, ending.signal) = (None, None);
                ending.timed_out = true;
                ending.failure = Some(
                    Failure::new(
                        Code::ExecTimeout,
                        "ended by --timeout",
                        "what it printed was delivered; give it longer, or see whether it is stuck",
                    )
                    .sent(true),
                );
            }
            Some(Stop::Over(failure)) => ending.failure = Some(failure.sent(true)),
            Some(Stop::TooSlow) => {
                let message = match self.exec.output.trouble() {
                    Some(trouble) => {
                        format!("its output could not be kept ({trouble}); it was ended")
                    }
                    None => "its output waited for a reader until the spool was full; it was ended"
                        .to_owned(),
                };
                let hint = "read faster, or write to a file on the target";
                ending.failure = Some(Failure::new(Code::LimitSpool, message, hint).sent(true));
            }
            Some(Stop::Cancelled | Stop::Orphaned) => {
                ending.failure = None;
                if ending.exit_code.is_none() && ending.signal.is_none() {
                    ending.signal = Some("TERM".into());
                }
            }
            None => {}
        }
        if ending.cut {
            // Whatever ended it: its output is not whole.
            ending.failure = Some(Failure::from(Denied::StandingExhausted).sent(true));
        }
    }
}

#[derive(PartialEq)]
enum Read {
    Ended,
    Stopped,
}

fn lost(message: &str) -> Failure {
    Failure::new(
        Code::SessionLost,
        message,
        "look at the target before you run it again; sgw connects anew by itself",
    )
    .sent(true)
}

/// Signals are named without `SIG`; what a server invents is cut to what a name can be.
fn signal_name(name: &str) -> String {
    let plain = name.strip_prefix("SIG").unwrap_or(name);
    plain.chars().filter(char::is_ascii_alphanumeric).take(16).collect()
}
