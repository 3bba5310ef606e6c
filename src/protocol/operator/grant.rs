//! Standing grants as the operator gives, sees and takes them back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        capability::Capabilities,
        grant::{
            Mode, Opaque,
            standing::{Approval, Budget},
        },
    },
    protocol::view::Kind,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Answer: [`Shown`].
    Add { to: To, give: Give },
    /// Those after an id, as many as fit. Answer: [`Grants`].
    List { after: Option<String> },
    /// Takes it back, and ends what runs under it. Answer: [`Shown`].
    Remove { id: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum To {
    /// By id or name.
    Token(String),
    /// Every process of it.
    Uid(u32),
}

/// What is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Give {
    /// A target's name, or a glob over names.
    pub target: String,
    /// Absent: exec, pty, files:read, files:write.
    pub only: Option<Vec<String>>,
    /// Seconds from now; absent: until it is taken back.
    pub for_s: Option<u64>,
    pub budget: Budget,
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "Opaque::is_ask")]
    pub opaque: Opaque,
    pub approval: Approval,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    pub grants: Vec<Shown>,
    /// There are further ones.
    pub more: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    pub id: String,
    pub kind: Kind,
    /// `token:ci`, `uid:1000`
    pub holder: String,
    /// The token's name.
    pub token: Option<String>,
    pub uid: Option<u32>,
    pub target: String,
    pub capabilities: Capabilities,
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "Opaque::is_ask")]
    pub opaque: Opaque,
    pub approval: Approval,
    pub max_commands: Option<u64>,
    pub used_commands: u64,
    pub max_bytes: Option<u64>,
    pub used_bytes: u64,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// What the operator should know of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
