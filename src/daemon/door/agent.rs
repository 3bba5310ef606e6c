//! The agents' door: what a caller says becomes an action, and the desk decides.

mod ahead;
mod bridge;
mod exec;
mod files;
mod forward;
mod handoff;
mod input;
mod login;
mod look;
mod plan;
mod serve;
mod sftp;
mod standing;
mod wait;

pub use bridge::{Bridge, Seat, Typist};
pub use forward::Patience;
pub use look::exec_shown;
pub use sftp::Mediator;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::UnixStream, task::JoinSet};

use super::{
    follow::Control,
    link::{self, Gone, Outbox, value},
    peer::Peer,
    ssh,
};
use crate::{
    daemon::{
        Parts, audit,
        authority::{self, Known},
        desk::{self, Asker, Outcome},
        notify,
        session::Way,
    },
    domain::{
        action::Access,
        capability::{Capabilities, Capability},
        grant::{LONGEST_S, Mode, Terms},
        id::{Id, Kind as IdKind, prefix_kind},
        identity::Identity,
        request::WAITS,
    },
    protocol::{
        agent::{self, Message, Request},
        error::{Code, Failure},
        frame::{self, Frame, Kind},
        ssh::Bridge as Asked,
        view,
    },
};

/// The most requests that a connection has open at once.
const OPEN: usize = 64;
/// The longest reason, in bytes.
const REASON: usize = 4096;
/// What a session lives without `--for`, in seconds.
const USUAL_S: u64 = 3600;

/// How the door treats a request: read before any handler.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    /// Speaks of a request that is open.
    Word,
    /// An answer and nothing else.
    Answer,
    /// Streams: one a connection.
    Streams,
    /// Makes the connection something else.
    Becomes,
}

fn carries(request: &Request) -> Carries {
    match request {
        Request::Ack { .. } | Request::Cancel {} | Request::Leave {} => Carries::Word,
        Request::Exec(_)
        | Request::Wait(_)
        | Request::Input(_)
        | Request::Files(_)
        | Request::PlanStep(_) => Carries::Streams,
        Request::Bridge(_) => Carries::Becomes,
        Request::Status {}
        | Request::Whoami {}
        | Request::Request(_)
        | Request::Plan(_)
        | Request::Requests {}
        | Request::Output(_)
        | Request::Signal { .. }
        | Request::Handoff { .. }
        | Request::Sessions {}
        | Request::History { .. }
        | Request::Show { .. }
        | Request::Close { .. }
        | Request::SshConfig {}
        | Request::Complete { .. } => Carries::Answer,
    }
}

/// One caller.
struct Caller {
    parts: Arc<Parts>,
    asker: Asker,
    known: Known,
    outbox: Outbox,
    /// Requests that have no answer yet.
    open: Mutex<HashSet<u32>>,
    /// How its commands go to the target.
    way: Way,
}

/// Serves one connection until it closes.
pub async fn serve(parts: Arc<Parts>, stream: UnixStream, peer: Peer) {
    let (mut from, to) = stream.into_split();
    let (outbox, writer) = link::writer(to, &link::AGENTS);
    let bridge = match converse(parts, &mut from, &outbox, peer).await {
        Ok(bridge) => bridge,
        Err(failure) => {
            let _gone = outbox.answer(0, Err(failure)).await;
            None
        }
    };
    let to = link::finish(outbox, writer).await;
    if let (Some(bridge), Some(to)) = (bridge, to)
        && let Ok(stream) = from.reunite(to)
    {
        ssh::serve(bridge, stream).await;
    }
}

