//! The operator's door: without proof it looks and narrows; with proof, inside the Noise session
//! that the data key opens, it decides.

mod approve;
mod ask;
mod grant;
mod login;
mod pause;
mod pin;
mod policy;
mod records;
mod secret;
mod settings;
mod subscribe;
mod taken_in;
mod target;
mod terminal;
mod token;
mod vault;
mod way;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
    task::{AbortHandle, JoinSet},
};

use self::{
    ask::Questions,
    pin::Tries,
    terminal::{How, Key, Open, Streams},
    token::Held,
};
use super::{
    agent::ending,
    link::{self, Gone, Outbox, value},
    locked,
    peer::Peer,
    places::Guest,
    socket::{Passed, PassingReader, SharedWriter},
};
use crate::{
    daemon::{Parts, audit},
    domain::{id::Id, secret::Secret},
    protocol::{
        agent::Message,
        error::{Code, Failure},
        frame::{self, Frame, Kind},
        noise,
        operator::{Request, service},
        view::{self, Decided, RequestStatus},
    },
};

/// The most requests that a connection has open at once.
const OPEN: usize = 32;
/// The longest word to an agent, in bytes.
const WORD: usize = 4096;
/// The most secrets that wait to be named.
const SECRETS: usize = 64;

/// Tells connections apart, for claims.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// One operator's connection.
struct Operator {
    parts: Arc<Parts>,
    outbox: Outbox,
    number: u64,
    proven: bool,
    secrets: Mutex<HashMap<u32, Secret<Vec<u8>>>>,
    passed: Passed,
    questions: Questions,
    streams: Arc<Streams>,
    pin_tries: Tries,
    /// Programs' tokens, which end with this connection.
    held: Held,
    peer: Peer,
    guest: Arc<Guest>,
}

/// What it had claimed is free again.
impl Drop for Operator {
    fn drop(&mut self) {
        self.parts.desk.release(self.number);
    }
}

/// What is written ends with its connection, also where nobody reads it.
struct Writes(AbortHandle);

impl Drop for Writes {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves one connection until it closes, or has to make room.
pub async fn serve(parts: Arc<Parts>, stream: UnixStream, peer: Peer, guest: Guest) {
    let (stream, guest) = (Arc::new(stream), Arc::new(guest));
    let end = parts.end.clone();
    let sent_away = async {
        let failure = guest.sent_away().await;
        // Whoever locks hears of the end.
        if end.is_cancelled() { std::future::pending().await } else { failure }
    };
    tokio::select! {
        () = greet(parts, stream.clone(), peer, guest.clone()) => {}
        failure = sent_away => say_at_once(&stream, failure).await,
    }
}

/// As much as fits: nobody waits for one who may not read.
async fn say_at_once(stream: &UnixStream, failure: Failure) {
    let mut bytes = Vec::new();
    if let Ok(frame) = Frame::json(0, &Message::Error(failure))
        && frame::write(&mut bytes, &frame).await.is_ok()
    {
        let _full = stream.try_write(&bytes);
    }
}

async fn greet(parts: Arc<Parts>, stream: Arc<UnixStream>, peer: Peer, guest: Arc<Guest>) {
    let (mut from, passed) = PassingReader::new(stream.clone());
    let mut to = SharedWriter(stream);
    let link::Begun { hello, raw, .. } = match link::hello(&mut from).await {
        Ok(hello) => hello,
        Err(Some(failure)) => return refuse(to, failure).await,
        Err(None) => return,
    };
    let Ok(welcome) = link::welcome(None) else { return };
    if frame::write(&mut to, &welcome).await.is_err() {
        return;
    }
    if !hello.proof {
        return converse(parts, from, to, passed, peer, guest, false).await;
    }
    let prologue = [raw.as_slice(), &welcome.body].concat();
    let deadline = noise::HANDSHAKE_DEADLINE;
    match noise::respond(from, to, &parts.operator_key(), &prologue, deadline).await {
        Ok(session) => {
            if let Err(failure) = guest.proves() {
                return refuse(session.writer, failure).await;
            }
            passed.accept();
            converse(parts, session.reader, session.writer, passed, peer, guest, true).await
        }
        // Whoever has no proof is told nothing.
        Err(error) => tracing::warn!(%error, "an operator's proof failed"),
    }
}

async fn refuse(to: impl AsyncWrite + Unpin + Send + 'static, failure: Failure) {
    let (outbox, writer) = link::writer(to, &link::UNPROVEN);
    let _gone = outbox.answer(0, Err(failure)).await;
    link::finish(outbox, writer).await;
}

async fn converse(
    parts: Arc<Parts>,
    mut from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin + Send + 'static,
    passed: Passed,
    peer: Peer,
    guest: Arc<Guest>,
    proven: bool,
) {
    let rooms = if proven { &link::OPERATORS } else { &link::UNPROVEN };
    let (outbox, writer) = link::writer(to, rooms);
    let used = parts.clone();
    let _using = proven.then(|| used.in_use.begin());
    let _writes = Writes(writer.abort_handle());
    let operator = Arc::new(Operator {
        parts,
        outbox: outbox.clone(),
        number: NEXT.fetch_add(1, Ordering::Relaxed),
        proven,
        secrets: Mutex::default(),
        passed,
        questions: Questions::new(outbox.clone()),
        streams: Arc::default(),
        pin_tries: Tries::default(),
        held: Held::default(),
        peer,
        guest,
    });
    if let Err(failure) = operator.clone().listen(&mut from).await {
        let _gone = outbox.answer(0, Err(failure)).await;
    }
    operator.end_held().await;
    let the_daemon_ends = operator.parts.end.is_cancelled();
    drop(operator);
    link::finish(outbox, writer).await;
    if the_daemon_ends {
        // The connection lives as long as the process: whoever locks hears of the end when nothing
        // is written any more, and the home is free.
        std::future::pending().await
    }
}

impl Operator {
    async fn listen(self: Arc<Self>, from: &mut (impl AsyncRead + Unpin)) -> Result<(), Failure> {
        let mut calls = JoinSet::new();
        loop {
            let frame = tokio::select! {
                frame = frame::read(from) => frame.map_err(|error| link::not_taken(&error))?,
                () = self.parts.end.cancelled() => {
                    // What asked for the end still gets its answer.
                    while calls.join_next().await.is_some() {}
                    return Err(ending());
                }
            };
            let Some(frame) = frame else { return Ok(()) };
            while calls.try_join_next().is_some() {}
            match frame.kind {
                Kind::Json => self.json(&frame, &mut calls).await?,
                Kind::Secret => self.keep_secret(&frame)?,
                Kind::Pty if self.proven => {
                    let mut frame = frame;
                    self.typed(frame.request, std::mem::take(&mut frame.body)).await;
                }
                Kind::Stdin | Kind::Stdout | Kind::Stderr | Kind::Pty => {
                    return Err(link::out_of_place("a frame of a kind that no operator sends"));
                }
            }
        }
    }

