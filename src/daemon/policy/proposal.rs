//! `policy.toml` in the home: what the operator proposes. Whoever writes it changes nothing.

use crate::{
    domain::{digest::Digest, guard::own},
    home::{Home, HomeError, POLICY},
};

/// What lies there.
pub enum Proposal {
    None,
    Text(String),
    /// A link, somebody else's, too large, no text.
    Unreadable(String),
}

impl Proposal {
    pub fn read(home: &Home) -> Self {
        match home.read_proposal(POLICY, own::MAX_BYTES as u64) {
            Ok(None) => Self::None,
            Ok(Some(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => Self::Text(text),
                Err(_) => Self::Unreadable("it is not UTF-8".to_owned()),
            },
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    /// Whether it is the text of this digest, or absent as that is.
    pub fn is(&self, digest: Option<&Digest>) -> bool {
        match self {
            Self::None => digest.is_none(),
            Self::Text(text) => digest == Some(&own::digest(text)),
            Self::Unreadable(_) => false,
        }
    }

    /// Where it differs from what was accepted.
    pub fn note(&self, accepted: Option<&str>) -> Option<String> {
        match (self, accepted) {
            (Self::None, None) => None,
            (Self::Text(text), Some(accepted)) if text == accepted => None,
            (Self::Text(_), _) => {
                Some("policy.toml differs from what is in force: sgw policy accept".to_owned())
            }
            (Self::None, Some(_)) => Some(
                "there is no policy.toml, and what was accepted stays in force: sgw policy edit"
                    .to_owned(),
            ),
            (Self::Unreadable(why), _) => {
                Some(format!("policy.toml can't be read ({why}), and changes nothing"))
            }
        }
    }
}

pub fn write(home: &Home, text: &str) -> Result<(), HomeError> {
    home.replace(POLICY, text.as_bytes())
}
