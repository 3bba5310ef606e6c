//! What was typed, as lines whose echo can be recognised.

use std::{collections::VecDeque, ops::Range};

use super::parse::{Event, Parser};

/// What stands between two presses of Enter. Blanks are left out on both sides of a comparison: a
/// terminal wraps, a tab is shown as blanks or completes a word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// Text, in pieces where editing keys came in between: what they do to the line can't be known.
    pieces: Vec<String>,
}

/// Lines that Enter followed, and text that it did not. An Enter alone, and keys alone, have no echo.
pub fn lines(typed: &[u8]) -> (VecDeque<Typed>, Option<Typed>) {
    let mut lines = VecDeque::new();
    let mut line = Typed::default();
    Parser::default().advance(typed, &mut |event| match event {
        Event::Print(character) => line.print(character),
        Event::Control(b'\r' | b'\n') => end(&mut line, &mut lines),
        Event::Control(0x7f | 0x08) => line.rub_out(),
        // Ctrl-U empties the line.
        Event::Control(0x15) => line = Typed::default(),
        // Ctrl-C, Ctrl-Z and Ctrl-\ leave it behind.
        Event::Control(0x03 | 0x1a | 0x1c) if line.is_blank() => line = Typed::default(),
        Event::Control(0x03 | 0x1a | 0x1c) => {
            line.key();
            end(&mut line, &mut lines);
        }
        // The marks around pasted text.
        Event::Sequence(_, [200 | 201], b'~') => {}
        Event::Control(_) | Event::Escape(_) | Event::Sequence(..) => line.key(),
    });
    (lines, Some(line).filter(|line| !line.is_blank()))
}

fn end(line: &mut Typed, lines: &mut VecDeque<Typed>) {
    let line = std::mem::take(line);
    if !line.pieces.is_empty() {
        lines.push_back(line);
    }
}

impl Typed {
    fn print(&mut self, character: char) {
        match (character, self.pieces.last_mut()) {
            (' ', _) => {}
            (_, Some(piece)) => piece.push(character),
            (_, None) => self.pieces.push(character.to_string()),
        }
    }

    fn key(&mut self) {
        if self.pieces.is_empty() {
            self.pieces.push(String::new());
        }
        self.pieces.push(String::new());
    }

    fn rub_out(&mut self) {
        let gone = self.pieces.last_mut().and_then(String::pop);
        if gone.is_none() {
            self.key();
        } else if self.pieces == [""] {
            self.pieces.clear();
        }
    }

    fn is_blank(&self) -> bool {
        self.pieces.iter().all(String::is_empty)
    }

    /// Where the echo begins in `shown`, if that is a line as it stands before its end: the text at
    /// its end, alone or behind what looks like a prompt. With editing keys: their pieces in order.
    pub fn begins_in(&self, shown: &str) -> Option<usize> {
        let start = match self.pieces.as_slice() {
            [text] => ends_with(shown, text)?,
            pieces => in_order(shown, pieces)?.start,
        };
        looks_like_a_prompt(&shown[..start]).then_some(start)
    }

    /// Behind the first place where the text stands in `shown`.
    pub fn ends_in(&self, shown: &str) -> Option<usize> {
        let place = in_order(shown, &self.pieces)?;
        let last = shown[place.end..].chars().next();
        Some(place.end + last.map_or(0, char::len_utf8))
    }

    /// The line as it stands may be the beginning of the echo.
    pub fn may_become(&self, shown: &str) -> bool {
        let mut shown = visible(shown).peekable();
        let [text] = self.pieces.as_slice() else { return false };
        shown.peek().is_some()
            && shown.zip(text.chars().map(Some).chain([None])).all(|(a, b)| Some(a) == b)
    }

    /// A stretch of an overlong echo.
    pub fn contains(&self, shown: &str) -> bool {
        let shown: String = visible(shown).collect();
        self.pieces.iter().any(|piece| piece.contains(&shown))
    }
}

fn visible(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|character| !character.is_whitespace())
}

/// Where `text` begins, if `shown` ends with it, blanks apart.
fn ends_with(shown: &str, text: &str) -> Option<usize> {
    let mut wanted = text.chars().rev().peekable();
    for (at, character) in shown.char_indices().rev() {
        if !character.is_whitespace() && wanted.next() != Some(character) {
            return None;
        }
        if wanted.peek().is_none() {
            return Some(at);
        }
    }
    None
}

/// From the first character of `pieces` to the last one, if they stand in `shown` in their order,
/// blanks apart.
fn in_order(shown: &str, pieces: &[String]) -> Option<Range<usize>> {
    let (places, text): (Vec<usize>, String) =
        shown.char_indices().filter(|(_, character)| !character.is_whitespace()).unzip();
    let (mut at, mut first) = (0, None);
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        let found = at + text[at..].find(piece.as_str())?;
        first.get_or_insert(found);
        at = found + piece.len();
    }
    let Some(first) = first else { return Some(0..0) };
    let place = |at: usize| places.get(text[..at].chars().count()).copied();
    Some(place(first)?..places.get(text[..at].chars().count() - 1).copied()?)
}

/// Nothing, a number as some print before continued lines, or something that ends in a sign.
fn looks_like_a_prompt(before: &str) -> bool {
    let before = before.trim();
    let last = before.chars().next_back();
    last.is_none_or(|last| !last.is_ascii_alphanumeric())
        || before.chars().all(|character| character.is_ascii_digit())
}
