//! What the operator says to sgw itself while typing to a server: at the start of a line, the escape
//! character and a letter, as in ssh(1). Everything else goes on byte for byte.

use crate::domain::escape::exact;

/// What is asked of sgw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `.`: leave; what becomes of the keyboard is asked.
    Leave,
    /// `p`: private mode, on or off.
    Private,
    /// `k`: the commands that run, and ending them.
    Commands,
    /// Ctrl-Z: this client stops for a while.
    Stop,
    /// `?`
    Help,
}

/// The escape character; none where it is turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escape(Option<u8>);

impl Default for Escape {
    fn default() -> Self {
        Self(Some(b'~'))
    }
}

impl std::str::FromStr for Escape {
    type Err = &'static str;

    /// `~`, `^]`, or `none`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes() {
            b"none" => Ok(Self::NONE),
            [plain @ b'!'..=b'~'] if *plain != b'^' => Ok(Self(Some(*plain))),
            [b'^', control @ (b'@'..=b'_' | b'a'..=b'z')]
                if !matches!(control & 0x1f, b'\r' | b'\n' | 0x1b) =>
            {
                Ok(Self(Some(control & 0x1f)))
            }
            _ => Err("one printable character, ^ and a letter, or none"),
        }
    }
}

impl std::fmt::Display for Escape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(control @ 0..=0x1f) => write!(f, "^{}", char::from(control | 0x40)),
            Some(plain) => f.write_str(&exact(&[plain], 4)),
        }
    }
}

impl Escape {
    /// No character of what is typed is for sgw.
    pub const NONE: Self = Self(None);

    pub fn is_off(self) -> bool {
        self.0.is_none()
    }
}

/// Where in what is typed the next key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    /// The escape character came at a line's start, and is held back.
    Escape,
    WithinLine,
}

/// Finds escapes in keys that come cut anywhere.
#[derive(Clone, Debug)]
pub struct Detector {
    escape: Escape,
    at: At,
    paste: Paste,
}

impl Detector {
    pub fn new(escape: Escape) -> Self {
        Self { escape, at: At::LineStart, paste: Paste::default() }
    }

    /// Whether the escape character was typed, and what is asked is still to come.
    pub fn waits(&self) -> bool {
        self.at == At::Escape
    }

    /// Keys go on up to the first command; what came behind it in the same read is dropped, since
    /// nobody can have typed it as an answer.
    pub fn read(&mut self, keys: &[u8]) -> (Vec<u8>, Option<Command>) {
        let mut on = Vec::with_capacity(keys.len() + 1);
        for &key in keys {
            let pasted = self.paste.goes_on(key);
            match (self.at, self.escape.0) {
                (At::LineStart, Some(escape)) if key == escape && !pasted => {
                    self.at = At::Escape;
                    continue;
                }
                (At::Escape, Some(escape)) => {
                    if let Some(command) = command(key) {
                        self.at = At::LineStart;
                        return (on, Some(command));
                    }
                    on.push(escape);
                    if key == escape {
                        self.at = At::WithinLine;
                        continue;
                    }
                }
                _ => {}
            }
            on.push(key);
            self.at = if matches!(key, b'\r' | b'\n') { At::LineStart } else { At::WithinLine };
        }
        (on, None)
    }
}

fn command(key: u8) -> Option<Command> {
    Some(match key {
        b'.' => Command::Leave,
        b'p' => Command::Private,
        b'k' => Command::Commands,
        0x1a => Command::Stop,
        b'?' => Command::Help,
        _ => return None,
    })
}

/// Whether what comes is pasted (xterm's bracketed paste): text that somebody else wrote gives no
/// commands.
#[derive(Clone, Debug, Default)]
struct Paste {
    on: bool,
    /// How much of a bracket has come.
    matched: usize,
}

