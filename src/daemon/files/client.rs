//! SFTP over a channel of its own: whole packets out, each reply to whoever waits for it, many in flight.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{
    sync::{Notify, OnceCell, OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    fault::{Fault, no_channel},
    names::Settles,
};
use crate::{
    daemon::{
        session::{Session, keyboard},
        upstream::{Event, Lane, OpenError, Reader, Writer},
    },
    domain::{
        id::Id,
        sftp::{
            Call, Cutter, Extended, FromClient, FromServer, Limits, OpenFlags, Pairs, Reply,
            VERSION,
        },
    },
};

/// What the replies that are still to come may be together, in KiB: what a server can make us keep has this bound.
const ROOM: usize = 64 * 1024;
/// The longest reply of a call that brings no content, in KiB: two paths and what a server says to them.
const SHORT: u32 = 16;
/// What a reply has around its content, in bytes: type, id and length, and room to spare.
const AROUND: u32 = 64;
/// Requests that have no reply yet, at most.
const IN_FLIGHT: usize = ROOM / SHORT as usize;
/// The longest of all: a packet.
const LONG: u32 = 260;
/// Files that are open at once: where the server does not say how many it allows, …
const HANDLES: usize = 128;
/// … and where it does, at most; so many of its own are left to others.
const MOST_HANDLES: usize = 768;
const OTHERS: usize = 64;
/// Requests that wait are sent together up to so many bytes: each write is a packet of SSH.
const TOGETHER: usize = 32 * 1024;
/// Every server's name for it (draft, section 2).
const SFTP: &str = "sftp";
/// What every server reads and writes at once (draft, sections 3 and 6.4).
const EVERYWHERE: u32 = 32 * 1024;
/// What is read and written at once where the server says that it can: as much as fits into a packet.
const MOST: u64 = 255 * 1024;
/// How long a server may take for its version.
const GREETING: Duration = Duration::from_secs(30);
/// … and for any one reply: a disk may sleep.
const REPLY: Duration = Duration::from_secs(120);

/// An SFTP session with a server. Its channel closes when nobody holds this.
pub struct Sftp {
    queue: mpsc::Sender<Packet>,
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    /// Files that may be open at once, of those that there are many of.
    handles: Semaphore,
    /// What the server announced beside its version.
    pub announced: Pairs,
    extensions: BTreeSet<Vec<u8>>,
    /// Where the session began: what `~` is.
    pub home: OnceCell<Vec<u8>>,
    /// Bytes of one read, and of one write.
    pub read_size: u32,
    pub write_size: u32,
}

struct Packet {
    /// None for the greeting.
    id: Option<u32>,
    wire: Vec<u8>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    why: OnceLock<Fault>,
    over: CancellationToken,
    /// The server's side is at its end, too: nothing more is done there.
    ended: CancellationToken,
    answered: Notify,
}

#[derive(Default)]
struct Waiting {
    next: u32,
    by_id: HashMap<u32, Waiter>,
    /// Something that changes names had no answer when it was over.
    left: bool,
}

struct Waiter {
    hand: oneshot::Sender<Result<Reply, Fault>>,
    /// Held until the reply is there, whether or not anybody still waits for it: its length, in KiB.
    room: OwnedSemaphorePermit,
    /// Whether it changes what has a name.
    changes: bool,
}

/// A request that is on its way, behind all that were sent before it.
#[must_use]
pub struct Sent<'s> {
    shared: &'s Shared,
    reply: oneshot::Receiver<Result<Reply, Fault>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, id: u32, outcome: Result<Reply, Fault>) {
        if let Some(waiter) = self.lock().by_id.remove(&id) {
            // Whoever asked may be gone.
            let _gone = waiter.hand.send(outcome);
            self.answered.notify_waiters();
        }
    }

    /// How long a reply may be, in bytes; none where nothing was asked.
    fn most(&self, id: u32) -> Option<usize> {
        self.lock().by_id.get(&id).map(|waiter| waiter.room.num_permits() * 1024)
    }

    /// Nothing more comes or goes.
    fn end(&self, why: Fault) {
        let _earlier = self.why.set(why);
        self.over.cancel();
        let mut waiting = self.lock();
        waiting.left |= waiting.by_id.values().any(|waiter| waiter.changes);
        waiting.by_id.clear();
    }

    /// Whether something that changes names may still be done there, though nobody waits for its answer.
    fn may_change(&self) -> bool {
        let (waiting, over) = (self.lock(), self.over.is_cancelled());
        let left = |waiter: &Waiter| waiter.changes && (over || waiter.hand.is_closed());
        !self.ended.is_cancelled() && (waiting.left || waiting.by_id.values().any(left))
    }

    /// Waits until nothing of that can be done any more.
    async fn settled(&self) {
        loop {
            let answered = self.answered.notified();
            if !self.may_change() {
                return;
            }
            tokio::select! {
                () = self.ended.cancelled() => {}
                () = answered => {}
            }
        }
    }

    fn why(&self) -> Fault {
        self.why.get().cloned().unwrap_or(Fault::Lost)
    }
}

