//! Reads a terminal's channel, always, so that what the server sends is never in anybody's way, and
//! brings the terminal to its end.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{JoinHandle, yield_now},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{Pty, TypedInPrivate, answers::Answers, lock};
use crate::{
    daemon::upstream::{Event, Look, Reader, Rest},
    protocol::error::{Code, Failure},
};

/// What was begun in private may have come to its end when the terminal was silent for so long, …
const QUIET: Duration = Duration::from_millis(300);
/// … which a look has to find; so soon after one that did not there is another, …
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// … and where nobody can look, or a program that was begun then waits for keys, silence is taken for it
/// only after this.
const GOES_ON: Duration = Duration::from_secs(60);
/// What still works is hidden for so long.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The operator is not private any more, but what they began then may go on.
struct Opening {
    begun: Instant,
    /// When the next step is due, unless something comes before.
    next: Instant,
    step: Step,
}

enum Step {
    /// It has to be silent first.
    Silence,
    Look(Instant, JoinHandle<Option<Look>>),
    /// It was found at rest: what is still on its way has to come.
    Last,
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
        Self { begun: now, next: now + QUIET, step: Step::Silence }
    }

    /// Something came: what was found counts no more.
    fn goes_on(&mut self) {
        self.again(QUIET);
    }

    fn again(&mut self, after: Duration) {
        self.step = Step::Silence;
        self.next = Instant::now() + after;
    }

    /// Comes when a step is due, with what a look has found.
    async fn due(&mut self) -> Option<Look> {
        match &mut self.step {
            Step::Look(_, look) => look.await.ok().flatten(),
            Step::Silence | Step::Last => {
                sleep_until(self.next).await;
                None
            }
        }
    }

    /// Whether what was found is the end of what was begun.
    fn is_over(&self, rest: Option<Rest>) -> bool {
        let age = self.begun.elapsed();
        match rest {
            Some(Rest::Shell | Rest::Before) => true,
            Some(Rest::Other) | None => age >= GOES_ON,
            Some(Rest::Works) => false,
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Step::Look(_, look) = &self.step {
            look.abort();
        }
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
            if opening.as_ref().is_some_and(|opening| opening.begun.elapsed() >= LONGEST) {
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
                found = due(&mut opening) => {
                    if let Some(going) = &mut opening
                        && self.is_over(going, found).await
                    {
                        self.reveal();
                        opening = None;
                    }
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
        // What is hidden is shown to no agent, so it is not counted.
        let hidden = self.pty.keyboard.control().is_private();
        let mut rest = match &self.pty.under {
            Some(under) if !hidden => &bytes[..under.take_bytes(bytes.len())],
            _ => bytes,
        };
        while !rest.is_empty() {
            let (end, told) = {
                let mut model = self.pty.model();
                if hidden || self.pty.keyboard.control().is_private() {
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

    /// Goes on to the next step; whether it was the last.
    async fn is_over(&self, opening: &mut Opening, found: Option<Look>) -> bool {
        match std::mem::replace(&mut opening.step, Step::Silence) {
            Step::Last => return true,
            Step::Silence if !lock(&self.pty.typed).something => return true,
            Step::Silence => {
                let pty = self.pty.clone();
                let look = tokio::spawn(async move { pty.pool.look(&pty.marker).await });
                opening.step = Step::Look(Instant::now(), look);
            }
            Step::Look(since, _) => {
                let rest = found.map(|look| self.pty.rests(&look));
                let took = since.elapsed();
                if !opening.is_over(rest) {
                    opening.again(LOOK_AGAIN.max(took));
                } else if rest == Some(Rest::Shell) && lock(&self.pty.typed).half {
                    // While the operator sits there, it is theirs to end.
                    if self.pty.keyboard.control().is_agents() {
                        self.pty.drop_line().await;
                    }
                    opening.again(LOOK_AGAIN);
                } else {
                    opening.step = Step::Last;
                    opening.next = Instant::now() + QUIET.max(took);
                }
            }
        }
        false
    }

    fn reveal(&self) {
        {
            let mut model = self.pty.model();
            if self.pty.keyboard.control().is_private() {
                return;
            }
            model.reveal();
            *lock(&self.pty.typed) = TypedInPrivate::default();
        }
        self.drawn.send_modify(|count| *count += 1);
    }

    fn failed(&self, why: Failure) {
        let mut known = self.pty.why.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get_or_insert(why);
    }
}

async fn due(opening: &mut Option<Opening>) -> Option<Look> {
    match opening {
        Some(opening) => opening.due().await,
        None => std::future::pending().await,
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
