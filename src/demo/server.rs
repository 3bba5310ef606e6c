//! An SSH server on loopback that lets one account run commands in one directory: the demo's target,
//! and, with an [`Oddness`], the server that tests need and nobody should meet.

mod connection;
mod exec;

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use russh::{
    MethodKind, MethodSet, SshId,
    keys::{HashAlg, PrivateKey, PublicKey},
    server::{Config, run_stream},
};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{AbortHandle, JoinSet},
};

use crate::domain::secret::Secret;
use connection::Connection;

/// More than any test or demo opens; the next one is turned away.
const MOST_CONNECTIONS: usize = 1024;

/// Who may log in, and where the commands run. Without password and key nobody may.
pub struct Account {
    pub user: String,
    pub password: Option<Secret<String>>,
    pub key: Option<PublicKey>,
    /// Working directory and `HOME` of every command.
    pub directory: PathBuf,
}

/// One thing that the server does wrong, or merely not as most do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Oddness {
    #[default]
    None,
    /// Accepts the connection and never says a byte.
    HangsAfterAccept,
    /// Says its version and nothing more.
    HangsAfterVersion,
    /// Sends this many bytes of lines before its version, which RFC 4253 section 4.2 allows.
    LinesBeforeVersion(usize),
    /// Sends an authentication banner of this many bytes, in one packet (RFC 4252 section 5.4).
    Banner(usize),
    /// Asks questions at the login: keyboard-interactive (RFC 4256).
    Asks(Interview),
    /// Drops the connection as soon as the login has succeeded.
    ClosesAfterAuth,
    /// Allows so many channels a connection at the same time, as OpenSSH's `MaxSessions` does.
    MaxSessions(usize),
    /// Shows another host key to each connection.
    NewHostKeyEachTime,
    /// Drops the connection after the first output of a command.
    DropsDuringExec,
    /// Takes an exec request and never answers it.
    NeverAnswersExec,
}

/// A keyboard-interactive login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interview {
    /// Wants the account's key first.
    pub after_key: bool,
    pub rounds: Vec<Round>,
    /// After the last round comes the last round.
    pub for_ever: bool,
}

/// What is asked at once. A wrong answer ends the interview.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    pub name: String,
    pub instructions: String,
    pub questions: Vec<Question>,
}

/// One question, and the answer that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub text: String,
    pub echo: bool,
    pub answer: String,
}

/// What reached the server so far: a test can claim that nothing did.
#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    credentials: AtomicU64,
    commands: AtomicU64,
    bytes: AtomicU64,
}

/// A running server. Dropping it ends the connections and what runs in them.
pub struct Server {
    address: SocketAddr,
    host_key: PublicKey,
    seen: Arc<Seen>,
    hang_up: Arc<Notify>,
    accepting: AbortHandle,
}

