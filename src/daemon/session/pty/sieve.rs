//! What a terminal's model is given of a server's bytes: text, and control sequences that are whole and
//! short. Strings (titles, sixels, clipboards) end here however long they get, and so do questions.

/// A control sequence that is longer is none that anybody means.
const SEQUENCE: usize = 128;
/// Of a title this much is looked at, in bytes.
const TITLE: usize = 512;
/// Text goes on in pieces of this size, so that what it costs can be watched.
const PIECE: usize = 2048;

/// What programs ask a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// What it is: DA1 and DA2.
    Attributes,
    Version,
    /// Whether it is well, and where the cursor stands: DSR 5, 6 and ?6.
    Status,
    Cursor,
    CursorAndPage,
}

/// Where it goes.
pub trait Model {
    /// Text and C0, or one whole sequence.
    fn draw(&mut self, bytes: &[u8]);
    fn ask(&mut self, query: Query);
    fn title(&mut self, text: &[u8]);
    /// Whether it has done enough for now.
    fn is_tired(&self) -> bool;
}

#[derive(Default)]
pub struct Sieve {
    state: State,
    /// The sequence, or a title's text, as far as it has come.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    Control,
    /// Too long: its end is waited for.
    ControlSkipped,
    /// OSC, which BEL ends too.
    Command,
    /// DCS, SOS, PM, APC.
    Text,
    /// ESC within a string; whether it was a command's.
    StringEscape {
        command: bool,
    },
}

impl Sieve {
    /// Gives on what may pass, until the model is tired; says how many bytes were taken.
    pub fn feed(&mut self, bytes: &[u8], model: &mut impl Model) -> usize {
        let mut at = 0;
        while at < bytes.len() && !model.is_tired() {
            let rest = &bytes[at..];
            match self.state {
                State::Ground => at += self.text(rest, model),
                State::Command | State::Text => at += self.string(rest, model),
                _ => {
                    self.step(rest[0], model);
                    at += 1;
                }
            }
        }
        at
    }

    fn text(&mut self, bytes: &[u8], model: &mut impl Model) -> usize {
        let bytes = &bytes[..bytes.len().min(PIECE)];
        let end = bytes.iter().position(|byte| *byte == 0x1b).unwrap_or(bytes.len());
        if end > 0 {
            model.draw(&bytes[..end]);
            return end;
        }
        self.begin();
        1
    }

    fn begin(&mut self) {
        self.held.clear();
        self.held.push(0x1b);
        self.state = State::Escape;
    }

    fn step(&mut self, byte: u8, model: &mut impl Model) {
        match (self.state, byte) {
            (State::StringEscape { command }, b'\\') => self.end_string(command, model),
            (State::StringEscape { .. }, _) => {
                self.begin();
                self.step(byte, model);
            }
            (_, 0x1b) => self.begin(),
            (_, 0x18 | 0x1a) => self.state = State::Ground,
            // A terminal obeys these within a sequence.
            (_, 0x00..=0x1f) => model.draw(&[byte]),
            (State::Escape, b'[') if self.held.len() == 1 => self.enter(State::Control, byte),
            (State::Escape, b']') if self.held.len() == 1 => {
                self.held.clear();
                self.state = State::Command;
            }
            (State::Escape, b'P' | b'X' | b'^' | b'_') if self.held.len() == 1 => {
                self.state = State::Text;
            }
            (State::Escape, 0x20..=0x2f) if self.held.len() < 4 => self.held.push(byte),
            (State::Escape, 0x30..=0x7e) => {
                self.held.push(byte);
                self.state = State::Ground;
                model.draw(&self.held);
            }
            (State::Control, 0x20..=0x3f) if self.held.len() < SEQUENCE => self.held.push(byte),
            (State::Control | State::ControlSkipped, 0x20..=0x3f) => {
                self.state = State::ControlSkipped;
            }
            (State::Control, 0x40..=0x7e) => {
                self.held.push(byte);
                self.state = State::Ground;
                self.control(model);
            }
            (State::Control | State::ControlSkipped, 0x7f) => {}
            _ => self.state = State::Ground,
        }
    }

    fn enter(&mut self, state: State, byte: u8) {
        self.held.push(byte);
        self.state = state;
    }

    /// A whole control sequence (ECMA-48): `ESC [ parameters intermediates final`.
    fn control(&mut self, model: &mut impl Model) {
        let Some((last, inner)) = self.held.get(2..).and_then(<[u8]>::split_last) else { return };
        match (inner, last) {
            (b"" | b"0" | b">" | b">0", b'c') => model.ask(match inner.first() {
                Some(b'>') => Query::Version,
                _ => Query::Attributes,
            }),
            (b"5", b'n') => model.ask(Query::Status),
            (b"6", b'n') => model.ask(Query::Cursor),
            (b"?6", b'n') => model.ask(Query::CursorAndPage),
            // What moves a window or asks for it, and further questions, means nothing here.
            (_, b'c' | b'n' | b't') => {}
            _ => model.draw(&self.held),
        }
    }

