//! The operator's own part of the policy, as it is kept: the text of a `policy.toml` that they accepted.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Policy,
    policy::{BUILT_IN, PolicyError},
};
use crate::domain::{
    digest::{Digest, Digester},
    escape::visible,
};

/// The longest text that is accepted, in bytes: what differs from the policy that sgw comes with.
pub const MAX_BYTES: usize = 192 * 1024;

/// Of what is wrong with it, in columns.
const SHOWN: usize = 400;

/// What the operator accepted, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    pub text: String,
    pub accepted_at: Timestamp,
}

impl Own {
    /// There is one of them, under this name.
    pub const ID: &str = "own";

    /// This text over the policy that sgw comes with.
    pub fn compiled(&self) -> Result<Arc<Policy>, PolicyError> {
        Policy::built_in().over(&self.text).map(Arc::new)
    }
}

/// Why a text is not taken over what sgw comes with. Says nothing that the text itself made up, unescaped.
pub fn check(text: &str) -> Result<Policy, String> {
    if text.len() > MAX_BYTES {
        return Err(format!(
            "it is larger than {} KiB: it says only what differs",
            MAX_BYTES / 1024
        ));
    }
    Policy::built_in().over_anew(text).map_err(|error| visible(&error.to_string(), SHOWN))
}

/// What a text of the operator's is known by.
pub fn digest(text: &str) -> Digest {
    Digester::new("policy.toml").text("text", text).finish()
}

/// Binds all that commands are judged by: what sgw comes with, and what the operator accepted.
pub fn revision(own: Option<&str>) -> Digest {
    Digester::new("policy in force").text("built in", BUILT_IN).optional("own", own).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_is_another_revision() {
        let all = [None, Some(""), Some("version = 1\n"), Some("version = 1\n\n")].map(revision);
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one));
        }
    }
}
