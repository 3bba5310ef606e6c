//! Starting what was permitted: on record first, then on its way, then followed to its end.

use std::{sync::Arc, time::Duration};

use super::{
    EXECS, Session, Sessions, closed,
    exec::{self, Actor, Exec},
    feed::Feed,
    no_channel,
    output::Output,
    record,
    tty::Tty,
};
use crate::{
    daemon::{desk::Permit, upstream::Lane},
    domain::{
        action::{self, Stdin},
        bytes::Bytes,
        id::Id,
        judgement::Judgement,
        terminal::Wanted,
    },
    home::random,
    protocol::error::{Code, Failure},
};

/// How a command goes to the target, where not as usual.
#[derive(Clone, Default)]
pub struct Way {
    /// It gets a terminal of its own.
    pub terminal: Option<Arc<Wanted>>,
    /// Over connections of the caller's own.
    pub lane: Option<Arc<Lane>>,
}

/// A login shell that somebody sits at.
pub struct Shell {
    pub id: Id,
    pub env: Vec<(String, Vec<u8>)>,
}

/// What a shell is called where commands are shown.
const A_SHELL: &str = "(a shell)";

impl Sessions {
    /// Runs a permitted command; returns as soon as it is on its way. A caller that goes away
    /// meanwhile does not stop it half-way: it runs, and waits for somebody to come for it.
    ///
    /// # Errors
    /// The intent could not be recorded, or no channel was to be had: nothing was sent.
    pub async fn run(
        self: &Arc<Self>,
        session: &Arc<Session>,
        permit: Permit<action::Exec>,
        request: Option<Id>,
        orphan: Duration,
        feed: Feed,
        way: Way,
    ) -> Result<Arc<Exec>, Failure> {
        let (all, session) = (self.clone(), session.clone());
        to_its_end(
            async move { all.start(&session, permit.spend(), request, orphan, feed, way).await },
        )
        .await
    }

    /// Opens a shell on a terminal of its own, which a permitted input begins that types nothing yet.
    ///
    /// # Errors
    /// As [`Sessions::run`].
    pub async fn shell(
        self: &Arc<Self>,
        session: &Arc<Session>,
        permit: Permit<action::Input>,
        shell: Shell,
        request: Option<Id>,
        orphan: Duration,
        way: Way,
    ) -> Result<Arc<Exec>, Failure> {
        let action = shell_of(session, shell, permit.spend().judged)?;
        let (all, session) = (self.clone(), session.clone());
        to_its_end(
            async move { all.start(&session, action, request, orphan, Feed::open(), way).await },
        )
        .await
    }

