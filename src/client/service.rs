//! The way to a service's daemon: over root's directories alone, to a socket where root or the daemon
//! listens, and to the operator's with the group that the installed program has.

use std::{io::ErrorKind, os::unix::net::UnixStream as StdUnixStream, path::Path};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect as connect_to, socket_with,
    },
    process::geteuid,
};
use tokio::net::UnixStream;

use super::{Error, Place, group::Taken, place::when_there_is_room};
use crate::{
    domain::{
        bytes::Bytes,
        seal::{DataKey, Header},
        secret::Secret,
    },
    home::service::{OPERATOR, Service},
    protocol::{
        handover::Ready,
        operator::{
            Request,
            service::{self, NEW},
        },
        view::DaemonStatus,
    },
};

/// The data key's secret frame, and the PIN's.
const KEY: u32 = 1;
const PIN: u32 = 2;

/// Connects to one of the two sockets.
pub(super) async fn connect(service: &Service, socket: &str) -> Result<UnixStream, Error> {
    let who = service.who;
    let group = (socket == OPERATOR).then_some(who.operator_group);
    let uid = geteuid().as_raw();
    if group.is_some() && uid != who.operator {
        return Err(Error::NotOperator { uid, operator: who.operator });
    }
    service.check_way()?;
    let path = service.layout.socket(socket);
    let connected = when_there_is_room(async || once(&path, group)).await;
    let stream = connected.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Error::Down,
        ErrorKind::WouldBlock => Error::Silent,
        ErrorKind::PermissionDenied if error.raw_os_error() == Some(NOT_GIVEN) => Error::NoGroup,
        ErrorKind::PermissionDenied if group.is_some() => Error::Closed("the operator's socket"),
        ErrorKind::PermissionDenied => Error::Closed("the agents' socket"),
        _ => Error::local("connect to the daemon")(error),
    })?;
    let stream = UnixStream::from_std(stream).map_err(Error::local("use a socket"))?;
    // The kernel says who was there when somebody began to listen: systemd is root.
    let peer = stream.peer_cred().map_err(Error::local("ask who the daemon is"))?;
    match peer.uid() {
        uid if uid == 0 || uid == who.daemon => Ok(stream),
        uid => Err(Error::Foreign(uid)),
    }
}

const NOT_GIVEN: i32 = Errno::PERM.raw_os_error();

/// One attempt, which waits for nothing: the group is this thread's, and other work of this thread
/// must not have it.
fn once(path: &Path, group: Option<u32>) -> std::io::Result<StdUnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = SocketAddrUnix::new(path)?;
    let _taken = group.map(Taken::take).transpose()?;
    connect_to(&socket, &address)?;
    Ok(StdUnixStream::from(socket))
}

/// The vault's header as the daemon has it.
pub(super) async fn header(place: &Place) -> Result<Vec<u8>, Error> {
    let (mut connection, welcome) = place.greet().await?;
    if welcome.has(NEW) {
        return Err(Error::NotSetUp);
    }
    let asked = Request::Service(service::Request::Header {});
    let service::Header { header } = connection.call(&asked).await?;
    Ok(header.0)
}

/// How it is, with its key or without.
pub async fn status(place: &Place) -> Result<DaemonStatus, Error> {
    let (mut connection, _) = place.greet().await?;
    connection.call(&Request::Status {}).await
}

/// Whether a vault has been made.
pub async fn is_set_up(place: &Place) -> Result<bool, Error> {
    let (connection, welcome) = place.greet().await?;
    connection.close().await;
    Ok(!welcome.has(NEW))
}

/// Makes the vault.
pub async fn set_up(
    place: &Place,
    header: &Header,
    data_key: &DataKey,
    pin: Option<&Secret<String>>,
) -> Result<(), Error> {
    let (mut connection, _) = place.greet().await?;
    connection.send_secret(1, KEY, data_key.expose()).await?;
    if let Some(pin) = pin {
        connection.send_secret(1, PIN, pin.expose().as_bytes()).await?;
    }
    let header = Bytes(header.to_json());
    let set_up = service::Request::SetUp { header, key: KEY, pin: pin.map(|_| PIN) };
    connection.call(&Request::Service(set_up)).await
}

/// Hands the daemon its key; none where it had one already.
pub async fn unlock(place: &Place, data_key: &DataKey) -> Result<Option<Ready>, Error> {
    let (mut connection, _) = place.greet().await?;
    connection.send_secret(1, KEY, data_key.expose()).await?;
    connection.call(&Request::Service(service::Request::Unlock { key: KEY })).await
}
