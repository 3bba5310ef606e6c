//! One connection's frames: read by its owner, written by a task of its own, so that nobody who
//! answers waits for a slow reader longer than the bound of its queue.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit, mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::secret::Secret,
    protocol::{
        agent::Message,
        error::{Code, Failure},
        frame::{self, Frame, FrameError, Kind},
        hello::{Hello, PROTOCOL, Welcome},
    },
};

/// How long a caller may take to say hello.
pub const HELLO: Duration = Duration::from_secs(10);
/// Frames that wait to be written.
const WAITING: usize = 16;
/// How long the last frames may take at the end.
const LAST: Duration = Duration::from_secs(2);

/// So many answers that may be large are made and written at once for the callers of one kind; …
const LARGE: usize = 16;
/// … while others wait for room, each is taken within so long, or its connection is closed.
const TAKEN: Duration = Duration::from_secs(5);

/// Room for the large answers of one kind of callers: none takes another kind's.
pub struct Rooms {
    places: Semaphore,
    /// Connections that wait for a place.
    waiting: AtomicUsize,
    taken: Duration,
}

pub static AGENTS: Rooms = Rooms::new(TAKEN);
pub static OPERATORS: Rooms = Rooms::new(TAKEN);
pub static UNPROVEN: Rooms = Rooms::new(TAKEN);

/// Room for one large answer, from before it is made until it is written.
#[must_use = "what is made without room has no bound"]
pub struct Room {
    _one: OwnedMutexGuard<()>,
    /// None where the daemon ends.
    _place: Option<SemaphorePermit<'static>>,
}

/// Counted among those who wait, until it is dropped.
struct Waiting(&'static AtomicUsize);

impl Rooms {
    const fn new(taken: Duration) -> Self {
        Self { places: Semaphore::const_new(LARGE), waiting: AtomicUsize::new(0), taken }
    }

    async fn place(&'static self) -> Option<SemaphorePermit<'static>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        self.places.acquire().await.ok()
    }

    fn wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where answers go.
#[derive(Clone)]
pub struct Outbox {
    items: mpsc::Sender<Item>,
    rooms: &'static Rooms,
    /// A connection has one at a time, so that those with many requests have no more than others.
    one: Arc<Mutex<()>>,
    /// Nothing more is written.
    stop: CancellationToken,
}

enum Item {
    Frame(Frame),
    /// All before it is written.
    Written(oneshot::Sender<()>),
}

/// The connection is gone.
#[derive(Debug)]
pub struct Gone;

/// Where what is said to a call from within comes out.
pub struct Inside(mpsc::Receiver<Item>);

impl Inside {
    /// The next frame; `None` where nobody says anything any more.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.0.recv().await? {
                Item::Frame(frame) => return Some(frame),
                // Who waited may be gone.
                Item::Written(written) => drop(written.send(())),
            }
        }
    }
}

impl Outbox {
    /// For a call from within: what is said there comes out of the other end.
    pub fn within() -> (Self, Inside) {
        let (items, inside) = mpsc::channel(WAITING);
        let stop = CancellationToken::new();
        (Self { items, rooms: &AGENTS, one: Arc::default(), stop }, Inside(inside))
    }

    pub async fn send(&self, frame: Frame) -> Result<(), Gone> {
        self.items.send(Item::Frame(frame)).await.map_err(|_| Gone)
    }

    /// Waits for room for a large answer. Get it before the answer is made.
    pub async fn room(&self) -> Room {
        let one = self.one.clone().lock_owned().await;
        Room { _one: one, _place: self.rooms.place().await }
    }

    /// A part of a large answer. Who does not take it while others wait for its room is gone.
    pub async fn send_in(&self, _room: &Room, frame: Frame) -> Result<(), Gone> {
        self.taken(self.send(frame)).await
    }

