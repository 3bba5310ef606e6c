//! What a client wants forwarded: channels through the server (`ssh -L`, `-D`, `-W`), and those that come from where the
//! server listens for it (`-R`), which end at the client.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use russh::{
    Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf,
    server::{ChannelOpenHandle, Handle, Msg},
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    budget::Budget,
    inbox::{Inbox, PIECE},
};
use crate::{
    daemon::{
        door::agent::{Bridge, Patience},
        session::forward::{
            Came, Forwarding, Going, Listening, NotOpened, Shared, Through, ThroughWriter,
            not_opened,
        },
    },
    domain::{escape::visible, guard::forward::Way},
    protocol::error::{Class, Code, Failure},
};

/// The most forwarded connections that a client has open at once.
const MOST: usize = 256;
/// The most places where a server listens for one client.
const LISTENING: usize = 32;
/// A reader that takes nothing for so long is behind.
const BEHIND: Duration = Duration::from_secs(1);
/// What a client had sent before it closed goes on for so long.
const FLUSH: Duration = Duration::from_secs(5);
/// How long a client may take to answer that somebody connected.
const ANSWERS: Duration = Duration::from_secs(60);
/// The longest sentence that a client is told, in characters.
const SENTENCE: usize = 1000;
/// Refusals that have no words of their own and wait to be told on a command's stderr, at most.
const NOTES: usize = 16;
/// SSH_OPEN_ADMINISTRATIVELY_PROHIBITED, SSH_OPEN_CONNECT_FAILED, SSH_OPEN_RESOURCE_SHORTAGE (RFC 4254, 5.1).
const PROHIBITED: u32 = 1;
const CONNECT_FAILED: u32 = 2;
const SHORTAGE: u32 = 4;

/// One client's forwards.
pub struct Forwards {
    bridge: Arc<Bridge>,
    near: Mutex<HashMap<ChannelId, Near>>,
    listening: Mutex<HashMap<(String, u32), CancellationToken>>,
    notes: Mutex<Vec<String>>,
    budget: Arc<Budget>,
    /// The client is gone.
    ends: CancellationToken,
}

/// The client's end of a forwarded connection.
#[derive(Clone)]
pub struct Near {
    pub inbox: Arc<Inbox>,
    /// The client has closed it, or is gone.
    pub gone: CancellationToken,
}

/// A forwarded connection with both its ends.
struct Pipe<'f> {
    forwards: &'f Forwards,
    forwarding: &'f Forwarding,
    shared: &'f Arc<Shared>,
    near: Near,
    to: ChannelWriteHalf<Msg>,
    handle: Handle,
}

/// Where the server listens, and what the client calls that.
struct Listens {
    address: String,
    port: u16,
    forwarding: Forwarding,
    shared: Arc<Shared>,
    listening: Listening,
    stop: CancellationToken,
}

/// Keeps a place as long as the connection is there.
struct Place<'f>(&'f Forwards, ChannelId);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(near) = self.0.near().remove(&self.1) {
            near.inbox.close();
        }
    }
}

