//! A secret with a name: what the vault keeps of it besides its sealed value, and which values are too
//! easy to guess to be used by name.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Secret;
use crate::domain::id::Name;

/// What is used by name is hidden wherever it shows, and that tells whoever prints guesses which of them
/// is hidden: a shorter one would be found so (security: redaction is an oracle).
pub const MIN_BYTES: usize = 12;
/// More than any password, token or key takes.
pub const MAX_BYTES: usize = 64 << 10;
/// zxcvbn's estimate takes time that grows with the length; what is longer than this is no word.
const ESTIMATED: usize = 100;
/// On any list of common passwords: found within the first hundred thousand guesses.
const COMMON_GUESSES_LOG10: f64 = 5.0;

/// What is kept of a secret in the open, as far as the vault is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    pub name: Name,
    /// What it is for, in the operator's words.
    #[serde(default)]
    pub about: Option<String>,
    pub created_at: Timestamp,
}

impl Named {
    /// Under which id the vault keeps the value.
    pub fn secret_id(&self) -> String {
        format!("secret/{}", self.name)
    }

    /// Whether its name or its words have this text in them, whatever the case.
    pub fn is_about(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let has = |words: &str| words.to_lowercase().contains(&text);
        has(self.name.as_str()) || self.about.as_deref().is_some_and(has)
    }
}

/// Why a value is neither hidden nor used by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    #[error("it is shorter than {MIN_BYTES} bytes")]
    Short,
    #[error("it is on every list of common passwords")]
    Common,
    #[error("it is longer than {} KiB", MAX_BYTES >> 10)]
    Long,
}

/// Whether a value can be used by name.
pub fn judge(value: &Secret<Vec<u8>>) -> Result<(), Weak> {
    let bytes = value.expose();
    match bytes.len() {
        0..MIN_BYTES => return Err(Weak::Short),
        MIN_BYTES..=ESTIMATED => {}
        ..=MAX_BYTES => return Ok(()),
        _ => return Err(Weak::Long),
    }
    let common = std::str::from_utf8(bytes)
        .is_ok_and(|text| zxcvbn::zxcvbn(text, &[]).guesses_log10() < COMMON_GUESSES_LOG10);
    if common { Err(Weak::Common) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_common_values_are_not_used_by_name() {
        let judge = |text: &str| judge(&Secret::new(text.as_bytes().to_vec()));
        assert_eq!(judge("hunter2"), Err(Weak::Short));
        assert_eq!(judge("elevenbytes"), Err(Weak::Short));
        for common in ["passwordpassword", "123456789012", "qwertyuiopasdfgh", "aaaaaaaaaaaa"] {
            assert_eq!(judge(common), Err(Weak::Common), "{common}");
        }
        for fit in ["glpat-Xk2p9QzR7vWm", "violet-tundra-plover", &"x1Y".repeat(1000)] {
            assert_eq!(judge(fit), Ok(()), "{fit}");
        }
        assert_eq!(judge(&"x1Y".repeat(30_000)), Err(Weak::Long));
        let binary = Secret::new(vec![0xff; 16]);
        assert_eq!(super::judge(&binary), Ok(()));
    }

    #[test]
    fn it_is_found_by_name_and_by_words() {
        let named = Named {
            name: "db-password".parse().unwrap(),
            about: Some("the Orders database".into()),
            created_at: Timestamp::UNIX_EPOCH,
        };
        assert!(named.is_about("DB-") && named.is_about("orders") && !named.is_about("web"));
    }
}
