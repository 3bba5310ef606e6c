//! One channel with a command or a terminal on it: a reader of its events, a writer to its stdin.
//!
//! russh hands the data of all channels of a connection over in one loop, which stops when one of
//! them has 64 messages unread, however small. So whoever stops reading first makes sure, with [`Reader::seclude`] and
//! [`Reader::is_alone`], that nobody else stands behind.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty, Sig, client::Msg};
use tokio::{io::AsyncWriteExt, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{ChannelError, Connection};
use crate::domain::terminal::{Wanted, Window};

/// SSH_EXTENDED_DATA_STDERR (RFC 4254, 5.2).
const STDERR: u32 = 1;
/// A close is queued behind other channels' data this long at most before nobody waits for it.
const CLOSING: Duration = Duration::from_secs(1);
/// It may take this long until it is on its way, or the connection is no good.
const CLOSED: Duration = Duration::from_secs(60);

/// A session channel on which nothing has run yet. Dropped, it is closed.
pub struct Channel {
    // `None` once it was taken apart.
    raw: Option<russh::Channel<Msg>>,
    connection: Arc<Connection>,
}

/// What happens on a channel, in the order of the wire. Data can follow an exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Stdout(Bytes),
    Stderr(Bytes),
    ExitStatus(u32),
    /// `name` without `SIG`, as the server wrote it.
    ExitSignal {
        name: String,
        core_dumped: bool,
        message: String,
    },
    /// The server did not run the command. Nothing follows.
    Refused,
    /// The orderly end. Nothing follows.
    Closed,
    /// The connection broke, or the server left the command unanswered: it may have run, it may
    /// still run. Nothing follows.
    Lost,
}

/// Reads what comes. Dropping it closes the channel.
pub struct Reader {
    half: ChannelReadHalf,
    shared: Arc<Shared>,
    /// How many requests the server has not answered yet. None once it has shown otherwise that the
    /// command runs.
    unanswered: u8,
    end: Option<Event>,
}

/// Writes stdin. Can be shared; writes that overlap may be mixed.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    half: ChannelWriteHalf<Msg>,
    connection: Arc<Connection>,
    /// Cancelled when nothing more can come or go.
    over: CancellationToken,
}

impl Channel {
    pub(super) fn new(raw: russh::Channel<Msg>, connection: Arc<Connection>) -> Self {
        Self { raw: Some(raw), connection }
    }

    /// Sends the request to run `command` and does not wait for the answer.
    ///
    /// [`ChannelError::Stale`]: the channel had died meanwhile; nothing was sent.
    pub async fn exec(self, command: &[u8]) -> Result<(Reader, Writer), ChannelError> {
        let (reader, writer) = self.ends(1)?;
        let request = writer.shared.half.exec(true, command);
        match writer.unless_over(request).await {
            Ok(()) => Ok((reader, writer)),
            // The queue to russh's loop was gone: the loop never saw the request.
            Err(_) => Err(ChannelError::Stale),
        }
    }

    /// As [`Channel::exec`], on such a terminal (RFC 4254, 6.2): stdout is all that the terminal shows,
    /// stdin what is typed. A server that gives none has [`Event::Refused`].
    pub async fn terminal(
        self,
        wanted: &Wanted,
        command: &[u8],
    ) -> Result<(Reader, Writer), ChannelError> {
        let (reader, writer) = self.ends(2)?;
        let half = &writer.shared.half;
        let requests = async {
            let Window { columns, rows, width, height } = wanted.window;
            let modes = wanted.modes.iter();
            let modes: Vec<_> =
                modes.filter_map(|(mode, value)| Some((Pty::from_u8(*mode)?, *value))).collect();
            half.request_pty(true, &wanted.name, columns, rows, width, height, &modes).await?;
            half.exec(true, command).await
        };
        match writer.unless_over(requests).await {
            Ok(()) => Ok((reader, writer)),
            Err(_) => Err(ChannelError::Stale),
        }
    }

    /// As [`Channel::exec`], of a subsystem by its name (RFC 4254, 6.5). A server that has none of that name
    /// has [`Event::Refused`].
    pub async fn subsystem(self, name: &str) -> Result<(Reader, Writer), ChannelError> {
        let (reader, writer) = self.ends(1)?;
        let request = writer.shared.half.request_subsystem(true, name);
        match writer.unless_over(request).await {
            Ok(()) => Ok((reader, writer)),
            Err(_) => Err(ChannelError::Stale),
        }
    }

    fn ends(mut self, requests: u8) -> Result<(Reader, Writer), ChannelError> {
        let raw = self.raw.take().ok_or(ChannelError::Stale)?;
        let connection = Arc::clone(&self.connection);
        if connection.is_lost() || !connection.slots().is_open(raw.id()) {
            return Err(ChannelError::Stale);
        }
        let (read, half) = raw.split();
        let over = connection.closing.child_token();
        let shared = Arc::new(Shared { half, connection, over });
        let (half, end) = (read, None);
        let reader = Reader { half, shared: Arc::clone(&shared), unanswered: requests, end };
        Ok((reader, Writer { shared }))
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.connection.slots().abandoned(raw.id(), false);
            let (_, half) = raw.split();
            in_background(async move {
                let _ = timeout(CLOSED, half.close()).await;
            });
        }
    }
}

impl Reader {
    /// The next event. After the last one it is repeated. Can be given up without loss.
    pub async fn next(&mut self) -> Event {
        if let Some(end) = &self.end {
            return end.clone();
        }
        loop {
            let message = tokio::select! {
                biased;
                message = self.half.wait() => message,
                () = self.shared.over.cancelled() => return self.ended(Event::Closed),
            };
            match message {
                Some(ChannelMsg::Success) => self.unanswered = self.unanswered.saturating_sub(1),
                Some(message) => {
                    if let Some(event) = self.event(message) {
                        return event;
                    }
                }
                None if self.shared.over.is_cancelled() => return self.ended(Event::Closed),
                None => return self.ended(Event::Lost),
            }
        }
    }

