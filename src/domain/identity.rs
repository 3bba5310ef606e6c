//! Who an agent is (known), and what it looks like (seen).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{Id, Name};

/// What the kernel and the vault vouch for: the peer's uid, and the token that it showed, if any.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    pub uid: u32,
    pub token: Option<Shown>,
}

/// The token that somebody showed. Its id tells it from an earlier one of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shown {
    pub id: Id,
    pub name: Name,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.token {
            Some(token) => write!(f, "token:{}", token.name),
            None => write!(f, "uid:{}", self.uid),
        }
    }
}

/// What the asking process looks like. It chose all of this itself: shown apart, never decided on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub pid: u32,
    pub executable: Option<String>,
    pub directory: Option<String>,
    /// Program names from the asking process's parent upwards.
    pub parents: Vec<String>,
}
