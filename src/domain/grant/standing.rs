//! A grant that the operator gave ahead: who may use which targets, how, how long and how much.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Mode, Opaque, pattern::Pattern};
use crate::domain::{
    capability::Capabilities,
    id::{Id, Name},
    identity::Identity,
};

/// The largest budget of commands and of bytes: what is more needs none.
pub const MOST_COMMANDS: u64 = 1_000_000_000;
pub const MOST_BYTES: u64 = 1 << 50;
/// The longest life of a grant that has one: ten years.
pub const LONGEST_S: u64 = 10 * 365 * 24 * 3600;

/// A standing grant as it is sealed. Immutable: it is given and taken back whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// `g-…`
    pub id: Id,
    pub holder: Holder,
    pub target: Pattern,
    pub capabilities: Capabilities,
    pub mode: Mode,
    #[serde(default, skip_serializing_if = "Opaque::is_ask")]
    pub opaque: Opaque,
    pub approval: Approval,
    pub budget: Budget,
    pub created_at: Timestamp,
    /// Absent: it stands until it is taken back.
    pub expires_at: Option<Timestamp>,
}

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Holder {
    /// The token with this id; its name is for people.
    Token { id: Id, name: Name },
    /// Every process of this uid, whatever token it shows.
    Uid(u32),
}

/// What a person is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// Each session: it has to be requested.
    EachSession,
    /// Each command; sessions open by themselves.
    EachCommand,
    /// Nothing, beyond what the mode asks.
    Standing,
}

/// What may be used up; absent: any amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub max_commands: Option<u64>,
    /// What commands and terminals print, and what is sent to them.
    pub max_bytes: Option<u64>,
}

/// What was used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Used {
    pub commands: u64,
    pub bytes: u64,
}

/// What a grant used up, or when a token was last used, as it is sealed: apart from the authority
/// itself, which it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Of the grant or the token.
    pub id: Id,
    /// Never less than was used: what is used next is reserved here before.
    #[serde(default)]
    pub used: Used,
    #[serde(default)]
    pub last_used: Option<Timestamp>,
}

impl Budget {
    /// Whether each part allows something and can be counted.
    pub fn is_sane(&self) -> bool {
        self.max_commands.is_none_or(|most| (1..=MOST_COMMANDS).contains(&most))
            && self.max_bytes.is_none_or(|most| (1..=MOST_BYTES).contains(&most))
    }

    /// How many commands are left; `None` where any number is.
    pub fn commands_left(&self, used: &Used) -> Option<u64> {
        self.max_commands.map(|most| most.saturating_sub(used.commands))
    }

    /// How many bytes are left; `None` where any amount is.
    pub fn bytes_left(&self, used: &Used) -> Option<u64> {
        self.max_bytes.map(|most| most.saturating_sub(used.bytes))
    }

    pub fn is_left(&self, used: &Used) -> bool {
        self.max_commands.is_none_or(|most| used.commands < most)
            && self.max_bytes.is_none_or(|most| used.bytes < most)
    }
}

impl Holder {
    pub fn is(&self, identity: &Identity) -> bool {
        match self {
            Holder::Token { id, .. } => {
                identity.token.as_ref().is_some_and(|shown| shown.id == *id)
            }
            Holder::Uid(uid) => identity.uid == *uid,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Token { name, .. } => write!(f, "token:{name}"),
            Holder::Uid(uid) => write!(f, "uid:{uid}"),
        }
    }
}

impl Approval {
    pub fn as_str(self) -> &'static str {
        match self {
            Approval::EachSession => "each-session",
            Approval::EachCommand => "each-command",
            Approval::Standing => "standing",
        }
    }
}

impl fmt::Display for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Standing {
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }

    /// How commands are judged in a session that it opens.
    pub fn effective_mode(&self) -> Mode {
        match self.approval {
            Approval::EachCommand => Mode::Each,
            Approval::EachSession | Approval::Standing => self.mode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{id::Kind, identity::Shown};

    #[test]
    fn a_token_s_grant_is_no_other_s_also_not_of_one_with_its_name() {
        let shown = |number| Shown {
            id: Id::from_number(Kind::Token, number),
            name: "ci".parse().unwrap(),
        };
        let with = |uid, number: Option<u64>| Identity { uid, token: number.map(shown) };
        let of_one = Holder::Token { id: shown(1).id, name: shown(1).name };
        assert!(of_one.is(&with(7, Some(1))));
        assert!(!of_one.is(&with(7, Some(2))) && !of_one.is(&with(7, None)));
        let of_all = Holder::Uid(7);
        assert!(of_all.is(&with(7, None)) && of_all.is(&with(7, Some(2))));
        assert!(!of_all.is(&with(8, Some(1))));
    }

    #[test]
    fn a_budget_of_nothing_or_of_too_much_is_none() {
        let budget = |max_commands, max_bytes| Budget { max_commands, max_bytes };
        assert!(budget(None, None).is_sane() && budget(Some(1), Some(1)).is_sane());
        for wrong in [budget(Some(0), None), budget(None, Some(0)), budget(Some(u64::MAX), None)] {
            assert!(!wrong.is_sane());
        }
        let used = |commands, bytes| Used { commands, bytes };
        assert!(budget(Some(2), Some(10)).is_left(&used(1, 9)));
        assert!(!budget(Some(2), Some(10)).is_left(&used(2, 0)));
        assert!(!budget(Some(2), Some(10)).is_left(&used(0, 10)));
    }
}
