//! The digest that binds an approval: SHA-256 over tagged, length-prefixed fields, so that no two
//! different sets of fields have the same bytes.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// Builds a [`Digest`]; `about` says what kind of thing is bound, so that kinds never collide.
pub struct Digester(Sha256);

impl Digester {
    pub fn new(about: &str) -> Self {
        Self(Sha256::new()).field("sgw", about.as_bytes())
    }

    pub fn field(mut self, name: &str, value: &[u8]) -> Self {
        for part in [name.as_bytes(), value] {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
        self
    }

    pub fn text(self, name: &str, value: impl fmt::Display) -> Self {
        self.field(name, value.to_string().as_bytes())
    }

    /// An absent value differs from an empty one.
    pub fn optional(self, name: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self.field(name, b"").field("absent", b""),
        }
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// The SHA-256 of bytes alone, as `sha256sum` says it.
#[derive(Clone, Default)]
pub struct Sum(Sha256);

impl Sum {
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not a digest: 64 hexadecimal digits")]
pub struct NotADigest;

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotADigest)?;
        Ok(Self(bytes))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn where_one_field_ends_and_the_next_begins_matters(a: Vec<u8>, b: Vec<u8>, cut: prop::sample::Index) {
            let joined = [a.clone(), b.clone()].concat();
            let at = if joined.is_empty() { 0 } else { cut.index(joined.len()) };
            let digest = |x: &[u8], y: &[u8]| Digester::new("t").field("a", x).field("b", y).finish();
            let same = a.len() == at;
            prop_assert_eq!(digest(&a, &b) == digest(&joined[..at], &joined[at..]), same);
        }
    }

    #[test]
    fn absent_is_not_empty_and_kinds_differ() {
        let with = |value: Option<&str>| Digester::new("t").optional("x", value).finish();
        assert_ne!(with(None), with(Some("")));
        assert_ne!(Digester::new("a").finish(), Digester::new("b").finish());
    }
}
