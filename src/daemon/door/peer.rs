//! Who is at the other end of a socket: what the kernel says, and what the process looks like.

use std::{fs, os::fd::AsFd, path::Path};

use crate::domain::identity::Seen;

/// What the kernel says (unix(7), SO_PEERCRED).
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Both effective, at the time of connect(2).
    pub uid: u32,
    pub gid: u32,
    pub pid: u32,
}

/// How far up the process tree is looked.
const PARENTS: usize = 8;

impl Peer {
    pub fn of(socket: &impl AsFd) -> std::io::Result<Self> {
        let credentials = rustix::net::sockopt::socket_peercred(socket)?;
        let pid = u32::try_from(credentials.pid.as_raw_nonzero().get()).unwrap_or_default();
        let (uid, gid) = (credentials.uid.as_raw(), credentials.gid.as_raw());
        Ok(Self { uid, gid, pid })
    }

    /// What the process looks like now. It chose all of it.
    pub fn seen(self) -> Seen {
        let at = |name: &str| format!("/proc/{}/{name}", self.pid);
        let link = |name: &str| {
            fs::read_link(at(name)).ok().map(|path| path.to_string_lossy().into_owned())
        };
        let mut parents = Vec::new();
        let mut next = Status::of(self.pid).parent();
        while let (Some(pid), true) = (next, parents.len() < PARENTS) {
            if pid <= 1 {
                break;
            }
            let status = Status::of(pid);
            parents.push(status.name());
            next = status.parent();
        }
        Seen { pid: self.pid, executable: link("exe"), directory: link("cwd"), parents }
    }
}

/// `/proc/PID/status`, which escapes what `/proc/PID/stat` does not (proc(5)).
struct Status(String);

impl Status {
    fn of(pid: u32) -> Self {
        let path = Path::new("/proc").join(pid.to_string()).join("status");
        Self(fs::read_to_string(path).unwrap_or_default())
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
    }

    fn parent(&self) -> Option<u32> {
        self.field("PPid:")?.parse().ok()
    }

    fn name(&self) -> String {
        self.field("Name:").unwrap_or_default().chars().take(64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_an_executable_and_a_parent() {
        let seen = Peer { uid: 0, gid: 0, pid: std::process::id() }.seen();
        assert!(seen.executable.is_some());
        assert!(!seen.parents.is_empty());
    }
}
