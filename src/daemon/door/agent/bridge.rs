//! A connection that becomes an SSH client's: which session it leads to, and the walk of what is done
//! there, which is every door's.

mod shell;
mod typing;

use std::sync::{Arc, LazyLock, Mutex};

use russh::keys::PrivateKey;

use super::{Asked, Caller, ending, serve::serves};
use crate::{
    daemon::{
        Parts,
        authority::{self, Known},
        desk::Asker,
        door::{
            follow::Control,
            link::{Gone, Outbox, value},
            ssh::Budget,
        },
        session::{Lane, Session, Way, forward::Carriers},
    },
    domain::{
        bytes::Bytes,
        capability::Capability,
        id::{Id, Kind, prefix_kind},
        served::is_server,
        target::{self, Destination},
        terminal::Wanted,
    },
    protocol::{
        agent,
        error::{Code, Failure},
        ssh::{Bridged, Configuration, SUFFIX},
    },
};

/// How long a person is waited for while an SSH client waits: it knows no "not yet".
pub(super) const PATIENCE_MS: u64 = 5000;
/// What a person reads where the client could not say what for.
const REASON: &str = "ssh through sgw";
/// The most targets that one is told of who asks for none of them.
const TOLD: usize = 8;
/// What ssh says where nobody named a port.
const USUAL_PORT: u16 = 22;
/// How long a command outlives an SSH client that vanished while the operator had the keyboard.
const ORPHAN_MS: u64 = 1000;
/// The number of the one call that a channel makes.
const NUMBER: u32 = 1;

pub use self::{shell::Seat, typing::Typist};

/// What one SSH client may do: on one session, and judged each time.
pub struct Bridge {
    parts: Arc<Parts>,
    asker: Asker,
    known: Known,
    session: Arc<Session>,
    /// Its own connections to the target.
    lane: Arc<Lane>,
    carriers: Carriers,
}

impl Caller {
    /// Finds or asks for the session; answers; from then on the connection is the bridge's.
    pub(super) async fn becomes_bridge(
        self: Arc<Self>,
        number: u32,
        asked: Asked,
    ) -> Result<Option<Bridge>, Failure> {
        // Now: who carries an SSH client here leaves when it is answered.
        LazyLock::force(&self.asker.seen);
        let found = tokio::select! {
            found = self.bridged_to(number, &asked) => found,
            () = self.parts.end.cancelled() => Err(ending()),
            () = self.known.live.cancelled() => Err(authority::invalid()),
        };
        let answer = match &found {
            Ok(session) => value(&Bridged { session: session.id.to_string() }),
            Err(failure) => Err(failure.clone()),
        };
        if self.outbox.answer(number, answer).await.is_err() {
            return Ok(None);
        }
        let (parts, asker, known) = (self.parts.clone(), self.asker.clone(), self.known.clone());
        Ok(found.ok().map(|session| {
            let (lane, carriers) = (Arc::new(session.pool.lane()), Carriers::default());
            Bridge { parts, asker, known, session, lane, carriers }
        }))
    }

    pub(super) fn ssh_config(&self) -> Result<Configuration, Failure> {
        self.parts.ssh_config(self.identity())
    }

    async fn bridged_to(&self, number: u32, asked: &Asked) -> Result<Arc<Session>, Failure> {
        let said: Destination = asked.destination.parse().map_err(|error| not_read(&error))?;
        if said.port.is_some() {
            return Err(not_read(&target::NotADestination::Port));
        }
        let host = said.host.strip_suffix(SUFFIX).unwrap_or(&said.host).to_owned();
        let there = Destination { user: said.user, host, port: None };
        let port = asked.port.filter(|port| *port != USUAL_PORT);
        if let Some(session) = self.mine(&there, port)? {
            session.collected();
            self.check_stopped(&session)?;
            return Ok(session);
        }
        if prefix_kind(&there.host) == Some(Kind::Session) {
            return self.parts.sessions.to_use(&there.host, self.identity());
        }
        let named = Destination { user: None, ..there.clone() };
        if let Some((account, its_port)) = self.parts.account_of(&named) {
            check_user(&there, &account)?;
            check_port(&there.host, port, its_port)?;
            // A standing grant of whatever goes through a bridge opens it.
            for needed in [Capability::Exec, Capability::FilesRead, Capability::FilesWrite] {
                match self.session(&named.host, needed).await {
                    Err(none) if is_none(none.code) => {}
                    opened => return opened,
                }
            }
            return self.asks(number, named, asked).await;
        }
        self.asks(number, Destination { port, ..there }, asked).await
    }

