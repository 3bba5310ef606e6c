//! The way to a target: dial, shake hands, have the host key judged, log in; hop by hop.

use std::{borrow::Cow, io, net::SocketAddr, sync::Arc, time::Duration};

use russh::{
    Preferred, cipher,
    client::{self, Config},
    compression,
    keys::{Algorithm, HashAlg},
};
use tokio::{
    net::{TcpStream, lookup_host},
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    AskOperator, ConnectError, ConnectFault, Connection, HopPlan, HostKeyJudge, Plan, Step, auth,
    connection::{Leg, NoChannel},
    forward::Listeners,
    handler::{Farewell, Fault, Handler, Phase, words},
    machine::Known,
    proxy,
    slots::{Refusal, Slots},
    wire::Wire,
};
use crate::domain::target::Hop;

/// For DNS and TCP; again for the handshake up to the host key, for what follows its judgement,
/// and for the first session channel.
pub(super) const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 15 });
/// A dead network is noticed after three of these.
const KEEPALIVE: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 15 });
/// Channel messages that wait unread before the connection stops for them: 64 of 32 KiB.
const UNREAD: usize = 64;

/// Goes the whole way. On the target a first session channel is opened: a server that hangs up or
/// opens no session after the login is found out here.
///
/// May be given up at any time: what was connected by then is cut.
pub async fn connect(
    plan: &Plan,
    judge: Arc<dyn HostKeyJudge>,
) -> Result<Connection, ConnectError> {
    connect_asking(plan, judge, None).await
}

/// As [`connect`]; what a server asks at login that the plan has no answer to, `ask` is asked.
pub async fn connect_asking(
    plan: &Plan,
    judge: Arc<dyn HostKeyJudge>,
    ask: Option<&dyn AskOperator>,
) -> Result<Connection, ConnectError> {
    let mut legs: Vec<Leg> = Vec::new();
    let mut asked_at = Vec::new();
    for next in &plan.hops {
        let at = |cause| ConnectError { hop: next.hop.clone(), cause };
        let from = match legs.last() {
            Some(jump) => From::Jump(jump),
            None => From::Here(plan.proxy_command.as_deref()),
        };
        let (leg, asked) = reach(from, next, &judge, ask).await.map_err(at)?;
        legs.push(leg);
        asked_at.extend(asked.then(|| next.hop.clone()));
    }
    let (Some(target), Some(last)) = (legs.pop(), plan.hops.last()) else {
        let hop = Hop { user: String::new(), host: String::new(), port: 0 };
        return Err(ConnectError { hop, cause: ConnectFault::NoRoute });
    };
    let connection = Connection::new(target, legs, asked_at);
    match first_channel(&connection).await {
        Ok(()) => Ok(connection),
        Err(cause) => Err(ConnectError { hop: last.hop.clone(), cause }),
    }
}

/// Where a hop is reached from.
pub(super) enum From<'a> {
    /// This machine, by TCP or by a command that leads there.
    Here(Option<&'a str>),
    Jump(&'a Leg),
}

async fn reach(
    from: From<'_>,
    next: &HopPlan,
    judge: &Arc<dyn HostKeyJudge>,
    ask: Option<&dyn AskOperator>,
) -> Result<(Leg, bool), ConnectFault> {
    let (wire, cut, address) = match from {
        From::Here(None) => dial(&next.hop).await?,
        From::Here(Some(command)) => {
            let (wire, cut) = proxy::start(command, &next.hop)?;
            (wire, cut, None)
        }
        From::Jump(jump) => tunnel(jump, &next.hop).await?,
    };
    let mut leg = shake_hands(wire, cut, Known::at(address), &next.hop, judge).await?;
    match auth::login(&mut leg, next, ask).await {
        Ok(asked) => Ok((leg, asked)),
        Err(ConnectFault::Closed { at, words: None }) => Err(leg.closed(at)),
        Err(fault) => Err(fault),
    }
}

async fn first_channel(connection: &Connection) -> Result<(), ConnectFault> {
    connection.slots().begin();
    match timeout(PATIENCE, connection.open_ahead()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(NoChannel::Refused(Refusal::Never(words)))) => Err(ConnectFault::NoSession(words)),
        Ok(Err(NoChannel::Refused(Refusal::Full))) => {
            Err(ConnectFault::NoSession(String::from("full")))
        }
        Ok(Err(NoChannel::Lost)) => Err(connection.leg().closed(Step::Session)),
        Err(_) => Err(ConnectFault::TimedOut(Step::Session, PATIENCE)),
    }
}

