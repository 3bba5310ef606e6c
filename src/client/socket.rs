//! A Unix socket's writing half that can carry file descriptors along with the bytes.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::{
    io::{AsyncWrite, Interest},
    net::{UnixStream, unix::OwnedWriteHalf},
};

/// The most descriptors that go with one write (the kernel takes 253; SCM_MAX_FD, unix(7)).
pub const MAX_DESCRIPTORS: usize = 8;

/// Descriptors that leave with the next byte.
#[derive(Clone, Debug, Default)]
pub struct Luggage(Arc<Mutex<Vec<OwnedFd>>>);

impl Luggage {
    pub fn add(&self, descriptor: OwnedFd) {
        self.lock().push(descriptor);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<OwnedFd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes like the socket; where there is luggage it goes with the first byte written.
#[derive(Debug)]
pub struct Carrier {
    socket: OwnedWriteHalf,
    luggage: Luggage,
}

impl Carrier {
    pub fn new(socket: OwnedWriteHalf, luggage: Luggage) -> Self {
        Self { socket, luggage }
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let luggage = self.luggage.clone();
        let mut waiting = luggage.lock();
        if waiting.is_empty() {
            return Pin::new(&mut self.socket).poll_write(context, bytes);
        }
        let socket: &UnixStream = self.socket.as_ref();
        loop {
            ready!(socket.poll_write_ready(context))?;
            let sent = socket.try_io(Interest::WRITABLE, || send(socket, bytes, &waiting));
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(written) => {
                    waiting.clear();
                    return Poll::Ready(Ok(written));
                }
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

fn send(socket: &UnixStream, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    if !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors at once"));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)?)
}

#[cfg(test)]
mod tests {
    use std::io::IoSliceMut;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn luggage_goes_with_the_first_byte_and_once() {
        let runtime = crate::client::runtime().unwrap();
        runtime.block_on(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let luggage = Luggage::default();
            let mut carrier = Carrier::new(ours.into_split().1, luggage.clone());
            let (end, other_end) = std::os::unix::net::UnixStream::pair().unwrap();
            luggage.add(end.into());
            carrier.write_all(b"abc").await.unwrap();
            carrier.write_all(b"def").await.unwrap();
            theirs.readable().await.unwrap();
            let mut bytes = [0; 3];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let slices = &mut [IoSliceMut::new(&mut bytes)];
            recvmsg(&theirs, slices, &mut control, RecvFlags::empty()).unwrap();
            let passed: Vec<OwnedFd> = control
                .drain()
                .flat_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
                    _ => Vec::new(),
                })
                .collect();
            assert_eq!(bytes, *b"abc");
            assert_eq!(passed.len(), 1);
            let mut passed =
                std::os::unix::net::UnixStream::from(passed.into_iter().next().unwrap());
            std::io::Write::write_all(&mut passed, b"!").unwrap();
            let mut heard = [0];
            std::io::Read::read_exact(&mut &other_end, &mut heard).unwrap();
            assert_eq!(heard, *b"!");
        });
    }
}
