//! The words of `sgw input --key`, and the bytes that a terminal sends for them.
//!
//! As xterm does it (ctlseqs, "PC-Style Function Keys"), which is what `TERM=xterm-256color`
//! promises to programs.

use super::nearest::nearest;

/// What a key sends by itself.
enum Sends {
    /// These bytes.
    Plain(&'static [u8]),
    /// `CSI x`; `SS3 x` where the program asked for application cursor keys.
    Cursor(u8),
    /// `SS3 x`, and with a modifier `CSI 1 ; m x`.
    Function(u8),
    /// `CSI n ~`.
    Numbered(u8),
}

const KEYS: &[(&str, Sends)] = &[
    ("enter", Sends::Plain(b"\r")),
    ("tab", Sends::Plain(b"\t")),
    ("esc", Sends::Plain(b"\x1b")),
    ("space", Sends::Plain(b" ")),
    ("backspace", Sends::Plain(b"\x7f")),
    ("delete", Sends::Numbered(3)),
    ("insert", Sends::Numbered(2)),
    ("up", Sends::Cursor(b'A')),
    ("down", Sends::Cursor(b'B')),
    ("right", Sends::Cursor(b'C')),
    ("left", Sends::Cursor(b'D')),
    ("home", Sends::Cursor(b'H')),
    ("end", Sends::Cursor(b'F')),
    ("pageup", Sends::Numbered(5)),
    ("pagedown", Sends::Numbered(6)),
    ("f1", Sends::Function(b'P')),
    ("f2", Sends::Function(b'Q')),
    ("f3", Sends::Function(b'R')),
    ("f4", Sends::Function(b'S')),
    ("f5", Sends::Numbered(15)),
    ("f6", Sends::Numbered(17)),
    ("f7", Sends::Numbered(18)),
    ("f8", Sends::Numbered(19)),
    ("f9", Sends::Numbered(20)),
    ("f10", Sends::Numbered(21)),
    ("f11", Sends::Numbered(23)),
    ("f12", Sends::Numbered(24)),
];

/// Modifiers, and what they add to xterm's parameter (which begins at 1).
const MODIFIERS: &[(&str, u8)] = &[("shift-", SHIFT), ("alt-", ALT), ("ctrl-", CTRL)];
const SHIFT: u8 = 1;
const ALT: u8 = 2;
const CTRL: u8 = 4;

/// Which words there are, for a person.
const WORDS: &str = "enter tab esc space backspace delete insert up down left right home end \
                     pageup pagedown f1 … f12, ctrl-a … ctrl-z, ctrl-[ ctrl-\\ ctrl-] ctrl-^ \
                     ctrl-_ ctrl-space, alt-x, shift-tab, ctrl-left and the like, or a single \
                     character";

/// No such key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such key{}; keys are: {WORDS}", .nearest.as_ref().map_or_else(String::new, |key| format!("; the nearest is {key}")))]
pub struct UnknownKey {
    pub nearest: Option<String>,
}

/// What `key` sends. `application`: the program asked for application cursor keys (DECCKM), as
/// editors and pagers do.
///
/// # Errors
/// There is no such key, or no terminal can send it.
pub fn bytes(key: &str, application: bool) -> Result<Vec<u8>, UnknownKey> {
    let (modifiers, name) = modifiers(key);
    sent(modifiers, name, application).ok_or_else(|| UnknownKey { nearest: nearest(key, words()) })
}

/// `ctrl-alt-x` is `x` with two of them, in any order; `ctrl--` and `-` have the dash as their key.
fn modifiers(mut name: &str) -> (u8, &str) {
    let mut found = 0;
    while let Some((rest, modifier)) = MODIFIERS.iter().find_map(|(prefix, modifier)| {
        let (start, rest) = name.split_at_checked(prefix.len())?;
        let begins = start.eq_ignore_ascii_case(prefix) && !rest.is_empty();
        (begins && found & modifier == 0).then_some((rest, *modifier))
    }) {
        found |= modifier;
        name = rest;
    }
    (found, name)
}

fn sent(modifiers: u8, name: &str, application: bool) -> Option<Vec<u8>> {
    let known = KEYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let parameter = modifiers + 1;
    Some(match known {
        Some((_, Sends::Plain(bytes))) => return plain(modifiers, name, bytes),
        Some((_, Sends::Cursor(last))) if modifiers == 0 && !application => vec![0x1b, b'[', *last],
        Some((_, Sends::Cursor(last) | Sends::Function(last))) if modifiers == 0 => {
            vec![0x1b, b'O', *last]
        }
        Some((_, Sends::Cursor(last) | Sends::Function(last))) => {
            format!("\x1b[1;{parameter}{}", char::from(*last)).into_bytes()
        }
        Some((_, Sends::Numbered(number))) if modifiers == 0 => {
            format!("\x1b[{number}~").into_bytes()
        }
        Some((_, Sends::Numbered(number))) => format!("\x1b[{number};{parameter}~").into_bytes(),
        None => return character(modifiers, name),
    })
}

/// Keys that are one byte have few combinations that a terminal can send.
fn plain(modifiers: u8, name: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let with_control = |name: &str| match name.to_ascii_lowercase().as_str() {
        "space" => Some(vec![0]),
        "backspace" => Some(vec![8]),
        _ => None,
    };
    let sent = match modifiers & !ALT {
        0 => bytes.to_vec(),
        SHIFT if name.eq_ignore_ascii_case("tab") => b"\x1b[Z".to_vec(),
        CTRL => with_control(name)?,
        _ => return None,
    };
    Some(with_alt(modifiers, sent))
}

/// A single character: itself, or the control character of its key (ECMA-48, the C0 set).
fn character(modifiers: u8, name: &str) -> Option<Vec<u8>> {
    let mut characters = name.chars();
    let character = characters.next().filter(|_| characters.next().is_none())?;
    let sent = match modifiers & !ALT {
        0 if !character.is_control() => character.to_string().into_bytes(),
        CTRL => vec![match character.to_ascii_lowercase() {
            letter @ 'a'..='z' => letter as u8 & 0x1f,
            mark @ ('@' | '[' | '\\' | ']' | '^' | '_') => mark as u8 & 0x1f,
            '/' => 0x1f,
            '?' => 0x7f,
            _ => return None,
        }],
        _ => return None,
    };
    Some(with_alt(modifiers, sent))
}

/// Alt is an ESC before it (xterm's metaSendsEscape, and every other terminal's habit).
fn with_alt(modifiers: u8, mut sent: Vec<u8>) -> Vec<u8> {
    if modifiers & ALT != 0 {
        sent.insert(0, 0x1b);
    }
    sent
}

/// All words that a slip may have meant.
fn words() -> impl Iterator<Item = String> {
    let names = KEYS.iter().map(|(name, _)| (*name).to_owned());
    let control = ('a'..='z').chain("[\\]^_".chars()).map(|letter| format!("ctrl-{letter}"));
    let moved = KEYS.iter().filter(|(_, sends)| !matches!(sends, Sends::Plain(_)));
    let moved =
        moved.flat_map(|(name, _)| MODIFIERS.iter().map(move |(with, _)| format!("{with}{name}")));
    let more = ["shift-tab", "ctrl-space", "alt-enter"].map(str::to_owned);
    names.chain(control).chain(more).chain(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn sends(key: &str, expected: &[u8]) {
        let sent = bytes(key, false).unwrap();
        assert_eq!(sent.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{key}");
    }

    #[test]
    fn a_key_sends_what_xterm_sends() {
        for (key, expected) in [
            ("enter", &b"\r"[..]),
            ("tab", b"\t"),
            ("esc", b"\x1b"),
            ("space", b" "),
            ("backspace", b"\x7f"),
            ("delete", b"\x1b[3~"),
            ("insert", b"\x1b[2~"),
            ("up", b"\x1b[A"),
            ("left", b"\x1b[D"),
            ("home", b"\x1b[H"),
            ("end", b"\x1b[F"),
            ("pageup", b"\x1b[5~"),
            ("pagedown", b"\x1b[6~"),
            ("f1", b"\x1bOP"),
            ("f4", b"\x1bOS"),
            ("f5", b"\x1b[15~"),
            ("f12", b"\x1b[24~"),
            ("Enter", b"\r"),
            ("F10", b"\x1b[21~"),
            ("q", b"q"),
            ("-", b"-"),
            ("é", "é".as_bytes()),
        ] {
            sends(key, expected);
        }
    }

    #[test]
    fn modifiers_are_sent_as_xterm_sends_them() {
        for (key, expected) in [
            ("ctrl-a", &b"\x01"[..]),
            ("Ctrl-C", b"\x03"),
            ("ctrl-z", b"\x1a"),
            ("ctrl-[", b"\x1b"),
            ("ctrl-\\", b"\x1c"),
            ("ctrl-]", b"\x1d"),
            ("ctrl-^", b"\x1e"),
            ("ctrl-_", b"\x1f"),
            ("ctrl-/", b"\x1f"),
            ("ctrl-space", b"\0"),
            ("ctrl-@", b"\0"),
            ("alt-x", b"\x1bx"),
            ("alt-X", b"\x1bX"),
            ("alt--", b"\x1b-"),
            ("alt-enter", b"\x1b\r"),
            ("alt-backspace", b"\x1b\x7f"),
            ("ctrl-alt-c", b"\x1b\x03"),
            ("alt-ctrl-c", b"\x1b\x03"),
            ("shift-tab", b"\x1b[Z"),
            ("ctrl-left", b"\x1b[1;5D"),
            ("shift-up", b"\x1b[1;2A"),
            ("alt-shift-f1", b"\x1b[1;4P"),
            ("ctrl-delete", b"\x1b[3;5~"),
            ("ctrl-shift-end", b"\x1b[1;6F"),
        ] {
            sends(key, expected);
        }
    }

    #[test]
    fn a_program_that_asked_for_application_keys_gets_them() {
        for (key, expected) in [
            ("up", &b"\x1bOA"[..]),
            ("home", b"\x1bOH"),
            ("ctrl-up", b"\x1b[1;5A"),
            ("delete", b"\x1b[3~"),
            ("enter", b"\r"),
        ] {
            assert_eq!(bytes(key, true).unwrap(), expected, "{key}");
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest_and_which_there_are() {
        for (key, nearest) in [
            ("entre", Some("enter")),
            ("ctrl+c", Some("ctrl-c")),
            ("pagdown", Some("pagedown")),
            ("shift-tabb", Some("shift-tab")),
            ("ctrl-lefft", Some("ctrl-left")),
            ("f13", Some("f1")),
            ("", None),
            ("\n", None),
            ("ls -l", None),
            ("ctrl-ctrl-a", None),
        ] {
            let error = bytes(key, false).unwrap_err();
            assert_eq!(error.nearest.as_deref(), nearest, "{key}");
            assert!(error.to_string().contains("pageup pagedown f1"), "{error}");
        }
        for impossible in
            ["ctrl-enter", "shift-a", "ctrl-1", "shift-esc", "ctrl-é", "ctrl-", "a\u{301}"]
        {
            assert!(bytes(impossible, false).is_err(), "{impossible}");
        }
        assert!(bytes(&"ctrl-".repeat(100_000), false).is_err());
    }

    #[test]
    fn every_word_that_may_be_named_as_the_nearest_is_a_key() {
        assert!(words().all(|word| bytes(&word, false).is_ok()));
    }
}