/// A stream, what cuts it, and where it goes if that is known.
pub(super) type Dialled = (Wire, CancellationToken, Option<SocketAddr>);

async fn dial(hop: &Hop) -> Result<Dialled, ConnectFault> {
    let late = || ConnectFault::TimedOut(Step::Connecting, PATIENCE);
    let deadline = Instant::now() + PATIENCE;
    let addresses = timeout_at(deadline, look_up(hop)).await.map_err(|_| late())??;
    connect_to(&addresses, deadline).await.map(|(wire, cut, address)| (wire, cut, Some(address)))
}

pub(super) async fn look_up(hop: &Hop) -> Result<Vec<SocketAddr>, ConnectFault> {
    let found = lookup_host((hop.host.as_str(), hop.port)).await;
    Ok(found.map_err(ConnectFault::NoSuchHost)?.collect())
}

/// The first of the addresses that answers, until the deadline.
pub(super) async fn connect_to(
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<(Wire, CancellationToken, SocketAddr), ConnectFault> {
    let late = || ConnectFault::TimedOut(Step::Connecting, PATIENCE);
    let mut failure = None;
    for (tried, address) in addresses.iter().enumerate() {
        // Each gets its share of the time, so that a dead one does not use up the others'.
        let share = (addresses.len() - tried) as u32;
        let time = deadline.saturating_duration_since(Instant::now()) / share;
        match timeout(time, TcpStream::connect(address)).await {
            Err(_) => {}
            Ok(Err(error)) => failure = Some(error),
            Ok(Ok(stream)) => {
                tune(&stream).map_err(ConnectFault::Unreachable)?;
                let cut = CancellationToken::new();
                return Ok((Wire::new(stream, cut.clone()), cut, *address));
            }
        }
    }
    Err(failure.map_or_else(late, ConnectFault::Unreachable))
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // russh sends no keepalive while a write is stuck; then the kernel gives up for us (tcp(7)).
    let patience = KEEPALIVE * 3;
    rustix::net::sockopt::set_tcp_user_timeout(stream, patience.as_millis() as u32)?;
    Ok(())
}

/// A stream through a jump host. It is cut when the jump is lost.
pub(super) async fn tunnel(jump: &Leg, hop: &Hop) -> Result<Dialled, ConnectFault> {
    let asked = jump.handle.channel_open_direct_tcpip(&hop.host, hop.port.into(), "127.0.0.1", 0);
    match timeout(PATIENCE, asked).await {
        Err(_) => Err(ConnectFault::TimedOut(Step::Connecting, PATIENCE)),
        Ok(Ok(channel)) => {
            let cut = jump.lost.child_token();
            Ok((Wire::new(channel.into_stream(), cut.clone()), cut, None))
        }
        Ok(Err(russh::Error::ChannelOpenFailure(_))) => match jump.slots.refusal().await {
            Refusal::Never(words) => Err(ConnectFault::JumpRefused(words)),
            Refusal::Full => Err(ConnectFault::JumpRefused(String::from("full"))),
        },
        Ok(Err(_)) => Err(jump.closed(Step::Connecting)),
    }
}

pub(super) async fn shake_hands(
    wire: Wire,
    cut: CancellationToken,
    known: Known,
    hop: &Hop,
    judge: &Arc<dyn HostKeyJudge>,
) -> Result<Leg, ConnectFault> {
    // Until it has succeeded nobody else would end russh's task.
    let abort = cut.clone().drop_guard();
    let (phase, progress) = watch::channel(Phase::Handshake);
    let lost = CancellationToken::new();
    let farewell = Farewell::default();
    let slots = Arc::new(Slots::new());
    let listeners = Arc::new(Listeners::default());
    let handler = Handler {
        listeners: listeners.clone(),
        hop: hop.clone(),
        judge: Arc::clone(judge),
        phase,
        slots: Arc::clone(&slots),
        farewell: farewell.clone(),
        known: known.clone(),
        cut: cut.clone(),
        _lost: lost.clone().drop_guard(),
    };
    let (heard, lookout) = (wire.heard(), wire.lookout());
    let certificates = judge.knows_authorities(hop);
    let config = Arc::new(config(&judge.preferred(hop), certificates));
    let outcome = tokio::select! {
        outcome = client::connect_stream(config, wire, handler) => outcome,
        () = too_long(progress) => {
            return Err(ConnectFault::TimedOut(Step::Handshake, PATIENCE));
        }
    };
    match outcome {
        Ok(handle) => {
            let cut = abort.disarm();
            Ok(Leg { handle, slots, farewell, known, lost, cut, lookout, listeners })
        }
        Err(fault) => Err(explain(fault, &heard.bytes())),
    }
}

/// Returns when the server has used up its time; while a person thinks, no time passes.
async fn too_long(mut phase: watch::Receiver<Phase>) {
    let judging = phase.wait_for(|phase| *phase != Phase::Handshake);
    if timeout(PATIENCE, judging).await.is_err() {
        return;
    }
    let _ = phase.wait_for(|phase| *phase == Phase::Judged).await;
    sleep(PATIENCE).await;
}

fn explain(fault: Fault, heard: &[u8]) -> ConnectFault {
    let error = match fault {
        Fault::HostKey(refusal) => return ConnectFault::HostKey(refusal),
        Fault::Russh(error) => error,
    };
    let first = heard.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let said: String = String::from_utf8_lossy(first).trim().chars().take(80).collect();
    match error {
        russh::Error::NoCommonAlgo { kind, theirs, .. } => ConnectFault::NoCommonAlgorithm {
            kind: format!("{kind:?}").to_lowercase(),
            theirs: words(&theirs.join(", ")),
        },
        russh::Error::Version => ConnectFault::NoSsh(said),
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_) => {
            // OpenSSH says these two instead of its version when it has too many connections, or
            // has had enough of ours (sshd_config(5): MaxStartups, PerSourcePenalties).
            let busy = ["Exceeded MaxStartups", "Not allowed at this time"].contains(&&*said);
            if said.is_empty() || said.starts_with("SSH-") || busy {
                let words = busy.then_some(said);
                ConnectFault::Closed { at: Step::Handshake, words }
            } else {
                ConnectFault::NoSsh(said)
            }
        }
        other => ConnectFault::Broken(words(&other.to_string())),
    }
}

