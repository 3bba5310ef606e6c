//! Bytes that are typed, as keys.

/// One key, or one character of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    Text(&'a [u8]),
    Enter,
    Back,
    /// Ctrl-C: the terminal takes it, and with it what stands in the line.
    Interrupt,
    /// Ctrl-Z, Ctrl-\: they stop programs; a shell does not care for them, and its line stays.
    Stop,
    /// Ctrl-D: the end of what is read, or of a line that was begun.
    End,
    /// It changes the line and submits none, as shells are set up: cursor keys, Tab, kill and yank.
    Moves,
    /// Ctrl-L: the screen is drawn anew.
    Clear,
    /// It may do anything.
    Other,
}

/// Control characters that move and change, and submit nothing: Ctrl-A B E F, Backspace as Ctrl-H, Tab,
/// Ctrl-K N P R T U W Y, and Ctrl-_.
const MOVES: &[u8] = b"\x01\x02\x05\x06\x08\x09\x0b\x0e\x10\x12\x14\x15\x17\x19\x1f";

pub fn read(bytes: &[u8]) -> impl Iterator<Item = Key<'_>> {
    placed(bytes).map(|(_, key)| key)
}

/// With the place where each begins.
pub fn placed(bytes: &[u8]) -> impl Iterator<Item = (usize, Key<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let (key, taken) = first(rest);
        let place = at;
        at += taken;
        Some((place, key))
    })
}

/// The text of it, in lines, as if all other keys did nothing.
pub fn text(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for key in read(bytes) {
        match key {
            Key::Text(character) => text.extend_from_slice(character),
            Key::Enter => text.push(b'\n'),
            _ => {}
        }
    }
    text
}

fn first(bytes: &[u8]) -> (Key<'_>, usize) {
    match bytes[0] {
        b'\r' | b'\n' => (Key::Enter, 1),
        0x7f => (Key::Back, 1),
        0x03 => (Key::Interrupt, 1),
        0x1a | 0x1c => (Key::Stop, 1),
        0x04 => (Key::End, 1),
        0x0c => (Key::Clear, 1),
        byte if MOVES.contains(&byte) => (Key::Moves, 1),
        0x1b => match moves(bytes) {
            Some(length) => (Key::Moves, length),
            None => (Key::Other, 1),
        },
        0x00..=0x1f => (Key::Other, 1),
        _ => character(bytes),
    }
}

/// A cursor key, or Home, End, Insert, Delete, Page up or down: `CSI [1;m] A` to `H`, `SS3 A` to `H`,
/// `CSI n [;m] ~` for one digit.
fn moves(bytes: &[u8]) -> Option<usize> {
    let cursor = |byte: &u8| matches!(byte, b'A'..=b'D' | b'F' | b'H');
    let digit = |byte: &u8| byte.is_ascii_digit();
    match bytes {
        [_, b'[' | b'O', last, ..] if cursor(last) => Some(3),
        [_, b'[', b'1'..=b'8', b'~', ..] => Some(4),
        [_, b'[', b'1', b';', with, last, ..] if digit(with) && cursor(last) => Some(6),
        [_, b'[', b'1'..=b'8', b';', with, b'~', ..] if digit(with) => Some(6),
        _ => None,
    }
}

/// A printable character; what is none, or is cut, may be anything.
fn character(bytes: &[u8]) -> (Key<'_>, usize) {
    let Some(chunk) = bytes[..bytes.len().min(4)].utf8_chunks().next() else {
        return (Key::Other, 1);
    };
    match chunk.valid().chars().next() {
        Some(char) if !char.is_control() => (Key::Text(&bytes[..char.len_utf8()]), char.len_utf8()),
        Some(char) => (Key::Other, char.len_utf8()),
        None => (Key::Other, 1),
    }
}
