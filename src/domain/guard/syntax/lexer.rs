//! The text under the parser's finger: where it stands, how deep, and how many steps are left.

use std::{cell::OnceCell, rc::Rc};

use super::{MAX_DEPTH, MAX_SUBSTITUTIONS, Pipeline, Span, SyntaxError, Word};

pub type Result<T> = std::result::Result<T, SyntaxError>;

/// Steps for each byte of a text: reading twice what may be arithmetic or a subshell costs some, and
/// a text made to be read again and again ends here.
const STEPS_PER_BYTE: usize = 48;
const STEPS: usize = 4096;

/// A here-document whose text has not come yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub delimiter: String,
    pub quoted: bool,
    pub strip_tabs: bool,
    pub body: Rc<OnceCell<Word>>,
}

#[derive(Debug)]
pub(super) struct Parser<'a> {
    pub text: &'a str,
    pub bytes: &'a [u8],
    pub at: usize,
    pub depth: u32,
    pub substitutions: u32,
    pub pending: Vec<Pending>,
    /// What was read whole on the top floor.
    pub done: Vec<Pipeline>,
    /// Where a text inside the line comes from; its own bytes are not those of the line.
    pub origin: Option<Span>,
    /// Where in the line the text begins that stands in it as it is.
    pub base: usize,
    /// `$'…'` is a dollar and a quoted text, as dash has it.
    pub plain_dollar: bool,
    steps: usize,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str, origin: Option<Span>) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            depth: 0,
            substitutions: 0,
            pending: Vec::new(),
            done: Vec::new(),
            origin,
            base: 0,
            plain_dollar: false,
            steps: STEPS + text.len() * STEPS_PER_BYTE,
        }
    }

    pub fn step(&mut self) -> Result<()> {
        self.steps = self.steps.checked_sub(1).ok_or(SyntaxError::Steps)?;
        Ok(())
    }

    /// One floor down; every way out goes through [`Self::up`], or ends the reading.
    pub fn down(&mut self) -> Result<()> {
        self.step()?;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(SyntaxError::Depth) } else { Ok(()) }
    }

    pub fn up(&mut self) {
        self.depth -= 1;
    }

    pub fn enter_substitution(&mut self) -> Result<()> {
        self.down()?;
        self.substitutions += 1;
        if self.substitutions > MAX_SUBSTITUTIONS { Err(SyntaxError::Depth) } else { Ok(()) }
    }

    pub fn leave_substitution(&mut self) {
        self.substitutions -= 1;
        self.up();
    }

    pub fn span(&self, start: usize) -> Span {
        let here = Span { start: self.base + start, end: self.base + self.at.max(start) };
        self.origin.unwrap_or(here)
    }

    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub fn starts(&self, with: &str) -> bool {
        self.rest().starts_with(with.as_bytes())
    }

    pub fn eat(&mut self, text: &str) -> bool {
        let there = self.starts(text);
        if there {
            self.at += text.len();
        }
        there
    }

    pub fn expect(&mut self, text: &str) -> Result<()> {
        match self.eat(text) {
            true => Ok(()),
            false if self.peek().is_none() => Err(SyntaxError::Unfinished),
            false => Err(SyntaxError::Unexpected),
        }
    }

    /// The next character, whole.
    pub fn take(&mut self) -> Option<char> {
        let char = self.text.get(self.at..)?.chars().next()?;
        self.at += char.len_utf8();
        Some(char)
    }

    /// Blanks and joined lines.
    pub fn blanks(&mut self) -> Result<()> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'\\') if self.peek_at(1) == Some(b'\n') => self.at += 2,
                _ => return Ok(()),
            }
            self.step()?;
        }
    }

    /// Blanks, comments, and line ends with the here-documents that begin behind them.
    pub fn lines(&mut self) -> Result<()> {
        loop {
            self.blanks()?;
            match self.peek() {
                Some(b'\n') => self.newline()?,
                Some(b'#') => self.comment(),
                _ => return Ok(()),
            }
        }
    }

    pub fn comment(&mut self) {
        let end = self.rest().iter().position(|byte| *byte == b'\n');
        self.at = end.map_or(self.bytes.len(), |end| self.at + end);
    }

    /// A line end at the finger.
    pub fn newline(&mut self) -> Result<()> {
        self.at += 1;
        self.step()?;
        self.read_bodies()
    }
}

pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What ends a word outside quotes.
pub(super) fn ends_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
}
