//! Keys for questions of sgw's own, and a line that is typed with them.

use super::text::width;

/// A key, as far as questions care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Backspace,
    /// Ctrl-U.
    Clear,
    /// Esc, or Ctrl-C.
    Away,
    /// Arrows, the mouse, and whatever else has no meaning here.
    Other,
}

/// Reads keys out of bytes that come cut anywhere.
#[derive(Debug, Default)]
pub struct Keys {
    /// The beginning of a character of several bytes: three at most.
    begun: Vec<u8>,
}

impl Keys {
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut keys = Vec::new();
        let mut rest = all.as_slice();
        while let Some(&first) = rest.first() {
            let length = match first {
                0x1b => sequence(rest),
                0..=0x7f => 1,
                _ => match character(rest) {
                    Some(length) => length,
                    None => {
                        self.begun = rest.to_vec();
                        break;
                    }
                },
            };
            let (taken, behind) = rest.split_at(length);
            keys.push(key(taken));
            rest = behind;
        }
        keys
    }
}

fn key(bytes: &[u8]) -> Key {
    match bytes {
        b"\r" | b"\n" => Key::Enter,
        b"\x7f" | b"\x08" => Key::Backspace,
        b"\x15" => Key::Clear,
        b"\x1b" | b"\x03" => Key::Away,
        _ => {
            let mut chars = std::str::from_utf8(bytes).unwrap_or_default().chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) if !char.is_control() => Key::Char(char),
                _ => Key::Other,
            }
        }
    }
}

/// How long an escape sequence is (ECMA-48, 5.4): a lone Esc is itself. A terminal sends one whole.
fn sequence(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        None | Some(0x1b) => 1,
        Some(b'[') => {
            let end = bytes.iter().skip(2).position(|byte| (0x40..=0x7e).contains(byte));
            // X10's mouse: three bytes behind the M, whatever they are.
            let mouse = if bytes.get(2) == Some(&b'M') { 3 } else { 0 };
            end.map_or(bytes.len(), |end| (end + 3 + mouse).min(bytes.len()))
        }
        Some(b'O') => 3.min(bytes.len()),
        Some(_) => 2,
    }
}

/// How long the first character is; none when more of it has to come.
fn character(bytes: &[u8]) -> Option<usize> {
    match bytes.utf8_chunks().next() {
        Some(chunk) if !chunk.valid().is_empty() => {
            Some(chunk.valid().chars().next().map_or(1, char::len_utf8))
        }
        Some(chunk) => {
            let cut = std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none());
            (!cut || chunk.invalid().len() < bytes.len()).then(|| chunk.invalid().len())
        }
        None => Some(1),
    }
}

/// A line that is typed into a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(String);

impl Line {
    /// More than a word to anybody needs.
    const MOST: usize = 500;

    pub fn take(&mut self, key: Key) {
        match key {
            Key::Char(char) if self.0.len() + char.len_utf8() <= Self::MOST => self.0.push(char),
            Key::Backspace => _ = self.0.pop(),
            Key::Clear => self.0.clear(),
            _ => {}
        }
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// Its end, as much as so many columns hold.
    pub fn tail(&self, columns: usize) -> String {
        let visible = crate::domain::escape::visible(&self.0, Self::MOST * 12);
        let mut start = 0;
        while width(&visible[start..]) > columns {
            start += visible[start..].chars().next().map_or(1, char::len_utf8);
        }
        visible[start..].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<Key> {
        let mut keys = Keys::default();
        pieces.iter().flat_map(|piece| keys.read(piece)).collect()
    }

    #[test]
    fn keys_without_a_meaning_are_one_each() {
        assert_eq!(read(&[b"a\x1b[A\x1bOP\x1b[200~b"]).len(), 5);
        assert_eq!(read(&[b"\x1b[M !!y"]), [Key::Other, Key::Char('y')]);
        assert_eq!(read(&[b"\x1b[<0;10;5My"]), [Key::Other, Key::Char('y')]);
        assert_eq!(read(&[b"\x1b"]), [Key::Away]);
        assert_eq!(read(&[b"\x1by", b"n"]), [Key::Other, Key::Char('n')]);
        assert_eq!(
            read(&[b"\x03\r\x7f\x15\x01"]),
            [Key::Away, Key::Enter, Key::Backspace, Key::Clear, Key::Other]
        );
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        let word = "é東😀";
        for cut in 0..word.len() {
            let (first, second) = word.as_bytes().split_at(cut);
            assert_eq!(read(&[first, second]), word.chars().map(Key::Char).collect::<Vec<_>>());
        }
        assert_eq!(read(&[b"\xff\xfea"]), [Key::Other, Key::Other, Key::Char('a')]);
    }

    #[test]
    fn a_line_is_bounded_and_shows_its_end() {
        let mut line = Line::default();
        for char in "hello wörld".chars() {
            line.take(Key::Char(char));
        }
        line.take(Key::Backspace);
        assert_eq!((line.text(), line.tail(4).as_str()), ("hello wörl", "wörl"));
        (0..2000).for_each(|_| line.take(Key::Char('x')));
        assert_eq!(line.text().len(), 500);
        line.take(Key::Clear);
        assert_eq!(line.text(), "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_keys_and_little_is_kept(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20)) {
            let mut keys = Keys::default();
            for piece in pieces {
                keys.read(&piece);
                prop_assert!(keys.begun.len() <= 3);
            }
        }
    }
}