    fn event(&mut self, message: ChannelMsg) -> Option<Event> {
        let event = match message {
            ChannelMsg::Failure if self.unanswered > 0 => return Some(self.ended(Event::Refused)),
            ChannelMsg::Close => {
                self.shared.connection.slots().closed(self.shared.half.id());
                let end = if self.unanswered == 0 { Event::Closed } else { Event::Lost };
                return Some(self.ended(end));
            }
            ChannelMsg::Data { data } if !data.is_empty() => Event::Stdout(data),
            ChannelMsg::ExtendedData { data, ext: STDERR } if !data.is_empty() => {
                Event::Stderr(data)
            }
            ChannelMsg::ExitStatus { exit_status } => Event::ExitStatus(exit_status),
            ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, .. } => {
                Event::ExitSignal {
                    name: signal_text(signal_name),
                    core_dumped,
                    message: error_message,
                }
            }
            _ => return None,
        };
        self.unanswered = 0;
        Some(event)
    }

    fn ended(&mut self, event: Event) -> Event {
        self.shared.close(event != Event::Refused);
        self.end = Some(event.clone());
        event
    }

    /// Whether no other channel of the connection is in use, so that not reading harms nobody.
    /// Stays true only after [`Reader::seclude`].
    pub fn is_alone(&self) -> bool {
        self.shared.connection.slots().is_alone(self.shared.half.id())
    }

    /// Keeps further channels off this connection until all that are on it have ended. False where
    /// the pool could not do without it: then reading has to go on.
    pub fn seclude(&self) -> bool {
        let connection = &self.shared.connection;
        let pool = connection.pool.get().and_then(std::sync::Weak::upgrade);
        pool.is_some_and(|pool| pool.seclude(connection))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.close(true);
    }
}

impl Writer {
    /// Writes all of it; waits while the other side takes no more.
    pub async fn write(&self, bytes: impl Into<Bytes>) -> Result<(), ChannelError> {
        self.unless_over(self.shared.half.data_bytes(bytes)).await
    }

    /// Writes what is taken now, at least a byte, and says how much that was. Given up, it has written
    /// nothing.
    pub async fn write_some(&self, bytes: &[u8]) -> Result<usize, ChannelError> {
        let mut to = self.shared.half.make_writer();
        let writing = async { to.write(bytes).await.map_err(russh::Error::from) };
        self.unless_over(writing).await
    }

    /// Says that no more is written.
    pub async fn eof(&self) -> Result<(), ChannelError> {
        self.unless_over(self.shared.half.eof()).await
    }

    /// Asks the server to signal the command: `TERM`, `INT`, … (RFC 4254, 6.9). Servers may ignore
    /// it; OpenSSH does so for root.
    pub async fn signal(&self, name: &str) -> Result<(), ChannelError> {
        self.unless_over(self.shared.half.signal(signal_named(name))).await
    }

    /// Tells the terminal's new size (RFC 4254, 6.7).
    pub async fn resize(&self, window: Window) -> Result<(), ChannelError> {
        let Window { columns, rows, width, height } = window;
        self.unless_over(self.shared.half.window_change(columns, rows, width, height)).await
    }

    /// Closes the channel. The reader then comes to its end. No process is ended by this.
    pub async fn close(&self) {
        if let Some(closing) = self.shared.close(true) {
            let _ = timeout(CLOSING, closing).await;
        }
    }

    async fn unless_over<T>(
        &self,
        doing: impl Future<Output = Result<T, russh::Error>>,
    ) -> Result<T, ChannelError> {
        tokio::select! {
            biased;
            () = self.shared.over.cancelled() => Err(ChannelError::Closed),
            () = self.shared.connection.lost() => Err(ChannelError::Lost),
            outcome = doing => outcome.map_err(|_| ChannelError::Lost),
        }
    }
}

impl Shared {
    /// Ends it, once. A channel that the server has not closed itself is told to close; `running`
    /// when a process may be left behind it.
    fn close(self: &Arc<Self>, running: bool) -> Option<tokio::task::JoinHandle<()>> {
        if self.over.is_cancelled() {
            return None;
        }
        self.over.cancel();
        let slots = self.connection.slots();
        if !slots.is_open(self.half.id()) {
            return None;
        }
        slots.abandoned(self.half.id(), running);
        let shared = Arc::clone(self);
        in_background(async move {
            let _ = timeout(CLOSED, shared.half.close()).await;
        })
    }
}

/// Outside a runtime there is no connection left to speak to either.
fn in_background(
    doing: impl Future<Output = ()> + Send + 'static,
) -> Option<tokio::task::JoinHandle<()>> {
    tokio::runtime::Handle::try_current().ok().map(|runtime| runtime.spawn(doing))
}

fn signal_text(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => name,
        // The variants are named as on the wire.
        known => format!("{known:?}"),
    }
}

fn signal_named(name: &str) -> Sig {
    match name {
        "ABRT" => Sig::ABRT,
        "ALRM" => Sig::ALRM,
        "FPE" => Sig::FPE,
        "HUP" => Sig::HUP,
        "ILL" => Sig::ILL,
        "INT" => Sig::INT,
        "KILL" => Sig::KILL,
        "PIPE" => Sig::PIPE,
        "QUIT" => Sig::QUIT,
        "SEGV" => Sig::SEGV,
        "TERM" => Sig::TERM,
        "USR1" => Sig::USR1,
        other => Sig::Custom(other.to_owned()),
    }
}
