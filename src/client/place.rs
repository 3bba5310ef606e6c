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

use super::{Connection, Error, service};
use crate::{
    domain::secret::Secret,
    home::{
        Home, HomeError,
        service::{AGENT, OPERATOR, Service},
    },
    protocol::{
        error::{Code, Failure},
        hello::Welcome,
        operator::service::{LOCKED, NEW},
    },
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

/// One instance of sgw: everything of it is under one directory, or a service of the machine.
#[derive(Clone, Debug)]
pub struct Place {
    path: PathBuf,
    service: Option<Service>,
}

impl Place {
    /// The service that this program belongs to; without one, the instance in `sgw_home`, the value of
    /// `SGW_HOME`, which means nothing to a service.
    pub fn find(sgw_home: Option<OsString>) -> Result<Self, Error> {
        let service = Service::here()?;
        let path = match &service {
            Some(service) => service.layout.home.clone(),
            None => Home::locate(sgw_home)?,
        };
        Ok(Self { path, service })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn service(&self) -> Option<&Service> {
        self.service.as_ref()
    }

    /// The agents' socket. Fails at once where no daemon runs; who answers there shows with the first
    /// request.
    pub async fn agent(&self, token: Option<Secret<String>>) -> Result<Connection, Error> {
        let stream = self.connect(AGENT).await?;
        Connection::agent(stream, token).await
    }

    /// The operator's socket without proof: it takes what looks and what narrows. A service's daemon
    /// that waits for its key is as good as none.
    pub async fn operator(&self) -> Result<Connection, Error> {
        let (connection, welcome) = self.greet().await?;
        match () {
            () if welcome.has(NEW) => Err(Error::NotSetUp),
            () if welcome.has(LOCKED) => Err(Error::Locked),
            () => Ok(connection),
        }
    }

    /// The operator's socket without proof, whatever the daemon waits for.
    pub(super) async fn greet(&self) -> Result<(Connection, Welcome), Error> {
        again(async || {
            let stream = self.connect(OPERATOR).await?;
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
        self.connect(OPERATOR).await
    }

    /// Ends a daemon that can't be talked to (another version, or silent), and waits until it is gone.
    pub async fn end_daemon(&self) -> Result<(), Error> {
        if self.service.is_some() {
            // Another user's, and who listens at its sockets is systemd.
            let hint = "root ends it: systemctl kill -s KILL sgw.service";
            let message = "the daemon does not answer, and is not yours to end";
            return Err(Failure::new(Code::DaemonFailed, message, hint).into());
        }
        let mut stream = self.connect(OPERATOR).await?;
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

    pub(super) async fn connect(&self, socket: &'static str) -> Result<UnixStream, Error> {
        if let Some(service) = &self.service {
            return service::connect(service, socket).await;
        }
        let home = Home::open(&self.path)?;
        let path = if socket == OPERATOR { home.operator_socket() } else { home.agent_socket() }?;
        let stream = when_there_is_room(async || UnixStream::connect(&path).await)
            .await
            .map_err(|error| why_not(&home, &error))?;
        let peer = stream.peer_cred().map_err(Error::local("ask who the daemon is"))?;
        if peer.uid() != geteuid().as_raw() {
            return Err(Error::Foreign(peer.uid()));
        }
        Ok(stream)
    }
}

/// Connects; where others wait to be let in, again: a daemon that lives makes room.
pub(super) async fn when_there_is_room<T>(
    mut connect: impl AsyncFnMut() -> std::io::Result<T>,
) -> std::io::Result<T> {
    let over = Instant::now() + FULL;
    loop {
        match connect().await {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < over => {
                tokio::time::sleep(MOMENT).await;
            }
            connected => return connected,
        }
    }
}

fn why_not(home: &Home, error: &std::io::Error) -> Error {
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