impl Paste {
    /// True within a paste, its brackets included.
    fn goes_on(&mut self, key: u8) -> bool {
        const BEGIN: &[u8] = b"\x1b[200~";
        const END: &[u8] = b"\x1b[201~";
        let bracket = if self.on { END } else { BEGIN };
        let was_on = self.on;
        self.matched = match key {
            _ if key == bracket[self.matched] => self.matched + 1,
            0x1b => 1,
            _ => 0,
        };
        if self.matched == bracket.len() {
            self.matched = 0;
            self.on = !self.on;
        }
        was_on || self.on
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn detector() -> Detector {
        Detector::new(Escape::default())
    }

    fn read(pieces: &[&str]) -> (String, Option<Command>) {
        let mut detector = detector();
        let mut keys = Vec::new();
        for piece in pieces {
            let (on, command) = detector.read(piece.as_bytes());
            keys.extend(on);
            if command.is_some() {
                return (String::from_utf8(keys).unwrap(), command);
            }
        }
        (String::from_utf8(keys).unwrap(), None)
    }

    #[test]
    fn an_escape_stands_at_a_lines_start() {
        for (pieces, keys, command) in [
            (&["~."][..], "", Some(Command::Leave)),
            (&["~", "."], "", Some(Command::Leave)),
            (&["ls\r~p"], "ls\r", Some(Command::Private)),
            (&["ls\n", "~", "k"], "ls\n", Some(Command::Commands)),
            (&["\r\r~?"], "\r\r", Some(Command::Help)),
            (&["~\x1a"], "", Some(Command::Stop)),
            (&["ls ~."], "ls ~.", None),
            (&["cd ~/.ssh\r"], "cd ~/.ssh\r", None),
            (&["~~."], "~.", None),
            (&["~~\r~~\r"], "~\r~\r", None),
            (&["~x\r~."], "~x\r", Some(Command::Leave)),
            (&["~\r~."], "~\r", Some(Command::Leave)),
            (&["~.rm -rf x\r"], "", Some(Command::Leave)),
        ] {
            assert_eq!(read(pieces), (keys.to_owned(), command), "{pieces:?}");
        }
    }

    #[test]
    fn what_is_pasted_gives_no_commands() {
        for cut in 0..20 {
            let text = "\x1b[200~a\r~.\r~?\x1b[201~";
            let cut = cut.min(text.len());
            assert_eq!(read(&[&text[..cut], &text[cut..]]), (text.to_owned(), None));
        }
        let (_, command) = read(&["\x1b[200~a\x1b[201~\r~."]);
        assert_eq!(command, Some(Command::Leave));
        let (keys, command) = read(&["\x1b\x1b[200~\r~.\x1b\x1b[201~"]);
        assert_eq!((keys.as_str(), command), ("\x1b\x1b[200~\r~.\x1b\x1b[201~", None));
    }

    #[test]
    fn it_is_one_character_or_none() {
        for (text, shown) in [("~", "~"), ("%", "%"), ("^]", "^]"), ("^b", "^B"), ("none", "none")]
        {
            assert_eq!(text.parse::<Escape>().unwrap().to_string(), shown);
        }
        for wrong in ["", "^", "ab", "ä", " ", "^M", "^J", "^[", "\x1b", "^€"] {
            assert!(wrong.parse::<Escape>().is_err(), "{wrong:?}");
        }
        let mut off = Detector::new(Escape::NONE);
        assert_eq!(off.read(b"\r~.\r~?"), (b"\r~.\r~?".to_vec(), None));
    }

    proptest! {
        #[test]
        fn without_the_escape_every_byte_goes_on(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9)) {
            let mut detector = Detector::new("^_".parse().unwrap());
            for piece in pieces {
                let piece: Vec<u8> = piece.into_iter().filter(|key| *key != 0x1f).collect();
                prop_assert_eq!(detector.read(&piece), (piece, None));
            }
        }

        #[test]
        fn cuts_change_nothing(keys in "[~.\rpx\n]{0,12}", cut: prop::sample::Index) {
            let whole = read(&[&keys]);
            let at = cut.index(keys.len() + 1);
            prop_assert_eq!(read(&[&keys[..at], &keys[at..]]), whole);
        }
    }
}
