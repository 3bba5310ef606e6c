//! Forwards through a target (RFC 4254, 7): on connections set aside for them, since russh stops a whole
//! connection where one channel of it is not read. Who is behind on such a connection holds up nobody else's.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use russh::{
    ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf,
    client::{ChannelOpenHandle, Msg},
};
use tokio::{io::AsyncWriteExt, sync::mpsc, time::timeout};

use super::{ChannelError, Connection, OpenError, Pool, connect, slots::Refusal, supply::Aside};

/// How long a server may take to connect; the kernel's own patience is about two minutes (tcp(7)).
const CONNECTS: Duration = Duration::from_secs(150);
/// How long a server may take to listen, or to stop.
const ANSWERS: Duration = Duration::from_secs(15);
/// A close is on its way by then, or the connection is no good.
const CLOSED: Duration = Duration::from_secs(60);
/// Connections to a listener that wait to be taken; more are refused.
const COMING: usize = 32;

/// A connection that forwards have for themselves. Dropped, it is closed.
pub struct Carrier {
    connection: Arc<Connection>,
    pool: Weak<Pool>,
}

/// Why a server did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// With the reason's number (RFC 4254, 5.1) and the server's own words.
    Refused {
        reason: u32,
        words: String,
    },
    Late,
    Lost,
}

/// A connection through the server. Dropped, it is closed.
pub struct Through {
    reader: ChannelReadHalf,
    writer: ThroughWriter,
}

/// Its other direction. Writes that overlap may be mixed.
#[derive(Clone)]
pub struct ThroughWriter {
    half: Arc<ChannelWriteHalf<Msg>>,
    connection: Arc<Connection>,
}

/// What comes through, in the order of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    Data(Bytes),
    /// No more data; the other direction may go on.
    End,
    /// Both directions are over.
    Closed,
}

/// The server listens. Dropped, it no longer does.
pub struct Listening {
    /// The one that was asked for, or the one that the server chose.
    pub port: u16,
    key: Key,
    coming: mpsc::Receiver<Incoming>,
    connection: Arc<Connection>,
}

/// A connection that somebody made to where the server listens. Dropped, it is refused.
pub struct Incoming {
    /// Whoever made it, as the server says.
    pub from: (String, u32),
    channel: russh::Channel<Msg>,
    reply: ChannelOpenHandle,
}

/// Where one connection's server listens, as russh's loop finds it.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<(Key, mpsc::Sender<Incoming>)>>);

/// Address as it was asked for, and port; 0 until the server has chosen one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    address: String,
    port: u32,
}

impl Pool {
    /// A connection for forwards alone: one that is warm and idle, or a new one.
    pub async fn carrier(&self) -> Result<Carrier, OpenError> {
        let connection = match self.set_aside()? {
            Aside::Warm(connection) => connection,
            Aside::Connect(plan) => {
                let made = connect(&plan, self.judge()).await;
                self.aside(made.map_err(|error| OpenError::Connect(Arc::new(error)))?)?
            }
        };
        Ok(Carrier { connection, pool: self.weak() })
    }
}

impl Carrier {
    pub fn is_lost(&self) -> bool {
        self.connection.is_lost()
    }

    /// Has the server connect to a host and port of its own side.
    pub async fn connect(&self, host: &str, port: u16) -> Result<Through, NotOpened> {
        let handle = &self.connection.leg().handle;
        self.through(handle.channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0)).await
    }

    /// The same to a socket (PROTOCOL, 2.4, of OpenSSH).
    pub async fn connect_to_socket(&self, path: &str) -> Result<Through, NotOpened> {
        let handle = &self.connection.leg().handle;
        self.through(handle.channel_open_direct_streamlocal(path)).await
    }

    async fn through(
        &self,
        opening: impl Future<Output = Result<russh::Channel<Msg>, russh::Error>>,
    ) -> Result<Through, NotOpened> {
        let slots = self.connection.slots();
        let opened = tokio::select! {
            opened = timeout(CONNECTS, opening) => opened.map_err(|_| NotOpened::Late)?,
            () = self.connection.lost() => return Err(NotOpened::Lost),
            () = self.connection.closing.cancelled() => return Err(NotOpened::Lost),
        };
        match opened {
            Ok(channel) => Ok(Through::new(channel, &self.connection)),
            Err(russh::Error::ChannelOpenFailure(reason)) => {
                let words = match slots.refusal().await {
                    Refusal::Never(words) => words,
                    Refusal::Full => String::new(),
                };
                Err(NotOpened::Refused { reason: reason.code(), words })
            }
            Err(_) => Err(NotOpened::Lost),
        }
    }

    /// Has the server listen; port 0 is one of its choice.
    pub async fn listen(&self, address: &str, port: u16) -> Result<Listening, NotOpened> {
        let leg = self.connection.leg();
        let (into, coming) = mpsc::channel(COMING);
        let asked = Key { address: address.to_owned(), port: port.into() };
        // Before it is asked: the first connection can come with the answer.
        leg.listeners.add(asked.clone(), into);
        let connection = self.connection.clone();
        let mut listening = Listening { port, key: asked, coming, connection };
        let asking = leg.handle.tcpip_forward(address, port.into());
        let answer = tokio::select! {
            answer = timeout(ANSWERS, asking) => answer.map_err(|_| NotOpened::Late)?,
            () = self.connection.lost() => return Err(NotOpened::Lost),
        };
        match answer.map(|chosen| u16::try_from(chosen).unwrap_or_default()) {
            Ok(chosen) => {
                if port == 0 {
                    listening.port = chosen;
                    listening.key = leg.listeners.has_port(&listening.key, chosen);
                }
                Ok(listening)
            }
            Err(russh::Error::RequestDenied) => {
                let reason = ChannelOpenFailure::ConnectFailed.code();
                let words = String::from("the server does not listen there");
                Err(NotOpened::Refused { reason, words })
            }
            Err(_) => Err(NotOpened::Lost),
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        let (connection, pool) = (self.connection.clone(), self.pool.clone());
        in_background(async move {
            connection.close().await;
            drop(connection);
            if let Some(pool) = pool.upgrade() {
                pool.counted_anew();
            }
        });
    }
}