impl Server {
    /// Listens on a free port of 127.0.0.1, in the tokio runtime of the caller.
    ///
    /// # Errors
    /// When no socket can be bound or the system has no randomness.
    pub async fn start(account: Account, oddness: Oddness) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let host_key = new_host_key()?;
        let seen = Arc::new(Seen::default());
        let public = host_key.public_key().clone();
        let hang_up = Arc::new(Notify::new());
        let (counts, word) = (Arc::clone(&seen), Arc::clone(&hang_up));
        let house = House { account, oddness, host_key, seen: counts, hang_up: word };
        let accepting = tokio::spawn(accept(listener, Arc::new(house))).abort_handle();
        Ok(Self { address, host_key: public, seen, hang_up, accepting })
    }

    /// Ends the connections that there are, and goes on listening.
    pub fn hang_up(&self) {
        self.hang_up.notify_waiters();
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As OpenSSH prints it: `SHA256:` and base64.
    pub fn fingerprint(&self) -> String {
        self.host_key.fingerprint(HashAlg::Sha256).to_string()
    }

    pub fn host_key(&self) -> &PublicKey {
        &self.host_key
    }

    /// TCP connections accepted.
    pub fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Passwords, keys and answers that were offered, right or wrong.
    pub fn credentials(&self) -> u64 {
        self.seen.credentials.load(Ordering::SeqCst)
    }

    /// Exec requests received.
    pub fn commands(&self) -> u64 {
        self.seen.commands.load(Ordering::SeqCst)
    }

    /// Bytes received on all connections, encrypted or not.
    pub fn bytes(&self) -> u64 {
        self.seen.bytes.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What all connections share.
struct House {
    account: Account,
    oddness: Oddness,
    host_key: PrivateKey,
    seen: Arc<Seen>,
    hang_up: Arc<Notify>,
}

impl House {
    fn config(&self) -> io::Result<Config> {
        let host_key = match self.oddness {
            Oddness::NewHostKeyEachTime => new_host_key()?,
            _ => self.host_key.clone(),
        };
        Ok(Config {
            server_id: SshId::Standard("SSH-2.0-sgw-demo".into()),
            methods: self.methods(),
            keys: vec![host_key],
            auth_rejection_time: Duration::ZERO,
            inactivity_timeout: None,
            nodelay: true,
            ..Config::default()
        })
    }

    fn methods(&self) -> MethodSet {
        let mut methods = MethodSet::empty();
        if let Oddness::Asks(interview) = &self.oddness {
            methods.push(match interview.after_key {
                true => MethodKind::PublicKey,
                false => MethodKind::KeyboardInteractive,
            });
            return methods;
        }
        if self.account.key.is_some() {
            methods.push(MethodKind::PublicKey);
        }
        if self.account.password.is_some() {
            methods.push(MethodKind::Password);
        }
        methods
    }
}

async fn accept(listener: TcpListener, house: Arc<House>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: some come back when a connection ends.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if connections.len() < MOST_CONNECTIONS {
            house.seen.connections.fetch_add(1, Ordering::SeqCst);
            let house = Arc::clone(&house);
            connections.spawn(async move {
                let over = Arc::clone(&house.hang_up);
                tokio::select! {
                    served = serve(stream, house) => served,
                    () = over.notified() => Ok(()),
                }
            });
        }
    }
}

/// One connection, from its first byte to its last.
async fn serve(stream: TcpStream, house: Arc<House>) -> io::Result<()> {
    let stream = stream.into_std()?;
    let wire = Arc::new(Wire(stream.try_clone()?));
    let _hung_up_at_the_end = HangUp(Arc::clone(&wire));
    let mut stream =
        Counted { stream: TcpStream::from_std(stream)?, seen: Arc::clone(&house.seen) };
    match house.oddness {
        Oddness::HangsAfterAccept => return stream.read_for_ever().await,
        Oddness::HangsAfterVersion => {
            stream.write_all(b"SSH-2.0-sgw-demo\r\n").await?;
            return stream.read_for_ever().await;
        }
        Oddness::LinesBeforeVersion(bytes) => {
            let line = [b"nothing to see here, please move on".as_slice(), b"\r\n"].concat();
            for _ in 0..bytes.div_ceil(line.len()) {
                stream.write_all(&line).await?;
            }
        }
        _ => {}
    }
    let config = Arc::new(house.config()?);
    let connection = Connection::new(house, Arc::clone(&wire));
    let session = run_stream(config, stream, connection).await.map_err(io::Error::other)?;
    session.await.map_err(io::Error::other)
}

/// The way to hang up from outside russh, which keeps the stream: russh then finds it at its end and
/// lets go of the channels, and the commands in them end.
struct Wire(std::net::TcpStream);

impl Wire {
    fn cut(&self) {
        // Fails when it is cut already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Hangs up when the connection's task ends, for whatever reason.
struct HangUp(Arc<Wire>);

impl Drop for HangUp {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// A stream that counts what it receives.
struct Counted {
    stream: TcpStream,
    seen: Arc<Seen>,
}

impl Counted {
    async fn read_for_ever(mut self) -> io::Result<()> {
        tokio::io::copy(&mut self, &mut tokio::io::sink()).await.map(drop)
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let received = buffer.filled().len() - before;
        self.seen.bytes.fetch_add(received as u64, Ordering::SeqCst);
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn new_host_key() -> io::Result<PrivateKey> {
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
    PrivateKey::new(pair, "").map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
