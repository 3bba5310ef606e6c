//! The terminal of a command that somebody sits at from afar: what it shows is kept for watchers, and what
//! is typed there is judged part by part.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{sync::watch, task::yield_now};

use super::{
    Session, Sessions,
    exec::Exec,
    gate::Gate,
    pty::{Lookout, Reads, Screen, Seen, Shown},
    record::Recorder,
};
use crate::{
    daemon::{
        desk::Permit,
        upstream::{Pool, Writer},
    },
    domain::{
        action,
        id::Id,
        prompt,
        terminal::Window,
        typed::{self, Line},
    },
    protocol::error::Failure,
};

/// Shared by the command's actor, whoever types, and whoever watches.
pub struct Tty {
    screen: Mutex<Screen>,
    drawn: watch::Sender<u64>,
    /// What stands in its line, as far as it is known.
    line: Mutex<Line>,
    lookout: Lookout,
    /// As it was opened, and as its client has it.
    first: Window,
    wanted: watch::Sender<Window>,
}

impl Tty {
    pub fn new(pool: Arc<Pool>, marker: String, window: Window) -> Arc<Self> {
        Arc::new(Self {
            screen: Mutex::new(Screen::new(window.size())),
            drawn: watch::Sender::new(0),
            line: Mutex::default(),
            lookout: Lookout::new(pool, marker),
            first: window,
            wanted: watch::Sender::new(window),
        })
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        lock(&self.screen)
    }

    /// Takes what it shows, in turns, between which others have theirs. What programs ask, the client's
    /// own terminal answers. Of what is private nothing is kept.
    pub(super) async fn draw(&self, mut bytes: &[u8], private: bool) {
        if private {
            let mut screen = self.screen();
            let size = screen.size();
            *screen = Screen::new(size);
            return;
        }
        while !bytes.is_empty() {
            {
                let mut screen = self.screen();
                bytes = &bytes[screen.feed(bytes)..];
                drop(screen.take_answers());
            }
            self.drawn.send_modify(|count| *count += 1);
            if !bytes.is_empty() {
                yield_now().await;
            }
        }
    }

    /// Its client has another window. It is the terminal's too as soon as the agent may change it.
    pub fn wants(&self, window: Window) {
        self.wanted.send_replace(window);
    }

    /// Gives the terminal its client's window, the last one whenever the gate is open. Goes on until its channel
    /// is gone.
    pub(super) async fn resizes(&self, gate: &Gate, writer: &Writer) {
        let (mut wanted, mut had) = (self.wanted.subscribe(), self.first);
        loop {
            gate.opens().await;
            let window = *wanted.borrow_and_update();
            if window != had {
                match gate.pass(writer.resize(window)).await {
                    Ok(Ok(())) => had = window,
                    Ok(Err(_gone)) => return,
                    Err(_shut) => continue,
                }
                self.screen().resize(window.size());
                self.drawn.send_modify(|count| *count += 1);
            }
            if wanted.changed().await.is_err() {
                return;
            }
        }
    }

    pub fn shown(&self) -> Shown {
        self.screen().shown()
    }

    /// Changes with [`Tty::shown`].
    pub fn drawn(&self) -> watch::Receiver<u64> {
        self.drawn.subscribe()
    }

    /// Whether what stands before the cursor seems to ask for a secret: a guess.
    pub fn asks_for_secret(&self) -> bool {
        prompt::asks_for_secret(&self.before_cursor())
    }

    pub fn line(&self) -> Line {
        lock(&self.line).clone()
    }

    /// Who reads what is typed now; waits for somebody to, so long at most.
    pub async fn reads(&self, comes: std::time::Duration) -> Reads {
        self.lookout.reads(comes, self).await
    }
}

impl Seen for Tty {
    fn before_cursor(&self) -> String {
        self.screen().before_cursor()
    }

    fn has_ended(&self) -> bool {
        false
    }
}

impl Sessions {
    /// Types what was permitted into a command's terminal: on record first. It goes on its way as the
    /// agent has the keyboard. A line counts as a command.
    ///
    /// # Errors
    /// The session is over, or its commands are used up; nothing could be recorded; too much waits to be
    /// typed. Nothing was typed.
    pub async fn type_at(
        &self,
        session: &Session,
        exec: &Exec,
        permit: Permit<action::Input>,
        request: Option<Id>,
    ) -> Result<(), Failure> {
        let action = permit.spend();
        let Some(tty) = exec.tty.as_ref().filter(|_| exec.is_running()) else { return Ok(()) };
        if let Some(why) = session.over() {
            return Err(why.about(&session.id).sent(false));
        }
        session.keyboard.check_agent(&session.id).map_err(|taken| taken.sent(false))?;
        let counts = typed::has_enter(&action.bytes);
        if counts {
            session.count_command()?;
        }
        let recorder = Recorder::new(self.evidence.clone(), session).of_exec(&exec.id);
        recorder.input(&action, request.as_ref()).await?;
        lock(&tty.line).clone_from(&action.after);
        exec.stdin.push_all(action.bytes).await;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
