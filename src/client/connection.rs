//! A connection to the daemon: hello, then frames both ways, and the calls that need one answer.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::UnixStream,
};

use super::{
    Error,
    incoming::Incoming,
    socket::{Carrier, Luggage},
};
use crate::{
    domain::{seal::DataKey, secret::Secret},
    protocol::{
        agent::Message,
        error::{Code, Failure},
        frame::{self, Frame, Kind},
        hello::{Hello, PROTOCOL, Welcome},
        noise::{self, Session},
    },
};

/// What is read ahead: some frames at most.
const AHEAD: usize = 64 * 1024;
/// The number of the secret frame that carries a token.
pub(super) const TOKEN: u32 = 1;
/// How long a daemon may take to welcome before it counts as dead.
pub(super) const WELCOME: Duration = Duration::from_secs(5);

pub type From = Box<dyn AsyncRead + Unpin + Send>;
pub type To = Box<dyn AsyncWrite + Unpin + Send>;

/// One connection. Requests are numbered from 1.
pub struct Connection {
    from: Source,
    to: To,
    last: u32,
    /// A hello that goes with the first request, in one write: one wake-up of the daemon less.
    hello: Vec<u8>,
    luggage: Luggage,
}

/// Read as asked, or ahead by a task, so that waiting for a frame can be broken off.
enum Source {
    Asked(Greeted),
    Ahead(Incoming),
}

/// The daemon's frames; the first of them may still be its welcome.
pub(super) struct Greeted {
    from: From,
    welcomed: bool,
}

impl Greeted {
    pub(super) async fn next(&mut self) -> Result<Frame, Error> {
        if !self.welcomed {
            // A daemon that accepts and stays silent must not hold anybody up.
            let welcome = tokio::time::timeout(WELCOME, frame::read(&mut self.from)).await;
            let welcome = welcome.map_err(|_| Error::Silent)??;
            read_welcome(&welcome.ok_or(Error::Lost)?)?;
            self.welcomed = true;
        }
        frame::read(&mut self.from).await?.ok_or(Error::Lost)
    }
}

impl Connection {
    pub(super) async fn agent(
        stream: UnixStream,
        token: Option<Secret<String>>,
    ) -> Result<Self, Error> {
        let hello = Hello { token: token.as_ref().map(|_| TOKEN), ..Hello::new() };
        let mut connection = Self::over(stream);
        if let Some(token) = &token {
            connection.send_secret(0, TOKEN, token.expose().as_bytes()).await?;
        }
        frame::write(&mut connection.hello, &Frame::json(0, &hello)?).await?;
        Ok(connection)
    }

    /// To a daemon that a test plays: it has said welcome, and there is no Noise.
    #[cfg(test)]
    pub fn played(stream: UnixStream) -> Self {
        let (from, to) = stream.into_split();
        Self::of(Box::new(from), Box::new(to), true, Luggage::default())
    }

    pub(super) async fn operator(stream: UnixStream) -> Result<(Self, Welcome), Error> {
        let mut connection = Self::over(stream);
        connection.write(Frame::json(0, &Hello::new())?).await?;
        let welcome = connection.read_first().await?;
        Ok((connection, read_welcome(&welcome)?))
    }

    /// The operator's session with proof: what is said after the hellos only the daemon that holds the
    /// same data key can read.
    pub(super) async fn proven(stream: UnixStream, data_key: &DataKey) -> Result<Self, Error> {
        let mut plain = Self::over(stream);
        let hello = Frame::json(0, &Hello { proof: true, ..Hello::new() })?;
        let mut prologue = hello.body.clone();
        plain.write(hello).await?;
        let welcome = plain.read_first().await?;
        prologue.extend_from_slice(&welcome.body);
        read_welcome(&welcome)?;
        let Self { from: Source::Asked(Greeted { from, .. }), to, luggage, .. } = plain else {
            return Err(Error::Lost);
        };
        let key = noise::session_key(data_key);
        let Session { reader, writer } =
            noise::initiate(from, to, &key, &prologue, noise::HANDSHAKE_DEADLINE).await?;
        Ok(Self::of(Box::new(reader), Box::new(writer), true, luggage))
    }

    fn over(stream: UnixStream) -> Self {
        let (from, to) = stream.into_split();
        let luggage = Luggage::default();
        let to = Carrier::new(to, luggage.clone());
        let from = BufReader::with_capacity(AHEAD, from);
        Self::of(Box::new(from), Box::new(to), false, luggage)
    }

    fn of(from: From, to: To, welcomed: bool, luggage: Luggage) -> Self {
        let from = Source::Asked(Greeted { from, welcomed });
        Self { from, to, last: 0, hello: Vec::new(), luggage }
    }

    /// The answer to a hello that went out by itself.
    async fn read_first(&mut self) -> Result<Frame, Error> {
        match &mut self.from {
            Source::Asked(greeted) => {
                greeted.welcomed = true;
                greeted.next().await
            }
            Source::Ahead(_) => Err(Error::Lost),
        }
    }

