//! The first frames on a connection, both ways.

use serde::{Deserialize, Serialize};

/// The version of frames and messages. Another version is refused, with what to do.
pub const PROTOCOL: u16 = 1;

/// The client's first message on either socket (request number 0).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub protocol: u16,
    /// sgw's version, for people.
    pub version: String,
    #[serde(default)]
    pub features: Vec<String>,
    /// Agent's socket: the number of the secret frame that carries a token, if any.
    #[serde(default)]
    pub token: Option<u32>,
    /// Operator's socket: whether a Noise session follows (the proof).
    #[serde(default)]
    pub proof: bool,
}

/// The daemon's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    pub protocol: u16,
    pub version: String,
    #[serde(default)]
    pub features: Vec<String>,
    /// Agent's socket: who the caller is taken for.
    pub identity: Option<String>,
}

impl Hello {
    pub fn new() -> Self {
        Self {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            features: Vec::new(),
            token: None,
            proof: false,
        }
    }
}

impl Default for Hello {
    fn default() -> Self {
        Self::new()
    }
}

impl Welcome {
    pub fn new(identity: Option<String>) -> Self {
        let Hello { protocol, version, features, .. } = Hello::new();
        Self { protocol, version, features, identity }
    }

    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|one| one == feature)
    }
}
