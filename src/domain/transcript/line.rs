//! One line as it grows: what a terminal's bytes leave of it once escape sequences, carriage returns
//! and backspaces have done their work. Holds one line and a few bytes of an unfinished sequence,
//! however long that gets.

use std::num::NonZeroU16;

use unicode_width::UnicodeWidthChar;

/// A line is cut at so many columns …
pub const LONGEST_LINE: usize = 16 * 1024;
/// … or, where it is drawn over and over, at so many raw bytes.
pub const LONGEST_RAW_LINE: u64 = 256 * 1024;

/// A column that was drawn over with a blank: nothing, at the end of a line.
const ERASED: char = '\0';
/// The second column of a wide character.
const FILLER: char = '\u{1}';
/// Parameters of a control sequence that are looked at; longer ones are skipped unread.
const PARAMETERS: usize = 32;

/// What a byte did to the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Goes,
    /// The line ended with this byte.
    Ended,
    /// The line is too long: it was cut before the character that this byte completes, which begins
    /// so many bytes back and is the first of what goes on.
    Cut(u64),
}

#[derive(Clone, Default)]
pub struct Line {
    state: State,
    /// An unfinished character.
    partial: Vec<u8>,
    parameters: Vec<u8>,
    alternate: bool,
    columns: Vec<char>,
    at: usize,
    returned: bool,
    raw: u64,
    /// A terminal's width: there a return begins the last row over, not the line.
    width: Option<NonZeroU16>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// ESC and an intermediate: a final byte follows.
    Designation,
    Control,
    /// OSC, which BEL ends too.
    Title,
    /// DCS, SOS, PM, APC.
    Text,
    /// ESC within a string: `\` ends it, any other byte begins another sequence.
    StringEscape,
}

impl Line {
    pub fn new(width: Option<NonZeroU16>) -> Self {
        Self { width, ..Self::default() }
    }

    pub fn set_width(&mut self, width: NonZeroU16) {
        self.width = Some(width);
    }

    /// What a line has become at a [`Step`] that is not `Goes`; the next one begins empty.
    pub fn take(&mut self) -> String {
        if self.is_filled_up() {
            let end = self.columns.iter().rposition(|column| !matches!(*column, ' ' | ERASED));
            self.columns.truncate(end.map_or(0, |end| end + 1));
        }
        let text = self.text();
        self.restart();
        text
    }

    /// What the line would be if it ended here, as far as its characters are whole.
    pub fn text(&self) -> String {
        let end = self.columns.iter().rposition(|column| *column != ERASED).map_or(0, |at| at + 1);
        let shown = self.columns[..end].iter().filter(|column| **column != FILLER);
        shown.map(|column| if *column == ERASED { ' ' } else { *column }).collect()
    }

    /// Forgets what the line holds, but not in which sequence or on which screen it stands.
    pub fn restart(&mut self) {
        self.columns.clear();
        (self.at, self.returned, self.raw) = (0, false, 0);
    }

    /// No more comes: an unfinished character is none.
    pub fn end(&mut self) {
        if !std::mem::take(&mut self.partial).is_empty() && !self.alternate {
            self.draw(char::REPLACEMENT_CHARACTER);
        }
    }

    /// After `Ended` and `Cut`, [`Line::take`] the line, and after `Cut` feed the byte again.
    pub fn feed(&mut self, byte: u8) -> Step {
        if self.state == State::Ground && (byte >= 0x80 || !self.partial.is_empty()) {
            return self.decode(byte);
        }
        if self.state == State::Ground && byte >= 0x20 && byte != 0x7f {
            return self.print(char::from(byte), 0);
        }
        self.raw += 1;
        match (self.state, byte) {
            (State::Ground, byte) => return self.control(byte),
            (State::Escape, byte) => return self.escape(byte),
            (State::Designation, 0x20..=0x2f) => {}
            (State::Designation, 0x30..=0x7e) => self.state = State::Ground,
            (State::Control, 0x20..=0x3f) => {
                if self.parameters.len() < PARAMETERS {
                    self.parameters.push(byte);
                }
            }
            (State::Control, 0x40..=0x7e) => self.run_control(byte),
            (State::Designation | State::Control, byte) => return self.abort(byte),
            (State::Title, 0x07) | (State::Title | State::Text, 0x18 | 0x1a) => {
                self.state = State::Ground;
            }
            (State::Title | State::Text, 0x1b) => self.state = State::StringEscape,
            (State::Title | State::Text, _) => {}
            (State::StringEscape, b'\\') => self.state = State::Ground,
            (State::StringEscape, byte) => return self.escape(byte),
        }
        Step::Goes
    }

    fn escape(&mut self, byte: u8) -> Step {
        self.state = match byte {
            b'[' => {
                self.parameters.clear();
                State::Control
            }
            b']' => State::Title,
            b'P' | b'X' | b'^' | b'_' => State::Text,
            0x1b => State::Escape,
            0x20..=0x2f => State::Designation,
            b'c' => {
                self.alternate = false;
                State::Ground
            }
            0x30..=0x7e => State::Ground,
            byte => return self.abort(byte),
        };
        Step::Goes
    }