    /// Descriptors added here leave with the next frame.
    pub fn luggage(&self) -> &Luggage {
        &self.luggage
    }

    pub async fn write(&mut self, frame: Frame) -> Result<(), Error> {
        let written = if self.hello.is_empty() || frame.kind == Kind::Secret {
            frame::write(&mut self.to, &frame).await.map_err(Error::from)
        } else {
            let mut both = std::mem::take(&mut self.hello);
            frame::write(&mut both, &frame).await?;
            self.to.write_all(&both).await.map_err(|_| Error::Lost)
        };
        match written {
            Err(Error::Lost) => Err(self.last_word().await),
            written => written,
        }
    }

    /// Why nothing can be written any more: a daemon that refuses says so before it closes.
    async fn last_word(&mut self) -> Error {
        let Source::Asked(Greeted { from, .. }) = &mut self.from else { return Error::Lost };
        loop {
            let Ok(Ok(Some(frame))) = tokio::time::timeout(WELCOME, frame::read(from)).await else {
                return Error::Lost;
            };
            if let Ok(Message::Error(failure)) = message(&frame)
                && frame.request == 0
            {
                return failure.into();
            }
        }
    }

    /// The next frame; the connection's end is an error. Cancel-safe after [`Self::read_ahead`] only.
    pub async fn read(&mut self) -> Result<Frame, Error> {
        match &mut self.from {
            Source::Asked(from) => from.next().await,
            Source::Ahead(incoming) => incoming.next().await,
        }
    }

    /// From now on waiting for a frame can be broken off.
    pub fn read_ahead(self) -> Self {
        match self.from {
            Source::Ahead(_) => self,
            Source::Asked(from) => Self { from: Source::Ahead(Incoming::start(from)), ..self },
        }
    }

    /// Sends a request and gives its number.
    pub async fn begin(&mut self, request: &impl Serialize) -> Result<u32, Error> {
        self.last += 1;
        self.say(self.last, request).await?;
        Ok(self.last)
    }

    /// Says something more about an open request.
    pub async fn say(&mut self, number: u32, message: &impl Serialize) -> Result<(), Error> {
        self.write(Frame::json(number, message)?).await
    }

    /// Sends a secret, to be named by its number in JSON that follows.
    pub async fn send_secret(
        &mut self,
        request: u32,
        number: u32,
        value: &[u8],
    ) -> Result<(), Error> {
        let mut body = Vec::with_capacity(4 + value.len());
        body.extend_from_slice(&number.to_be_bytes());
        body.extend_from_slice(value);
        // The frame wipes its body when it is dropped.
        self.write(Frame { kind: Kind::Secret, request, body }).await
    }

    /// One request, one answer.
    pub async fn call<Reply: DeserializeOwned>(
        &mut self,
        request: &impl Serialize,
    ) -> Result<Reply, Error> {
        let number = self.begin(request).await?;
        loop {
            let frame = self.read().await?;
            if frame.request != number && frame.request != 0 {
                continue;
            }
            match message(&frame)? {
                Message::Done { result } => return Ok(serde_json::from_value(result)?),
                Message::Error(failure) => return Err(failure.into()),
                Message::Waiting { .. }
                | Message::Started { .. }
                | Message::Credit { .. }
                | Message::Note { .. } => {}
            }
        }
    }

    /// Takes the two directions apart.
    pub(super) fn split(self) -> (Incoming, To) {
        let incoming = match self.from {
            Source::Asked(from) => Incoming::start(from),
            Source::Ahead(incoming) => incoming,
        };
        (incoming, self.to)
    }

    pub async fn close(mut self) {
        // Whoever reads what was said last must not lose it; a daemon that is gone does not matter.
        let _ = self.to.shutdown().await;
    }
}

/// A frame from the daemon as a message.
pub fn message(frame: &Frame) -> Result<Message, Error> {
    if frame.kind != Kind::Json {
        return Err(Error::Odd(format!("a frame {frame:?} where words were due")));
    }
    Ok(serde_json::from_slice(&frame.body)?)
}

/// The daemon's answer to a hello: a welcome, or why not.
pub(super) fn read_welcome(frame: &Frame) -> Result<Welcome, Error> {
    if let Ok(Message::Error(failure)) = serde_json::from_slice(&frame.body) {
        return Err(failure.into());
    }
    let welcome: Welcome = serde_json::from_slice(&frame.body)?;
    if welcome.protocol == PROTOCOL {
        return Ok(welcome);
    }
    let message = format!(
        "the daemon speaks protocol {} (sgw {}), this client {PROTOCOL} (sgw {})",
        welcome.protocol,
        crate::domain::escape::visible(&welcome.version, 40),
        env!("CARGO_PKG_VERSION"),
    );
    let hint = "ask the person at this machine to run: sgw lock; sgw unlock";
    Err(Failure::new(Code::DaemonVersion, message, hint).into())
}
