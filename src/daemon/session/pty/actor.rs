//! Reads a terminal's channel, always, so that what the server sends is never in anybody's way, and
//! brings the terminal to its end.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::yield_now,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{Pty, answers::Answers};
use crate::{
    daemon::upstream::{Event, Reader},
    protocol::error::{Code, Failure},
};

/// What was begun in private has come to its end when the terminal was silent for so long …
const QUIET: Duration = Duration::from_millis(300);
/// … or, if it goes on, after this.
const GOES_ON: Duration = Duration::from_secs(60);

/// The operator is not private any more, but what they began then may go on.
struct Opening {
    quiet: Instant,
    over: Instant,
}

pub struct Actor {
    pub pty: Arc<Pty>,
    pub reader: Reader,
    /// The session's: over means that the terminal ends.
    pub lease: CancellationToken,
    pub changes: watch::Sender<u64>,
    pub drawn: watch::Sender<u64>,
}

impl Opening {
    fn begin() -> Self {
        let now = Instant::now();
        Self { quiet: now + QUIET, over: now + GOES_ON }
    }

    /// Something came.
    fn goes_on(&mut self) {
        self.quiet = (Instant::now() + QUIET).min(self.over);
    }
}

impl Actor {
    /// Runs to the end.
    pub async fn run(mut self) {
        let answers = Answers::start(self.pty.clone());
        let mut control = self.pty.keyboard.changes();
        let mut exit_code = None;
        let mut opening: Option<Opening> = None;
        let stopped = loop {
            let quiet = opening.as_ref().map(|opening| opening.quiet);
            let over = opening.as_ref().is_some_and(|opening| opening.over <= Instant::now());
            if over {
                self.reveal();
                opening = None;
            }
            tokio::select! {
                // What has come already is no silence.
                biased;
                () = self.pty.stop.cancelled() => break true,
                () = self.lease.cancelled() => break true,
                _ = control.changed() => opening = self.follow_control(),
                event = self.reader.next() => match event {
                    Event::Stdout(bytes) | Event::Stderr(bytes) => {
                        self.take(&bytes, &answers).await;
                        if let Some(opening) = &mut opening {
                            opening.goes_on();
                        }
                    }
                    Event::ExitStatus(status) => exit_code = Some(status),
                    Event::ExitSignal { .. } => {}
                    Event::Refused => {
                        self.failed(refused());
                        break false;
                    }
                    Event::Lost => {
                        self.failed(lost());
                        break false;
                    }
                    Event::Closed => break false,
                },
                () = sleep_until(quiet.unwrap_or_else(Instant::now)), if opening.is_some() => {
                    self.reveal();
                    opening = None;
                }
            }
        };
        let Self { pty, reader, changes, drawn, .. } = self;
        pty.over.cancel();
        // The server hangs up on what runs there; what does not listen is ended after that.
        drop(reader);
        pty.writer.close().await;
        if stopped {
            let found = pty.pool.end_processes(std::slice::from_ref(&pty.marker)).await;
            tracing::info!(session = %pty.session, ?found, "a terminal was closed");
        }
        {
            let mut model = pty.model();
            model.reveal();
            model.end();
        }
        let why = pty.why();
        pty.recorder.closed(why.as_ref(), exit_code).await;
        pty.ended.cancel();
        drop((changes, drawn));
    }

    /// Goes on in turns, between which others have theirs. Whether a turn is private is asked under the
    /// lock that hides it.
    async fn take(&self, bytes: &[u8], answers: &Answers) {
        if let Some(under) = &self.pty.under
            && !self.pty.keyboard.control().is_private()
        {
            under.take_bytes(bytes.len());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let (end, told) = {
                let mut model = self.pty.model();
                if self.pty.keyboard.control().is_private() {
                    model.hide();
                }
                let taken = model.feed(rest);
                rest = &rest[taken..];
                (model.transcript.cursor(), model.take_answers())
            };
            self.changes.send_if_modified(|known| std::mem::replace(known, end) != end);
            self.drawn.send_modify(|count| *count += 1);
            answers.give(told);
            if !rest.is_empty() {
                yield_now().await;
            }
        }
    }

    /// What is private is hidden at once, and opened when what was begun meanwhile is quiet: the agent
    /// may have the keyboard before.
    fn follow_control(&self) -> Option<Opening> {
        let mut model = self.pty.model();
        if self.pty.keyboard.control().is_private() {
            model.hide();
            return None;
        }
        model.is_private().then(Opening::begin)
    }

    fn reveal(&self) {
        {
            let mut model = self.pty.model();
            if self.pty.keyboard.control().is_private() {
                return;
            }
            model.reveal();
        }
        self.drawn.send_modify(|count| *count += 1);
    }

    fn failed(&self, why: Failure) {
        let mut known = self.pty.why.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get_or_insert(why);
    }
}

fn refused() -> Failure {
    Failure::new(
        Code::TargetRefused,
        "the server gave no terminal",
        "the account may not allow terminals: run commands with sgw exec",
    )
}

fn lost() -> Failure {
    Failure::new(
        Code::SessionLost,
        "the connection of the terminal broke",
        "look at the target before you type it again; the next input opens a new terminal",
    )
}
