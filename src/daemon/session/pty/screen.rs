//! What a terminal shows: a model that takes any bytes, answers what programs ask, and is as bounded
//! as its size.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::sieve::{Model, Query, Sieve};
use crate::domain::{echo::Place, terminal::Size};

/// The longest title that is kept, in characters.
const TITLE: usize = 100;
/// Answers that nobody fetched, in bytes; more questions stay unanswered.
const ANSWERS: usize = 512;
/// What one turn of feeding may cost, in cells that are written.
const TURN: usize = 256 * 1024;
/// What a byte of text costs beside the cell that it writes: decoding, looking for its width.
const BYTE: usize = 8;

/// A terminal of one size.
pub struct Screen {
    sieve: Sieve,
    drawing: Drawing,
}

/// What a terminal shows at one moment.
#[derive(Clone)]
pub struct Shown {
    pub screen: vt100::Screen,
    pub title: Option<String>,
}

struct Drawing {
    parser: vt100::Parser,
    size: Size,
    title: Option<String>,
    answers: Vec<u8>,
    cost: usize,
}

impl Screen {
    pub fn new(size: Size) -> Self {
        let parser = vt100::Parser::new(size.rows, size.columns, 0);
        let drawing = Drawing { parser, size, title: None, answers: Vec::new(), cost: 0 };
        Self { sieve: Sieve::default(), drawing }
    }

    /// What `shown` shows, and nothing of how it came to that.
    pub fn like(shown: &Shown, size: Size) -> Self {
        let mut screen = Self::new(size);
        screen.drawing.contained(|parser| {
            let state = shown.screen.state_formatted();
            parser.process(state.as_bytes());
        });
        screen.drawing.title.clone_from(&shown.title);
        screen
    }

    /// Takes bytes until a turn's work is done, and says how many it took.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        self.drawing.cost = 0;
        self.sieve.feed(bytes, &mut self.drawing)
    }

    /// What is to be told the programs that asked.
    pub fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.drawing.answers)
    }

    pub fn resize(&mut self, size: Size) {
        self.drawing.size = size;
        self.drawing.contained(|parser| parser.set_size(size.rows, size.columns));
    }

    pub fn size(&self) -> Size {
        self.drawing.size
    }

    pub fn shown(&self) -> Shown {
        let screen = self.drawing.parser.screen().clone();
        Shown { screen, title: self.drawing.title.clone() }
    }

    /// Whether programs want cursor keys in the application's form (DECCKM).
    pub fn application_cursor(&self) -> bool {
        self.drawing.parser.screen().application_cursor()
    }

    /// How large it is, and where its cursor stands.
    pub fn place(&self) -> Place {
        let (row, column) = self.drawing.parser.screen().cursor_position();
        let Size { rows, columns } = self.drawing.size;
        Place { rows: rows.get(), columns: columns.get(), row, column }
    }

    /// What stands before the cursor in its line.
    pub fn before_cursor(&self) -> String {
        self.drawing.read(|screen| {
            let (row, column) = screen.cursor_position();
            screen.contents_between(row, 0, row, column)
        })
    }

    /// The lines as a person sees them, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        let text = self.drawing.read(vt100::Screen::contents);
        text.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

impl Drawing {
    /// The model is somebody else's program, fed with a stranger's bytes: where it fails it starts anew.
    fn contained(&mut self, work: impl FnOnce(&mut vt100::Parser)) {
        if catch_unwind(AssertUnwindSafe(|| work(&mut self.parser))).is_err() {
            tracing::error!("the model of a terminal failed and starts anew");
            self.parser = vt100::Parser::new(self.size.rows, self.size.columns, 0);
        }
    }

    fn read<T: Default>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        catch_unwind(AssertUnwindSafe(|| look(self.parser.screen()))).unwrap_or_default()
    }

    fn cursor(&self) -> (u32, u32) {
        let (row, column) = self.parser.screen().cursor_position();
        // It may stand behind the last column, where terminals say that it stands on it.
        (u32::from(row) + 1, (u32::from(column) + 1).min(self.size.columns.get().into()))
    }

    /// In cells: a line feed may make a row, and a sequence a whole screen.
    fn cost_of(&self, bytes: &[u8]) -> usize {
        let heavy = |last: &u8| b"JLMSTbchl".contains(last);
        if bytes.first() == Some(&0x1b) {
            let whole = bytes.last().is_some_and(heavy);
            return BYTE + if whole { self.size.cells() } else { 0 };
        }
        let rows = bytes.iter().filter(|byte| (10..=12).contains(*byte)).count();
        bytes.len() * BYTE + rows * usize::from(self.size.columns.get())
    }
}

impl Model for Drawing {
    fn draw(&mut self, bytes: &[u8]) {
        self.cost += self.cost_of(bytes);
        let columns = self.size.columns.get();
        match repeats(bytes) {
            // No program repeats more than a line; some would repeat for ever.
            Some(times) if times > columns => {
                let sequence = format!("\x1b[{columns}b");
                self.contained(|parser| parser.process(sequence.as_bytes()));
            }
            _ => self.contained(|parser| parser.process(bytes)),
        }
    }

    /// As xterm answers for a VT220 with colours. Nothing that a server said is ever part of it.
    fn ask(&mut self, query: Query) {
        self.cost += BYTE;
        let (row, column) = self.cursor();
        let answer = match query {
            Query::Attributes => "\x1b[?62;22c".to_owned(),
            Query::Version => "\x1b[>1;10;0c".to_owned(),
            Query::Status => "\x1b[0n".to_owned(),
            Query::Cursor => format!("\x1b[{row};{column}R"),
            Query::CursorAndPage => format!("\x1b[?{row};{column};1R"),
        };
        if self.answers.len() + answer.len() <= ANSWERS {
            self.answers.extend_from_slice(answer.as_bytes());
        }
    }

    fn title(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let plain = text.chars().filter(|char| !char.is_control()).take(TITLE);
        let title: String = plain.collect();
        self.title = (!title.trim().is_empty()).then_some(title);
    }

    fn is_tired(&self) -> bool {
        self.cost >= TURN
    }
}

/// How often REP repeats the last character, where the sequence is one.
fn repeats(sequence: &[u8]) -> Option<u16> {
    let inner = sequence.strip_prefix(b"\x1b[")?.strip_suffix(b"b")?;
    let digits = inner.split(|byte| !byte.is_ascii_digit()).next()?;
    let number = std::str::from_utf8(digits).ok()?;
    Some(if number.is_empty() { 1 } else { number.parse().unwrap_or(u16::MAX) })
}

#[cfg(test)]
mod tests;