    /// A byte that has no place in a sequence ends it and means what it means alone. (A terminal would
    /// obey a line feed and go on with the sequence; here each line must be readable by itself.)
    fn abort(&mut self, byte: u8) -> Step {
        self.state = State::Ground;
        self.raw -= 1;
        self.feed(byte)
    }

    fn control(&mut self, byte: u8) -> Step {
        match byte {
            0x1b => self.state = State::Escape,
            _ if self.alternate => {}
            b'\n' => return Step::Ended,
            b'\r' => self.returned = true,
            b'\t' => {
                self.raw -= 1;
                return self.print('\t', 0);
            }
            0x08 => {
                self.start_over();
                while self.at > 0 {
                    self.at -= 1;
                    if self.columns[self.at].width() != Some(0) {
                        break;
                    }
                }
            }
            _ => {}
        }
        Step::Goes
    }

    /// CSI with its final byte: ECMA-48, and xterm's private modes for the alternate screen.
    fn run_control(&mut self, last: u8) {
        self.state = State::Ground;
        let parameters = std::mem::take(&mut self.parameters);
        if let (Some(modes), b'h' | b'l') = (parameters.strip_prefix(b"?"), last) {
            let alternate = |mode: &[u8]| matches!(mode, b"47" | b"1047" | b"1049");
            if modes.split(|byte| *byte == b';').any(alternate) {
                self.alternate = last == b'h';
            }
        } else if last == b'K' && !self.alternate {
            let at = if self.returned { self.row_start() } else { self.at };
            match parameters.as_slice() {
                b"" | b"0" => self.columns.truncate(at),
                b"1" => self.columns.iter_mut().take(at + 1).for_each(|column| *column = ERASED),
                b"2" => self.columns.iter_mut().for_each(|column| *column = ERASED),
                _ => {}
            }
        }
        self.parameters = parameters;
    }

    fn decode(&mut self, byte: u8) -> Step {
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial).map(|text| text.chars().next()) {
            Ok(Some(character)) => {
                let step = self.print(character, self.partial.len() - 1);
                if !matches!(step, Step::Cut(_)) {
                    self.partial.clear();
                } else {
                    self.partial.pop();
                }
                step
            }
            Err(error) if error.error_len().is_none() => Step::Goes,
            _ => self.replace(byte),
        }
    }

    /// What can't become a character is one U+FFFD, and the byte that showed it is looked at anew.
    fn replace(&mut self, byte: u8) -> Step {
        self.partial.pop();
        let before = self.partial.len();
        let step = self.print(char::REPLACEMENT_CHARACTER, before.saturating_sub(1));
        if let Step::Cut(back) = step {
            // Seen one byte later than it ended, unless it is that byte.
            return Step::Cut(back + u64::from(before > 0));
        }
        if before > 0 {
            self.partial.clear();
            return self.feed(byte);
        }
        step
    }

    /// `before`: bytes of the character before the one at hand.
    fn print(&mut self, character: char, before: usize) -> Step {
        let len = before as u64 + 1;
        if self.alternate {
            self.raw += len;
            return Step::Goes;
        }
        let over_long = self.columns.len() >= LONGEST_LINE || self.raw >= LONGEST_RAW_LINE;
        if over_long || self.is_filled_up() {
            return Step::Cut(before as u64);
        }
        self.raw += len;
        match character {
            '\u{9b}' => {
                self.parameters.clear();
                self.state = State::Control;
            }
            '\u{9d}' => self.state = State::Title,
            '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}' => self.state = State::Text,
            '\u{80}'..='\u{9f}' => {}
            _ => self.draw(character),
        }
        Step::Goes
    }

    fn draw(&mut self, character: char) {
        self.start_over();
        let over = self.at < self.columns.len();
        self.put(if over && character == ' ' { ERASED } else { character });
        // No character below this one is wide (Unicode's EastAsianWidth).
        if character >= '\u{1100}' && character.width() == Some(2) {
            self.put(FILLER);
        }
    }

    /// A carriage return that no line feed followed.
    fn start_over(&mut self) {
        if std::mem::take(&mut self.returned) {
            self.at = self.row_start();
            self.columns.truncate(self.at);
        }
    }

    /// Where a return goes. Behind the last column of a row the cursor is still in it.
    fn row_start(&self) -> usize {
        let width = self.width.map_or(usize::MAX, |width| usize::from(width.get()));
        self.at.saturating_sub(1) / width * width
    }

    /// zsh and fish fill up a row that did not end, behind a mark, so that their prompt gets one of its
    /// own: then a return ends the line. (A line that they wrap has no blank at the edge.)
    fn is_filled_up(&self) -> bool {
        let start = self.row_start();
        let blank = |column: &char| matches!(*column, ' ' | ERASED);
        self.returned
            && start > 0
            && self.columns.len() > start
            && self.columns[start - 1..].iter().all(blank)
    }

    fn put(&mut self, character: char) {
        match self.columns.get_mut(self.at) {
            Some(column) => {
                let covered = std::mem::replace(column, character);
                let half = covered == FILLER && character != FILLER;
                if let (true, Some(before)) = (half, self.at.checked_sub(1)) {
                    self.columns[before] = ERASED;
                }
                if self.columns.get(self.at + 1) == Some(&FILLER) {
                    self.columns[self.at + 1] = ERASED;
                }
            }
            None => self.columns.push(character),
        }
        self.at += 1;
    }
}
