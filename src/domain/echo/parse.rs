//! A terminal's bytes as characters, controls and sequences, cut anywhere. Strings (OSC, DCS and the
//! like) are skipped unread, so that nothing here grows with what a server sends.

/// Parameters of a sequence that are kept; ECMA-48 sequences that matter here have at most two.
const PARAMETERS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    Print(char),
    /// C0, without ESC.
    Control(u8),
    /// ESC and its final byte.
    Escape(u8),
    /// CSI: a private marker or intermediate (0: none), the parameters, the final byte.
    Sequence(u8, &'a [u16], u8),
}

#[derive(Default)]
pub struct Parser {
    state: State,
    partial: Vec<u8>,
    mark: u8,
    parameters: [u16; PARAMETERS],
    count: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// ESC and an intermediate (a character set), or SS2, SS3: one more byte follows.
    OneMore,
    Sequence,
    /// OSC, which BEL ends too.
    Title,
    /// DCS, SOS, PM, APC.
    Text,
    StringEscape,
}

impl Parser {
    pub fn advance(&mut self, bytes: &[u8], each: &mut impl FnMut(Event<'_>)) {
        for byte in bytes {
            self.byte(*byte, each);
        }
    }

    fn byte(&mut self, byte: u8, each: &mut impl FnMut(Event<'_>)) {
        match (self.state, byte) {
            (State::Ground, 0x20..=0x7e) if self.partial.is_empty() => {
                each(Event::Print(char::from(byte)));
            }
            (State::Ground, 0x80..) => self.decode(byte, each),
            (State::Ground, _) if !self.partial.is_empty() => {
                self.partial.clear();
                each(Event::Print(char::REPLACEMENT_CHARACTER));
                self.byte(byte, each);
            }
            // CAN and SUB break off whatever there is.
            (_, 0x18 | 0x1a) if self.state != State::Ground => self.state = State::Ground,
            (State::Title, 0x07) | (State::StringEscape, b'\\') => self.state = State::Ground,
            (State::Title | State::Text, 0x1b) => self.state = State::StringEscape,
            (State::Title | State::Text, _) => {}
            (_, 0x1b) => self.state = State::Escape,
            (State::Ground, _) => each(Event::Control(byte)),
            // A terminal obeys controls within a sequence.
            (_, ..0x20) => each(Event::Control(byte)),
            (State::Escape | State::StringEscape, _) => self.escape(byte, each),
            (State::OneMore, _) => {
                self.state = State::Ground;
                each(Event::Escape(byte));
            }
            (State::Sequence, _) => self.sequence(byte, each),
        }
    }

    fn escape(&mut self, byte: u8, each: &mut impl FnMut(Event<'_>)) {
        self.state = match byte {
            b'[' => {
                (self.mark, self.parameters, self.count) = (0, [0; PARAMETERS], 0);
                State::Sequence
            }
            b']' => State::Title,
            b'P' | b'X' | b'^' | b'_' => State::Text,
            b'N' | b'O' | 0x20..=0x2f => State::OneMore,
            _ => {
                each(Event::Escape(byte));
                State::Ground
            }
        };
    }

    fn sequence(&mut self, byte: u8, each: &mut impl FnMut(Event<'_>)) {
        match byte {
            b'0'..=b'9' => {
                if let Some(number) = self.parameters.get_mut(self.count) {
                    *number = number.saturating_mul(10).saturating_add(u16::from(byte - b'0'));
                }
            }
            b';' | b':' => self.count = (self.count + 1).min(PARAMETERS),
            0x20..=0x3f => self.mark = byte,
            0x40..=0x7e => {
                self.state = State::Ground;
                let count = (self.count + 1).min(PARAMETERS);
                each(Event::Sequence(self.mark, &self.parameters[..count], byte));
            }
            _ => self.state = State::Ground,
        }
    }

    fn decode(&mut self, byte: u8, each: &mut impl FnMut(Event<'_>)) {
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial).map(|text| text.chars().next()) {
            Ok(character) => {
                character.into_iter().for_each(|character| each(Event::Print(character)));
                self.partial.clear();
            }
            Err(error) if error.error_len().is_none() => {}
            Err(_) => {
                let alone = self.partial.len() == 1;
                self.partial.clear();
                each(Event::Print(char::REPLACEMENT_CHARACTER));
                if !alone {
                    self.byte(byte, each);
                }
            }
        }
    }
}
