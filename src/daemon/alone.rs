//! One daemon a vault, wherever its files are: a lock in a directory can be moved out of sight with the
//! directory, or removed, and a daemon that its operator no longer reaches would keep what they take back.
//! A name in the abstract namespace (unix(7)) nobody takes away from whoever holds it.

use std::{os::fd::OwnedFd, time::Duration};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
        sockopt::socket_peercred,
    },
    process::getuid,
};

use crate::protocol::error::{Code, Failure};

/// Other users can see the names in /proc/net/unix, and take one: then the next serves.
const NAMES: u32 = 8;
/// How long, and how often, a daemon that is ending is waited for.
const LOOKS: u32 = 20;
/// Nobody accepts: whoever looks stays in the queue.
const QUEUE: i32 = 4096;
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Held until it is dropped, or the process ends, however it ends.
#[derive(Debug)]
pub struct Alone {
    _socket: OwnedFd,
}

/// Who has a name.
enum Holder {
    Nobody,
    Stranger,
    /// Of our uid, or nobody knows of whom.
    Ours {
        pid: Option<i32>,
    },
}

impl Alone {
    /// Takes the place of the one daemon of this vault, within the network namespace. One that is just
    /// ending is waited for.
    pub async fn with(vault: &str) -> Result<Self, Failure> {
        for _ in 0..LOOKS {
            match Self::try_with(vault)? {
                Ok(alone) => return Ok(alone),
                Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        Self::try_with(vault)?.map_err(held)
    }

    /// Or who has it.
    fn try_with(vault: &str) -> Result<Result<Self, Option<i32>>, Failure> {
        let mut free = None;
        for number in 0..NAMES {
            let name = name(vault, number).map_err(unknown)?;
            match holder(&name).map_err(unknown)? {
                Holder::Ours { pid } => return Ok(Err(pid)),
                Holder::Nobody => free = free.or(Some(name)),
                Holder::Stranger => {}
            }
        }
        let name = free.ok_or_else(|| unknown(Errno::ADDRINUSE))?;
        let socket = socket().map_err(unknown)?;
        match bind(&socket, &name).and_then(|()| listen(&socket, QUEUE)) {
            Ok(()) => Ok(Ok(Self { _socket: socket })),
            // Another was as quick.
            Err(Errno::ADDRINUSE) => Ok(Err(None)),
            Err(errno) => Err(unknown(errno)),
        }
    }
}

fn name(vault: &str, number: u32) -> rustix::io::Result<SocketAddrUnix> {
    SocketAddrUnix::new_abstract_name(format!("sgw/{vault}/{number}").as_bytes())
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn holder(name: &SocketAddrUnix) -> rustix::io::Result<Holder> {
    let socket = socket()?;
    match connect(&socket, name) {
        Ok(()) => {
            // Of a listener: who called listen(2).
            let of = socket_peercred(&socket)?;
            let pid = Some(of.pid.as_raw_nonzero().get());
            Ok(if of.uid == getuid() { Holder::Ours { pid } } else { Holder::Stranger })
        }
        Err(Errno::CONNREFUSED) => Ok(Holder::Nobody),
        // Its queue is full, since nobody accepts.
        Err(Errno::AGAIN) => Ok(Holder::Ours { pid: None }),
        Err(errno) => Err(errno),
    }
}

fn held(pid: Option<i32>) -> Failure {
    let (who, hint) = match pid {
        Some(pid) => (format!(" (pid {pid})"), format!("kill {pid}, then sgw unlock")),
        None => (String::new(), "find it and end it: pgrep -u $USER -a sgw".to_owned()),
    };
    let why = "another daemon of this vault runs, where sgw lock may not reach it";
    Failure::new(Code::DaemonFailed, format!("the daemon did not start: {why}{who}"), hint)
}

fn unknown(errno: Errno) -> Failure {
    Failure::new(
        Code::DaemonFailed,
        format!("it can't be told whether another daemon of this vault runs: {errno}"),
        "ss -xl names what listens, also as @sgw/…",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_two_daemons_of_a_vault_the_second_hears_of_the_first() {
        let vault = format!("test-{}", std::process::id());
        let first = Alone::with(&vault).await.unwrap();
        let failure = Alone::with(&vault).await.unwrap_err();
        assert_eq!(failure.code, Code::DaemonFailed);
        assert!(failure.message.contains(&std::process::id().to_string()), "{failure:?}");
        Alone::with(&format!("{vault}-other")).await.unwrap();
        drop(first);
        Alone::with(&vault).await.unwrap();
    }
}