    async fn json(self: &Arc<Self>, frame: &Frame, calls: &mut JoinSet<()>) -> Result<(), Failure> {
        let number = frame.request;
        let request: Request = serde_json::from_slice(&frame.body)
            .map_err(|error| link::out_of_place(&format!("a message that is none: {error}")))?;
        if request.needs_proof() && !self.proven {
            let _gone = self.outbox.answer(number, Err(unproven())).await;
            return Ok(());
        }
        if let Request::Answer(answer) = request {
            let reply = self.reply(answer.reply)?;
            self.questions.answer(answer.question, reply);
            return Ok(());
        }
        let request = match request {
            Request::Cancel {} => {
                self.streams.cancel(number);
                return Ok(());
            }
            // Not beside what is typed, but between.
            Request::Private { on } => {
                return self.at_keyboard(number, Key::Private { number, on }).await;
            }
            Request::Resize { rows, columns } => {
                return self.at_keyboard(number, Key::Resize { number, rows, columns }).await;
            }
            other => other,
        };
        if calls.len() >= OPEN {
            let failure = Failure::new(
                Code::LimitStreams,
                "too many requests are open on this connection",
                "wait for some of them",
            );
            let _gone = self.outbox.answer(number, Err(failure)).await;
            return Ok(());
        }
        let stream = match self.streams.of(number, &request) {
            Ok(stream) => stream,
            Err(failure) => {
                let _gone = self.outbox.answer(number, Err(failure)).await;
                return Ok(());
            }
        };
        let (operator, call) = (self.clone(), self.guest.calls());
        calls.spawn(async move {
            let _call = call;
            // A client that is gone needs no answer.
            let _gone = operator.perform(number, request, stream).await;
        });
        Ok(())
    }

    async fn at_keyboard(&self, number: u32, word: Key) -> Result<(), Failure> {
        if let Err(failure) = self.say_at_keyboard(word) {
            let _gone = self.outbox.answer(number, Err(failure)).await;
        }
        Ok(())
    }

