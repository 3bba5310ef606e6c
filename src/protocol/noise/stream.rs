//! The two halves of a session: a byte stream cut into Noise messages, and put together again.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use snow::StatelessTransportState;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use zeroize::{Zeroize, Zeroizing};

use super::{MAX_MESSAGE_BYTES, MAX_PLAIN_BYTES, TAG_BYTES};

/// Gives the other end's bytes, each authentic and in its place, or an error for ever. An end between
/// two messages is an end: whoever needs to know that it was meant says so in the stream.
pub struct NoiseReader<R> {
    pub(super) reader: R,
    pub(super) state: Arc<StatelessTransportState>,
    pub(super) nonce: u64,
    /// The length and what is there of the message.
    sealed: Vec<u8>,
    /// The last message, opened; given out up to `given`. Wiped when all of it is.
    pub(super) plain: Zeroizing<Vec<u8>>,
    given: usize,
    broken: bool,
}

/// Takes bytes, and sends them sealed. What was written is sent at the latest by `flush`.
pub struct NoiseWriter<W> {
    writer: W,
    state: Arc<StatelessTransportState>,
    nonce: u64,
    /// A message with its length; sent up to `sent`.
    sealed: Vec<u8>,
    sent: usize,
}

const LENGTH_BYTES: usize = 2;

impl<R: AsyncRead + Unpin> NoiseReader<R> {
    pub(super) fn new(reader: R, state: Arc<StatelessTransportState>) -> Self {
        let (sealed, plain) = (Vec::new(), Zeroizing::default());
        Self { reader, state, nonce: 0, sealed, plain, given: 0, broken: false }
    }

    /// The raw reader below, for what came beside the bytes (passed descriptors).
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The other end's empty message, which ends the handshake.
    pub(super) async fn confirm(&mut self) -> io::Result<()> {
        let length = usize::from(self.reader.read_u16().await?);
        let mut message = [0; TAG_BYTES];
        if length != TAG_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.reader.read_exact(&mut message).await?;
        match self.state.read_message(self.nonce, &message, &mut []) {
            Ok(0) => self.nonce += 1,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        Ok(())
    }

    /// Fills `sealed` up to `wanted`. False at the end of the stream, when nothing of a message came.
    fn poll_fill(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<bool>> {
        while self.sealed.len() < wanted {
            let have = self.sealed.len();
            self.sealed.resize(wanted, 0);
            let mut buffer = ReadBuf::new(&mut self.sealed[have..]);
            let polled = Pin::new(&mut self.reader).poll_read(context, &mut buffer);
            let read = buffer.filled().len();
            self.sealed.truncate(have + read);
            ready!(polled)?;
            if read == 0 {
                if have == 0 {
                    return Poll::Ready(Ok(false));
                }
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Opens the next message. False at the end of the stream.
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !ready!(self.poll_fill(context, LENGTH_BYTES))? {
            return Poll::Ready(Ok(false));
        }
        let length = usize::from(u16::from_be_bytes([self.sealed[0], self.sealed[1]]));
        // The writer sends no empty message: one could be repeated without end or progress.
        if length <= TAG_BYTES {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        ready!(self.poll_fill(context, LENGTH_BYTES + length))?;
        self.plain.resize(length, 0);
        let opened =
            self.state.read_message(self.nonce, &self.sealed[LENGTH_BYTES..], &mut self.plain);
        let opened = opened.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        self.plain.truncate(opened);
        self.sealed.clear();
        self.given = 0;
        self.nonce += 1;
        Poll::Ready(Ok(true))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for NoiseReader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.broken {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if this.given == this.plain.len() {
            match ready!(this.poll_message(context)) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(Ok(())),
                Err(error) => {
                    this.broken = true;
                    this.plain.zeroize();
                    this.given = 0;
                    return Poll::Ready(Err(error));
                }
            }
        }
        let left = &this.plain[this.given..];
        let size = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..size]);
        this.given += size;
        if this.given == this.plain.len() {
            this.plain.as_mut_slice().zeroize();
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> NoiseWriter<W> {
    pub(super) fn new(writer: W, state: Arc<StatelessTransportState>) -> Self {
        Self { writer, state, nonce: 0, sealed: Vec::new(), sent: 0 }
    }

    /// The raw writer below. What is written there itself would break the session.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    pub(super) async fn confirm(&mut self) -> io::Result<()> {
        self.seal(&[])?;
        self.flush().await
    }

    fn seal(&mut self, plain: &[u8]) -> io::Result<()> {
        let length = plain.len() + TAG_BYTES;
        debug_assert!(length <= MAX_MESSAGE_BYTES && self.sent == self.sealed.len());
        self.sealed.clear();
        self.sealed.extend((length as u16).to_be_bytes());
        self.sealed.resize(LENGTH_BYTES + length, 0);
        self.sent = 0;
        let body = &mut self.sealed[LENGTH_BYTES..];
        if self.state.write_message(self.nonce, plain, body).ok() != Some(length) {
            self.sealed.clear();
            return Err(io::Error::other("the message could not be sealed"));
        }
        self.nonce += 1;
        Ok(())
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.sealed.len() {
            let rest = &self.sealed[self.sent..];
            match ready!(Pin::new(&mut self.writer).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                size => self.sent += size,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for NoiseWriter<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let size = bytes.len().min(MAX_PLAIN_BYTES);
        this.seal(&bytes[..size])?;
        // It is ours now, sent or not: an error comes with the next call.
        if let Poll::Ready(Err(error)) = this.poll_send(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(size))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.writer).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.writer).poll_shutdown(context)
    }
}

impl<R> std::fmt::Debug for NoiseReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NoiseReader").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}

impl<W> std::fmt::Debug for NoiseWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NoiseWriter").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}
