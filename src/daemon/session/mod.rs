//! Sessions: an identity's leave to work on one target, with the warm connections that carry it and
//! the commands that ran in it.

pub mod control;
mod did;
pub mod exec;
pub mod feed;
mod find;
pub mod forward;
pub mod gate;
pub mod held;
pub mod keyboard;
pub mod live;
pub mod output;
mod place;
pub mod pty;
mod record;
mod room;
pub mod scripts;
mod shown;
pub mod spool;
mod start;
pub mod stdin;
pub mod tty;

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::{
    exec::{Exec, Stop},
    gate::Gate,
    keyboard::Keyboard,
    live::Live,
    pty::Pty,
    room::Rooms,
    spool::{Allowance, SESSION_BUDGET, Spool},
};
pub use upstream::Lane;

pub use self::{
    record::{evidence_failed, fields},
    room::Room,
    start::{Shell, Way},
};
use crate::{
    daemon::{
        authority::Under,
        desk::Pauses,
        evidence::Evidence,
        upstream::{self, Machine, OpenError, Pool},
    },
    domain::{
        capability::Capability,
        grant::{Grant, Mode, Terms},
        id::{Id, Name},
        identity::Identity,
        record::{Kind as RecordKind, Record},
        request::COLLECTED_WITHIN,
        target::{
            Destination, Hop, Route,
            named::{Surroundings, Taken},
        },
    },
    protocol::error::{Code, Failure},
};

/// The most ended sessions that are remembered, and for how long.
const REMEMBERED: usize = 1000;
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// How long what a command printed can be read again.
const OUTPUT_KEPT: Duration = Duration::from_secs(24 * 3600);
/// The most commands of a session that are remembered; the record has them all.
const EXECS: usize = 1000;
/// What the last output of all busy commands may take in memory, in bytes.
const RECENT: usize = 8 * 1024 * 1024;
/// How often sessions are looked through for those whose time is over.
const ROUND: Duration = Duration::from_millis(500);

/// One session.
pub struct Session {
    pub id: Id,
    pub name: Option<Name>,
    pub owner: Identity,
    pub asked: Destination,
    pub route: Route,
    /// The named targets that it was opened by.
    pub taken: Option<Taken>,
    /// No person said yes to it: a standing grant did.
    pub by_itself: bool,
    /// The operator's command that leads to the first hop.
    pub proxy_command: Option<String>,
    /// For each hop the fingerprint of its host key.
    pub host_keys: Vec<String>,
    pub surroundings: Surroundings,
    /// What the target showed of itself at the first login.
    machine: Machine,
    pub created_at: Timestamp,
    pub pool: Arc<Pool>,
    /// The standing grant that it lives under, where it does.
    under: Option<Arc<Under>>,
    /// Shared with the owner's other sessions on this machine's account.
    pub keyboard: Arc<Keyboard>,
    /// What each write of its agent's passes.
    pub gate: Arc<Gate>,
    terminal: pty::Slot,
    /// What was asked to be typed there.
    pub asked_inputs: pty::Asked,
    pub live: Live,
    /// What was done with files.
    pub did: did::Did,
    spool: Spool,
    /// Input that waits with commands that are asked about.
    waiting: held::Waiting,
    state: Mutex<State>,
    /// Over when the session is.
    lease: CancellationToken,
}

struct State {
    grant: Grant,
    execs: VecDeque<Arc<Exec>>,
    /// Until when the one who asked has to come for it.
    collect_until: Option<Timestamp>,
    ended: Option<(Timestamp, Failure)>,
}

/// What a new session is made of.
pub struct Parts {
    pub id: Id,
    pub name: Option<Name>,
    pub owner: Identity,
    pub asked: Destination,
    pub route: Route,
    pub taken: Option<Taken>,
    pub by_itself: bool,
    pub proxy_command: Option<String>,
    pub host_keys: Vec<String>,
    pub surroundings: Surroundings,
    pub machine: Machine,
    pub grant: Grant,
    pub under: Option<Arc<Under>>,
    pub pool: Arc<Pool>,
    pub created_at: Timestamp,
}

/// All sessions of this daemon.
pub struct Sessions {
    all: Mutex<BTreeMap<Id, Arc<Session>>>,
    spool_directory: PathBuf,
    recent: Allowance,
    pub inputs: held::Store,
    pub scripts: Arc<scripts::Scripts>,
    evidence: Arc<Evidence>,
    pauses: Arc<Pauses>,
    now: fn() -> Timestamp,
    rooms: Rooms,
    /// Woken when a session has ended.
    pub ended: Notify,
    changes: watch::Sender<u64>,
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn grant(&self) -> Grant {
        self.lock().grant.clone()
    }

    pub fn under(&self) -> Option<&Under> {
        self.under.as_deref()
    }

    /// Why it is over, if it is.
    pub fn over(&self) -> Option<Failure> {
        self.lock().ended.as_ref().map(|(_, why)| why.clone())
    }

