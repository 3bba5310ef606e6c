//! A life as a service of the machine: systemd starts it and hands it both sockets; until its key is
//! there it answers nobody but the operator who brings it.

use std::{
    fs::File,
    io::Read,
    os::fd::{BorrowedFd, FromRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use rustix::{
    io::{FdFlags, fcntl_getfd, fcntl_setfd},
    net::{
        AddressFamily, SocketAddrUnix, SocketType, getsockname,
        sockopt::{socket_acceptconn, socket_domain, socket_type},
    },
    process::getuid,
};
use tokio_util::sync::CancellationToken;

use super::{Admits, End, failed, live_on, memory, not_home, open, runtime, take, through};
use crate::{
    daemon::{
        Parts,
        door::{self, Listeners, Places, locked},
        evidence::survive_file_size_limit,
    },
    domain::{
        seal::{DataKey, Header},
        secret::Secret,
    },
    home::{
        Home, Lock,
        service::{AGENT, LOCKED, OPERATOR, Service},
    },
    protocol::{
        error::{Code, Failure},
        handover::Ready,
    },
};

/// The first descriptor that systemd hands over (sd_listen_fds(3)).
const FIRST: i32 = 3;
/// The credential of the unit that holds the passphrase (systemd.exec(5), `LoadCredential`).
const CREDENTIAL: &str = "sgw.passphrase";
/// The longest passphrase file.
const MAX_PASSPHRASE: u64 = 4096;

/// Lives as the daemon of the service that this program belongs to.
pub fn run() -> Result<ExitCode, Failure> {
    // Before anything is opened here, so that nothing of ours can be taken for theirs.
    let sockets = Sockets::inherited()?;
    let service = service()?;
    let sockets = sockets.checked(&service)?;
    let (home, lock) = take(&service.layout.home)?;
    let runtime = runtime().map_err(|error| failed(&error))?;
    Ok(live_on(runtime, live(service, sockets, home, lock)))
}

fn service() -> Result<Service, Failure> {
    let here = Service::here().map_err(|error| not_home(&error))?;
    let service = here.ok_or_else(|| {
        unfit("this program belongs to no service", "root sets one up: sgw init --service")
    })?;
    match getuid().as_raw() {
        uid if uid == service.who.daemon => Ok(service),
        uid => {
            let message = format!("uid {uid} is not the daemon's, uid {}", service.who.daemon);
            Err(unfit(&message, STARTED))
        }
    }
}

const STARTED: &str = "systemd starts it: systemctl start sgw-agent.socket sgw-operator.socket";

fn unfit(message: &str, hint: &str) -> Failure {
    Failure::new(Code::DaemonFailed, message, hint)
}

/// The two sockets, with the names that they came under.
struct Sockets([(String, OwnedFd); 2]);

impl Sockets {
    /// What sd_listen_fds_with_names(3) says was handed to this very process.
    fn inherited() -> Result<Self, Failure> {
        let none = |why: &str| unfit(&format!("no sockets were handed over: {why}"), STARTED);
        let variable = |name| std::env::var(name).unwrap_or_default();
        if variable("LISTEN_PID") != std::process::id().to_string() {
            return Err(none("LISTEN_PID is not this process"));
        }
        if variable("LISTEN_FDS") != "2" {
            return Err(none("LISTEN_FDS is not 2"));
        }
        let names = variable("LISTEN_FDNAMES");
        let Some((first, second)) = names.split_once(':') else {
            return Err(none("LISTEN_FDNAMES has not two names"));
        };
        let of = |name: &str, number| {
            let socket = claim(number).map_err(|error| none(&format!("{name}: {error}")))?;
            Ok::<_, Failure>((name.to_owned(), socket))
        };
        Ok(Self([of(first, FIRST)?, of(second, FIRST + 1)?]))
    }

    /// Each listens at the path that is its own, and nowhere else.
    fn checked(self, service: &Service) -> Result<[OwnedFd; 2], Failure> {
        let [one, other] = self.0;
        let (agent, operator) = match (one.0.as_str(), other.0.as_str()) {
            (AGENT, OPERATOR) => (one.1, other.1),
            (OPERATOR, AGENT) => (other.1, one.1),
            _ => return Err(unfit("the sockets are not named agent and operator", STARTED)),
        };
        for (name, socket) in [(AGENT, &agent), (OPERATOR, &operator)] {
            let path = service.layout.socket(name);
            if !listens_at(socket, &path).map_err(|error| failed(&error))? {
                let message = format!("the socket {name} does not listen at {}", path.display());
                return Err(unfit(&message, STARTED));
            }
        }
        Ok([agent, operator])
    }
}

/// An inherited descriptor becomes ours, and nobody's whom we start.
fn claim(number: i32) -> rustix::io::Result<OwnedFd> {
    // SAFETY: it is only asked about here; one that is not open fails.
    #[allow(unsafe_code, reason = "what is inherited has no owner in this program")]
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(descriptor)?;
    fcntl_setfd(descriptor, flags | FdFlags::CLOEXEC)?;
    // SAFETY: it is open, came with exec, and is claimed once, before this program opens anything.
    #[allow(unsafe_code, reason = "what is inherited has no owner in this program")]
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn listens_at(socket: &OwnedFd, path: &Path) -> rustix::io::Result<bool> {
    let is_ours = socket_domain(socket)? == AddressFamily::UNIX
        && socket_type(socket)? == SocketType::STREAM
        && socket_acceptconn(socket)?;
    if !is_ours {
        return Ok(false);
    }
    let address = SocketAddrUnix::try_from(getsockname(socket)?)?;
    Ok(address == SocketAddrUnix::new(path)?)
}

async fn live(
    service: Service,
    [agent, operator]: [OwnedFd; 2],
    home: Arc<Home>,
    lock: Lock,
) -> ExitCode {
    survive_file_size_limit();
    let listeners = match Listeners::handed(agent, operator) {
        Ok(listeners) => listeners,
        Err(error) => {
            tracing::error!(%error, "the sockets can't be used");
            return ExitCode::FAILURE;
        }
    };
    let parts = match by_credential(&service, &home).await {
        Some(parts) => Some(parts),
        None => until_unlocked(&service, &home, &listeners).await,
    };
    match parts {
        Some(parts) => through(parts, listeners, lock).await,
        None => ExitCode::SUCCESS,
    }
}

async fn opened(
    service: &Service,
    home: &Arc<Home>,
    data_key: DataKey,
) -> Result<(Arc<Parts>, Ready), Failure> {
    memory::keep_bytes(data_key.expose());
    let opened = open(home.clone(), &data_key).await?;
    opened.parts(home.clone(), &data_key, Some(service.clone()))
}

/// What the machine's credential opens. Where it can't, the operator can.
async fn by_credential(service: &Service, home: &Arc<Home>) -> Option<Arc<Parts>> {
    let path = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(CREDENTIAL);
    let passphrase = match read(&path) {
        Ok(passphrase) => passphrase?,
        Err(error) => {
            tracing::error!(%error, "the credential can't be read");
            return None;
        }
    };
    match home.has(LOCKED) {
        Ok(false) => {}
        locked => {
            tracing::info!(?locked, "the operator has locked it: the credential is not used");
            return None;
        }
    }
    let header = Header::from_json(&home.header().ok()??).ok()?;
    let data_key = match tokio::task::block_in_place(|| header.open(&passphrase)) {
        Ok(data_key) => data_key,
        Err(error) => {
            tracing::error!(%error, "the credential does not open the vault");
            return None;
        }
    };
    match opened(service, home, data_key).await {
        Ok((parts, _)) => {
            tracing::info!("unlocked by the machine's credential");
            Some(parts)
        }
        Err(failure) => {
            tracing::error!(code = %failure.code, "the vault can't be opened");
            None
        }
    }
}

/// One line; none where the unit has no such credential.
fn read(path: &Path) -> std::io::Result<Option<Secret<String>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = zeroize::Zeroizing::new(String::with_capacity(MAX_PASSPHRASE as usize));
    file.take(MAX_PASSPHRASE).read_to_string(&mut text)?;
    Ok(Some(Secret::new(text.trim_end_matches(['\n', '\r']).to_owned())))
}

/// Answers what can be answered without a key, until the operator brings it; none where the daemon is
/// to end before that.
async fn until_unlocked(
    service: &Service,
    home: &Arc<Home>,
    listeners: &Listeners,
) -> Option<Arc<Parts>> {
    let over = CancellationToken::new();
    let _over = over.clone().drop_guard();
    let (waiting, mut attempts) = locked::Waiting::new(home.clone(), over.clone());
    let admits = Admits::of(Some(service));
    let places = Places::default();
    let agents =
        door::accept(&listeners.agent, admits.agents, &over, |stream, _| locked::turn_away(stream));
    let operators = door::accept(&listeners.operator, admits.operators, &over, |stream, peer| {
        locked::serve(waiting.clone(), stream, places.enter(peer.pid))
    });
    let opening = async {
        loop {
            let locked::Attempt { data_key, answer } = attempts.recv().await?;
            let (word, parts) = match opened(service, home, data_key).await {
                Ok((parts, ready)) => (Ok(Some(ready)), Some(parts)),
                Err(failure) => (Err(failure), None),
            };
            // Whoever brought it may be gone: then the daemon lives all the same.
            let _gone = answer.send(word);
            if let Some(parts) = parts {
                if let Err(error) = home.remove(LOCKED) {
                    tracing::error!(%error, "the next start will not use the credential");
                }
                return Some(parts);
            }
        }
    };
    let mut signals = End::watch()?;
    tokio::select! {
        parts = opening => parts,
        _ = signals.comes() => None,
        _ = async { tokio::join!(agents, operators) } => None,
    }
}
