//! What a session may do.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Capability {
    #[serde(rename = "exec")]
    Exec,
    #[serde(rename = "pty")]
    Pty,
    #[serde(rename = "files:read")]
    FilesRead,
    #[serde(rename = "files:write")]
    FilesWrite,
    #[serde(rename = "forward")]
    Forward,
    #[serde(rename = "sudo")]
    Sudo,
}

pub type Capabilities = BTreeSet<Capability>;

impl Capability {
    pub const ALL: [Capability; 6] = [
        Capability::Exec,
        Capability::Pty,
        Capability::FilesRead,
        Capability::FilesWrite,
        Capability::Forward,
        Capability::Sudo,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Capability::Exec => "exec",
            Capability::Pty => "pty",
            Capability::FilesRead => "files:read",
            Capability::FilesWrite => "files:write",
            Capability::Forward => "forward",
            Capability::Sudo => "sudo",
        }
    }

    /// What a request without `--only` asks for.
    pub fn usual() -> Capabilities {
        Capabilities::from([
            Capability::Exec,
            Capability::Pty,
            Capability::FilesRead,
            Capability::FilesWrite,
        ])
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a capability is one of exec, pty, files:read, files:write, forward, sudo")]
pub struct NotACapability;

impl FromStr for Capability {
    type Err = NotACapability;

    fn from_str(word: &str) -> Result<Self, NotACapability> {
        Self::ALL.into_iter().find(|capability| capability.as_str() == word).ok_or(NotACapability)
    }
}