    /// Comes when it is over.
    pub async fn ended(&self) {
        self.lease.cancelled().await;
    }

    /// The one who asked has it.
    pub fn collected(&self) {
        self.lock().collect_until = None;
    }

    pub fn prolong(&self, terms: &Terms, until: Timestamp) {
        self.lock().grant.prolong(terms, until);
    }

    /// From here on no terminal, or a stricter mode.
    pub fn narrow(&self, pty: bool, mode: Option<Mode>) {
        let mut state = self.lock();
        if !pty {
            state.grant.capabilities.remove(&Capability::Pty);
        }
        state.grant.mode = state.grant.mode.at_least(mode);
    }

    pub fn execs(&self) -> Vec<Arc<Exec>> {
        self.lock().execs.iter().cloned().collect()
    }

    /// Its terminal, running or ended; `None` where nobody has used one.
    pub fn open_pty(&self) -> Option<Arc<Pty>> {
        self.terminal.get()
    }

    /// Waits for one's turn to judge and type what the agent types.
    pub async fn alone_at_terminal(&self) -> impl Drop + use<'_> {
        self.terminal.alone().await
    }

    /// Ends it in its owner's eyes: nothing starts any more, and what runs is being ended.
    fn end(&self, now: Timestamp, why: Failure) -> bool {
        let mut state = self.lock();
        if state.ended.is_some() {
            return false;
        }
        state.ended = Some((now, why));
        drop(state);
        self.lease.cancel();
        true
    }

    /// Why its time is over at `now`, if it is.
    fn due(&self, now: Timestamp) -> Option<Failure> {
        let state = self.lock();
        if state.ended.is_some() {
            None
        } else if now >= state.grant.expires_at {
            Some(Failure::new(
                Code::GrantExpired,
                format!("the time of {} is over", self.id),
                "sgw request DEST --reason … asks for a new session",
            ))
        } else if state.collect_until.is_some_and(|until| now >= until) {
            Some(Failure::new(
                Code::RequestExpired,
                format!("nobody came for {} in time", self.id),
                "sgw request DEST --reason … asks for a new session",
            ))
        } else {
            None
        }
    }
}

impl Sessions {
    pub fn new(
        spool_directory: PathBuf,
        evidence: Arc<Evidence>,
        pauses: Arc<Pauses>,
        now: fn() -> Timestamp,
    ) -> Self {
        let recent = Allowance::new(RECENT);
        Self {
            all: Mutex::default(),
            spool_directory,
            recent,
            inputs: held::Store::default(),
            scripts: Arc::default(),
            evidence,
            pauses,
            now,
            rooms: Rooms::default(),
            ended: Notify::new(),
            changes: watch::Sender::new(0),
        }
    }

