//! The byte stream under a connection: it can be cut from outside, and remembers how it began.
//!
//! russh runs a connection in a task of its own that nobody can stop while the other side keeps
//! silent; cutting its stream does.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Of what the other side said first, this much is kept for the error message.
const HEARD: usize = 255;

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
    stream: Box<dyn Duplex>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    heard: Heard,
    /// How many more bytes `heard` takes.
    listening: usize,
}

impl Wire {
    pub fn new(stream: impl Duplex + 'static, cut: CancellationToken) -> Self {
        Self {
            stream: Box::new(stream),
            cut: Box::pin(cut.cancelled_owned()),
            heard: Heard::default(),
            listening: HEARD,
        }
    }

    pub fn heard(&self) -> Heard {
        self.heard.clone()
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
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
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
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_cut(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_cut(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