    /// The caller's own session there.
    fn mine(
        &self,
        there: &Destination,
        port: Option<u16>,
    ) -> Result<Option<Arc<Session>>, Failure> {
        let host = there.host.as_str();
        let mut own = self.parts.sessions.everyone();
        own.retain(|one| {
            one.owner == *self.identity()
                && one.over().is_none()
                && (one.id.as_str() == host
                    || one.name.as_ref().is_some_and(|name| name.as_str() == host)
                    || one.asked.host == host
                    || one.route.target().host == host)
        });
        // An id or a name is one session's, and leads to its port alone.
        let its = own.iter().find(|one| {
            one.id.as_str() == host || one.name.as_ref().is_some_and(|name| name.as_str() == host)
        });
        if let Some(one) = its {
            check_port(host, port, one.route.target().port)?;
        }
        own.retain(|one| port.is_none_or(|port| one.route.target().port == port));
        let other = own.first().map(|one| one.route.target().user.clone());
        own.retain(|one| there.user.as_ref().is_none_or(|user| *user == one.route.target().user));
        match (other, own.iter().filter(|one| one.has_budget()).count()) {
            (Some(account), _) if own.is_empty() => Err(wrong_user(there, &account)),
            (_, 0) => Ok(own.pop()),
            (_, 1) => Ok(own.into_iter().find(|one| one.has_budget())),
            _ => Err(Failure::new(
                Code::SessionAmbiguous,
                "you have several sessions there",
                "name one by its id, which sgw sessions lists: ssh s-….sgw",
            )),
        }
    }

    /// Asks a person, and stays for a moment.
    async fn asks(
        &self,
        number: u32,
        there: Destination,
        asked: &Asked,
    ) -> Result<Arc<Session>, Failure> {
        let access = agent::Access {
            destination: there.to_string(),
            reason: REASON.to_owned(),
            name: None,
            duration_s: None,
            only: None,
            mode: None,
            max_commands: None,
            new: false,
            expires_s: None,
            wait_ms: Some(asked.wait_ms.min(PATIENCE_MS)),
            no_ask: asked.no_ask,
        };
        let session = match self.access(number, access).await {
            Ok(session) => session,
            Err(failure) => return Err(self.with_targets(asked_for(failure, &there), &there)),
        };
        self.parts.sessions.to_use(&session.id, self.identity())
    }

    /// Whoever asked for a name that is nobody's target may have meant one of theirs.
    fn with_targets(&self, failure: Failure, there: &Destination) -> Failure {
        let bare = Destination { user: None, port: None, ..there.clone() };
        let asks = matches!(failure.code, Code::RequestPending | Code::ApprovalRequired);
        if !asks || self.parts.target_named(&bare).is_some() {
            return failure;
        }
        let hosts = self.parts.ssh_config(self.identity()).map(|told| told.hosts);
        let names: Vec<String> =
            hosts.unwrap_or_default().into_iter().take(TOLD).map(|host| host.name).collect();
        match names.is_empty() {
            true => failure,
            false => {
                let message = format!(
                    "{}; it is no target, and yours are {}",
                    failure.message,
                    names.join(", ")
                );
                Failure { message, ..failure }
            }
        }
    }
}

impl Bridge {
    /// The account there, which alone may log in here.
    pub fn user(&self) -> &str {
        &self.session.route.target().user
    }

    /// Room for what its client sends and nobody has taken.
    pub fn inboxes(&self) -> Arc<Budget> {
        self.parts.inboxes.connection(&self.asker.identity)
    }

    pub fn host_key(&self) -> Result<PrivateKey, Failure> {
        self.parts.ssh_host_key()
    }