impl Drop for Sftp {
    fn drop(&mut self) {
        self.shared.over.cancel();
    }
}

impl Sftp {
    /// Starts the server's subsystem on a channel of its own, and greets it.
    pub async fn open(session: &Arc<Session>) -> Result<Self, Fault> {
        Self::begin(session, session.pool.subsystem(SFTP)).await
    }

    /// The same over connections of the caller's own.
    pub async fn open_by(session: &Arc<Session>, lane: &Lane) -> Result<Self, Fault> {
        Self::begin(session, lane.subsystem(SFTP)).await
    }

    async fn begin(
        session: &Arc<Session>,
        opening: impl Future<Output = Result<(Reader, Writer), OpenError>>,
    ) -> Result<Self, Fault> {
        let opened = session.keyboard.write(&session.id, opening).await?;
        let (reader, writer) = opened.map_err(|error| no_channel(&error).about(&session.id))?;
        let (queue, packets) = mpsc::channel(IN_FLIGHT);
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            why: OnceLock::new(),
            over: CancellationToken::new(),
            ended: CancellationToken::new(),
            answered: Notify::new(),
        });
        let (greet, greeting) = oneshot::channel();
        tokio::spawn(write_packets(packets, writer, session.clone(), shared.clone()));
        tokio::spawn(read_packets(reader, shared.clone(), greet));
        let hello = FromClient::Init { version: VERSION, extensions: Pairs::new() };
        let hello = Packet { id: None, wire: hello.to_wire() };
        if queue.send(hello).await.is_err() {
            return Err(shared.why());
        }
        let announced = match timeout(GREETING, greeting).await {
            Ok(Ok((VERSION, extensions))) => extensions,
            Ok(Ok(_)) => return Err(Fault::Odd("it speaks another version of SFTP than 3")),
            Ok(Err(_)) => return Err(shared.why()),
            Err(_) => return Err(Fault::Silent),
        };
        let extensions = announced.iter().map(|(name, _)| name.clone()).collect();
        let room = Arc::new(Semaphore::new(ROOM));
        let (read_size, write_size) = (EVERYWHERE, EVERYWHERE);
        let home = OnceCell::new();
        let handles = Semaphore::new(HANDLES);
        let mut sftp = Self {
            queue,
            shared,
            room,
            handles,
            announced,
            extensions,
            home,
            read_size,
            write_size,
        };
        sftp.learn_limits().await?;
        Ok(sftp)
    }

    async fn learn_limits(&mut self) -> Result<(), Fault> {
        if !self.has(&Extended::Limits) {
            return Ok(());
        }
        let Reply::Extended(body) = self.call(Call::Extended(Extended::Limits)).await? else {
            return Ok(());
        };
        let limits = Limits::read(&body).map_err(Fault::Malformed)?;
        let size = |limit: u64| match limit {
            0 => EVERYWHERE,
            // MOST fits.
            limit => limit.min(MOST) as u32,
        };
        (self.read_size, self.write_size) = (size(limits.read), size(limits.write));
        // A server that does not say how many says 0.
        let allowed = usize::try_from(limits.open_handles).unwrap_or(usize::MAX);
        let more = allowed.min(MOST_HANDLES + OTHERS).saturating_sub(HANDLES + OTHERS);
        self.handles.add_permits(more);
        Ok(())
    }

    /// Whether the server announced this extension.
    pub fn has(&self, extended: &Extended) -> bool {
        self.extensions.contains(extended.name())
    }

    /// Why nothing more comes or goes.
    pub fn why(&self) -> Fault {
        self.shared.why()
    }

    /// For what changes names and was sent here: when nothing of it can be done any more.
    pub fn settles(&self) -> Settles {
        let shared = self.shared.clone();
        Box::new(move || {
            let settled = |shared: Arc<Shared>| Box::pin(async move { shared.settled().await });
            shared.may_change().then(|| settled(shared) as BoxFuture<'static, ()>)
        })
    }

    pub fn is_over(&self) -> bool {
        self.shared.over.is_cancelled()
    }

    /// Waits until one more of many files may be open. Held until its close is sent.
    pub async fn handle_room(&self) -> Result<SemaphorePermit<'_>, Fault> {
        // Never closed.
        self.handles.acquire().await.map_err(|_| self.shared.why())
    }

    /// Sends a request and waits for its reply. Given up, it may have been sent.
    pub async fn call(&self, call: Call) -> Result<Reply, Fault> {
        self.send(call).await?.reply().await
    }

    /// Sends a request. A server does what concerns one file in the order in which it was asked (draft, section 4.1).
    pub async fn send(&self, call: Call) -> Result<Sent<'_>, Fault> {
        let over = || self.shared.why();
        let room = tokio::select! {
            biased;
            () = self.shared.over.cancelled() => return Err(over()),
            room = self.room.clone().acquire_many_owned(longest(&call)) => room.map_err(|_| over())?,
        };
        let (hand, reply) = oneshot::channel();
        let id = {
            let mut waiting = self.shared.lock();
            // At most as many are taken as there is room.
            while waiting.by_id.contains_key(&waiting.next) {
                waiting.next = waiting.next.wrapping_add(1);
            }
            let id = waiting.next;
            waiting.next = id.wrapping_add(1);
            waiting.by_id.insert(id, Waiter { hand, room, changes: changes(&call) });
            id
        };
        let packet = Packet { id: Some(id), wire: call.to_wire(id) };
        // The queue has room for all that are in flight.
        match self.queue.send(packet).await {
            Ok(()) => Ok(Sent { shared: &self.shared, reply }),
            Err(_) => Err(over()),
        }
    }
}