    /// Ends a request with a large answer, and keeps its room until it is written.
    pub async fn answer_in(
        &self,
        room: Room,
        request: u32,
        answer: Result<serde_json::Value, Failure>,
    ) -> Result<(), Gone> {
        let writing = async {
            self.answer(request, answer).await?;
            let (written, is_written) = oneshot::channel();
            self.items.send(Item::Written(written)).await.map_err(|_| Gone)?;
            is_written.await.map_err(|_| Gone)
        };
        let done = self.taken(writing).await;
        drop(room);
        done
    }

    /// A slow reader (a pager) keeps its room for as long as nobody else waits for one.
    async fn taken(&self, writing: impl Future<Output = Result<(), Gone>>) -> Result<(), Gone> {
        let mut writing = pin!(writing);
        loop {
            if let Ok(done) = timeout(self.rooms.taken, &mut writing).await {
                return done;
            }
            if self.rooms.wanted() {
                tracing::info!("a caller took no answer: its connection is closed");
                self.stop.cancel();
                return Err(Gone);
            }
        }
    }

    pub async fn json(&self, request: u32, message: &impl Serialize) -> Result<(), Gone> {
        match Frame::json(request, message) {
            Ok(frame) => self.send(frame).await,
            Err(error) => {
                tracing::error!(%error, "a message could not be written as JSON");
                Err(Gone)
            }
        }
    }

    /// Ends a request.
    pub async fn answer(
        &self,
        request: u32,
        answer: Result<serde_json::Value, Failure>,
    ) -> Result<(), Gone> {
        let message = match answer {
            Ok(result) => Message::Done { result },
            Err(failure) => {
                tracing::info!(request, code = %failure.code, "refused");
                Message::Error(failure)
            }
        };
        match Frame::json(request, &message) {
            Ok(frame) if frame.body.len() > frame::MAX_JSON => {
                let failure = Failure::new(
                    Code::LimitFrame,
                    "the answer is larger than a frame",
                    "ask for less at once: --limit, --tail",
                );
                self.json(request, &Message::Error(failure)).await
            }
            Ok(frame) => self.send(frame).await,
            Err(_) => Err(Gone),
        }
    }
}

/// Goes on to its end, also when whoever asked goes away meanwhile: for what must not stop half-way.
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        let message = format!("a call failed: {error}");
        Err(Failure::new(Code::DaemonFailed, message, "this is a bug in sgw"))
    })
}

/// What an answer is made of.
pub fn value(result: &impl Serialize) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(result).map_err(|error| {
        Failure::new(
            Code::DaemonFailed,
            format!("an answer failed: {error}"),
            "this is a bug in sgw",
        )
    })
}

/// Starts the task that writes. It ends when every [`Outbox`] is gone; await the handle to know
/// that all was written, and for what it wrote to.
pub fn writer<T: AsyncWrite + Unpin + Send + 'static>(
    mut to: T,
    rooms: &'static Rooms,
) -> (Outbox, tokio::task::JoinHandle<T>) {
    let (sender, mut items) = mpsc::channel(WAITING);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let writing = async {
            while let Some(item) = items.recv().await {
                match item {
                    Item::Frame(frame) => {
                        if frame::write(&mut to, &frame).await.is_err() {
                            return;
                        }
                    }
                    // Who waited may be gone.
                    Item::Written(written) => drop(written.send(())),
                }
            }
        };
        stopped.run_until_cancelled(writing).await;
        to
    });
    (Outbox { items: sender, rooms, one: Arc::default(), stop }, task)
}

/// Waits a moment for the last frames to be written. What they were written to, where they were.
pub async fn finish<T>(outbox: Outbox, writer: tokio::task::JoinHandle<T>) -> Option<T> {
    drop(outbox);
    let abort = writer.abort_handle();
    match timeout(LAST, writer).await {
        Ok(to) => to.ok(),
        Err(_) => {
            abort.abort();
            None
        }
    }
}

/// How somebody began.
pub struct Begun {
    pub hello: Hello,
    /// The hello as it came.
    pub raw: Vec<u8>,
    /// The token that the hello names; empty where it names one that did not come.
    pub token: Option<Secret<Vec<u8>>>,
}

