//! How text that an agent or a server wrote is shown to a person: every character is either plainly
//! visible or written as an escape, so that nothing hides, moves the cursor or imitates.
//!
//! The backslash is escaped too: what is shown can be read back into exactly what came.

use std::{fmt::Write, sync::LazyLock};

use regex::Regex;
use unicode_width::UnicodeWidthChar;

/// For what people read as language (reasons, messages): letters, digits, punctuation and symbols of any
/// script stand as they are. One line, at most `cap` columns, then `… (cut, 93,400 more bytes)`.
///
/// Combining marks are escaped, and letters of another script inside a Latin word (`p\u{430}ypal`).
pub fn visible(text: &str, cap: usize) -> String {
    show(text.as_bytes(), cap, Taste::Prose)
}

/// [`visible`] for bytes that need not be text; those that aren't stand as `\xff`.
pub fn visible_bytes(bytes: &[u8], cap: usize) -> String {
    show(bytes, cap, Taste::Prose)
}

/// For what will be executed or connected to (commands, paths, hosts, users): only printable ASCII
/// stands as it is, since a letter of another alphabet can look like any of those.
pub fn exact(bytes: &[u8], cap: usize) -> String {
    show(bytes, cap, Taste::Exact)
}

#[derive(Clone, Copy, PartialEq)]
enum Taste {
    Prose,
    Exact,
}

/// A character, or a byte that belongs to none.
#[derive(Clone, Copy)]
enum Unit {
    Char(char),
    Byte(u8),
}

fn show(bytes: &[u8], cap: usize, taste: Taste) -> String {
    // A unit takes a column at least and four bytes at most: what is behind can't be shown anyway.
    let window = &bytes[..bytes.len().min(cap.saturating_add(1).saturating_mul(4))];
    let units: Vec<Unit> = units(window).collect();
    let mut shown = String::new();
    let (mut columns, mut used) = (0, 0);
    let mut word = Word::default();
    for (index, unit) in units.iter().enumerate() {
        let piece = match *unit {
            Unit::Byte(byte) => format!("\\x{byte:02x}"),
            Unit::Char(char) => {
                word.enter(&units, index);
                match char {
                    '\\' => escape(char),
                    ' '..='~' => char.to_string(),
                    _ if taste == Taste::Prose && is_plain(char) && !word.is_odd(char) => {
                        char.to_string()
                    }
                    _ => escape(char),
                }
            }
        };
        let width: usize = piece.chars().map(|char| char.width().unwrap_or(0)).sum();
        if columns + width > cap {
            break;
        }
        columns += width;
        used += unit.len();
        shown.push_str(&piece);
    }
    if used < bytes.len() {
        // Writing to a String does not fail.
        let _ = write!(shown, "… (cut, {} more bytes)", grouped(bytes.len() - used));
    }
    shown
}

impl Unit {
    fn len(self) -> usize {
        match self {
            Unit::Char(char) => char.len_utf8(),
            Unit::Byte(_) => 1,
        }
    }
}

fn units(bytes: &[u8]) -> impl Iterator<Item = Unit> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let chars = chunk.valid().chars().map(Unit::Char);
        chars.chain(chunk.invalid().iter().copied().map(Unit::Byte))
    })
}

fn escape(char: char) -> String {
    match char {
        '\\' => String::from("\\\\"),
        '\n' => String::from("\\n"),
        '\r' => String::from("\\r"),
        '\t' => String::from("\\t"),
        '\0'..='\x7f' => format!("\\x{:02x}", u32::from(char)),
        _ => format!("\\u{{{:x}}}", u32::from(char)),
    }
}

/// What has a shape of its own: no control, format, private or unassigned character, no mark, no space
/// but U+0020, nothing that is ignored by default (Hangul fillers, variation selectors, tags).
fn is_plain(char: char) -> bool {
    static HIDDEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        // U+2800 is a braille pattern without dots: it looks like a space.
        Regex::new(r"[\p{C}\p{M}\p{Z}\p{Default_Ignorable_Code_Point}\x{2800}]").ok()
    });
    let mut buffer = [0; 4];
    // Without the table nothing but ASCII would pass.
    let hidden =
        HIDDEN.as_ref().is_none_or(|hidden| hidden.is_match(char.encode_utf8(&mut buffer)));
    !hidden && char.width().is_some_and(|width| width > 0)
}

/// The run of letters and digits that a character stands in.
#[derive(Default)]
struct Word {
    end: usize,
    latin: bool,
}

impl Word {
    fn enter(&mut self, units: &[Unit], index: usize) {
        if index < self.end {
            return;
        }
        let inside = |unit: &&Unit| matches!(unit, Unit::Char(char) if char.is_alphanumeric());
        let letters = units[index..].iter().take_while(inside);
        let mut length = 0;
        self.latin = letters.fold(false, |latin, unit| {
            length += 1;
            latin || matches!(unit, Unit::Char(char) if is_latin(*char))
        });
        self.end = index + length.max(1);
    }

