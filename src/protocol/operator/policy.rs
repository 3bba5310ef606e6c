//! What the operator says about the policy.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::digest::Digest;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// What is in force. Taken without proof: it says what the file beside it says. Answer: [`InForce`].
    Show {},
    /// Seals this text and judges by it from now on, where `was` is still the revision in force: what was
    /// shown is what changes. Answer: [`InForce`].
    Accept {
        text: String,
        was: Digest,
        /// The digest of the `policy.toml` that the text was made of: where it still is that, it follows.
        file: Option<Digest>,
    },
    /// The commands of the audit since then. Answer: `record` messages, oldest first, then `done`.
    Commands { since: Timestamp },
}

/// What commands are judged by: the policy that sgw comes with, and over it the operator's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    pub kind: Kind,
    /// Over both of them; approvals of commands are bound to it.
    pub revision: Digest,
    /// None where nothing was accepted yet.
    pub own: Option<Own>,
    /// Why this sgw can't judge by it: nothing passes then.
    pub problem: Option<String>,
    /// What the operator should know of it.
    pub notes: Vec<String>,
}

/// What the operator accepted last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    pub text: String,
    pub digest: Digest,
    pub accepted_at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Policy,
}