fn config(preferred: &[Algorithm], certificates: bool) -> Config {
    let algorithms = host_key_algorithms(preferred);
    Config {
        client_id: russh::SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-sgw_",
            env!("CARGO_PKG_VERSION")
        ))),
        nodelay: true,
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: 2,
        channel_buffer_size: UNREAD,
        preferred: Preferred {
            host_key_certificates: match certificates {
                true => Cow::Owned(algorithms.clone()),
                false => Cow::Borrowed(&[]),
            },
            key: Cow::Owned(algorithms),
            cipher: Cow::Borrowed(CIPHERS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        ..Config::default()
    }
}

/// Fastest first, on anything with AES instructions. russh does not offer the first by itself.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// Those that are known for the host first, then russh's others; no SHA-1.
fn host_key_algorithms(preferred: &[Algorithm]) -> Vec<Algorithm> {
    let mut order: Vec<Algorithm> = Vec::new();
    let known = preferred.iter().flat_map(|algorithm| match algorithm {
        // A key says RSA; the hash is of the signature.
        Algorithm::Rsa { .. } => vec![
            Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
            Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
        ],
        other => vec![other.clone()],
    });
    for algorithm in known.chain(Preferred::DEFAULT.key.iter().cloned()) {
        let sound = Preferred::DEFAULT.key.contains(&algorithm)
            && algorithm != Algorithm::Rsa { hash: None };
        if sound && !order.contains(&algorithm) {
            order.push(algorithm);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_host_keys_are_asked_for_first_and_sha1_never() {
        let order = host_key_algorithms(&[Algorithm::Rsa { hash: None }, Algorithm::Ed25519]);
        assert_eq!(order[0], Algorithm::Rsa { hash: Some(HashAlg::Sha512) });
        assert_eq!(order[1], Algorithm::Rsa { hash: Some(HashAlg::Sha256) });
        assert_eq!(order[2], Algorithm::Ed25519);
        assert!(!order.contains(&Algorithm::Rsa { hash: None }));
        assert_eq!(order.len(), 6);
    }

    #[test]
    fn what_answers_instead_of_ssh_is_quoted() {
        let gone = || Fault::Russh(russh::Error::Disconnect);
        let http = explain(gone(), b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n");
        assert!(matches!(http, ConnectFault::NoSsh(said) if said == "HTTP/1.1 400 Bad Request"));
        for quiet in [&b""[..], b"SSH-2.0-OpenSSH_9.2\r\n", b"Exceeded MaxStartups\r\n"] {
            let fault = explain(gone(), quiet);
            assert!(matches!(fault, ConnectFault::Closed { at: Step::Handshake, .. }), "{fault}");
        }
    }
}