/// From the hello to the caller's end, or to why it is sent away. What the connection is for from here
/// on, where it became a bridge.
async fn converse(
    parts: Arc<Parts>,
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    outbox: &Outbox,
    peer: Peer,
) -> Result<Option<Bridge>, Failure> {
    let begun = match link::hello(from).await {
        Ok(begun) => begun,
        Err(Some(failure)) => return Err(failure),
        Err(None) => return Ok(None),
    };
    let known = parts.who(peer.uid, begun.token.as_ref()).await?;
    drop(begun);
    let seen = Arc::new(LazyLock::new(Box::new(move || peer.seen()) as Box<_>));
    let asker = Asker { identity: known.identity.clone(), seen };
    let welcomed = match link::welcome(Some(asker.identity.to_string())) {
        Ok(frame) => outbox.send(frame).await,
        Err(gone) => Err(gone),
    };
    if welcomed.is_err() {
        return Ok(None);
    }
    let (outbox, open) = (outbox.clone(), Mutex::default());
    let caller = Arc::new(Caller { parts, asker, known, outbox, open, way: Way::default() });
    match caller.listen(from).await? {
        Some((number, asked)) => caller.becomes_bridge(number, asked).await,
        None => Ok(None),
    }
}

impl Caller {
    /// Reads until the caller is gone, or wants the connection for an SSH client. Its calls end with it;
    /// commands that it followed do not.
    async fn listen(
        self: &Arc<Self>,
        from: &mut (impl tokio::io::AsyncRead + Unpin),
    ) -> Result<Option<(u32, Asked)>, Failure> {
        let mut calls = JoinSet::new();
        let mut streams: HashMap<u32, Arc<Control>> = HashMap::new();
        loop {
            let frame = tokio::select! {
                biased;
                () = self.parts.end.cancelled() => return Err(ending()),
                // Whatever is open ends with it.
                () = self.known.live.cancelled() => return Err(self.sent_away(&streams)),
                frame = frame::read(from) => frame.map_err(|error| link::not_taken(&error))?,
            };
            let Some(frame) = frame else { return Ok(None) };
            while calls.try_join_next().is_some() {}
            match frame.kind {
                Kind::Json => {
                    let number = frame.request;
                    if let Some(asked) = self.json(frame, &mut calls, &mut streams).await? {
                        return Ok(Some((number, asked)));
                    }
                }
                Kind::Stdin => {
                    let control = streams.get(&frame.request);
                    let stdin = control.and_then(|control| control.feeds.get().cloned());
                    let mut frame = frame;
                    let chunk = std::mem::take(&mut frame.body);
                    let Some(stdin) = stdin else {
                        return Err(link::out_of_place("input for nothing that takes it"));
                    };
                    stdin
                        .push(chunk)
                        .map_err(|_| link::out_of_place("more input than was granted"))?;
                }
                Kind::Stdout | Kind::Stderr | Kind::Pty | Kind::Secret => {
                    return Err(link::out_of_place("a frame of a kind that no caller sends"));
                }
            }
        }
    }

    async fn json(
        self: &Arc<Self>,
        frame: Frame,
        calls: &mut JoinSet<()>,
        streams: &mut HashMap<u32, Arc<Control>>,
    ) -> Result<Option<Asked>, Failure> {
        let number = frame.request;
        self.check_known()?;
        let request: Request = serde_json::from_slice(&frame.body)
            .map_err(|error| link::out_of_place(&format!("a message that is none: {error}")))?;
        let open = |caller: &Self| caller.open_requests().contains(&number);
        match (carries(&request), &request) {
            (Carries::Word, _) => {
                if let Some(control) = streams.get(&number) {
                    heed(control, &request);
                }
                return Ok(None);
            }
            _ if number == 0 || open(self) => {
                return Err(link::out_of_place("a request number that is in use"));
            }
            _ if self.open_requests().len() >= OPEN => {
                let failure = Failure::new(
                    Code::LimitStreams,
                    "too many requests are open on this connection",
                    "wait for some of them, or open another connection",
                );
                self.reply(number, Err(failure)).await;
                return Ok(None);
            }
            (Carries::Becomes, Request::Bridge(asked)) if self.open_requests().is_empty() => {
                return Ok(Some(asked.clone()));
            }
            (Carries::Becomes, _) => {
                let failure = Failure::new(
                    Code::LimitStreams,
                    "what is open on a connection would have nobody to answer to",
                    "open another connection",
                );
                self.reply(number, Err(failure)).await;
                return Ok(None);
            }
            (Carries::Streams, _) => {
                let still_open = self.open_requests().clone();
                streams.retain(|number, _| still_open.contains(number));
                if !streams.is_empty() {
                    let failure = Failure::new(
                        Code::LimitStreams,
                        "a connection carries one stream",
                        "open another connection",
                    );
                    self.reply(number, Err(failure)).await;
                    return Ok(None);
                }
                streams.insert(number, Control::new());
            }
            (Carries::Answer, _) => {}
        }
        self.open_requests().insert(number);
        let control = streams.get(&number).cloned();
        let caller = self.clone();
        calls.spawn(async move {
            // A caller that is gone needs no answer.
            let _gone = caller.perform(number, request, control).await;
            caller.open_requests().remove(&number);
        });
        Ok(None)
    }

