//! The desk: identity + action -> permit, through `authorize` and the queue of requests. It calls
//! nobody's effects.

mod commands;
mod files;
mod forward;
mod guard;
mod handoff;
mod login;
mod pause;
mod permit;
mod plan;
mod queue;
mod refusals;
mod show;
mod standing;
mod typed;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};

use self::pause::Pauses;
use self::queue::{Entry, Queue, Same, WAITING_ALL, WAITING_EACH};
pub use self::{
    files::Ended,
    guard::{Guard, JudgedFiles, Line},
    permit::Permit,
    plan::{Next, Planned, blocked_whole, lines_shown},
    show::SessionShown,
};
use crate::{
    daemon::authority::{Authority, Under},
    domain::{
        action::{Access, Action},
        authorize::{self, NotApproved},
        digest::Digest,
        grant::{Grant, Terms},
        id::Id,
        identity::{Identity, Seen},
        kept::Kept,
        request::{Parts, Refused, Request, State},
    },
    protocol::{
        error::{Code, Failure},
        view::Returned,
    },
};

/// What became of a request that somebody waited for.
#[derive(Debug)]
pub enum Outcome {
    /// Access was given, or a session is logged in again: the session, now collected.
    Session(Id),
    /// A command was approved and has not run yet; or a plan was, whatever of it has run.
    Approved,
    /// A command was approved and ran as this exec.
    Ran(Id),
    /// An operation on files was approved and done: how it ended.
    Done(Arc<Ended>),
    /// The operator gave the keyboard back.
    Returned(Box<Returned>),
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    pub identity: Identity,
    /// Looked at when a person is asked: most callers are not asked about.
    pub seen: Arc<LazySeen>,
}

type LazySeen = LazyLock<Seen, Box<dyn FnOnce() -> Seen + Send>>;

/// What the desk says of a command, or of an input.
pub enum Verdict<A> {
    Permit(Permit<A>),
    /// A person is asked; `new` unless an earlier asking was joined.
    Asked {
        id: Id,
        new: bool,
    },
}

/// A command that does not run, and that nobody is asked about.
pub struct NotAsked<A> {
    pub failure: Failure,
    /// For the record, where the policy blocks it.
    pub blocked: Option<Box<A>>,
}

impl<A> From<Failure> for NotAsked<A> {
    fn from(failure: Failure) -> Self {
        Self { failure, blocked: None }
    }
}

/// Where a command would run, as the session knows it: bound into the digest.
pub struct Ground<'a> {
    pub owner: &'a Identity,
    pub grant: &'a Grant,
    pub place: &'a str,
    /// The standing grant that the session lives under, where it does.
    pub under: Option<&'a Under>,
}

pub struct Desk {
    queue: Mutex<Queue>,
    pub guard: Guard,
    /// By session.
    kept: Mutex<BTreeMap<Id, Kept>>,
    bars: refusals::Bars,
    refusals: refusals::Refusals,
    authority: Arc<Authority>,
    handoffs: Mutex<handoff::Recent>,
    pub pauses: Pauses,
    changes: watch::Sender<u64>,
    new_id: Box<dyn Fn() -> Result<Id, Failure> + Send + Sync>,
    now: fn() -> Timestamp,
}

impl Desk {
    pub fn new(
        new_id: impl Fn() -> Result<Id, Failure> + Send + Sync + 'static,
        authority: Arc<Authority>,
        guard: Guard,
        now: fn() -> Timestamp,
    ) -> Self {
        Self {
            queue: Mutex::default(),
            guard,
            kept: Mutex::default(),
            bars: refusals::Bars::default(),
            refusals: refusals::Refusals::default(),
            authority,
            handoffs: Mutex::default(),
            pauses: Pauses::default(),
            changes: watch::Sender::new(0),
            new_id: Box::new(new_id),
            now,
        }
    }

    /// Wakes when a request came or was decided; what time alone changes wakes nobody.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an access request into the queue, or joins the same one there. The flag says whether
    /// it is new.
    pub fn ask_access(
        &self,
        asker: &Asker,
        access: Access,
        rule: Option<&'static str>,
        lives: SignedDuration,
    ) -> Result<(Id, bool), Failure> {
        let rule = rule.map(str::to_owned);
        let sameness = access.sameness(&asker.identity);
        let digest = |id: &Id, until| access.digest(&asker.identity, id, until);
        let action = Action::Access(access.clone());
        self.ask(asker, action, rule, lives, sameness, digest)
    }

