//! What the vault's root holds besides the list of its records. A field that is missing has its default;
//! one that is unknown is refused, because writing the root again would lose it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Settings;
use crate::domain::{pin::PinCheck, record::Tip};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// How often it was changed.
    pub revision: u64,
    pub changed_at: Option<Timestamp>,
    pub settings: Settings,
    /// What the operator's PIN is compared with.
    pub pin: Option<PinCheck>,
    pub pins: Pins,
    /// The first number that no id was made of yet.
    pub next_id: u64,
    pub anchor: Tip,
}

/// `host:port` to the keys accepted for it.
pub type Pins = BTreeMap<String, Vec<Pin>>;

/// A host key that the operator accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// `ssh-ed25519 AAAA…`, without a comment.
    pub key: String,
    pub accepted_at: Timestamp,
    /// On whose word: `approved r-7k3`, `--accept-host-key`.
    pub how: String,
}
