//! Tokens as the operator speaks of them. The text of one never crosses a socket: the client makes it and
//! sends its hash.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::grant::Give;
use crate::{
    domain::token::{Limits, TokenHash},
    protocol::view::Kind,
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Answer: [`Shown`].
    Create {
        name: String,
        hash: TokenHash,
        /// Seconds from now; absent: until it is revoked.
        expires_s: Option<u64>,
        limits: Limits,
    },
    /// A token for one program: it ends with this connection. Answer: [`Shown`].
    Run {
        /// Where it is taken, a number is added, unless `exactly` so.
        name: String,
        exactly: bool,
        hash: TokenHash,
        expires_s: Option<u64>,
        /// What the token is given.
        grants: Vec<Give>,
    },
    /// Answer: [`Tokens`].
    List {},
    /// By id or name. Answer: [`Shown`].
    Show { token: String },
    /// A new secret; the old one is taken for so long. Answer: [`Shown`].
    Rotate { token: String, hash: TokenHash, overlap_s: u64 },
    /// Ends it and all that runs on its word. Answer: [`Shown`].
    Revoke { token: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub tokens: Vec<Shown>,
}

/// A token, without what it consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    pub id: String,
    pub kind: Kind,
    pub name: String,
    pub status: Status,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    /// Until when the secret before the last rotation is taken.
    pub overlap_until: Option<Timestamp>,
    pub requests_per_hour: Option<u32>,
    pub max_sessions: Option<u32>,
    /// It ends with the program that it was made for.
    pub with_program: bool,
    /// Its open sessions.
    pub sessions: Vec<String>,
    /// Its standing grants.
    pub grants: Vec<String>,
    /// What the operator should know of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    Expired,
    Revoked,
}