    fn ask(
        &self,
        asker: &Asker,
        action: Action,
        rule: Option<String>,
        lives: SignedDuration,
        sameness: Digest,
        digest: impl Fn(&Id, Timestamp) -> Digest,
    ) -> Result<(Id, bool), Failure> {
        let now = (self.now)();
        self.outdate_same(&asker.identity, &sameness);
        let mut queue = self.queue();
        match queue.same(&asker.identity, &sameness, now) {
            Some(Same::Pending(id)) => return Ok((id, false)),
            Some(Same::Denied(id)) => {
                return Err(denied(words(&action).denied, &id, None));
            }
            None => {}
        }
        let mine =
            queue.waiting(Some(&asker.identity), now) + queue.denied_lately(&asker.identity, now);
        if mine >= WAITING_EACH || queue.waiting(None, now) >= WAITING_ALL {
            return Err(Failure::new(
                Code::LimitRequests,
                "too many requests wait for the operator, or were denied within the hour",
                "wait for one of them (sgw requests), or take one back: sgw close r-…",
            ));
        }
        self.authority.admit(&asker.identity)?;
        let id = (self.new_id)()?;
        let expires_at = now + lives;
        let digest = digest(&id, expires_at);
        let request = Request::new(Parts {
            id: id.clone(),
            identity: asker.identity.clone(),
            seen: Seen::clone(&asker.seen),
            action,
            created_at: now,
            expires_at,
            digest,
            sameness,
        });
        queue.add(request, rule);
        drop(queue);
        self.tell(&id);
        Ok((id, true))
    }

    /// Waits until the request is decided, at most until `limit` is over.
    pub async fn wait(
        &self,
        identity: &Identity,
        id: &Id,
        limit: Option<Duration>,
    ) -> Result<Outcome, Failure> {
        let over = limit.map(|limit| tokio::time::Instant::now() + limit);
        loop {
            let changed = self.entry(id, Some(identity), |entry| entry.changed.clone())?;
            let notified = changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if let Some(outcome) = self.outcome(identity, id)? {
                return Ok(outcome);
            }
            // Expiry wakes nobody: look again now and then.
            let next = tokio::time::Instant::now() + Duration::from_secs(5);
            let until = over.map_or(next, |over| over.min(next));
            tokio::select! {
                () = notified => {}
                () = tokio::time::sleep_until(until) => {
                    if over.is_some_and(|over| tokio::time::Instant::now() >= over) {
                        return match self.outcome(identity, id)? {
                            Some(outcome) => Ok(outcome),
                            None => Err(self.still_pending(id)),
                        };
                    }
                }
            }
        }
    }

    /// What has become of it; an approved access is collected by looking.
    fn outcome(&self, identity: &Identity, id: &Id) -> Result<Option<Outcome>, Failure> {
        let now = (self.now)();
        self.entry(id, Some(identity), |entry| {
            let words = words(&entry.request.action);
            let session = entry.session.clone();
            let exec = entry.exec.clone();
            if let Some(returned) = &entry.returned {
                return Ok(Some(Outcome::Returned(Box::new(returned.clone()))));
            }
            if entry.progress.is_some() {
                // What of it passes yet is another question.
                return Ok(Some(Outcome::Approved));
            }
            match &entry.files {
                Some(files::Carried::Running) => return Ok(None),
                Some(files::Carried::Ended(ended)) => {
                    return Ok(Some(Outcome::Done(ended.clone())));
                }
                None => {}
            }
            match (entry.request.state(now).clone(), session, exec) {
                (State::Pending, ..) => Ok(None),
                (State::Approved { .. }, Some(session), _) => {
                    // It is approved at this very moment, so this can't fail.
                    let _collected = entry.request.spend(now);
                    Ok(Some(Outcome::Session(session)))
                }
                (State::Used, Some(session), _) => Ok(Some(Outcome::Session(session))),
                (State::Used, _, Some(exec)) => Ok(Some(Outcome::Ran(exec))),
                (State::Approved { .. }, ..) => Ok(Some(Outcome::Approved)),
                (State::Denied { message }, ..) => Err(denied(words.denied, id, message)),
                (State::Expired, ..) => Err(expired(words.expired, id)),
                (State::Withdrawn, ..) if entry.outdated => Err(commands::outdated(id)),
                (State::Withdrawn | State::Used, ..) => Err(withdrawn(id)),
            }
        })?
    }

    fn still_pending(&self, id: &Id) -> Failure {
        let asked = self.entry(id, None, |entry| {
            let action = &entry.request.action;
            let why = entry.rule.clone().and_then(|rule| commands::why_asked(action, rule));
            (words(action).pending, why)
        });
        let (code, why) = asked.unwrap_or((Code::RequestPending, None));
        let hint = format!("sgw wait {id}");
        let waits = format!("{id} waits for the operator");
        match why {
            None => Failure::new(code, waits, hint),
            Some((rule, why)) => {
                Failure::new(code, format!("{waits}: {rule}, {why}"), hint).by_rule(rule)
            }
        }
        .about(id)
    }

