//! The byte stream under a connection: it can be cut from outside, and remembers how it began.
//!
//! russh runs a connection in a task of its own that nobody can stop while the other side keeps
//! silent; cutting its stream does. Nor does russh read while it waits for a person's answer: a
//! [`Lookout`] does so in its place, to see when the other side hangs up.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Of what the other side said first, this much is kept for the error message.
const HEARD: usize = 255;
/// What a lookout reads ahead, in bytes. Whoever says more while it waits for an answer is not
/// listened to until it has it.
const AHEAD: usize = 64 * 1024;

/// Who reads less than this gets what lies behind it with the same call, in bytes. russh reads each packet's length
/// by itself, and an SFTP server answers in packets of fifty bytes.
const ALONG: usize = 4096;

/// The first bytes that came, for telling what answers there when it is no SSH server.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, bytes: &[u8]) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = HEARD - heard.len();
        heard.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

pub(super) struct Wire {
    line: Arc<Mutex<Line>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    heard: Heard,
    /// How many more bytes `heard` takes.
    listening: usize,
}

struct Line {
    stream: Box<dyn Duplex>,
    /// Read by a lookout or along with the last read, to be read by russh first.
    ahead: VecDeque<u8>,
    /// A lookout has found the end; an error is russh's to find.
    ended: bool,
}

/// Sees the end of a stream that nobody reads at the moment.
#[derive(Clone)]
pub(super) struct Lookout(Weak<Mutex<Line>>);

impl Lookout {
    /// Returns when the other side has hung up.
    pub async fn ended(&self) {
        poll_fn(|context| match self.0.upgrade() {
            Some(line) => lock(&line).poll_ended(context),
            None => Poll::Ready(()),
        })
        .await
    }
}

impl Line {
    fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 4096];
        while !self.ended && self.ahead.len() < AHEAD {
            let mut buffer = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.ahead.extend(buffer.filled()),
                Ok(()) | Err(_) => self.ended = true,
            }
        }
        if self.ended { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return match self.ended {
                true => Poll::Ready(Ok(())),
                false if buffer.remaining() < ALONG => self.poll_read_along(context, buffer),
                false => Pin::new(&mut self.stream).poll_read(context, buffer),
            };
        }
        let (first, _) = self.ahead.as_slices();
        let size = first.len().min(buffer.remaining());
        buffer.put_slice(&first[..size]);
        self.ahead.drain(..size);
        Poll::Ready(Ok(()))
    }

    fn poll_read_along(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); ALONG];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        let (now, later) = read.filled().split_at(read.filled().len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.ahead.extend(later);
        Poll::Ready(Ok(()))
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    pub fn new(stream: impl Duplex + 'static, cut: CancellationToken) -> Self {
        let line = Line { stream: Box::new(stream), ahead: VecDeque::new(), ended: false };
        Self {
            line: Arc::new(Mutex::new(line)),
            cut: Box::pin(cut.cancelled_owned()),
            heard: Heard::default(),
            listening: HEARD,
        }
    }

    pub fn heard(&self) -> Heard {
        self.heard.clone()
    }

    pub fn lookout(&self) -> Lookout {
        Lookout(Arc::downgrade(&self.line))
    }

    fn is_cut(&mut self, context: &mut Context<'_>) -> Result<(), io::Error> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.is_cut(context)?;
        let before = buffer.filled().len();
        let outcome = lock(&self.line).poll_read(context, buffer);
        let new = &buffer.filled()[before..];
        if self.listening > 0 && !new.is_empty() {
            self.heard.add(new);
            self.listening = self.listening.saturating_sub(new.len());
        }
        outcome
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_cut(context)?;
        Pin::new(&mut lock(&self.line).stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_cut(context)?;
        Pin::new(&mut lock(&self.line).stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_cut(context)?;
        Pin::new(&mut lock(&self.line).stream).poll_shutdown(context)
    }
}