    /// A letter of another script in a word that has a Latin one.
    fn is_odd(&self, char: char) -> bool {
        self.latin && char.is_alphabetic() && !is_latin(char)
    }
}

fn is_latin(char: char) -> bool {
    static LATIN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\p{Latin}").ok());
    let mut buffer = [0; 4];
    char.is_ascii_alphabetic()
        || LATIN.as_ref().is_some_and(|latin| latin.is_match(char.encode_utf8(&mut buffer)))
}

/// `93400` as `93,400`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_hides_or_moves_is_written_out() {
        for (text, shown) in [
            ("plain text, (really) it's 100%!", "plain text, (really) it's 100%!"),
            ("Grüße, 東京, мир, שלום ✓", "Grüße, 東京, мир, שלום ✓"),
            ("two\nlines\r\tand", "two\\nlines\\r\\tand"),
            ("\u{1b}[31mred\u{7}\u{7f}\0", "\\x1b[31mred\\x07\\x7f\\x00"),
            ("a\u{202e}b\u{2066}\u{200f}\u{61c}", "a\\u{202e}b\\u{2066}\\u{200f}\\u{61c}"),
            ("a\u{200b}\u{200d}\u{feff}\u{ad}\u{2060}", {
                "a\\u{200b}\\u{200d}\\u{feff}\\u{ad}\\u{2060}"
            }),
            ("\u{a0}\u{3000}\u{2003}\u{2028}\u{85}", "\\u{a0}\\u{3000}\\u{2003}\\u{2028}\\u{85}"),
            ("\u{e0041}\u{fe0f}\u{3164}\u{2800}", "\\u{e0041}\\u{fe0f}\\u{3164}\\u{2800}"),
            ("\u{e000}\u{378}\u{f8ff}", "\\u{e000}\\u{378}\\u{f8ff}"),
            ("e\u{301}", "e\\u{301}"),
            ("p\u{430}ypal \u{430}", "p\\u{430}ypal \u{430}"),
            ("C:\\n", "C:\\\\n"),
        ] {
            assert_eq!(visible(text, 200), shown);
        }
    }

    #[test]
    fn exact_text_is_ascii_alone() {
        assert_eq!(exact("rm /еtc/ü".as_bytes(), 99), "rm /\\u{435}tc/\\u{fc}");
        assert_eq!(exact(b"a\xffb\xc3", 99), "a\\xffb\\xc3");
        assert_eq!(visible_bytes(b"\xff\xc3\xa4", 99), "\\xffä");
    }

    #[test]
    fn a_cut_is_told_and_never_splits_an_escape() {
        assert_eq!(visible("abcdef", 6), "abcdef");
        assert_eq!(visible("abcdefg", 6), "abcdef… (cut, 1 more bytes)");
        assert_eq!(visible("abc\u{1b}def", 6), "abc… (cut, 4 more bytes)");
        assert_eq!(visible("東京", 3), "東… (cut, 3 more bytes)");
        assert_eq!(visible(&"x".repeat(93_410), 10), "xxxxxxxxxx… (cut, 93,400 more bytes)");
        assert_eq!(visible(&"x".repeat(10_000_000), 0), "… (cut, 10,000,000 more bytes)");
    }

    /// Reads an escape back; shows that nothing was lost.
    fn read_back(shown: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut chars = shown.chars();
        while let Some(char) = chars.next() {
            if char != '\\' {
                bytes.extend(char.to_string().into_bytes());
                continue;
            }
            match chars.next().unwrap() {
                'n' => bytes.push(b'\n'),
                'r' => bytes.push(b'\r'),
                't' => bytes.push(b'\t'),
                '\\' => bytes.push(b'\\'),
                'x' => {
                    let digits: String = chars.by_ref().take(2).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).unwrap());
                }
                'u' => {
                    let digits: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    let code = u32::from_str_radix(&digits, 16).unwrap();
                    bytes.extend(char::from_u32(code).unwrap().to_string().into_bytes());
                }
                other => panic!("{other}"),
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn nothing_unseen_is_ever_shown(text in any::<String>(), cap in 0usize..60) {
            let hides = |char: char| char.is_control()
                || (char.is_whitespace() && char != ' ')
                || char.width().is_none_or(|width| width == 0)
                || matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}' | '\u{e0000}'..='\u{e0fff}');
            prop_assert!(!visible(&text, cap).chars().any(hides));
            prop_assert!(exact(text.as_bytes(), 4000).is_ascii());
        }

        #[test]
        fn what_is_shown_whole_can_be_read_back(bytes: Vec<u8>) {
            prop_assert_eq!(read_back(&visible_bytes(&bytes, 10_000)), bytes.clone());
            prop_assert_eq!(read_back(&exact(&bytes, 10_000)), bytes);
        }

        #[test]
        fn the_cap_holds(text in any::<String>(), cap in 0usize..40) {
            let shown = visible(&text, cap);
            let kept = shown.split("… (cut, ").next().unwrap();
            let width: usize = kept.chars().map(|char| char.width().unwrap()).sum();
            prop_assert!(width <= cap);
        }
    }
}
