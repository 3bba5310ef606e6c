//! The parts list: what the doors are handed, and what both doors answer alike.

mod authority;
mod keyboard;
mod open;
mod policy;
mod reach;
mod refusals;
mod shown;
mod ssh;
mod standing;
mod target;

pub use open::{Opening, Way};
pub use reach::Lent;
pub use shown::grant_shown;

use std::sync::{Arc, PoisonError, RwLock};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    alone::Alone,
    authority::Authority,
    desk::{Desk, SessionShown},
    door::{Budgets, exec_shown},
    evidence::Evidence,
    files::Files,
    ids::Ids,
    in_use::InUse,
    left::LeftRunning,
    memory,
    policy::Policies,
    session::{self, Session, Sessions, exec::Stop, held::HEAD},
    vault::Vault,
};
use crate::{
    daemon::audit,
    domain::{
        action::Exec,
        bytes::Bytes,
        id::{Id, Kind, prefix_kind},
        identity::Identity,
        record::Kind as RecordKind,
        seal::Key,
    },
    home::{
        Home,
        service::{LOCKED, Service},
    },
    protocol::{
        agent::Completable,
        error::{Code, Failure},
        view::{self, Candidate, Candidates, DaemonStatus, Thing},
    },
};

/// The daemon's parts.
pub struct Parts {
    pub home: Arc<Home>,
    /// Held, not used.
    pub _alone: Alone,
    pub vault: Arc<Vault>,
    pub authority: Arc<Authority>,
    pub policies: Arc<Policies>,
    pub evidence: Arc<Evidence>,
    pub desk: Arc<Desk>,
    pub sessions: Arc<Sessions>,
    pub files: Arc<Files>,
    pub ids: Arc<Ids>,
    pub left_running: LeftRunning,
    /// What an operator's session is proven with; another one after a rotation.
    pub operator_key: RwLock<Arc<Key>>,
    pub in_use: InUse,
    /// What SSH clients have sent and nobody has taken.
    pub inboxes: Budgets,
    pub started: Instant,
    /// Where the daemon is a service of the machine.
    pub service: Option<Service>,
    /// Cancelled when the daemon ends.
    pub end: CancellationToken,
}

/// Now, in whole milliseconds, as it is shown.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

impl Parts {
    pub fn now(&self) -> Timestamp {
        now()
    }

    /// As the operator's calendar says.
    pub fn today(&self) -> Date {
        self.now().to_zoned(TimeZone::system()).date()
    }