    /// What was shown is taken no longer than it lives, and none only where none is required.
    fn check_known(&self) -> Result<(), Failure> {
        match self.parts.authority.knows(&self.known) {
            true => Ok(()),
            false => Err(authority::not_taken(self.identity().token.is_none())),
        }
    }

    /// What the caller hears whose secret is over. A command outlives a rotation, and whoever has the
    /// new secret comes back for it.
    fn sent_away(&self, streams: &HashMap<u32, Arc<Control>>) -> Failure {
        let failure = authority::invalid();
        let open = self.open_requests().clone();
        let mut open = streams.iter().filter(|(number, _)| open.contains(number));
        let followed = open.find_map(|(_, control)| control.follows.get());
        match followed.filter(|_| self.parts.authority.is_live(self.identity())) {
            None => failure,
            Some(exec) => Failure {
                message: format!("this token is not valid any more; {exec} goes on"),
                hint: format!("sgw wait {exec} with the new token"),
                ..failure.about(exec)
            },
        }
    }

    fn open_requests(&self) -> std::sync::MutexGuard<'_, HashSet<u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reply(&self, number: u32, answer: Result<serde_json::Value, Failure>) {
        let _gone = self.outbox.answer(number, answer).await;
    }

    fn identity(&self) -> &Identity {
        &self.asker.identity
    }

    async fn perform(
        &self,
        number: u32,
        request: Request,
        control: Option<Arc<Control>>,
    ) -> Result<(), Gone> {
        let answer = match request {
            Request::Exec(exec) => {
                let control = control.unwrap_or_else(Control::new);
                match self.exec(number, exec, &control).await {
                    Ok(sent) => return sent,
                    Err(failure) => Err(failure),
                }
            }
            Request::Wait(wait) => {
                let control = control.unwrap_or_else(Control::new);
                match self.wait(number, wait, &control).await {
                    Ok(sent) => return sent,
                    Err(failure) => Err(failure),
                }
            }
            Request::PlanStep(step) => {
                let control = control.unwrap_or_else(Control::new);
                match self.plan_step(number, step, &control).await {
                    Ok(sent) => return sent,
                    Err(failure) => Err(failure),
                }
            }
            Request::Files(files) => {
                let control = control.unwrap_or_else(Control::new);
                match self.files(number, files, &control).await {
                    Ok(sent) => return sent,
                    Err(failure) => Err(failure),
                }
            }
            Request::Plan(plan) => self.plan(number, plan).await,
            Request::Request(access) => {
                self.access(number, access).await.and_then(|session| value(&session))
            }
            Request::Output(output) => return self.output(number, output).await,
            Request::Signal { id, signal } => self.signal(&id, &signal).await,
            Request::Close { id } => self.close(&id).await,
            Request::Status {} => value(&self.status()),
            Request::Whoami {} => value(&self.whoami()),
            Request::Requests {} => value(&self.requests()),
            Request::Sessions {} => value(&self.sessions()),
            Request::History { session } => {
                let room = self.outbox.room().await;
                return self.outbox.answer_in(room, number, self.history(&session)).await;
            }
            Request::Show { id } => self.show(&id),
            Request::Complete { what } => value(&self.parts.complete(what, Some(self.identity()))),
            Request::Handoff { session, message, wait_ms } => {
                let wait = wait_ms.map(Duration::from_millis);
                let returned = self.handoff(number, &session, message, wait).await;
                returned.and_then(|returned| value(&returned))
            }
            Request::Input(input) => match self.input(number, input).await {
                Ok((typed, room)) => {
                    return self.outbox.answer_in(room, number, value(&typed)).await;
                }
                Err(failure) => Err(failure),
            },
            Request::SshConfig {} => self.ssh_config().and_then(|config| value(&config)),
            Request::Ack { .. } | Request::Cancel {} | Request::Leave {} => return Ok(()),
            // The connection is another's before it is performed.
            Request::Bridge(_) => return Ok(()),
        };
        self.outbox.answer(number, answer.map_err(|failure| self.with_its_cause(failure))).await
    }

    /// Asks for a session, or for more time in one; waits for the operator.
    async fn access(&self, number: u32, asked: agent::Access) -> Result<view::Session, Failure> {
        let (new, no_ask, said_only) = (asked.new, asked.no_ask, asked.only.is_some());
        let wait = asked.wait_ms.map(Duration::from_millis);
        let lives = lives(asked.expires_s)?;
        let access = self.read_access(asked)?;
        if access.prolongs.is_none() && !new {
            let destination = &access.destination;
            let mut needed = access.terms.capabilities.clone();
            if !said_only && !self.parts.gives_terminals(destination) {
                // What the target never gives no other session has either.
                needed.remove(&Capability::Pty);
            }
            if let Some(session) =
                self.parts.sessions.that_serves(self.identity(), destination, &needed)
            {
                session.collected();
                return Ok(self.parts.shown(&session));
            }
        }
        if access.prolongs.is_none()
            && let Some(session) = self.opens_for_request(&access, said_only).await?
        {
            return Ok(self.parts.shown(&session));
        }
        if no_ask {
            return Err(Failure::new(
                Code::ApprovalRequired,
                "this needs the operator's yes, and --no-ask was given",
                "run it without --no-ask",
            ));
        }
        let target = access.destination.to_string();
        self.parts.desk.pauses.check(self.identity(), &[&target, &access.destination.host])?;
        drop(self.parts.room(self.identity())?);
        let usual = &access.terms.capabilities;
        let under = self.parts.each_session(self.identity(), &access.destination, usual);
        let rule = under.map(|_| "grant.each-session");
        let (id, is_new) = self.parts.desk.ask_access(&self.asker, access, rule, lives)?;
        if is_new {
            self.announce(&id).await?;
        }
        self.say_waiting(number, &id, view::Kind::Access).await;
        self.collect(&id, wait).await
    }

    /// Records a new request and tells the operator of it.
    async fn announce(&self, id: &Id) -> Result<(), Failure> {
        let (parts, asker, id) = (self.parts.clone(), self.asker.clone(), id.clone());
        let announcing = async move {
            let shown = parts.desk.show(id.as_str(), None, |id| parts.session_shown(id))?;
            if let Err(failure) = audit::request_created(&parts.evidence, &shown, &asker).await {
                parts.desk.withdraw(&id)?;
                return Err(failure);
            }
            // A vault that was brought here may name one.
            if parts.may_run("notify").is_ok() {
                notify::tell(&parts.vault.settings().notify, &shown);
            }
            Ok(())
        };
        link::to_its_end(announcing).await
    }

    async fn say_waiting(&self, number: u32, id: &Id, kind: view::Kind) {
        let waiting = Message::Waiting { id: id.to_string(), kind };
        let _gone = self.outbox.json(number, &waiting).await;
    }

    /// Waits for the decision on an access request.
    async fn collect(&self, id: &Id, wait: Option<Duration>) -> Result<view::Session, Failure> {
        match self.parts.desk.wait(self.identity(), id, wait).await? {
            Outcome::Session(session) => {
                let session =
                    self.parts.sessions.to_see(session.as_str(), Some(self.identity()))?;
                if let Some(why) = session.over() {
                    return Err(why.about(&session.id));
                }
                session.collected();
                Ok(self.parts.shown(&session))
            }
            Outcome::Approved | Outcome::Ran(_) | Outcome::Done(_) | Outcome::Returned(_) => {
                Err(desk::unknown(id.as_str()))
            }
        }
    }

    fn read_access(&self, asked: agent::Access) -> Result<Access, Failure> {
        let reason = reason_of(&asked.reason)?;
        let session = match prefix_kind(&asked.destination) {
            Some(IdKind::Session) => {
                Some(self.parts.sessions.to_use(&asked.destination, self.identity())?)
            }
            _ => None,
        };
        let destination = match &session {
            Some(session) => session.asked.clone(),
            None => asked.destination.parse().map_err(|error| {
                Failure::new(
                    Code::UsageDestination,
                    format!("the destination can't be read: {error}"),
                    "give it as [USER@]HOST[:PORT], or a Host of the operator's ssh_config",
                )
            })?,
        };
        let name = asked.name.map(|name| name.parse()).transpose();
        let name = name.map_err(|error: crate::domain::id::NotAName| {
            Failure::new(Code::UsageName, error.to_string(), "choose another --name")
        })?;
        let grant = session.as_ref().map(|session| session.grant());
        let capabilities = match asked.only {
            Some(words) => read_capabilities(&words)?,
            None => grant.as_ref().map_or_else(Capability::usual, |g| g.capabilities.clone()),
        };
        let duration_s = asked.duration_s.unwrap_or(USUAL_S);
        if duration_s == 0 || duration_s > LONGEST_S {
            return Err(Failure::new(
                Code::UsageArguments,
                "a session lives from a second to 30 days",
                "give another --for",
            ));
        }
        if asked.max_commands == Some(0) {
            return Err(Failure::new(
                Code::UsageArguments,
                "a session without a command is none",
                "give another --max-commands",
            ));
        }
        let mode = asked.mode.or(grant.as_ref().map(|grant| grant.mode)).unwrap_or(Mode::Guarded);
        // What a session has is not asked for again; a new one has what the operator says.
        let opaque = grant.map(|grant| grant.opaque).unwrap_or_default();
        let max_commands = asked.max_commands;
        let terms = Terms { capabilities, mode, duration_s, max_commands, opaque };
        let prolongs = session.map(|session| session.id.clone());
        Ok(Access { destination, name, terms, reason, prolongs })
    }
}

