//! Who has the keyboard: agent | operator, shared or private.

/// Who may act on what one identity has on one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Control {
    #[default]
    Agent,
    /// `private`: what happens meanwhile is kept from everyone else, and kept nowhere.
    Operator { private: bool },
}

impl Control {
    pub fn is_agents(self) -> bool {
        self == Control::Agent
    }

    pub fn is_private(self) -> bool {
        self == Control::Operator { private: true }
    }
}