    /// What an operator's session is proven with now.
    pub fn operator_key(&self) -> Arc<Key> {
        self.operator_key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on whoever holds this key is the operator; who is proven already stays it.
    pub fn set_operator_key(&self, key: Key) {
        memory::keep(&key);
        *self.operator_key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }

    /// Ends the daemon when nobody has used it for as long as the operator set.
    pub fn lock_when_idle(&self) {
        let Some(after) = self.vault.settings().auto_lock else { return };
        let runs = |session: &Arc<Session>| session.execs().iter().any(|exec| exec.is_running());
        if self.sessions.everyone().iter().any(runs) {
            self.in_use.touch();
        } else if self.in_use.idle() >= after.duration() {
            self.stay_locked();
            self.lock("nobody used it for as long as auto-lock says");
        }
    }

    pub fn mode(&self) -> view::Running {
        match self.service {
            None => view::Running::Personal,
            Some(_) => view::Running::Service,
        }
    }

    /// A service's daemon runs nothing for anybody: what would run there would be of its uid.
    pub fn may_run(&self, what: &str) -> Result<(), Failure> {
        if self.service.is_none() {
            return Ok(());
        }
        let message = format!("the daemon of a service runs no commands, and {what} is one");
        Err(Failure::new(
            Code::ServiceUnfit,
            message,
            "reach it through a jump host, or do without",
        ))
    }

    /// Who locks a service has it locked until they unlock it, whatever credential lies there.
    pub fn stay_locked(&self) {
        if self.service.is_some()
            && let Err(error) = self.home.replace(LOCKED, b"")
        {
            tracing::error!(%error, "a credential will unlock it again");
        }
    }

    /// Ends the daemon.
    pub fn lock(&self, why: &str) {
        tracing::info!(why, "the daemon ends");
        self.end.cancel();
    }

    /// What the desk shows of a session that a command would run in.
    pub fn session_shown(&self, id: &Id) -> Option<SessionShown> {
        let session = self.sessions.to_see(id.as_str(), None).ok()?;
        let asked_at = session.pool.asked_at().into_iter().next();
        let (target, place) = (session.target(), session.places());
        Some(SessionShown { target, place, mode: Some(session.grant().mode), asked_at })
    }

    /// The beginning of what a command that waits would read.
    pub fn input_shown(&self, exec: &Exec) -> Option<Bytes> {
        let session = self.sessions.to_see(exec.session.as_str(), None).ok()?;
        let held = session.held(&exec.id)?;
        Some(Bytes(held.head().iter().take(HEAD).copied().collect()))
    }

    /// Open sessions, of one identity or of all.
    pub fn sessions_shown(&self, of: Option<&Identity>) -> view::Sessions {
        let requests = self.desk.pending(of, |id| self.session_shown(id));
        let open = self.sessions.everyone().into_iter().filter(|session| {
            session.over().is_none() && of.is_none_or(|identity| session.owner == *identity)
        });
        let mut sessions: Vec<_> =
            open.map(|session| self.with_what_waits(&session, &requests)).collect();
        sessions.sort_by_key(|session| session.created_at);
        view::Sessions { sessions }
    }

    /// A session with what waits in it, and whether it is paused.
    pub fn shown(&self, session: &Session) -> view::Session {
        let requests = self.desk.pending(Some(&session.owner), |id| self.session_shown(id));
        self.with_what_waits(session, &requests)
    }

    fn with_what_waits(&self, session: &Session, requests: &[view::Request]) -> view::Session {
        let mut shown = session.shown();
        let waits = requests.iter().find(|one| one.session.as_ref() == Some(&shown.id));
        shown.waiting = waits.map(|request| view::Waiting {
            id: request.id.clone(),
            kind: request.kind,
            message: request.reason.clone(),
        });
        shown.paused_by = self.desk.pauses.by(&session.owner, &session.names());
        shown.paused = shown.paused_by.is_some();
        shown.denied_rules = self.desk.denied_rules(&session.owner, &session.place());
        shown
    }

    /// What stands behind an id, or the start of one.
    pub fn thing(&self, word: &str, of: Option<&Identity>) -> Result<Thing, Failure> {
        match prefix_kind(word) {
            Some(Kind::Request) => {
                let request = self.desk.show(word, of, |id| self.session_shown(id))?;
                Ok(Thing::Request(Box::new(request)))
            }
            Some(Kind::Exec) => Ok(exec_shown(&self.sessions.exec(word, of)?.1)),
            Some(Kind::Token) => self.token_to_see(word, of),
            Some(Kind::Grant) => self.grant_to_see(word, of),
            Some(Kind::Job) => Err(Failure::new(
                Code::UsageId,
                "there are no jobs yet",
                "ids begin with s-, r-, x-, t- or g-",
            )),
            Some(Kind::Session) | None => {
                Ok(Thing::Session(Box::new(self.shown(&*self.sessions.to_see(word, of)?))))
            }
        }
    }

    /// Refuses an end without proof of what the operator has under their hands: it would take the
    /// terminal away, and what they type next would go elsewhere.
    pub fn check_unproven_close(&self, word: &str) -> Result<(), Failure> {
        let session = match prefix_kind(word) {
            Some(Kind::Request) => return Ok(()),
            Some(Kind::Exec) => self.sessions.exec(word, None)?.0,
            _ => self.sessions.to_see(word, None)?,
        };
        if session.over().is_some() || session.keyboard.control().is_agents() {
            return Ok(());
        }
        Err(Failure::new(
            Code::OperatorProof,
            "the operator has the keyboard there, and ends it with proof",
            format!("give it back first: sgw return {}; or sgw lock ends everything", session.id),
        )
        .about(&session.id))
    }

    /// Closes a session, ends a command, takes a request back.
    pub async fn close(&self, word: &str, of: Option<&Identity>) -> Result<Thing, Failure> {
        match prefix_kind(word) {
            Some(Kind::Request) => {
                let id = self.desk.find(word, of)?;
                let by = of.map_or_else(|| "operator".to_owned(), ToString::to_string);
                self.desk.decides(&id, by.clone());
                self.desk.withdraw(&id)?;
                audit::request_ended(&self.evidence, RecordKind::RequestClosed, &by, &id, None)
                    .await?;
                self.settle_keyboards().await;
                self.thing(id.as_str(), of)
            }
            Some(Kind::Exec) => {
                let (session, exec) = self.sessions.exec(word, of)?;
                let turn = of.map(|_| session.keyboard.turn(&session.id)).transpose()?;
                exec.stop(Stop::Cancelled);
                drop(turn);
                session::wait_for_end(&exec).await;
                Ok(exec_shown(&exec))
            }
            _ => {
                let session = self.sessions.to_see(word, of)?;
                if of.is_some() && session.over().is_none() {
                    // It would take the terminal away under the operator's hands.
                    session.keyboard.check_agent(&session.id)?;
                }
                self.desk.session_ended(&session.id);
                self.sessions.close(&session, session::closed(&session.id), "closed").await;
                self.settle_keyboards().await;
                Ok(Thing::Session(Box::new(self.shown(&session))))
            }
        }
    }

    pub fn status(&self) -> DaemonStatus {
        DaemonStatus {
            running: true,
            pid: Some(std::process::id()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            uptime_s: Some(self.started.elapsed().as_secs()),
            sessions: Some(self.sessions.open_count() as u64),
            connections: Some(self.sessions.connections() as u64),
            home: self.home.path().display().to_string(),
            mode: self.mode(),
            unlocked: true,
        }
    }

    /// Words for the shell's completion.
    pub fn complete(&self, what: Completable, of: Option<&Identity>) -> Candidates {
        let mut candidates = Vec::new();
        let mut add = |word: String, about: String| candidates.push(Candidate { word, about });
        let sessions = self.sessions_shown(of).sessions;
        if matches!(what, Completable::Sessions | Completable::Any) {
            for session in &sessions {
                add(session.id.clone(), format!("session on {}", session.target));
                if let Some(name) = &session.name {
                    add(name.clone(), format!("session on {}", session.target));
                }
            }
        }
        if matches!(what, Completable::Execs | Completable::Any) {
            for id in sessions.iter().flat_map(|session| &session.running) {
                add(id.clone(), "running command".to_owned());
            }
        }
        if matches!(what, Completable::Requests | Completable::Any) {
            for request in self.desk.pending(of, |id| self.session_shown(id)) {
                add(request.id.clone(), format!("request for {}", request.target));
            }
        }
        Candidates { candidates }
    }
}