impl Sent<'_> {
    pub async fn reply(self) -> Result<Reply, Fault> {
        let Self { shared, reply } = self;
        tokio::select! {
            biased;
            reply = timeout(REPLY, reply) => match reply {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(shared.why()),
                Err(_) => {
                    shared.end(Fault::Silent);
                    Err(Fault::Silent)
                }
            },
            () = shared.over.cancelled() => Err(shared.why()),
        }
    }
}

/// Whether it changes what has a name, or what a name leads to.
pub fn changes(call: &Call) -> bool {
    match call {
        Call::Open { flags, .. } => flags.has(OpenFlags::CREATE),
        Call::Setstat { .. }
        | Call::Remove { .. }
        | Call::Mkdir { .. }
        | Call::Rmdir { .. }
        | Call::Rename { .. }
        | Call::Symlink { .. }
        | Call::Extended(
            Extended::Lsetstat { .. } | Extended::Hardlink { .. } | Extended::PosixRename { .. },
        ) => true,
        _ => false,
    }
}

/// How long the reply may be, in KiB.
fn longest(call: &Call) -> u32 {
    match call {
        Call::Read { length, .. } => (length.saturating_add(AROUND) / 1024 + 1).clamp(SHORT, LONG),
        Call::Readdir { .. } | Call::Extended(_) | Call::Other { .. } => LONG,
        _ => SHORT,
    }
}

