//! Drives a command: what comes from its channel, and each way in which it is ended.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Ending, Exec, Stop, lock};
use crate::{
    daemon::{
        session::{
            feed,
            held::Held,
            output::{Room, Stream},
        },
        upstream::{Event, Pool, Reader, RemoteEnd, Writer},
    },
    domain::authorize::Denied,
    protocol::{
        error::{Code, Failure},
        view::{ExecEnd, Remote},
    },
};

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
        let pump = feed::pump(self.exec.clone(), self.first.take(), writer.clone());
        let (exec, to) = (self.exec.clone(), writer.clone());
        let resizes = async move {
            if let Some(tty) = &exec.tty {
                tty.resizes(&exec.gate, &to).await;
            }
        };
        let sends = tokio::spawn(async move { tokio::join!(pump, resizes) });
        let mut ending = Ending::default();
        let mut remote = None;
        if self.read(&mut reader, &mut ending).await == Read::Stopped {
            remote = Some(self.end_remote(&mut reader, &mut ending).await);
        }
        sends.abort();
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