    async fn perform(
        &self,
        number: u32,
        request: Request,
        stream: Option<Open>,
    ) -> Result<(), Gone> {
        let parts = &self.parts;
        let answer = match request {
            Request::Requests {} => value(&view::Requests {
                requests: parts.desk.pending(None, |id| parts.session_shown(id)),
            }),
            Request::Question { id } => parts
                .desk
                .question(&id, |id| parts.session_shown(id), |exec| parts.input_shown(exec))
                .and_then(|question| self.with_its_way(question))
                .map(|question| match self.proven {
                    true => question,
                    false => view::Question { replaced: Vec::new(), ..question },
                })
                .and_then(|question| value(&question)),
            Request::Sessions {} => value(&parts.sessions_shown(None)),
            Request::Show { id } => parts.thing(&id, None).and_then(|thing| value(&thing)),
            Request::History { session } => {
                let room = self.outbox.room().await;
                return self.outbox.answer_in(room, number, self.history(&session)).await;
            }
            Request::Status {} => value(&parts.status()),
            Request::Complete { what } => value(&parts.complete(what, None)),
            Request::Deny { id, message, rule } => {
                let (parts, number) = (parts.clone(), self.number);
                let (who, proven, told) = (self.who(), self.proven, self.told());
                let by = By { number, who, proven, told };
                link::to_its_end(deny(parts, by, id, message, rule)).await
            }
            Request::Close { id } => {
                let (parts, proven) = (parts.clone(), self.proven);
                let closing = async move {
                    if !proven {
                        parts.check_unproven_close(&id)?;
                    }
                    parts.close(&id, None).await
                };
                link::to_its_end(closing).await.and_then(|thing| value(&thing))
            }
            Request::Lock {} => {
                let status = value(&parts.status());
                parts.stay_locked();
                self.outbox.answer(number, status).await?;
                parts.lock("the operator locked sgw");
                return Ok(());
            }
            Request::Claim { id } => whole(&id)
                .and_then(|id| parts.desk.claim(&id, self.number))
                .map(|()| serde_json::Value::Null),
            Request::Approve(approve) => self.approve(number, *approve).await,
            Request::AuditList { since, last } => self.audit_list(number, since, last).await?,
            Request::AuditVerify {} => self.audit_verify().await,
            Request::Settings {} => self.settings(),
            Request::Set { name, value } => self.set(&name, Some(&value)).await,
            Request::Unset { name } => self.set(&name, None).await,
            Request::Pause { what } => self.pause(what).await,
            Request::Resume { what: Some(what), rule: Some(rule) } => {
                self.lift_rule(&what, &rule).await
            }
            Request::Resume { what, .. } => self.resume(what.as_deref()).await,
            Request::Return { session, message } => self.give_back(session, message).await,
            Request::Watch { id } => match &stream {
                Some(stream) => self.watch(stream, &id).await,
                None => return Ok(()),
            },
            Request::Attach { session, fresh, rows, columns, private, take } => match &stream {
                Some(stream) => {
                    let how = How { fresh, rows, columns, private, take };
                    self.attach(stream, &session, how).await
                }
                None => return Ok(()),
            },
            Request::Subscribe {} => match &stream {
                Some(stream) => self.subscribe(stream).await?,
                None => return Ok(()),
            },
            Request::Pin { secret } => self.check_pin(secret).await,
            Request::SetPin { secret } => self.set_pin(secret).await,
            Request::Target(request) => self.target(request).await,
            Request::Secret(request) => self.secret(request).await,
            Request::Token(request) => self.token(request).await,
            Request::Grant(request) => self.grant(request).await,
            Request::Vault(request) => self.vault(number, request).await?,
            Request::Policy(request) => self.policy(number, request).await?,
            Request::Service(request) => self.service(&request),
            Request::Answer(_)
            | Request::Ack { .. }
            | Request::Cancel {}
            | Request::Private { .. }
            | Request::Resize { .. } => return Ok(()),
        };
        // The next stream may be asked for as soon as this one's end is told.
        drop(stream);
        self.outbox.answer(number, answer).await
    }

    /// Who this is in a record.
    fn who(&self) -> &'static str {
        if self.proven { "operator" } else { "operator (unproven)" }
    }

    /// Who decides here, for whoever looks on from elsewhere.
    fn told(&self) -> String {
        format!("operator (pid {})", self.peer.pid)
    }

    /// Gives the keyboard back to the agent, attached or not.
    async fn give_back(
        &self,
        word: String,
        message: Option<String>,
    ) -> Result<serde_json::Value, Failure> {
        if message.as_ref().is_some_and(|message| message.len() > WORD) {
            return Err(Failure::new(
                Code::LimitReason,
                format!("the message is longer than {WORD} bytes"),
                "say it in one line",
            ));
        }
        let parts = self.parts.clone();
        let returning = async move {
            let session = parts.sessions.to_see(&word, None)?;
            parts.give_back(&session, message).await
        };
        value(&link::to_its_end(returning).await?)
    }