impl Through {
    fn new(channel: russh::Channel<Msg>, connection: &Arc<Connection>) -> Self {
        let (reader, half) = channel.split();
        let writer = ThroughWriter { half: Arc::new(half), connection: connection.clone() };
        Self { reader, writer }
    }

    pub fn writer(&self) -> ThroughWriter {
        self.writer.clone()
    }

    /// What comes next. Can be given up without loss.
    pub async fn next(&mut self) -> Came {
        loop {
            let message = tokio::select! {
                biased;
                message = self.reader.wait() => message,
                () = self.writer.connection.closing.cancelled() => None,
            };
            match message {
                Some(ChannelMsg::Data { data }) if !data.is_empty() => return Came::Data(data),
                Some(ChannelMsg::Eof) => return Came::End,
                Some(ChannelMsg::Close) | None => return Came::Closed,
                Some(_) => {}
            }
        }
    }
}

impl Drop for Through {
    fn drop(&mut self) {
        let half = self.writer.half.clone();
        in_background(async move {
            let _late = timeout(CLOSED, half.close()).await;
        });
    }
}

impl ThroughWriter {
    /// Writes what is taken now, at least a byte, and says how much that was. Given up, it has written nothing.
    pub async fn write_some(&self, bytes: &[u8]) -> Result<usize, ChannelError> {
        let mut to = self.half.make_writer();
        self.unless_over(async { to.write(bytes).await.map_err(russh::Error::from) }).await
    }

    /// Says that no more is written.
    pub async fn end(&self) -> Result<(), ChannelError> {
        self.unless_over(self.half.eof()).await
    }

    async fn unless_over<T>(
        &self,
        doing: impl Future<Output = Result<T, russh::Error>>,
    ) -> Result<T, ChannelError> {
        tokio::select! {
            biased;
            () = self.connection.closing.cancelled() => Err(ChannelError::Closed),
            () = self.connection.lost() => Err(ChannelError::Lost),
            outcome = doing => outcome.map_err(|_| ChannelError::Lost),
        }
    }
}

impl Listening {
    /// The next connection; `None` where the server's is lost.
    pub async fn next(&mut self) -> Option<Incoming> {
        tokio::select! {
            coming = self.coming.recv() => coming,
            () = self.connection.lost() => None,
            () = self.connection.closing.cancelled() => None,
        }
    }

    pub async fn accept(&self, incoming: Incoming) -> Through {
        incoming.reply.accept().await;
        Through::new(incoming.channel, &self.connection)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.connection.leg().listeners.remove(&self.key);
        let (connection, key) = (self.connection.clone(), self.key.clone());
        in_background(async move {
            let asked = connection.leg().handle.cancel_tcpip_forward(key.address, key.port);
            let _late = timeout(ANSWERS, asked).await;
        });
    }
}

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, Vec<(Key, mpsc::Sender<Incoming>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, key: Key, into: mpsc::Sender<Incoming>) {
        self.lock().push((key, into));
    }

    fn has_port(&self, key: &Key, port: u16) -> Key {
        let known = Key { port: port.into(), ..key.clone() };
        let mut all = self.lock();
        // Each waits for its answer before the next asks: one at most has none.
        if let Some((key, _)) = all.iter_mut().find(|(one, _)| one == key) {
            *key = known.clone();
        }
        known
    }

    fn remove(&self, key: &Key) {
        let mut all = self.lock();
        if let Some(at) = all.iter().position(|(one, _)| one == key) {
            all.swap_remove(at);
        }
    }

    /// Hands a connection to whoever listens there; what nobody asked for is refused.
    pub fn arrived(
        &self,
        address: &str,
        port: u32,
        from: (String, u32),
        channel: russh::Channel<Msg>,
        reply: ChannelOpenHandle,
    ) {
        let all = self.lock();
        let exactly = |(key, _): &&(Key, _)| key.address == address && key.port == port;
        let no_port_yet = |(key, _): &&(Key, _)| key.address == address && key.port == 0;
        if let Some((_, into)) = all.iter().find(exactly).or_else(|| all.iter().find(no_port_yet)) {
            // Dropped where too many wait, which refuses it.
            let _refused = into.try_send(Incoming { from, channel, reply });
        }
    }
}

/// Outside a runtime there is no connection left to speak to either.
fn in_background(doing: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(doing);
    }
}
