//! Opening a session's terminal at its first use, and typing into it what was permitted.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turn, MutexGuard as TurnGuard, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{Before, Lines, Lookout, Pty, actor::Actor, model::Model};
use crate::{
    daemon::{
        desk::Permit,
        session::{Session, Sessions, no_channel, record::Recorder},
    },
    domain::{
        action,
        id::Id,
        shell,
        terminal::{Size, Wanted},
    },
    home::random,
    protocol::error::{Code, Failure},
};

/// A shell that has just begun is left in peace until it was silent for so long …
const QUIET: Duration = Duration::from_millis(300);
/// … but not longer than this.
const BEGINS: Duration = Duration::from_secs(5);
/// A terminal that is being ended gets so long, beyond what ending its processes may take.
const ENDS: Duration = Duration::from_secs(10);

/// A session's place for a terminal.
#[derive(Default)]
pub struct Slot {
    current: Mutex<Option<Arc<Pty>>>,
    opening: Turn<()>,
    /// Held by whoever judges an input and types it: what is judged is what then stands there.
    judging: Turn<()>,
}

impl Slot {
    pub fn get(&self) -> Option<Arc<Pty>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Judges and types alone.
    pub async fn alone(&self) -> TurnGuard<'_, ()> {
        self.judging.lock().await
    }

    fn put(&self, pty: Arc<Pty>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(pty);
    }

    /// Waits for the end of a terminal whose session has ended.
    pub async fn ends(&self) {
        let _none_opens = self.opening.lock().await;
        if let Some(pty) = self.get() {
            let _late = timeout(ENDS, pty.ended()).await;
            pty.fade();
        }
    }
}

/// A terminal to use.
struct Opened {
    pty: Arc<Pty>,
    /// It was opened just now, in place of one that had ended.
    instead: bool,
}

/// Who opens a terminal, and what for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opener {
    Agent,
    Operator,
    /// The operator, for a clean shell beside the session's own terminal.
    Fresh,
}

/// What was typed, and what stood there before.
pub struct Typing {
    pub pty: Arc<Pty>,
    pub bytes: Vec<u8>,
    pub before: Before,
    pub instead: bool,
}

impl Sessions {
    /// The session's terminal for the operator; opens one where none is open. A caller that goes away
    /// meanwhile does not stop that half-way.
    ///
    /// # Errors
    /// The session is over; nothing could be recorded; there is no channel.
    pub async fn pty(self: &Arc<Self>, session: &Arc<Session>) -> Result<Arc<Pty>, Failure> {
        let (all, session) = (self.clone(), session.clone());
        let opening = async move { all.open_pty(&session, Opener::Operator).await };
        Ok(to_its_end(opening).await?.pty)
    }

    /// A terminal of the operator's own with a clean shell: no agent sees or reaches it. Whoever opens
    /// it closes it.
    pub async fn fresh_pty(self: &Arc<Self>, session: &Arc<Session>) -> Result<Arc<Pty>, Failure> {
        if let Some(why) = session.over() {
            return Err(why.about(&session.id));
        }
        let (all, session) = (self.clone(), session.clone());
        to_its_end(async move { all.begin_pty(&session, None, Opener::Fresh).await }).await
    }

    async fn open_pty(&self, session: &Arc<Session>, opener: Opener) -> Result<Opened, Failure> {
        let _alone = session.terminal.opening.lock().await;
        if let Some(why) = session.over() {
            return Err(why.about(&session.id).sent(false));
        }
        let earlier = session.terminal.get();
        if let Some(pty) = earlier.as_ref().filter(|pty| !pty.has_ended()) {
            return Ok(Opened { pty: pty.clone(), instead: false });
        }
        let pty = self.begin_pty(session, earlier.as_ref(), opener).await?;
        session.terminal.put(pty.clone());
        session.live.terminal();
        if opener == Opener::Agent {
            tokio::select! {
                () = begins(&pty) => {}
                () = session.keyboard.taken() => {}
            }
        }
        match pty.why() {
            Some(why) => Err(why.about(&session.id).sent(false)),
            None => Ok(Opened { pty, instead: earlier.is_some() }),
        }
    }

