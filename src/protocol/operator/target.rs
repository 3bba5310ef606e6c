//! What the operator says about named targets, and what is answered.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        digest::Digest,
        target::{Hop, named::Target},
    },
    protocol::error::Failure,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Answer: [`Targets`].
    List {},
    /// Answer: [`Shown`].
    Show { name: String },
    /// Keeps a new one, with the value of its credential. Answer: [`Shown`].
    Add(Box<Draft>),
    /// Changes one that was seen at this version. Answer: [`Shown`].
    Edit { version: u64, draft: Box<Draft> },
    /// Answer: [`Shown`], as it was.
    Remove { name: String },
    /// Walks to it, step by step. Answer: [`Tested`].
    Test { name: String, lent: Vec<Lent> },
    /// Takes host keys of these fingerprints from now on, and no others; without one it goes there, looks,
    /// and answers which key is shown. Answer: [`Accepted`].
    AcceptKey { name: String, fingerprints: Vec<String>, lent: Vec<Lent> },
}

/// A target as the operator says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    pub target: Target,
    /// The number of the secret frame with its credential's value: a private key in OpenSSH's format, or
    /// a password. Absent where none is kept, or where it stays as it is.
    pub secret: Option<u32>,
}

/// What a borrowed credential needs, for one of the targets on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lent {
    pub target: String,
    pub credentials: Vec<super::Credential>,
}

/// A target with what the vault knows besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    pub kind: Kind,
    #[serde(flatten)]
    pub target: Target,
    /// What an edit must name.
    pub version: u64,
    /// Fingerprints of the keys that are pinned for its address, besides its own.
    pub pinned: Vec<String>,
    /// The targets on the way there, first to last, without itself.
    pub way: Vec<String>,
    /// Why it can't be reached as it is.
    pub broken: Option<String>,
    #[serde(flatten)]
    pub sessions: Sessions,
}

/// What a change did to open sessions there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// Opened by themselves, and ended with what the target was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<String>,
    /// Approved by a person on what the target was: they go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub go_on: Vec<String>,
}

/// A target in an object that has a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Target,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    pub targets: Vec<Shown>,
}

/// The way of a named target as an approval shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// What a yes to it must carry.
    pub digest: Digest,
    /// First to last.
    pub hops: Vec<WayHop>,
    pub prod: bool,
    pub pty: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayHop {
    pub target: Target,
    pub hop: Hop,
    /// Fingerprints of host keys that are taken there: its own, or those of its address.
    pub host_keys: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    pub name: String,
    pub kind: Kind,
    pub ok: bool,
    pub steps: Vec<Tried>,
}

/// One step of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The target on the way that it is about.
    pub target: String,
    pub step: Step,
    pub ok: bool,
    pub duration_ms: u64,
    /// What was found: an address, a fingerprint, a version.
    pub found: Option<String>,
    pub error: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Name,
    Tcp,
    /// The proxy command, or the jump host's channel, in place of name and TCP.
    Tunnel,
    HostKey,
    Login,
    Shell,
    Sftp,
}

impl Step {
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Name => "name",
            Step::Tcp => "tcp",
            Step::Tunnel => "tunnel",
            Step::HostKey => "host_key",
            Step::Login => "login",
            Step::Shell => "shell",
            Step::Sftp => "sftp",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub name: String,
    pub kind: Kind,
    /// What is taken now.
    pub host_keys: Vec<String>,
    /// What was taken before.
    pub before: Vec<String>,
    /// What the machine shows, where it was looked at and nothing was changed.
    pub shows: Option<String>,
    #[serde(flatten)]
    pub sessions: Sessions,
}