    fn history(&self, word: &str) -> Result<serde_json::Value, Failure> {
        value(&self.parts.sessions.to_see(word, None)?.history())
    }

    /// A service that has its key already.
    fn service(&self, request: &service::Request) -> Result<serde_json::Value, Failure> {
        match request {
            service::Request::Header {} => locked::header(&self.parts.home),
            service::Request::SetUp { .. } => Err(locked::set_up_already()),
            service::Request::Unlock { .. } => Ok(serde_json::Value::Null),
        }
    }

    fn keep_secret(&self, frame: &Frame) -> Result<(), Failure> {
        let (number, secret) = frame
            .as_secret()
            .filter(|_| self.proven)
            .ok_or_else(|| link::out_of_place("a secret out of place"))?;
        let mut secrets = self.secrets();
        if secrets.len() >= SECRETS {
            return Err(link::out_of_place("too many secrets"));
        }
        secrets.insert(number, Secret::new(secret.to_vec()));
        Ok(())
    }

    fn secrets(&self) -> MutexGuard<'_, HashMap<u32, Secret<Vec<u8>>>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_secret(&self, number: u32) -> Result<Secret<Vec<u8>>, Failure> {
        self.secrets()
            .remove(&number)
            .ok_or_else(|| link::out_of_place("a secret is named that was not sent"))
    }
}

/// Whose no it is.
struct By {
    number: u64,
    who: &'static str,
    proven: bool,
    told: String,
}

/// Says no. It is claimed first, so that only what ends a request is recorded as its end.
async fn deny(
    parts: Arc<Parts>,
    by: By,
    word: String,
    message: Option<String>,
    rule: bool,
) -> Result<serde_json::Value, Failure> {
    let id = parts.desk.find(&word, None)?;
    let rule = rule.then(|| parts.desk.rule_of(&id)).transpose()?;
    let shown = parts.desk.show(id.as_str(), None, |id| parts.session_shown(id))?;
    parts.desk.claim(&id, by.number)?;
    parts.desk.decides(&id, by.told.clone());
    let (word, evidence) = (message.as_deref(), &parts.evidence);
    audit::request_denied(evidence, by.who, &id, word, rule.as_deref()).await?;
    parts.desk.deny(&id, message.clone())?;
    let (mut denied_rule, mut also) = (None, Vec::new());
    if let (view::Kind::Command | view::Kind::Forward, Some(session)) = (shown.kind, &shown.session)
    {
        let session = parts.sessions.to_see(session, None)?;
        if let Some(rule) = rule {
            denied_rule = parts.desk.bar(&id, rule.clone(), session.place())?;
            also = deny_alike(&parts, &by, &id, &rule, &session.place(), message).await?;
        }
        parts.refused(&session.id).await;
    }
    if let (view::Kind::Handoff, Some(session)) = (shown.kind, &shown.session) {
        parts.handoff_refused(session, by.proven).await;
    }
    value(&Decided {
        id: id.to_string(),
        kind: shown.kind,
        status: RequestStatus::Denied,
        session: None,
        denied_rule,
        also,
    })
}

/// Denies with `id` what else waits there because of the same rule, unless somebody decides on it now: one
/// no, which counts as one.
async fn deny_alike(
    parts: &Parts,
    by: &By,
    id: &Id,
    rule: &str,
    place: &str,
    message: Option<String>,
) -> Result<Vec<String>, Failure> {
    let mut denied = Vec::new();
    for (other, session) in parts.desk.found_alike(id, rule)? {
        let here = parts.sessions.to_see(session.as_str(), None);
        if !here.is_ok_and(|session| session.place() == place)
            || parts.desk.claim(&other, by.number).is_err()
        {
            continue;
        }
        parts.desk.decides(&other, by.told.clone());
        let (word, evidence) = (message.as_deref(), &parts.evidence);
        audit::request_denied(evidence, by.who, &other, word, Some(rule)).await?;
        if parts.desk.deny(&other, message.clone()).is_ok() {
            denied.push(other.to_string());
        }
    }
    Ok(denied)
}

/// An approval takes a whole id.
fn whole(word: &str) -> Result<Id, Failure> {
    word.parse().map_err(|_| {
        Failure::new(
            Code::UsageId,
            "approving takes the whole id of a request",
            "sgw requests lists them",
        )
    })
}

fn unproven() -> Failure {
    Failure::new(
        Code::OperatorProof,
        "this is for the operator, who proves it with the passphrase",
        "ask them to run it in their terminal",
    )
}