/// Reads the hello, and the secret before it.
pub async fn hello(from: &mut (impl AsyncRead + Unpin)) -> Result<Begun, Option<Failure>> {
    let mut shown = None;
    let next = async {
        match frame::read(from).await? {
            // A token comes before the hello that names it.
            Some(frame) if frame.kind == Kind::Secret => {
                shown =
                    frame.as_secret().map(|(number, text)| (number, Secret::new(text.to_vec())));
                frame::read(from).await
            }
            other => Ok(other),
        }
    };
    let frame = match timeout(HELLO, next).await {
        Err(_) | Ok(Ok(None)) => return Err(None),
        Ok(Ok(Some(frame))) => frame,
        Ok(Err(error)) => return Err(Some(not_taken(&error))),
    };
    if frame.kind != Kind::Json {
        return Err(Some(out_of_place("the first frame is not a hello")));
    }
    let hello: Hello = serde_json::from_slice(&frame.body)
        .map_err(|_| Some(out_of_place("the first frame is not a hello")))?;
    if hello.protocol != PROTOCOL {
        return Err(Some(Failure::new(
            Code::DaemonVersion,
            format!(
                "this daemon speaks protocol {PROTOCOL} (sgw {}), the caller {} ",
                env!("CARGO_PKG_VERSION"),
                hello.protocol
            ),
            "the operator restarts the daemon with the installed sgw: sgw lock, then sgw unlock",
        )));
    }
    let token = hello.token.map(|number| match shown {
        Some((sent, token)) if sent == number => token,
        _ => Secret::new(Vec::new()),
    });
    Ok(Begun { hello, raw: frame.body.clone(), token })
}

/// The welcome and its raw bytes.
pub fn welcome(identity: Option<String>) -> Result<Frame, Gone> {
    Frame::json(0, &Welcome::new(identity)).map_err(|_| Gone)
}

pub fn out_of_place(what: &str) -> Failure {
    Failure::new(
        Code::UsageFrame,
        what,
        "the caller speaks another protocol; use the sgw that belongs to this daemon",
    )
}

/// A frame that ends the connection.
pub fn not_taken(error: &FrameError) -> Failure {
    match error {
        FrameError::TooLong(_) | FrameError::ChunkTooLong(_) => {
            Failure::new(Code::LimitFrame, error.to_string(), "send less at once")
        }
        _ => out_of_place(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, DuplexStream};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(20);

    fn rooms() -> &'static Rooms {
        Box::leak(Box::new(Rooms::new(PATIENCE)))
    }

    /// A connection whose caller has not read a large answer yet.
    fn unread(rooms: &'static Rooms) -> (DuplexStream, tokio::task::JoinHandle<Result<(), Gone>>) {
        let (to, caller) = tokio::io::duplex(16);
        let (outbox, _writer) = writer(to, rooms);
        let answer = async move {
            let room = outbox.room().await;
            outbox.answer_in(room, 1, Ok(json!("a".repeat(100_000)))).await
        };
        (caller, tokio::spawn(answer))
    }

    #[tokio::test]
    async fn a_slow_reader_has_its_answer_whole_while_nobody_else_waits() {
        let (mut caller, answered) = unread(rooms());
        tokio::time::sleep(PATIENCE * 10).await;
        let mut read = Vec::new();
        let reading =
            tokio::spawn(async move { caller.read_to_end(&mut read).await.map(|_| read) });
        assert!(answered.await.unwrap().is_ok());
        assert!(reading.await.unwrap().unwrap().len() > 100_000);
    }

    #[tokio::test]
    async fn who_reads_nothing_makes_room_once_others_wait() {
        let rooms = rooms();
        let slow: Vec<_> = (0..LARGE).map(|_| unread(rooms)).collect();
        let (mut caller, answered) = unread(rooms);
        let reading = tokio::spawn(async move { caller.read_to_end(&mut Vec::new()).await });
        assert!(answered.await.unwrap().is_ok(), "nobody made room");
        assert!(reading.await.unwrap().unwrap() > 100_000);
        drop(slow);
    }
}