/// What a person decides by: there is some, and not too much.
fn reason_of(text: &str) -> Result<String, Failure> {
    let reason = text.trim();
    if reason.is_empty() {
        return Err(Failure::new(
            Code::UsageReason,
            "a request needs a reason",
            "say in one line what you want to do and why: --reason TEXT",
        ));
    }
    if reason.len() > REASON {
        return Err(Failure::new(
            Code::LimitReason,
            format!("the reason is {} bytes; at most {REASON} are taken", reason.len()),
            "say it in one line",
        ));
    }
    Ok(reason.to_owned())
}

/// Acts on a word about an open stream.
fn heed(control: &Control, word: &Request) {
    match word {
        // Only ever forward.
        Request::Ack { stdout, stderr } => control.acks.send_modify(|acks| {
            *acks = (acks.0.max(*stdout), acks.1.max(*stderr));
        }),
        Request::Cancel {} => control.cancel.cancel(),
        Request::Leave {} => control.left.cancel(),
        _ => {}
    }
}

fn read_capabilities(words: &[String]) -> Result<Capabilities, Failure> {
    let read = |word: &String| {
        word.parse::<Capability>().map_err(|error| {
            Failure::new(Code::UsageArguments, error.to_string(), "--only exec,files:read")
        })
    };
    let capabilities = words.iter().map(read).collect::<Result<Capabilities, _>>()?;
    if capabilities.is_empty() {
        return Err(Failure::new(
            Code::UsageArguments,
            "a session that may do nothing is none",
            "--only exec,files:read",
        ));
    }
    Ok(capabilities)
}

fn lives(seconds: Option<u64>) -> Result<jiff::SignedDuration, Failure> {
    match seconds {
        None => Ok(WAITS),
        Some(seconds @ 1..=LONGEST_S) => {
            Ok(jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(1)))
        }
        Some(_) => Err(Failure::new(
            Code::UsageArguments,
            "a request waits from a second to 30 days",
            "give another --expires",
        )),
    }
}

pub fn ending() -> Failure {
    Failure::new(Code::DaemonLost, "the daemon ends", "the operator starts it again: sgw unlock")
}