    /// Wakes when a session or a command begins or ends.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Id, Arc<Session>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn everyone(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    pub fn open_count(&self) -> usize {
        self.lock().values().filter(|session| session.over().is_none()).count()
    }

    pub fn connections(&self) -> usize {
        self.lock().values().map(|session| session.pool.connections()).sum()
    }

    pub fn add(&self, parts: Parts) -> Arc<Session> {
        let Parts { id, name, owner, asked, route, host_keys, machine, surroundings, .. } = parts;
        let Parts { proxy_command, grant, under, pool, created_at, .. } = parts;
        let (taken, by_itself) = (parts.taken, parts.by_itself);
        let state = State {
            grant,
            execs: VecDeque::new(),
            collect_until: Some(created_at + COLLECTED_WITHIN),
            ended: None,
        };
        let mut all = self.lock();
        let keyboard = shared_keyboard(all.values(), &owner, route.target(), &machine);
        let gate = Gate {
            pauses: self.pauses.clone(),
            keyboard: keyboard.clone(),
            session: id.clone(),
            owner: owner.clone(),
            names: place::names(&id, &asked, &route),
        };
        let session = Arc::new(Session {
            id: id.clone(),
            name,
            owner,
            asked,
            route,
            taken,
            by_itself,
            proxy_command,
            host_keys,
            surroundings,
            machine,
            created_at,
            pool,
            under,
            keyboard,
            gate: Arc::new(gate),
            terminal: pty::Slot::default(),
            asked_inputs: pty::Asked::default(),
            live: Live::default(),
            did: did::Did::default(),
            spool: Spool::new(&self.spool_directory, SESSION_BUDGET, self.recent.clone()),
            waiting: held::Waiting::default(),
            state: Mutex::new(state),
            lease: CancellationToken::new(),
        });
        all.insert(id, session.clone());
        drop(all);
        self.tell();
        session
    }

    /// Ends a session: its commands on the target, its connections, and what waits in it.
    pub async fn close(&self, session: &Arc<Session>, why: Failure, outcome: &str) {
        if !session.end((self.now)(), why) {
            return;
        }
        self.tell();
        let ends = session.execs().into_iter().filter(|exec| exec.is_running());
        for exec in ends.collect::<Vec<_>>() {
            wait_for_end(&exec).await;
        }
        session.terminal.ends().await;
        session.pool.close().await;
        let mut record = Record::new(RecordKind::SessionClosed, session.owner.to_string());
        record.target = Some(session.target());
        record.session = Some(session.id.clone());
        record.outcome = Some(outcome.to_owned());
        if let Err(error) = self.evidence.append(record).await {
            tracing::error!(session = %session.id, %error, "the end of a session was not recorded");
        }
        self.ended.notify_one();
    }

    /// Ends sessions whose time is over, and forgets old ones, for as long as the daemon lives.
    /// `ended` hears of each; `waits` says whether a yes to a command may still come.
    pub async fn keep_time(self: Arc<Self>, ended: impl Fn(&Id), waits: impl Fn(&Id) -> bool) {
        loop {
            tokio::time::sleep(ROUND).await;
            self.let_go_unwanted(&waits);
            let now = (self.now)();
            for session in self.everyone() {
                if let Some(why) = session.due(now) {
                    let all = self.clone();
                    ended(&session.id);
                    let outcome = why.code.as_str();
                    tokio::spawn(async move { all.close(&session, why, outcome).await });
                }
            }
            self.forget(now);
        }
    }

    fn forget(&self, now: Timestamp) {
        if let Some(before) = std::time::Instant::now().checked_sub(OUTPUT_KEPT) {
            for session in self.everyone() {
                session.spool.forget_finished_before(before);
            }
        }
        let mut all = self.lock();
        let mut ended: Vec<(Timestamp, Id)> = all
            .values()
            .filter_map(|one| one.lock().ended.as_ref().map(|(at, _)| (*at, one.id.clone())))
            .collect();
        ended.sort();
        let surplus = ended.len().saturating_sub(REMEMBERED);
        for (number, (at, id)) in ended.into_iter().enumerate() {
            if number < surplus || at + REMEMBERED_FOR < now {
                all.remove(&id);
            }
        }
    }

    /// Ends everything, at the daemon's end.
    pub async fn close_all(&self, why: &Failure) {
        let closing = self.everyone().into_iter().map(|session| {
            let why = why.clone();
            async move { self.close(&session, why, "locked").await }
        });
        futures::future::join_all(closing).await;
    }
}

/// The keyboard of an owner's open sessions on an account of a machine, or a new one. A machine may
/// have many names and host keys: whatever two sessions have in common makes it one, since one too
/// many only stops an agent that it need not. Where it is two keyboards' account, the one that the
/// operator has counts.
fn shared_keyboard<'s>(
    all: impl Iterator<Item = &'s Arc<Session>>,
    owner: &Identity,
    target: &Hop,
    machine: &Machine,
) -> Arc<Keyboard> {
    let host = |hop: &Hop| hop.host.trim_end_matches('.').to_ascii_lowercase();
    let mut alike: Vec<_> = all
        .filter(|one| {
            let there = one.route.target();
            let same_place = there.port == target.port && host(there) == host(target);
            one.owner == *owner
                && there.user == target.user
                && (same_place || one.machine.is_like(machine))
                && one.over().is_none()
        })
        .map(|one| &one.keyboard)
        .collect();
    alike.sort_by_key(|keyboard| keyboard.control().is_agents());
    alike.first().map(|keyboard| Arc::clone(keyboard)).unwrap_or_default()
}

/// Waits until a command that is being ended has ended; its actor bounds that.
pub async fn wait_for_end(exec: &Exec) {
    const BOUND: Duration = Duration::from_secs(10);
    let over = tokio::time::Instant::now() + BOUND;
    while exec.is_running() && tokio::time::Instant::now() < over {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if exec.is_running() {
        exec.stop(Stop::Cancelled);
    }
}

/// The end that `close` gives a session.
pub fn closed(id: &Id) -> Failure {
    Failure::new(
        Code::SessionUnknown,
        format!("{id} is closed"),
        "sgw request DEST --reason … asks for a new session",
    )
}

fn no_channel(error: &OpenError) -> Failure {
    match error {
        OpenError::Connect(why) => upstream::failure(why),
        OpenError::Closed => Failure::new(
            Code::SessionUnknown,
            "the session is closed",
            "sgw request DEST --reason … asks for a new session",
        ),
        OpenError::Refused(_) | OpenError::Alone => Failure::new(
            Code::TargetRefused,
            format!("nothing was run: {error}"),
            "the server may allow no sessions for this account: ask your user",
        ),
        OpenError::Lost | OpenError::Busy(_) => Failure::new(
            Code::SessionLost,
            format!("nothing was run: {error}"),
            "try again; if it goes on, ask for a new session: sgw request DEST --reason … --new",
        ),
    }
}
