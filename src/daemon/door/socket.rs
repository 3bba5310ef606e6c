//! The two sockets: made, guarded and accepted from; and file descriptors that come over one.

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::{
    io::{AsyncRead, Interest, ReadBuf},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use crate::protocol::{
    agent::Message,
    error::{Code, Failure},
    frame::{self, Frame},
};

/// Connections that are served at once, on each socket; of those on the operator's few without proof.
const CONNECTIONS: usize = 1024;
/// Descriptors that wait to be taken by an approval.
const DESCRIPTORS: usize = 16;

/// Both sockets, listening. The files of those that were made here go with it.
pub struct Listeners {
    pub agent: UnixListener,
    pub operator: UnixListener,
    paths: Vec<PathBuf>,
}

/// Whose connections are taken.
#[derive(Clone, Copy, Debug)]
pub enum Admit {
    /// Our own uid's.
    Own,
    /// Everybody's whom the socket's file lets in.
    Anyone,
    /// Those of this uid that also have this group.
    Both { uid: u32, gid: u32 },
}

impl Admit {
    fn lets_in(self, peer: Peer) -> bool {
        match self {
            Self::Own => peer.uid == rustix::process::getuid().as_raw(),
            Self::Anyone => true,
            Self::Both { uid, gid } => peer.uid == uid && peer.gid == gid,
        }
    }
}

impl Listeners {
    /// Listens at both paths, in a directory that is ours alone. A file that is there is a stale
    /// one: the caller holds the home's lock.
    pub fn bind(agent: PathBuf, operator: PathBuf) -> io::Result<Self> {
        Ok(Self { agent: bind(&agent)?, operator: bind(&operator)?, paths: vec![agent, operator] })
    }

    /// Those that were opened for us. In a runtime.
    pub fn handed(agent: OwnedFd, operator: OwnedFd) -> io::Result<Self> {
        let of = |socket: OwnedFd| {
            let listener = std::os::unix::net::UnixListener::from(socket);
            listener.set_nonblocking(true)?;
            UnixListener::from_std(listener)
        };
        Ok(Self { agent: of(agent)?, operator: of(operator)?, paths: Vec::new() })
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for path in &self.paths {
            // Gone already is as good.
            let _gone = std::fs::remove_file(path);
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    listener
}

/// Accepts until `end` whom it admits. Who comes when all places are taken is told.
pub async fn accept<F>(
    listener: &UnixListener,
    admit: Admit,
    end: &CancellationToken,
    serve: impl Fn(UnixStream, Peer) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: others will close theirs.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let peer = match Peer::of(&stream) {
            Ok(peer) if admit.lets_in(peer) => peer,
            other => {
                tracing::warn!(?other, "a peer of another uid or group was turned away");
                continue;
            }
        };
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let serving = serve(stream, peer);
                tokio::spawn(async move {
                    let _place = place;
                    serving.await;
                });
            }
            Err(_) => {
                tokio::spawn(refuse(stream));
            }
        }
    }
}

async fn refuse(mut stream: UnixStream) {
    let failure = Failure::new(
        Code::LimitConnections,
        "too many callers at once",
        "wait for some of your calls to end",
    );
    if let Ok(frame) = Frame::json(0, &Message::Error(failure)) {
        // One small frame fits the socket's buffer; a peer that is gone needs none.
        let _gone = frame::write(&mut stream, &frame).await;
    }
}

/// Descriptors that a peer passed, oldest first. Who has proven nothing passes none.
#[derive(Clone, Default)]
pub struct Passed(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    accepted: bool,
    descriptors: VecDeque<OwnedFd>,
}

impl Passed {
    /// Takes all that have come so far.
    pub fn take(&self) -> Vec<OwnedFd> {
        self.lock().descriptors.drain(..).collect()
    }

    /// From now on they are kept.
    pub fn accept(&self) {
        self.lock().accepted = true;
    }

    fn add(&self, descriptor: OwnedFd) {
        let mut waiting = self.lock();
        // One too many is closed here.
        if waiting.accepted && waiting.descriptors.len() < DESCRIPTORS {
            waiting.descriptors.push_back(descriptor);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a socket with recvmsg(2), so that descriptors on any byte are collected.
pub struct PassingReader {
    stream: Arc<UnixStream>,
    passed: Passed,
}

impl PassingReader {
    pub fn new(stream: Arc<UnixStream>) -> (Self, Passed) {
        let passed = Passed::default();
        (Self { stream, passed: passed.clone() }, passed)
    }

    fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(into)];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = recvmsg(&self.stream, &mut slices, &mut ancillary, flags)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                descriptors.for_each(|descriptor| self.passed.add(descriptor));
            }
        }
        Ok(received.bytes)
    }
}

impl AsyncRead for PassingReader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            let into = buffer.initialize_unfilled();
            match self.stream.try_io(Interest::READABLE, || self.receive(into)) {
                Ok(bytes) => {
                    buffer.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// Writes the other half of the same socket.
pub struct SharedWriter(pub Arc<UnixStream>);

impl tokio::io::AsyncWrite for SharedWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(
            rustix::net::shutdown(&self.0, rustix::net::Shutdown::Write).map_err(Into::into),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_proven_nothing_fills_no_table_of_descriptors() {
        let null = || std::fs::File::open("/dev/null").unwrap().into();
        let passed = Passed::default();
        passed.add(null());
        assert!(passed.take().is_empty());
        passed.accept();
        (0..DESCRIPTORS + 3).for_each(|_| passed.add(null()));
        assert_eq!(passed.take().len(), DESCRIPTORS);
    }
}