/// Writes packets one after the other, each a turn at the keyboard. One that can't be written whole leaves
/// nothing after it.
async fn write_packets(
    mut packets: mpsc::Receiver<Packet>,
    writer: Writer,
    session: Arc<Session>,
    shared: Arc<Shared>,
) {
    loop {
        let packet = tokio::select! {
            biased;
            () = shared.over.cancelled() => break,
            () = session.ended() => {
                shared.end(over(&session));
                break;
            }
            packet = packets.recv() => packet,
        };
        let Some(Packet { id, mut wire }) = packet else { break };
        let mut ids = vec![id];
        while wire.len() < TOGETHER
            && let Ok(more) = packets.try_recv()
        {
            ids.push(more.id);
            wire.extend_from_slice(&more.wire);
        }
        let turn = match session.keyboard.turn(&session.id) {
            Ok(turn) => turn,
            Err(taken) => {
                let why = || Fault::from(taken.clone().sent(false));
                for id in ids {
                    match id {
                        Some(id) => shared.answer(id, Err(why())),
                        None => shared.end(why()),
                    }
                }
                continue;
            }
        };
        let written = tokio::select! {
            biased;
            () = session.keyboard.taken() => Err(cut_off(&session.id)),
            () = session.ended() => Err(over(&session)),
            written = writer.write(wire) => written.map_err(|_| Fault::Lost),
        };
        drop(turn);
        if let Err(why) = written {
            shared.end(why);
            break;
        }
    }
    shared.end(Fault::Lost);
    if shared.may_change() {
        // A server ends its SFTP where nothing more comes, behind what it does: waited for, so that it is known when
        // nothing more is done. The connection's end, and so the session's, ends this.
        let _gone = writer.eof().await;
        shared.ended.cancelled().await;
    }
    writer.close().await;
}

/// The operator took the keyboard in the middle of a packet.
fn cut_off(session: &Id) -> Fault {
    keyboard::taken(session).sent(true).into()
}

fn over(session: &Session) -> Fault {
    session.over().map_or(Fault::Lost, |why| why.about(&session.id).sent(true).into())
}

type Greeting = (u32, Pairs);

/// Reads to the end. Always on: what comes was asked for, and has a bound.
async fn read_packets(mut reader: Reader, shared: Arc<Shared>, greet: oneshot::Sender<Greeting>) {
    let (mut cutter, mut greet) = (Cutter::default(), Some(greet));
    let why = loop {
        let event = tokio::select! {
            biased;
            () = shared.over.cancelled() => break None,
            event = reader.next() => event,
        };
        match event {
            Event::Stdout(bytes) => {
                cutter.feed(&bytes);
                if let Err(why) = take(&mut cutter, &shared, &mut greet) {
                    break Some(why);
                }
                continue;
            }
            Event::Stderr(_) | Event::ExitStatus(_) | Event::ExitSignal { .. } => continue,
            Event::Refused => shared.end(Fault::NoSubsystem),
            Event::Closed if greet.is_some() => shared.end(Fault::NoSubsystem),
            Event::Closed | Event::Lost => shared.end(Fault::Lost),
        }
        return shared.ended.cancel();
    };
    if let Some(why) = why {
        shared.end(why);
    }
    while shared.may_change() {
        if let Event::Refused | Event::Closed | Event::Lost = reader.next().await {
            break;
        }
    }
    shared.ended.cancel();
}

fn take(
    cutter: &mut Cutter,
    shared: &Shared,
    greet: &mut Option<oneshot::Sender<Greeting>>,
) -> Result<(), Fault> {
    while let Some(raw) = cutter.next_packet().map_err(Fault::Malformed)? {
        match (FromServer::parse(&raw).map_err(Fault::Malformed)?, greet.take()) {
            (FromServer::Version { version, extensions }, Some(greet)) => {
                // Whoever opened it may have given up.
                let _gone = greet.send((version, extensions));
            }
            (FromServer::Reply { id, reply }, None) => match shared.most(id) {
                Some(most) if raw.bytes().len() <= most => shared.answer(id, Ok(reply)),
                Some(_) => return Err(Fault::Odd("a longer reply than there can be")),
                None => return Err(Fault::Odd("a reply to nothing that was asked")),
            },
            _ => return Err(Fault::Odd("its greeting is out of place")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sftp::Reply;

    #[test]
    fn a_reply_has_room_for_whatever_was_asked_for() {
        let around = Reply::Data(Vec::new().into()).to_wire(1).len() as u32;
        for length in 1..=255 * 1024 {
            let call = Call::Read { handle: Vec::new(), offset: 0, length };
            assert!(longest(&call) * 1024 >= length + around, "{length}");
        }
    }
}
