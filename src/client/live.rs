//! What the operator's `attach` and `watch` hold: one stream of events and of a terminal's bytes from
//! the daemon, keys and further requests to it.

use serde_json::Value;
use tokio::{io::AsyncWriteExt, sync::mpsc};

use super::{
    Connection, Error,
    connection::{To, message},
    incoming::Incoming,
};
use crate::protocol::{
    agent::Message,
    error::{Code, Failure},
    frame::{self, Frame, Kind, MAX_CHUNK},
    operator::{Event, Request},
};

/// Frames that wait to be sent: a daemon that stops reading holds nothing up here.
const QUEUE: usize = 64;
/// Keys are taken while so much of the queue is free; the rest is for what is said beside them.
const KEPT_FREE: usize = 16;

/// What arrives.
#[derive(Debug)]
pub enum Arrival {
    Event(Box<Event>),
    /// Bytes for the terminal that the last `screen` event announced.
    Drawn(Vec<u8>),
    /// The answer to a request that was made beside the stream.
    Answer {
        number: u32,
        answer: Result<Value, Failure>,
    },
    Note(String),
    /// The stream's end.
    Ended(Result<Value, Failure>),
}

pub struct Live {
    number: u32,
    last: u32,
    incoming: Incoming,
    outgoing: mpsc::Sender<Frame>,
}

impl Live {
    /// Begins the stream that `request` asks for.
    pub async fn start(mut connection: Connection, request: &Request) -> Result<Self, Error> {
        let number = connection.begin(request).await?;
        let (incoming, to) = connection.split();
        let (outgoing, frames) = mpsc::channel(QUEUE);
        tokio::spawn(send(to, frames));
        Ok(Self { number, last: number, incoming, outgoing })
    }

    /// Cancel-safe. After an error there is nothing more.
    pub async fn next(&mut self) -> Result<Arrival, Error> {
        loop {
            let frame = self.incoming.next().await?;
            if let Some(arrival) = self.read(&frame)? {
                return Ok(arrival);
            }
        }
    }

    fn read(&self, frame: &Frame) -> Result<Option<Arrival>, Error> {
        if frame.kind == Kind::Pty {
            let drawn = frame.as_output().filter(|_| frame.request == self.number);
            return Ok(drawn.map(|(_, bytes)| Arrival::Drawn(bytes.to_vec())));
        }
        if let Ok(event) = serde_json::from_slice::<Event>(&frame.body) {
            return Ok(Some(Arrival::Event(Box::new(event))));
        }
        let answer = match message(frame)? {
            Message::Done { result } => Ok(result),
            Message::Error(failure) => Err(failure),
            Message::Note { text } => return Ok(Some(Arrival::Note(text))),
            Message::Waiting { .. } | Message::Started { .. } | Message::Credit { .. } => {
                return Ok(None);
            }
        };
        // What is said about the connection as a whole ends the stream too.
        if frame.request == self.number || frame.request == 0 {
            return Ok(Some(Arrival::Ended(answer)));
        }
        Ok(Some(Arrival::Answer { number: frame.request, answer }))
    }

    /// Whether keys can be taken now.
    pub fn has_room(&self) -> bool {
        self.outgoing.capacity() > KEPT_FREE
    }

    /// Keys for the attached terminal.
    pub fn keys(&self, keys: &[u8]) -> Result<(), Error> {
        for piece in keys.chunks(MAX_CHUNK) {
            self.push(Frame { kind: Kind::Pty, request: self.number, body: piece.to_vec() })?;
        }
        Ok(())
    }

    /// A request beside the stream; its answer carries this number.
    pub fn ask(&mut self, request: &Request) -> Result<u32, Error> {
        self.last += 1;
        self.push(Frame::json(self.last, request)?)?;
        Ok(self.last)
    }

    /// Ends the stream; its last word is still to come.
    pub fn cancel(&self) -> Result<(), Error> {
        self.push(Frame::json(self.number, &Request::Cancel {})?)
    }

    fn push(&self, frame: Frame) -> Result<(), Error> {
        self.outgoing.try_send(frame).map_err(|refused| match refused {
            mpsc::error::TrySendError::Closed(_) => Error::Lost,
            mpsc::error::TrySendError::Full(_) => {
                let message = "the daemon takes nothing more";
                Failure::new(Code::DaemonLost, message, "sgw daemon status").into()
            }
        })
    }
}

async fn send(mut to: To, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        // Whoever reads hears of the connection's end.
        if frame::write(&mut to, &frame).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
