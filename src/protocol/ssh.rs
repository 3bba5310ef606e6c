//! SSH clients: how one asks for its way in, and what it has to be told before.

use serde::{Deserialize, Serialize};

/// From its answer on the connection carries SSH, whose server is the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// `[USER@]HOST`; the host is a target's name, a session's id or name, or an address, with or without
    /// [`SUFFIX`] behind it.
    pub destination: String,
    /// As ssh has it: 22 where nobody said one, so that 22 means any.
    pub port: Option<u16>,
    /// How long this call waits for a person.
    pub wait_ms: u64,
    pub no_ask: bool,
}

/// What makes a name one of sgw's in an ssh_config, whatever else it means there.
pub const SUFFIX: &str = ".sgw";

/// What a bridge leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridged {
    pub session: String,
}

/// What an ssh_config for an identity is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    pub identity: String,
    /// The daemon's own, as a line of known_hosts has it: `ssh-ed25519 AAAA…`.
    pub host_key: String,
    pub hosts: Vec<Host>,
}

/// A target that the identity has, now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Host {
    pub name: String,
    pub user: String,
    /// Where it is no named target.
    pub port: Option<u16>,
}