    /// What a request asks for.
    /// Whether nobody has decided yet.
    pub fn is_open(&self, identity: &Identity, id: &Id) -> bool {
        matches!(self.outcome(identity, id), Ok(None))
    }

    pub fn action(&self, id: &Id, identity: &Identity) -> Result<Action, Failure> {
        self.entry(id, Some(identity), |entry| entry.request.action.clone())
    }

    /// The operator's connection `by` takes the decision; nobody else may until it lets go.
    pub fn claim(&self, id: &Id, by: u64) -> Result<(), Failure> {
        let now = (self.now)();
        self.entry(id, None, |entry| {
            if !entry.request.is_pending(now) {
                return Err(closed(id, entry.request.state(now)));
            }
            match entry.claimed {
                Some(other) if other != by => Err(claimed(id)),
                _ => {
                    entry.claimed = Some(by);
                    Ok(())
                }
            }
        })?
    }

    /// The operator's connection `by` decides on what `shown` stands for.
    pub fn check_shown(&self, id: &Id, shown: &Digest, by: u64) -> Result<(), Failure> {
        self.claim(id, by)?;
        let now = (self.now)();
        self.entry(id, None, |entry| {
            entry
                .request
                .check_shown(shown, now)
                .map_err(|error| not_approved(id, NotApproved::Request(error)))
        })?
    }

    /// Whose request it is.
    pub fn owner(&self, id: &Id) -> Result<Identity, Failure> {
        self.entry(id, None, |entry| entry.request.identity.clone())
    }

    /// Lets go of all that `by` had claimed.
    pub fn release(&self, by: u64) {
        let now = (self.now)();
        let mut queue = self.queue();
        for id in queue.all(now, |entry| entry.claimed == Some(by)) {
            if let Some(entry) = queue.get(&id) {
                entry.claimed = None;
            }
        }
    }

    /// The operator said yes to what `shown` stands for, giving `terms`: leave to connect. The
    /// request stays open until [`Desk::approved`].
    pub fn permit_access(
        &self,
        id: &Id,
        shown: &Digest,
        terms: &Terms,
        by: u64,
    ) -> Result<Permit<Access>, Failure> {
        self.claim(id, by)?;
        let now = (self.now)();
        self.entry(id, None, |entry| {
            match authorize::authorize_shown_access(&mut entry.request, shown, terms, now) {
                Ok(allowed) => Ok(Permit::issue(allowed)),
                Err(error) => Err(not_approved(id, error)),
            }
        })?
    }

    /// Records the yes. `session` is what a request for access, or for a login, led to.
    pub fn approved(&self, id: &Id, shown: &Digest, session: Option<Id>) -> Result<(), Failure> {
        let now = (self.now)();
        self.entry(id, None, |entry| {
            let refused = |error| not_approved(id, NotApproved::Request(error));
            entry.request.approve(shown, now).map_err(refused)?;
            entry.session = session;
            entry.decided_at = Some(now);
            Ok::<(), Failure>(())
        })??;
        self.tell(id);
        Ok(())
    }

    pub fn deny(&self, id: &Id, message: Option<String>) -> Result<(), Failure> {
        self.end(id, |request, now| request.deny(message.clone(), now))
    }

    pub fn withdraw(&self, id: &Id) -> Result<(), Failure> {
        self.end(id, Request::withdraw)
    }

    /// Withdraws the commands that wait in a session that has ended, and forgets what was said for it.
    pub fn session_ended(&self, session: &Id) {
        self.kept().remove(session);
        self.bars.session_ended(session);
        self.refusals.session_ended(session);
        let ids = self.queue().of_session(session);
        for id in ids {
            let _decided_already = self.withdraw(&id);
        }
    }

    fn end(
        &self,
        id: &Id,
        how: impl Fn(&mut Request, Timestamp) -> Result<(), Refused>,
    ) -> Result<(), Failure> {
        let now = (self.now)();
        self.entry(id, None, |entry| {
            how(&mut entry.request, now)
                .map_err(|error| not_approved(id, NotApproved::Request(error)))?;
            entry.decided_at = Some(now);
            Ok::<(), Failure>(())
        })??;
        self.tell(id);
        Ok(())
    }

    /// Who decides on it now, in words for whoever looks on.
    pub fn decides(&self, id: &Id, who: String) {
        let _unknown = self.entry(id, None, |entry| entry.decided_by = Some(who));
    }