    fn string(&mut self, bytes: &[u8], model: &mut impl Model) -> usize {
        let command = self.state == State::Command;
        let ends = |byte: &u8| matches!(byte, 0x1b | 0x18 | 0x1a) || command && *byte == 0x07;
        let end = bytes.iter().position(ends);
        let inside = &bytes[..end.unwrap_or(bytes.len())];
        if command {
            let room = TITLE - self.held.len().min(TITLE);
            self.held.extend_from_slice(&inside[..inside.len().min(room)]);
        }
        let Some(end) = end else { return bytes.len() };
        match bytes[end] {
            0x07 => self.end_string(true, model),
            0x1b => self.state = State::StringEscape { command },
            _ => self.state = State::Ground,
        }
        end + 1
    }

    fn end_string(&mut self, command: bool, model: &mut impl Model) {
        self.state = State::Ground;
        if command
            && let Some(title) =
                self.held.strip_prefix(b"0;").or_else(|| self.held.strip_prefix(b"2;"))
        {
            model.title(title);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Seen {
        drawn: Vec<u8>,
        asked: Vec<Query>,
        titles: Vec<String>,
    }

    impl Model for Seen {
        fn draw(&mut self, bytes: &[u8]) {
            self.drawn.extend_from_slice(bytes);
        }

        fn ask(&mut self, query: Query) {
            self.asked.push(query);
        }

        fn title(&mut self, text: &[u8]) {
            self.titles.push(String::from_utf8_lossy(text).into_owned());
        }

        fn is_tired(&self) -> bool {
            false
        }
    }

    fn seen(chunks: &[&[u8]]) -> Seen {
        let (mut sieve, mut seen) = (Sieve::default(), Seen::default());
        for chunk in chunks {
            assert_eq!(sieve.feed(chunk, &mut seen), chunk.len());
            assert!(sieve.held.capacity() <= 2 * TITLE, "{}", sieve.held.capacity());
        }
        seen
    }

    #[test]
    fn text_and_sequences_pass_and_strings_do_not() {
        let seen = seen(&[b"a\x1b[1;31mb\x1b(B\x1b7\xe2\x82\xac\r\n\x1b]52;c;aGk=\x07\x1bPq#1~\x1b\\\x1b_x\x1b\\end"]);
        assert_eq!(seen.drawn, b"a\x1b[1;31mb\x1b(B\x1b7\xe2\x82\xac\r\nend");
        assert!(seen.asked.is_empty() && seen.titles.is_empty());
    }

    #[test]
    fn questions_are_told_apart() {
        let seen = seen(&[b"\x1b[c\x1b[0c\x1b[>c\x1b[>0c\x1b[5n\x1b[6n\x1b[?6n\x1b[=c\x1b[?1;2c\x1b[14t\x1b[?996n"]);
        use Query::{Attributes, Cursor, CursorAndPage, Status, Version};
        let asked = [Attributes, Attributes, Version, Version, Status, Cursor, CursorAndPage];
        assert_eq!((seen.asked.as_slice(), seen.drawn.as_slice()), (&asked[..], &b""[..]));
    }

    #[test]
    fn what_is_long_costs_nothing() {
        let long = vec![b'1'; 1_000_000];
        let seen = seen(&[
            b"\x1b]0;one\x07\x1b]2;two\x1b\\\x1b]1;icon\x07\x1b]0;",
            &long,
            &long,
            b"\x07x\x1b[",
            &long,
            b"my\x1bP",
            &long,
            b"\x1b[1mz",
        ]);
        assert_eq!(seen.drawn, b"xy\x1b[1mz");
        assert_eq!(seen.titles[..2], ["one", "two"]);
        assert!(seen.titles.len() == 3 && seen.titles[2].len() < TITLE);
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            bytes in prop::collection::vec(prop_oneof![
                2 => prop::sample::select(b"\x1b[]P?;>06cnmt\\\x07\x18\r\nab\xe2\x82\xac".to_vec()),
                1 => 0u8..=255,
            ], 0..400),
            sizes in prop::collection::vec(1usize..30, 1..20),
        ) {
            let whole = seen(&[&bytes]);
            let (mut rest, mut chunks) = (bytes.as_slice(), Vec::new());
            for size in sizes.iter().cycle() {
                let (now, later) = rest.split_at((*size).min(rest.len()));
                chunks.push(now);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            let cut = seen(&chunks);
            prop_assert_eq!(whole.drawn, cut.drawn);
            prop_assert_eq!(whole.asked, cut.asked);
            prop_assert_eq!(whole.titles, cut.titles);
        }
    }
}