    /// Comes when nothing may go through it any more, with why.
    pub async fn over(&self) -> &'static str {
        tokio::select! {
            // The cause before what it brings about.
            biased;
            () = self.parts.end.cancelled() => "sgw is locked",
            () = self.known.live.cancelled() => "the token is not valid any more",
            () = self.session.ended() => "the session is over",
        }
    }

    /// Comes when what is sent is held, with why: the operator has the keyboard, or has paused it.
    pub async fn held(&self) -> Code {
        tokio::select! {
            () = self.session.keyboard.taken() => Code::ControlOperator,
            () = self.session.gate.paused() => Code::ControlPaused,
        }
    }

    /// Comes when it goes on.
    pub async fn goes_on(&self) {
        self.session.gate.opens().await;
    }

    /// A command with its standard input open, as `sgw exec` has it, or on a terminal. What is said to such
    /// a caller goes to `outbox`, its end last.
    pub async fn exec(&self, line: Vec<u8>, seat: Seat, control: &Arc<Control>, outbox: Outbox) {
        let served = match seat.terminal {
            Some(_) => None,
            None => serves(&self.session, &line),
        };
        let caller = self.caller(outbox).by(seat.terminal);
        if shell::is_mosh(&line) {
            return caller.tell(Err(shell::no_mosh())).await;
        }
        // Nothing stands in front of a server's program: the account may be for it alone.
        let env = if is_server(&line) { Vec::new() } else { self.variables(seat.env) };
        let exec = agent::Exec {
            session: self.session.id.to_string(),
            command: agent::Command::Line(Bytes(line)),
            stdin: true,
            env: env.into_iter().map(|(name, value)| (name, Bytes(value))).collect(),
            cwd: None,
            timeout_ms: None,
            orphan_ms: Some(ORPHAN_MS),
            wait_ms: Some(PATIENCE_MS),
            no_ask: false,
            reason: None,
        };
        let ran = match caller.check_known() {
            Ok(()) => match served {
                Some(served) => caller.serve(NUMBER, exec, served, control).await,
                None => caller.exec(NUMBER, exec, control).await,
            },
            Err(failure) => Err(failure),
        };
        caller.tell(ran).await;
    }

    /// As `sgw signal` sends it to a command of this identity's.
    pub async fn signal(&self, exec: &Id, name: &str) {
        let (outbox, _nobody) = Outbox::within();
        if let Err(failure) = self.caller(outbox).signal(exec.as_str(), name).await {
            tracing::info!(%exec, code = %failure.code, "a signal was not sent");
        }
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(super) fn carriers(&self) -> &Carriers {
        &self.carriers
    }

    pub(super) fn caller(&self, outbox: Outbox) -> Caller {
        let (parts, asker, known) = (self.parts.clone(), self.asker.clone(), self.known.clone());
        let way = Way { lane: Some(self.lane.clone()), ..Way::default() };
        Caller { parts, asker, known, outbox, open: Mutex::default(), way }
    }
}

impl Caller {
    fn by(mut self, terminal: Option<Arc<Wanted>>) -> Self {
        self.way.terminal = terminal;
        self
    }

    /// Why nothing ran, where nothing did.
    async fn tell(&self, ran: Result<Result<(), Gone>, Failure>) {
        if let Err(failure) = ran {
            // Who is gone needs no answer.
            let _gone = self.outbox.answer(NUMBER, Err(again(failure))).await;
        }
    }
}

/// An SSH client can't wait for what it has begun: it begins again.
fn again(failure: Failure) -> Failure {
    let hint = match failure.code {
        Code::ApprovalPending | Code::RequestPending => {
            "run the same once more when they have said yes; sgw requests lists what waits"
        }
        Code::ControlOperator | Code::ControlPaused => "run it again afterwards",
        _ => return failure,
    };
    Failure { hint: hint.to_owned(), ..failure }
}

/// Nobody has given anything there yet.
fn is_none(code: Code) -> bool {
    matches!(
        code,
        Code::SessionUnknown
            | Code::GrantMissing
            | Code::GrantExpired
            | Code::GrantExhausted
            | Code::TargetBorrowed
    )
}

fn check_user(there: &Destination, account: &str) -> Result<(), Failure> {
    match &there.user {
        Some(user) if user != account => Err(wrong_user(there, account)),
        _ => Ok(()),
    }
}

fn check_port(host: &str, said: Option<u16>, port: u16) -> Result<(), Failure> {
    if said.is_none_or(|said| said == port) {
        return Ok(());
    }
    let message = format!("{host} is on port {port}");
    Err(Failure::new(Code::UsageDestination, message, format!("ssh {host}, without a port")))
}

fn wrong_user(there: &Destination, account: &str) -> Failure {
    let host = &there.host;
    let user = there.user.as_deref().unwrap_or_default();
    Failure::new(
        Code::GrantMissing,
        format!("{host} is used as {account}, not as {user}"),
        format!("ssh {account}@{host}"),
    )
}

fn not_read(error: &target::NotADestination) -> Failure {
    Failure::new(
        Code::UsageDestination,
        format!("the destination can't be read: {error}"),
        "sgw proxy [USER@]HOST [PORT]",
    )
}

/// What an SSH client's user reads where a person has not decided in time.
fn asked_for(failure: Failure, there: &Destination) -> Failure {
    let ask = format!("sgw request {there} --reason '{REASON}'");
    match (failure.code, &failure.id) {
        (Code::RequestPending, Some(id)) => Failure {
            message: format!("you have no session on {there} yet, and {id} waits for the operator"),
            hint: format!("{ask}; it waits for the same yes; then run this again"),
            ..failure
        },
        (Code::ApprovalRequired, _) => Failure { hint: ask, ..failure },
        _ => failure,
    }
}
