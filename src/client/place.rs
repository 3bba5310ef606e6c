//! Where the daemon of an instance is, and the way to its two sockets.

use std::{
    ffi::OsString,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, time::Instant};

use super::{Connection, Error};
use crate::{
    domain::secret::Secret,
    home::{Home, HomeError},
};

/// How long a daemon may take to say hello before it counts as dead.
const HELLO: Duration = Duration::from_secs(5);
/// How long, and after which pause, a socket is tried again where too many wait to be accepted.
const FULL: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(2);
/// How often, and after which pause, the operator's socket is tried again where its places are taken.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// How long a daemon that was told to end may take to close its sessions.
const GONE: Duration = Duration::from_secs(30);

/// One instance of sgw: everything of it is under one directory.
#[derive(Clone, Debug)]
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// `sgw_home` is the value of `SGW_HOME`.
    pub fn find(sgw_home: Option<OsString>) -> Result<Self, Error> {
        Ok(Self { path: Home::locate(sgw_home)? })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The agents' socket. Fails at once where no daemon runs; who answers there shows with the first
    /// request.
    pub async fn agent(&self, token: Option<Secret<String>>) -> Result<Connection, Error> {
        let stream = self.connect(Home::agent_socket).await?;
        Connection::agent(stream, token).await
    }

    /// The operator's socket without proof: it takes what looks and what narrows.
    pub async fn operator(&self) -> Result<Connection, Error> {
        again(async || {
            let stream = self.connect(Home::operator_socket).await?;
            in_time(Connection::operator(stream)).await
        })
        .await
    }

    /// One question without proof, and its answer. Asked again where somebody took its place.
    pub async fn ask<Reply: DeserializeOwned>(
        &self,
        request: &impl Serialize,
    ) -> Result<Reply, Error> {
        for _ in 1..TRIES {
            match self.operator().await?.call(request).await {
                Err(error) if error.is_crowded() => tokio::time::sleep(PAUSE).await,
                answer => return answer,
            }
        }
        self.operator().await?.call(request).await
    }

    /// The operator's socket as it is, for the Noise session.
    pub(super) async fn operator_stream(&self) -> Result<UnixStream, Error> {
        self.connect(Home::operator_socket).await
    }

    /// Ends a daemon that can't be talked to (another version, or silent), and waits until it is gone.
    pub async fn end_daemon(&self) -> Result<(), Error> {
        let mut stream = self.connect(Home::operator_socket).await?;
        let peer = stream.peer_cred().map_err(Error::local("ask who the daemon is"))?;
        let pid = peer.pid().and_then(Pid::from_raw).ok_or(Error::Silent)?;
        // A handle, so that nobody else can have the number by the time of the signal.
        pidfd_open(pid, PidfdFlags::empty())
            .and_then(|daemon| pidfd_send_signal(daemon, Signal::TERM))
            .map_err(|errno| Error::local("end the daemon")(errno.into()))?;
        let mut nowhere = tokio::io::sink();
        let gone = tokio::io::copy(&mut stream, &mut nowhere);
        let gone = tokio::time::timeout(GONE, gone).await;
        gone.map(|_| ()).map_err(|_| Error::Silent)
    }

    async fn connect(
        &self,
        socket: fn(&Home) -> Result<PathBuf, HomeError>,
    ) -> Result<UnixStream, Error> {
        let home = Home::open(&self.path)?;
        let path = socket(&home)?;
        let over = Instant::now() + FULL;
        let stream = loop {
            match UnixStream::connect(&path).await {
                Ok(stream) => break stream,
                // Others wait to be let in: a daemon that lives makes room.
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < over => {
                    tokio::time::sleep(MOMENT).await;
                }
                Err(error) => return Err(self.why_not(&home, &error)),
            }
        };
        let peer = stream.peer_cred().map_err(Error::local("ask who the daemon is"))?;
        if peer.uid() != geteuid().as_raw() {
            return Err(Error::Foreign(peer.uid()));
        }
        Ok(stream)
    }

    fn why_not(&self, home: &Home, error: &std::io::Error) -> Error {
        match home.header() {
            Ok(None) => Error::NotSetUp,
            // From within a sandbox the vault can't be seen; that no daemon answers can.
            Err(HomeError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                Error::Locked
            }
            Err(error) => Error::Home(error),
            Ok(Some(_)) if error.kind() == ErrorKind::WouldBlock => Error::Silent,
            Ok(Some(_)) => Error::Locked,
        }
    }
}

/// Tries again for a while where too many are there: others have to go for whoever comes.
pub(super) async fn again<T>(
    mut attempt: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    for _ in 1..TRIES {
        match attempt().await {
            Err(error) if error.is_crowded() || matches!(error, Error::Lost) => {}
            outcome => return outcome,
        }
        tokio::time::sleep(PAUSE).await;
    }
    attempt().await
}

/// A daemon that accepts and stays silent must not hold anybody up.
pub(super) async fn in_time<T>(hello: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(HELLO, hello).await.unwrap_or(Err(Error::Silent))
}
