//! What the operator says about the vault as a whole. A data key or the key of an export comes as a
//! secret frame; a passphrase never comes.

use serde::{Deserialize, Serialize};

use crate::domain::bytes::Bytes;

/// The most bytes of a file in one secret frame or `part` event.
pub const PART_BYTES: usize = 256 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Puts a header with the same data key in place of the one that the client has opened.
    /// Answer: [`Changed`].
    Passphrase { was: Bytes, header: Bytes },
    /// Seals everything under the data key of this secret frame, which the header holds.
    /// Answer: [`Changed`].
    Rotate { was: Bytes, header: Bytes, secret: u32 },
    /// Everything, sealed under the key of this secret frame and bound to a file's head. Answer:
    /// `part` events, then [`Moved`].
    Export { head: Bytes, secret: u32 },
    /// Takes in what the secret frames `parts` hold, one after another. Answer: [`Moved`].
    Import {
        head: Bytes,
        secret: u32,
        parts: Vec<u32>,
        replace: bool,
        /// Only says what it would do.
        #[serde(default)]
        look: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    pub kind: Kind,
    /// The vault's, afterwards.
    pub revision: u64,
}

/// How much went out or came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    pub kind: Kind,
    pub revision: u64,
    pub records: u64,
    pub secrets: u64,
    /// Tokens, standing grants and settings that an import brings, in a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub came: Vec<String>,
    /// The same of what it takes away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub went: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Vault,
}
