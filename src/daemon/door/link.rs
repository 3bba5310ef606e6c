//! One connection's frames: read by its owner, written by a task of its own, so that nobody who
//! answers waits for a slow reader longer than the bound of its queue.

use std::time::Duration;

use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::timeout,
};

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

/// Where answers go.
#[derive(Clone)]
pub struct Outbox(mpsc::Sender<Frame>);

/// The connection is gone.
#[derive(Debug)]
pub struct Gone;

impl Outbox {
    pub async fn send(&self, frame: Frame) -> Result<(), Gone> {
        self.0.send(frame).await.map_err(|_| Gone)
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
/// that all was written.
pub fn writer(
    mut to: impl AsyncWrite + Unpin + Send + 'static,
) -> (Outbox, tokio::task::JoinHandle<()>) {
    let (sender, mut frames) = mpsc::channel(WAITING);
    let task = tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            if frame::write(&mut to, &frame).await.is_err() {
                return;
            }
        }
    });
    (Outbox(sender), task)
}

/// Waits a moment for the last frames to be written.
pub async fn finish(outbox: Outbox, writer: tokio::task::JoinHandle<()>) {
    drop(outbox);
    let abort = writer.abort_handle();
    if timeout(LAST, writer).await.is_err() {
        abort.abort();
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
