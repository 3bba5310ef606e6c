//! The SSH door: the daemon as the server that a stock client speaks to. It asks for no key: the socket
//! said who is there. What is done through it walks as every door's does (`door/agent/bridge`).

mod budget;
mod command;
mod connection;
mod forward;
mod inbox;
mod sftp;
mod terminal;
mod unread;

use std::{borrow::Cow, io, net::Shutdown, sync::Arc, time::Duration};

use russh::{
    Disconnect, MethodKind, Preferred, SshId, cipher,
    keys::PrivateKey,
    server::{Config, run_stream},
};
use tokio::{io::BufReader, net::UnixStream, time::timeout};
use tokio_util::sync::CancellationToken;

pub use self::budget::{Budget, Budgets, Charge};
use self::connection::Connection;
use super::agent::Bridge;

/// How long a client may take until it has logged in, which asks nobody for anything.
const LOGIN: Duration = Duration::from_secs(60);
/// How long a good-bye may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// What a client may send on a channel before more is asked for, in bytes.
const WINDOW: u32 = 512 * 1024;
/// The largest packet that clients take; OpenSSH's own are half of it.
const PACKET: u32 = 65_535;
/// What is read at once of small packets, in bytes: russh reads each one's length by itself. Large reads go past it.
const READ: usize = 4096;
/// Messages of channels that wait for the connection, each of at most a packet.
const EVENTS: usize = 16;
/// The client's order counts; these are what it may choose from.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_256_CTR,
    cipher::AES_128_CTR,
];

/// The way to hang up from outside russh, which keeps the stream.
struct Wire(std::os::unix::net::UnixStream);

impl Drop for Wire {
    fn drop(&mut self) {
        // Fails where it is cut already.
        let _gone = self.0.shutdown(Shutdown::Both);
    }
}

/// Serves one SSH client until it goes, or until nothing may go through its bridge any more.
pub async fn serve(bridge: Bridge, stream: UnixStream) {
    let bridge = Arc::new(bridge);
    if let Err(error) = converse(bridge, stream).await {
        tracing::info!(%error, "an SSH client's connection ended");
    }
}

async fn converse(bridge: Arc<Bridge>, stream: UnixStream) -> Result<(), russh::Error> {
    let host_key = bridge.host_key().map_err(|failure| io::Error::other(failure.message))?;
    let stream = stream.into_std()?;
    // Whatever ends this ends the connection, and with it what runs in its channels.
    let _wire = Wire(stream.try_clone()?);
    let stream = BufReader::with_capacity(READ, UnixStream::from_std(stream)?);
    let logged_in = CancellationToken::new();
    let connection = Connection::new(bridge.clone(), logged_in.clone());
    let running = run_stream(Arc::new(config(host_key)), stream, connection);
    let running = timeout(LOGIN, running).await.map_err(|_| russh::Error::InactivityTimeout)??;
    let handle = running.handle();
    let never_logs_in = async {
        tokio::time::sleep(LOGIN).await;
        if logged_in.is_cancelled() {
            std::future::pending().await
        }
    };
    tokio::pin!(running);
    let why = tokio::select! {
        ended = &mut running => return ended,
        () = never_logs_in => "nobody logged in",
        why = bridge.over() => why,
    };
    let goodbye = handle.disconnect(Disconnect::ByApplication, why.to_owned(), "en".to_owned());
    // It is said when the client's connection has ended with it.
    let said = async {
        let _gone = goodbye.await;
        let _ended = running.await;
    };
    let _late = timeout(FAREWELL, said).await;
    Ok(())
}

fn config(host_key: PrivateKey) -> Config {
    Config {
        // Clients (asyncssh) look for the name to know in which order a link's two paths are said; OpenSSH's own
        // tells only who begins with it that it reads no more (`unread`).
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-OpenSSH_sgw")),
        methods: [MethodKind::None][..].into(),
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![host_key],
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        event_buffer_size: EVENTS,
        preferred: Preferred { cipher: Cow::Borrowed(CIPHERS), ..Preferred::DEFAULT },
        inactivity_timeout: None,
        keepalive_interval: None,
        ..Config::default()
    }
}