impl Forwards {
    pub fn new(bridge: Arc<Bridge>, budget: Arc<Budget>, ends: CancellationToken) -> Arc<Self> {
        let (near, listening, notes) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { bridge, near, listening, notes, budget, ends })
    }

    /// The client's end of this channel, where it is a forwarded one.
    pub fn get(&self, id: ChannelId) -> Option<Near> {
        self.near().get(&id).cloned()
    }

    /// The client has closed it.
    pub fn closed(&self, id: ChannelId) {
        if let Some(near) = self.get(id) {
            near.inbox.end();
            near.gone.cancel();
        }
    }

    /// Connects a channel that the client asks for, unless it may not.
    pub fn open(
        self: &Arc<Self>,
        way: Result<Way, String>,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        handle: Handle,
    ) {
        let (id, forwards) = (channel.id(), self.clone());
        if self.near().len() >= MOST {
            let message = format!("{MOST} connections are forwarded at once");
            let full = Failure::new(Code::LimitStreams, message, "close some");
            tokio::spawn(reply.reject(refusal(SHORTAGE, &full)));
            return;
        }
        // What comes is heard of in the order of the wire; the other half would hold it up.
        let (_from, to) = channel.split();
        let near = self.begin(id);
        tokio::spawn(async move {
            let _place = Place(&forwards, id);
            let opening = forwards.opens(way, &near);
            let opened = tokio::select! {
                opened = opening => opened,
                () = near.gone.cancelled() => return,
            };
            let (forwarding, shared, through) = match opened {
                Ok(opened) => opened,
                Err(refused) => return reply.reject(refused).await,
            };
            reply.accept().await;
            let pipe = Pipe {
                forwards: &forwards,
                forwarding: &forwarding,
                shared: &shared,
                near,
                to,
                handle,
            };
            let why = pipe.run(through).await;
            forwarding.ended(None, why.as_ref()).await;
        });
    }

    async fn opens(
        &self,
        way: Result<Way, String>,
        near: &Near,
    ) -> Result<(Forwarding, Arc<Shared>, Through), ChannelOpenFailure> {
        let prohibited = |failure: Failure| refusal(PROHIBITED, &failure);
        let way = way.map_err(|what| prohibited(odd(&what)))?;
        let forwarding = self.bridge.forward(way, Patience::Aside).await.map_err(prohibited)?;
        let shared = match self.bridge.carrier().await {
            Ok(shared) => shared,
            Err(failure) => {
                forwarding.ended(None, Some(&failure)).await;
                return Err(refusal(CONNECT_FAILED, &failure));
            }
        };
        let opening = forwarding.open(&shared);
        let opened = tokio::select! {
            opened = opening => opened,
            () = near.gone.cancelled() => Err(NotOpened::Lost),
        };
        match opened {
            Ok(through) => Ok((forwarding, shared, through)),
            Err(why) => {
                let failure = not_opened(&why);
                forwarding.ended(None, Some(&failure)).await;
                // As the server itself says it.
                let code = match why {
                    NotOpened::Refused { reason, .. } => reason,
                    NotOpened::Late | NotOpened::Lost => CONNECT_FAILED,
                };
                Err(ChannelOpenFailure::Other { code, reason: plain(&failure.message) })
            }
        }
    }

    /// Has the server listen, unless it may not: the port, and otherwise why not.
    pub async fn listen(
        self: &Arc<Self>,
        address: &str,
        port: u32,
        handle: Handle,
    ) -> Result<u16, Failure> {
        let way = Way::from(address, port).map_err(|what| odd(&what))?;
        if self.listening().len() >= LISTENING {
            let message = format!("the server listens in {LISTENING} places for this client");
            return Err(Failure::new(Code::LimitStreams, message, "cancel some"));
        }
        if port != 0 && self.listening().contains_key(&(address.to_owned(), port)) {
            return Err(odd("it is forwarded already"));
        }
        let forwarding = self.bridge.forward(way, Patience::InLine).await?;
        let opened = match self.bridge.carrier().await {
            Ok(shared) => match forwarding.listen(&shared).await {
                Ok(listening) => Ok((shared, listening)),
                Err(why) => Err(not_opened(&why)),
            },
            Err(failure) => Err(failure),
        };
        let (shared, listening) = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                forwarding.ended(None, Some(&failure)).await;
                return Err(failure);
            }
        };
        let port = listening.port;
        let stop = self.ends.child_token();
        self.listening().insert((address.to_owned(), port.into()), stop.clone());
        let address = address.to_owned();
        let listens = Listens { address, port, forwarding, shared, listening, stop };
        tokio::spawn(self.clone().take(listens, handle));
        Ok(port)
    }

    /// False where it does not listen there.
    pub fn cancel(&self, address: &str, port: u32) -> bool {
        match self.listening().remove(&(address.to_owned(), port)) {
            Some(stop) => {
                stop.cancel();
                true
            }
            None => false,
        }
    }

    /// Takes the connections that come to where the server listens.
    async fn take(self: Arc<Self>, listens: Listens, handle: Handle) {
        let Listens { address, port, forwarding, shared, mut listening, stop } = listens;
        let forwarding = Arc::new(forwarding);
        let lost = loop {
            let incoming = tokio::select! {
                incoming = listening.next() => incoming,
                () = stop.cancelled() => break false,
            };
            let Some(incoming) = incoming else { break true };
            if self.near().len() >= MOST {
                // Dropped, it is refused.
                continue;
            }
            let from = incoming.from.clone();
            let asking = handle.channel_open_forwarded_tcpip(
                address.clone(),
                u32::from(port),
                from.0.clone(),
                from.1,
            );
            // One after the other: a client that does not answer has no further ones.
            let asked = tokio::select! {
                asked = timeout(ANSWERS, asking) => asked,
                () = stop.cancelled() => break false,
            };
            let Ok(Ok(channel)) = asked else { continue };
            let id = channel.id();
            let (_from, to) = channel.split();
            let near = self.begin(id);
            let forwards = self.clone();
            let one = match self.bridge.forward_came(&forwarding, from).await {
                Ok(one) => one,
                Err(_refused) => {
                    drop(Place(&forwards, id));
                    let _gone = handle.close(id).await;
                    continue;
                }
            };
            let through = listening.accept(incoming).await;
            let (shared, handle) = (shared.clone(), handle.clone());
            tokio::spawn(async move {
                let _place = Place(&forwards, id);
                let pipe = Pipe {
                    forwards: &forwards,
                    forwarding: &one,
                    shared: &shared,
                    near,
                    to,
                    handle,
                };
                let why = pipe.run(through).await;
                one.ended(None, why.as_ref()).await;
            });
        };
        // The server stops before it is on record that it did.
        drop(listening);
        self.listening().remove(&(address, port.into()));
        let why = lost.then(|| not_opened(&NotOpened::Lost));
        forwarding.ended(Some(port), why.as_ref()).await;
    }

    /// A refusal for which the protocol has no words: told on the stderr of what runs next. The sentence, for clients
    /// that show what a server says aside.
    pub fn note(&self, failure: &Failure) -> String {
        let sentence = sentence(failure);
        self.note_that(&sentence);
        plain(&sentence)
    }

    pub fn note_that(&self, sentence: &str) {
        let mut notes = self.notes();
        let line = format!("sgw: {sentence}\n");
        if notes.len() < NOTES && !notes.contains(&line) {
            notes.push(line);
        }
    }

    /// Tells what waits to be told, on a channel where something begins to run.
    pub fn tell(&self, id: ChannelId, handle: &Handle) {
        let notes = std::mem::take(&mut *self.notes());
        if !notes.is_empty() {
            let handle = handle.clone();
            tokio::spawn(async move {
                // Who is gone needs none.
                let _gone = handle.extended_data(id, 1, notes.concat()).await;
            });
        }
    }

    /// The client's end of a channel that is forwarded. Known from two sides, whichever comes first.
    pub fn begin(&self, id: ChannelId) -> Near {
        let new = || Near { inbox: Inbox::new(self.budget.clone()), gone: self.ends.child_token() };
        self.near().entry(id).or_insert_with(new).clone()
    }

    fn near(&self) -> MutexGuard<'_, HashMap<ChannelId, Near>> {
        self.near.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listening(&self) -> MutexGuard<'_, HashMap<(String, u32), CancellationToken>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notes(&self) -> MutexGuard<'_, Vec<String>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipe<'_> {
    /// Carries bytes both ways until both ends have said all, or one is closed. Why it ended early, if it did.
    async fn run(&self, mut through: Through) -> Option<Failure> {
        let (writer, id) = (through.writer(), self.to.id());
        let over = CancellationToken::new();
        let (mut said_all, session) = (false, &self.forwarding.session);
        let why = {
            let up = self.up(&writer);
            let down = self.down(&mut through, &over);
            tokio::pin!(up, down);
            loop {
                tokio::select! {
                    ended = &mut up, if !said_all => match ended {
                        // Both have said all: an odd server may not close by itself.
                        Ok(()) if over.is_cancelled() => break None,
                        Ok(()) => said_all = true,
                        Err(why) => break why,
                    },
                    why = &mut down => break why,
                    () = over.cancelled(), if said_all => break None,
                    () = self.near.gone.cancelled() => {
                        self.near.inbox.end();
                        if !said_all {
                            let _late = timeout(FLUSH, &mut up).await;
                        }
                        break None;
                    }
                    () = session.ended() => break session.over(),
                    why = self.forwards.bridge.over() => {
                        break Some(Failure::new(Code::SessionUnknown, why, "sgw sessions"));
                    }
                }
            }
        };
        // A client that closed the channel alone wants the same of us.
        let _gone = self.handle.close(id).await;
        why
    }

    /// From the client to the server.
    async fn up(&self, to: &ThroughWriter) -> Result<(), Option<Failure>> {
        let session = &self.forwarding.session;
        while let Some(piece) = self.near.inbox.next(PIECE).await {
            let may = self.forwarding.within(Going::ToServer, piece.len());
            let mut rest = &piece[..may];
            while !rest.is_empty() {
                // Where the operator takes the keyboard, or pauses it, what is not written by then waits.
                match session.gate.pass(to.write_some(rest)).await {
                    Err(_shut) => session.gate.opens().await,
                    Ok(Ok(written)) => rest = &rest[written..],
                    Ok(Err(_closed)) => return Err(None),
                }
            }
            if may < piece.len() {
                return Err(Some(Forwarding::used_up()));
            }
            self.forwards.bridge.touch();
        }
        to.end().await.map_err(|_closed| None)
    }

    /// From the server to the client. Says when no more data comes, and ends when the server has closed it.
    async fn down(&self, from: &mut Through, over: &CancellationToken) -> Option<Failure> {
        loop {
            match from.next().await {
                Came::Data(mut bytes) => {
                    self.forwarding.session.keyboard.agents().await;
                    let may = self.forwarding.within(Going::ToClient, bytes.len());
                    let all = may == bytes.len();
                    bytes.truncate(may);
                    if !self.deliver(bytes).await {
                        return None;
                    }
                    if !all {
                        return Some(Forwarding::used_up());
                    }
                    self.forwards.bridge.touch();
                }
                Came::End => {
                    if self.handle.eof(self.to.id()).await.is_err() {
                        return None;
                    }
                    over.cancel();
                }
                Came::Closed => return None,
            }
        }
    }

    /// False where the client is gone.
    async fn deliver(&self, bytes: bytes::Bytes) -> bool {
        let sending = self.to.data_bytes(bytes);
        tokio::pin!(sending);
        tokio::select! {
            sent = &mut sending => return sent.is_ok(),
            () = sleep(BEHIND) => {}
        }
        // It holds up what shares its connection: nothing new comes there meanwhile.
        let _behind = self.shared.behind();
        sending.await.is_ok()
    }
}

