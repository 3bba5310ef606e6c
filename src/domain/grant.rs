//! What an approval allows: capabilities, mode, time and budget.

pub mod pattern;
pub mod standing;

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::capability::Capabilities;

/// How commands are judged within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Only what is known to read passes; the rest asks. Nothing is known to read yet: all asks.
    Read,
    /// The policy decides.
    Guarded,
    /// Every command asks.
    Each,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Read => "read",
            Mode::Guarded => "guarded",
            Mode::Each => "each",
        }
    }

    /// The stricter of the two.
    pub fn at_least(self, least: Option<Mode>) -> Mode {
        least.filter(|least| least.strictness() > self.strictness()).unwrap_or(self)
    }

    fn strictness(self) -> u8 {
        match self {
            Mode::Guarded => 0,
            Mode::Read => 1,
            Mode::Each => 2,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a mode is read, guarded or each")]
pub struct NotAMode;

impl FromStr for Mode {
    type Err = NotAMode;

    fn from_str(word: &str) -> Result<Self, NotAMode> {
        [Mode::Read, Mode::Guarded, Mode::Each]
            .into_iter()
            .find(|mode| mode.as_str() == word)
            .ok_or(NotAMode)
    }
}

/// What becomes of commands of which only the server knows what they do. Blocks hold all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Opaque {
    /// As the policy says.
    #[default]
    Ask,
    Allow,
}

impl Opaque {
    pub fn is_ask(&self) -> bool {
        *self == Self::Ask
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Opaque::Ask => "ask",
            Opaque::Allow => "allow",
        }
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Opaque {
    type Err = NotOpaque;

    fn from_str(word: &str) -> Result<Self, NotOpaque> {
        match word {
            "ask" => Ok(Opaque::Ask),
            "allow" => Ok(Opaque::Allow),
            _ => Err(NotOpaque),
        }
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("what is opaque is to ask or to allow")]
pub struct NotOpaque;

/// What a request asks for, and what an approval may narrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    pub capabilities: Capabilities,
    pub mode: Mode,
    /// How long the session lives, in seconds, from the approval.
    pub duration_s: u64,
    pub max_commands: Option<u32>,
    /// The operator's own word: no agent asks for it.
    #[serde(default, skip_serializing_if = "Opaque::is_ask")]
    pub opaque: Opaque,
}

/// A session longer than this is not asked for by mistake only: 30 days.
pub const LONGEST_S: u64 = 30 * 24 * 3600;

impl Terms {
    /// Whether `self` gives nothing that `asked` does not.
    pub fn within(&self, asked: &Terms) -> bool {
        let fewer = match (self.max_commands, asked.max_commands) {
            (_, None) => true,
            (Some(mine), Some(most)) => mine <= most,
            (None, Some(_)) => false,
        };
        self.capabilities.is_subset(&asked.capabilities)
            && self.mode.strictness() >= asked.mode.strictness()
            && self.duration_s <= asked.duration_s
            && fewer
    }
}

/// A session's living grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub capabilities: Capabilities,
    pub mode: Mode,
    pub expires_at: Timestamp,
    pub max_commands: Option<u32>,
    /// Commands that were sent.
    pub used_commands: u32,
    #[serde(default, skip_serializing_if = "Opaque::is_ask")]
    pub opaque: Opaque,
}

impl Grant {
    /// More time, on `terms`: they can narrow what the grant allows, and widen nothing but the time.
    pub fn prolong(&mut self, terms: &Terms, until: Timestamp) {
        self.expires_at = self.expires_at.max(until);
        self.capabilities.retain(|one| terms.capabilities.contains(one));
        if terms.mode.strictness() > self.mode.strictness() {
            self.mode = terms.mode;
        }
        if terms.opaque == Opaque::Ask {
            self.opaque = Opaque::Ask;
        }
        if let Some(more) = terms.max_commands {
            let most = self.used_commands.saturating_add(more);
            self.max_commands = Some(self.max_commands.map_or(most, |before| before.min(most)));
        }
    }

    /// Commands that are left; `None` where any number is.
    pub fn commands_left(&self) -> Option<u64> {
        self.max_commands.map(|most| u64::from(most.saturating_sub(self.used_commands)))
    }

    pub fn has_commands_left(&self) -> bool {
        self.max_commands.is_none_or(|most| self.used_commands < most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::capability::Capability;

    #[test]
    fn prolonging_narrows_as_said_and_widens_only_the_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let before = Grant {
            capabilities: Capabilities::from([Capability::Exec, Capability::Pty]),
            mode: Mode::Read,
            expires_at: at(100),
            max_commands: Some(5),
            used_commands: 2,
            opaque: Opaque::Ask,
        };
        let after = |capabilities: &[Capability], mode, max_commands, until| {
            let capabilities = capabilities.iter().copied().collect();
            let mut grant = before.clone();
            let opaque = Opaque::Ask;
            let terms = Terms { capabilities, mode, duration_s: 1, max_commands, opaque };
            grant.prolong(&terms, at(until));
            grant
        };
        let narrowed = after(&[Capability::Pty], Mode::Each, Some(1), 200);
        let expected = Grant {
            capabilities: Capabilities::from([Capability::Pty]),
            mode: Mode::Each,
            expires_at: at(200),
            max_commands: Some(3),
            used_commands: 2,
            opaque: Opaque::Ask,
        };
        assert_eq!(narrowed, expected);
        let all = [Capability::Exec, Capability::Pty, Capability::Sudo];
        assert_eq!(after(&all, Mode::Guarded, None, 50), before);
        assert_eq!(after(&all, Mode::Guarded, Some(9), 50), before);
    }

    #[test]
    fn an_operator_can_narrow_and_never_widen() {
        let asked = Terms {
            capabilities: Capability::usual(),
            mode: Mode::Guarded,
            duration_s: 3600,
            max_commands: Some(10),
            opaque: Opaque::Ask,
        };
        let with = |change: fn(&mut Terms)| {
            let mut terms = asked.clone();
            change(&mut terms);
            terms.within(&asked)
        };
        assert!(with(|_| ()));
        assert!(with(|terms| terms.mode = Mode::Each));
        assert!(with(|terms| terms.max_commands = Some(1)));
        assert!(with(|terms| terms.capabilities = Capabilities::from([Capability::Exec])));
        assert!(!with(|terms| terms.duration_s = 3601));
        assert!(!with(|terms| terms.max_commands = None));
        assert!(!with(|terms| {
            terms.capabilities.insert(Capability::Sudo);
        }));
        assert!(
            !Terms { mode: Mode::Guarded, ..asked.clone() }
                .within(&Terms { mode: Mode::Each, ..asked.clone() })
        );
    }
}