    async fn begin_pty(
        &self,
        session: &Arc<Session>,
        earlier: Option<&Arc<Pty>>,
        opener: Opener,
    ) -> Result<Arc<Pty>, Failure> {
        let secret: [u8; 8] = random().map_err(|error| {
            let message = format!("no randomness from the kernel: {error}");
            Failure::new(Code::DaemonFailed, message, "this machine is broken")
        })?;
        let marker = format!("{}-{}", session.id, hex::encode(secret));
        let wire = match opener {
            Opener::Agent | Opener::Operator => {
                session.surroundings.terminal(&marker).map_err(|error| {
                    let hint = "the operator mends it: sgw target show NAME";
                    Failure::new(Code::TargetUnfit, error.to_string(), hint)
                })?
            }
            Opener::Fresh => shell::fresh(&marker),
        };
        let who = match opener {
            Opener::Agent => session.owner.to_string(),
            Opener::Operator | Opener::Fresh => "operator".to_owned(),
        };
        let recorder = Recorder::new(self.evidence.clone(), session);
        recorder.opened(session, &who, &marker, &wire).await?;
        let size = Size::USUAL;
        let wanted = Wanted::ours(size);
        let opening = session.pool.terminal(&wanted, &wire);
        let opened = match opener {
            Opener::Agent => session.keyboard.write(&session.id, opening).await,
            Opener::Operator | Opener::Fresh => Ok(opening.await),
        };
        let opened = opened.and_then(|opened| opened.map_err(|error| no_channel(&error)));
        let (reader, writer) = match opened {
            Ok(ends) => ends,
            Err(failure) => {
                let failure = failure.about(&session.id).sent(false);
                recorder.closed(Some(&failure), None).await;
                return Err(failure);
            }
        };
        let model = match earlier {
            Some(earlier) => Model::after(&mut earlier.model(), size),
            None => Model::new(size),
        };
        let (changes, drawn) =
            (watch::Sender::new(model.transcript.cursor()), watch::Sender::new(0));
        let lookout = Lookout::new(session.pool.clone(), marker.clone());
        let pty = Arc::new(Pty {
            session: session.id.clone(),
            marker,
            keyboard: session.keyboard.clone(),
            recorder,
            pool: session.pool.clone(),
            under: session.under.clone(),
            writer,
            model: Mutex::new(model),
            turn: Turn::default(),
            changes: changes.subscribe(),
            drawn: drawn.subscribe(),
            stop: CancellationToken::new(),
            over: CancellationToken::new(),
            ended: CancellationToken::new(),
            why: Mutex::new(None),
            before: Mutex::default(),
            start: Mutex::default(),
            typed: Mutex::default(),
            line: Mutex::default(),
            lookout,
            looking: Arc::default(),
        });
        let lease = session.lease.clone();
        tokio::spawn(Actor { pty: pty.clone(), reader, lease, changes, drawn }.run());
        Ok(pty)
    }

    /// Types what was permitted, into a terminal that is opened where none is. A caller that goes away
    /// meanwhile does not stop it half-way.
    ///
    /// # Errors
    /// As [`Sessions::pty`]; the keyboard is the operator's; the commands are used up. `sent` says
    /// whether anything was typed.
    pub async fn type_input(
        self: &Arc<Self>,
        session: &Arc<Session>,
        permit: Permit<action::Input>,
        request: Option<Id>,
    ) -> Result<Typing, Failure> {
        let (all, session) = (self.clone(), session.clone());
        to_its_end(async move { all.spend_input(&session, permit, request).await }).await
    }

    async fn spend_input(
        &self,
        session: &Arc<Session>,
        permit: Permit<action::Input>,
        request: Option<Id>,
    ) -> Result<Typing, Failure> {
        let action = permit.spend();
        session.keyboard.check_agent(&session.id).map_err(|taken| taken.sent(false))?;
        let opened = self.open_pty(session, Opener::Agent).await?;
        opened.pty.opens().await?;
        session.keyboard.check_agent(&session.id).map_err(|taken| taken.sent(false))?;
        session.count_input(action.bytes.len())?;
        opened.pty.recorder.input(&action, request.as_ref()).await?;
        let line = Lines::Judged { before: &action.before, after: &action.after };
        let typed = opened.pty.type_as_agent(&action.bytes, line).await;
        if typed.as_ref().is_err_and(|failure| failure.sent == Some(false)) {
            // Nothing was typed, so it is not counted.
            session.uncount_input(action.bytes.len());
        }
        let (pty, bytes, instead) = (opened.pty, action.bytes, opened.instead);
        let typing = Typing { pty, bytes, before: typed?, instead };
        if let Some(request) = &request {
            session.asked_inputs.typed(request, &typing);
        }
        Ok(typing)
    }
}

/// Waits until a new shell has shown its prompt, as far as that can be seen: it was silent for a
/// while.
async fn begins(pty: &Pty) {
    let over = Instant::now() + BEGINS;
    let mut changes = pty.changes();
    if !matches!(timeout_at(over, changes.changed()).await, Ok(Ok(()))) {
        return;
    }
    while Instant::now() < over && matches!(timeout(QUIET, changes.changed()).await, Ok(Ok(()))) {}
}

/// Goes on to its end, also when whoever asked goes away meanwhile.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        let message = format!("nothing was typed: {error}");
        Err(Failure::new(Code::DaemonFailed, message, "this is a bug in sgw"))
    })
}