fn refusal(code: u32, failure: &Failure) -> ChannelOpenFailure {
    ChannelOpenFailure::Other { code, reason: plain(&sentence(failure)) }
}

/// Clients show anything but ASCII of it in octal.
fn plain(text: &str) -> String {
    let shown = text.replace('…', "...").replace(['‘', '’'], "'");
    shown.chars().map(|one| if one.is_ascii() { one } else { '?' }).collect()
}

/// In one line, which is all that a client shows.
fn sentence(failure: &Failure) -> String {
    let Failure { code, message, hint, .. } = failure;
    let mut text = format!("error[{code}]: {message}");
    let told = !hint.is_empty() && matches!(code.class(), Class::No | Class::NotYet | Class::Usage);
    if told {
        text.push_str(&format!("; hint: {hint}"));
    }
    visible(&text, SENTENCE)
}

/// A socket that a server would listen on, which is a file there.
pub fn no_listening_socket() -> Failure {
    Failure::new(
        Code::GrantMissing,
        "listening on a socket of the server's does not go through sgw",
        "listen on a port: ssh -R PORT:HOST:PORT DEST",
    )
}

fn odd(what: &str) -> Failure {
    let message = format!("that can't be forwarded: {what}");
    Failure::new(Code::UsageDestination, message, "ssh -L PORT:HOST:PORT DEST")
}
