//! When a yes is only taken with a PIN: where somebody else may type here. Pure.

use std::time::Duration;

/// A desk that was left alone for so long asks who is there.
const IDLE: Duration = Duration::from_mins(15);
/// Wrong PINs, after which only the passphrase helps.
const TRIES: u32 = 3;

/// What shows that whoever shares the uid can type into this terminal (`tmux send-keys`, a remote
/// control's socket).
const SHARING: [(&str, &str); 6] = [
    ("TMUX", "tmux"),
    ("STY", "screen"),
    ("ZELLIJ", "zellij"),
    ("KITTY_LISTEN_ON", "kitty's remote control"),
    ("WEZTERM_UNIX_SOCKET", "wezterm's socket"),
    ("NVIM", "nvim"),
];

/// How the operator shows that it is them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Pin,
    Passphrase,
}

#[derive(Debug, Default)]
pub struct Guard {
    /// What shares this terminal.
    pub shared: Option<&'static str>,
    pub has_pin: bool,
    wrong: u32,
    last_key: Duration,
    /// It was left alone, and nobody has shown since who is there.
    idle: bool,
}

/// What of the environment says that this terminal is shared.
pub fn shared(is_set: impl Fn(&str) -> bool) -> Option<&'static str> {
    SHARING.iter().find(|(variable, _)| is_set(variable)).map(|(_, name)| *name)
}

impl Guard {
    pub fn new(shared: Option<&'static str>, has_pin: bool) -> Self {
        Self { shared, has_pin, ..Self::default() }
    }

    /// A key was typed.
    pub fn used(&mut self, at: Duration) {
        self.idle |= at >= self.last_key + IDLE;
        self.last_key = at;
    }

    /// Whether a yes needs a proof now.
    pub fn asks(&self, at: Duration) -> bool {
        self.shared.is_some() || self.idle || at >= self.last_key + IDLE
    }

    pub fn proof(&self) -> Proof {
        if self.has_pin && self.wrong < TRIES { Proof::Pin } else { Proof::Passphrase }
    }

    pub fn wrong(&mut self) {
        self.wrong = self.wrong.saturating_add(1);
    }

    pub fn proved(&mut self, at: Duration) {
        (self.wrong, self.idle, self.last_key) = (0, false, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desk_left_alone_asks_until_somebody_shows_who_is_there() {
        let (start, later) = (Duration::ZERO, Duration::from_secs(14 * 60));
        let mut guard = Guard::new(None, true);
        guard.used(later);
        assert!(!guard.asks(later));
        guard.used(later + IDLE);
        assert!(guard.asks(later + IDLE));
        // Typing on is no proof.
        guard.used(later + IDLE + Duration::from_secs(1));
        assert!(guard.asks(later + IDLE + Duration::from_secs(1)));
        guard.proved(later + IDLE + Duration::from_secs(2));
        assert!(!guard.asks(later + IDLE + Duration::from_secs(3)));
        assert!(Guard::new(Some("tmux"), true).asks(start));
    }

    #[test]
    fn three_wrong_pins_need_the_passphrase() {
        let mut guard = Guard::new(Some("tmux"), true);
        for _ in 0..3 {
            assert_eq!(guard.proof(), Proof::Pin);
            guard.wrong();
        }
        assert_eq!(guard.proof(), Proof::Passphrase);
        guard.wrong();
        guard.proved(Duration::ZERO);
        assert_eq!(guard.proof(), Proof::Pin);
        assert_eq!(Guard::new(None, false).proof(), Proof::Passphrase);
    }

    #[test]
    fn a_multiplexer_is_known_by_its_variable() {
        assert_eq!(shared(|name| name == "TMUX"), Some("tmux"));
        assert_eq!(shared(|name| name == "STY"), Some("screen"));
        assert_eq!(shared(|name| name == "HOME"), None);
    }
}