    /// Who decided on it, where somebody did.
    pub fn decided_by(&self, id: &Id) -> Option<String> {
        let now = (self.now)();
        let by = self.entry(id, None, |entry| match entry.request.state(now) {
            State::Pending | State::Expired => None,
            _ => entry.decided_by.clone(),
        });
        by.ok().flatten()
    }

    fn tell(&self, id: &Id) {
        self.changes.send_modify(|count| *count += 1);
        if let Ok(changed) = self.entry(id, None, |entry| entry.changed.clone()) {
            Notify::notify_waiters(&changed);
        }
    }

    /// Another identity's request and an unknown one are the same error.
    fn entry<T>(
        &self,
        id: &Id,
        of: Option<&Identity>,
        with: impl FnOnce(&mut Entry) -> T,
    ) -> Result<T, Failure> {
        let mut queue = self.queue();
        match queue.get(id) {
            Some(entry) if of.is_none_or(|identity| entry.request.identity == *identity) => {
                Ok(with(entry))
            }
            _ => Err(unknown(id.as_str())),
        }
    }
}

pub(super) fn unknown(id: &str) -> Failure {
    Failure::new(Code::RequestUnknown, format!("no request {id}"), "sgw requests lists yours")
}

/// Why a yes could not be used.
fn not_spent(id: &Id, why: NotApproved) -> Failure {
    match why {
        NotApproved::Denied(denied) => Failure::from(denied),
        NotApproved::Request(Refused::NotApproved(State::Expired)) => {
            expired(Code::ApprovalExpired, id)
        }
        NotApproved::Policy => Failure::new(
            Code::ApprovalExpired,
            format!("the policy has changed since {id} was asked, so the yes holds no more"),
            "run it again: it is judged anew",
        )
        .about(id),
        _ => withdrawn(id),
    }
}

fn claimed(id: &Id) -> Failure {
    Failure::new(
        Code::RequestClosed,
        format!("another terminal decides on {id} now"),
        "look again in a moment: sgw requests",
    )
    .about(id)
}

fn not_approved(id: &Id, error: NotApproved) -> Failure {
    match error {
        NotApproved::Request(Refused::OtherDigest) => Failure::new(
            Code::RequestChanged,
            "what was shown is not what is asked; nothing was approved",
            format!("look at it again: sgw approve {id}"),
        )
        .about(id),
        NotApproved::Request(Refused::NotPending(state) | Refused::NotApproved(state)) => {
            closed(id, &state)
        }
        NotApproved::Wider => Failure::new(
            Code::UsageArguments,
            "an approval can give less than was asked, never more",
            "leave out what was not asked, or ask the agent for a new request",
        ),
        NotApproved::OtherKind | NotApproved::Policy | NotApproved::Denied(_) => Failure::new(
            Code::RequestClosed,
            format!("{id} is of another kind"),
            format!("sgw show {id}"),
        ),
    }
}

fn closed(id: &Id, state: &State) -> Failure {
    let how = match state {
        State::Pending => "open",
        State::Approved { .. } | State::Used => "approved already",
        State::Denied { .. } => "denied already",
        State::Expired => "expired",
        State::Withdrawn => "withdrawn",
    };
    Failure::new(Code::RequestClosed, format!("{id} is {how}"), "sgw requests lists what waits")
        .about(id)
}

fn denied(code: Code, id: &Id, message: Option<String>) -> Failure {
    let word = message.map_or(String::new(), |word| format!(": {word}"));
    Failure::new(
        code,
        format!("the operator denied {id}{word}"),
        "don't ask again in other words: change the plan, or ask your user",
    )
    .about(id)
}

/// The codes by which a caller hears of what became of a request.
struct Words {
    pending: Code,
    denied: Code,
    expired: Code,
}

fn words(action: &Action) -> Words {
    match action {
        Action::Access(_) | Action::Handoff(_) | Action::Login(_) => Words {
            pending: Code::RequestPending,
            denied: Code::RequestDenied,
            expired: Code::RequestExpired,
        },
        Action::Exec(_)
        | Action::Input(_)
        | Action::Plan(_)
        | Action::Files(_)
        | Action::Forward(_) => Words {
            pending: Code::ApprovalPending,
            denied: Code::ApprovalDenied,
            expired: Code::ApprovalExpired,
        },
    }
}

fn expired(code: Code, id: &Id) -> Failure {
    Failure::new(code, format!("{id} has expired"), "ask again if it is still needed").about(id)
}

fn withdrawn(id: &Id) -> Failure {
    Failure::new(Code::RequestClosed, format!("{id} was withdrawn or used"), "sgw requests")
        .about(id)
}

fn approval_required() -> Failure {
    Failure::new(
        Code::ApprovalRequired,
        "this needs the operator's yes, and --no-ask was given",
        "run it without --no-ask",
    )
}