    async fn start(
        &self,
        session: &Arc<Session>,
        action: action::Exec,
        request: Option<Id>,
        orphan: Duration,
        feed: Feed,
        way: Way,
    ) -> Result<Arc<Exec>, Failure> {
        session.let_go(&action.id);
        if !feed.is(action.stdin) {
            return Err(Failure::new(
                Code::RequestChanged,
                "what would be fed to it is not what was judged",
                "run it again",
            )
            .sent(false));
        }
        if let Some(why) = session.over() {
            return Err(why.sent(false));
        }
        session.keyboard.check_agent(&session.id).map_err(|taken| taken.sent(false))?;
        session.count_command()?;
        let terminal = way.terminal.as_deref();
        let tty = terminal
            .map(|wanted| Tty::new(session.pool.clone(), action.marker.clone(), wanted.window));
        let exec = Exec::new(exec::Parts {
            id: action.id.clone(),
            session: session.id.clone(),
            line: action.line.clone(),
            request: request.clone(),
            started_at: (self.now)(),
            output: Output::new(&session.spool),
            stdin: feed.then,
            orphan,
            keyboard: session.keyboard.clone(),
            gate: session.gate.clone(),
            live: session.live.clone(),
            under: session.under.clone(),
            tty,
        });
        record::intent(&self.evidence, session, &action, request.as_ref(), terminal).await?;
        self.scripts.wrote(&session.account(), &action.judged.written);
        remember(session, exec.clone());
        session.live.started(&exec);
        self.tell();
        // The last gate: behind it the bytes are on their way.
        let opening = async {
            match (&way.lane, terminal) {
                (Some(lane), Some(wanted)) => lane.terminal(wanted, &action.wire).await,
                (Some(lane), None) => lane.exec(&action.wire).await,
                (None, Some(wanted)) => session.pool.terminal(wanted, &action.wire).await,
                (None, None) => session.pool.exec(&action.wire).await,
            }
        };
        let started = session.keyboard.write(&session.id, opening).await;
        let started = match started {
            Ok(started) => started.map_err(|error| no_channel(&error).about(&action.id)),
            Err(taken) => {
                // It was not run, so it is not counted.
                session.uncount_command();
                Err(taken)
            }
        };
        let (reader, writer) = match started {
            Ok(ends) => ends,
            Err(failure) => {
                let failure = failure.sent(false);
                let end = exec.failed_to_start(failure.clone());
                record::result(&self.evidence, session, &end).await;
                exec.output.finish(end);
                session.live.ended(&exec);
                return Err(failure);
            }
        };
        let actor = Actor {
            exec: exec.clone(),
            pool: session.pool.clone(),
            marker: action.marker,
            first: feed.first,
            timeout: action.timeout_ms.map(Duration::from_millis),
            lease: session.lease.clone(),
            why_over: why_over(session),
        };
        let (evidence, changes) = (self.evidence.clone(), self.changes.clone());
        let (session, running) = (session.clone(), exec.clone());
        tokio::spawn(async move {
            let end = actor.run(reader, writer).await;
            record::result(&evidence, &session, &end).await;
            running.output.finish(end);
            session.live.ended(&running);
            changes.send_modify(|count| *count += 1);
        });
        Ok(exec)
    }
}

/// What goes on the wire for a shell, with a marker of its own.
fn shell_of(session: &Session, shell: Shell, judged: Judgement) -> Result<action::Exec, Failure> {
    let secret: [u8; 8] = random().map_err(|error| {
        let message = format!("no randomness from the kernel: {error}");
        Failure::new(Code::DaemonFailed, message, "this machine is broken")
    })?;
    let Shell { id, env } = shell;
    let marker = format!("{id}-{}", hex::encode(secret));
    let wire = session.surroundings.shell(&marker, env).map_err(|error| {
        let hint = "the operator mends it: sgw target show NAME";
        Failure::new(Code::TargetUnfit, error.to_string(), hint).sent(false)
    })?;
    Ok(action::Exec {
        id,
        session: session.id.clone(),
        marker,
        line: Bytes(A_SHELL.into()),
        wire,
        stdin: Stdin::Typed,
        timeout_ms: None,
        reason: None,
        judged,
        passed_by: Vec::new(),
        served: None,
    })
}

/// Goes on to its end, also when whoever asked goes away meanwhile.
async fn to_its_end(
    starting: impl Future<Output = Result<Arc<Exec>, Failure>> + Send + 'static,
) -> Result<Arc<Exec>, Failure> {
    tokio::spawn(starting).await.unwrap_or_else(|error| {
        let message = format!("the command could not be started: {error}");
        Err(Failure::new(Code::DaemonFailed, message, "this is a bug in sgw"))
    })
}

fn remember(session: &Session, exec: Arc<Exec>) {
    let mut state = session.lock();
    if state.execs.len() >= EXECS
        && let Some(at) = state.execs.iter().position(|exec| !exec.is_running())
    {
        state.execs.remove(at);
    }
    state.execs.push_back(exec);
}

fn why_over(session: &Arc<Session>) -> Arc<dyn Fn() -> Failure + Send + Sync> {
    let session = session.clone();
    Arc::new(move || session.over().unwrap_or_else(|| closed(&session.id)))
}
