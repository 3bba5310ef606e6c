//! A word after expansion: text in which some characters stand for what only the server knows.

use std::{borrow::Cow, cell::Cell, rc::Rc};

use super::syntax::Span;

/// Any text, of any length, that the guard can't know; outside quotes any number of words.
pub const UNKNOWN: char = '\u{fdd0}';
/// `*`, `?` and `[` where the shell matches file names.
pub const STAR: char = '\u{fdd1}';
pub const ANY: char = '\u{fdd2}';
pub const SET: char = '\u{fdd3}';
/// As a name of a path: any number of directories.
pub const DEEP: char = '\u{fdd5}';
/// The account's home directory.
pub const HOME: char = '\u{fdd4}';

/// Noncharacters: never in a text; a line that holds one is not judged at all.
pub fn is_mark(char: char) -> bool {
    ('\u{fdd0}'..='\u{fdef}').contains(&char)
}

/// Paths that are kept of an output.
const MAX_NAMES: usize = 8;

/// Whose output is in a text.
pub type Origins = Vec<Rc<str>>;

#[derive(Clone, Debug, Default)]
pub struct Field {
    pub text: String,
    pub from: Origins,
    /// What can be read from the file that `<( … )` stands for.
    pub data: Option<Rc<Data>>,
    pub span: Span,
}

/// What comes out of a command, or stands in a file.
#[derive(Clone, Debug, Default)]
pub struct Data {
    pub text: Option<String>,
    pub from: Origins,
    /// The file that it is read from.
    pub file: Option<String>,
    /// Paths that may stand in a text that is not known (`find / -name x`, `ls x`).
    pub names: Vec<String>,
    /// What the commands that share it have taken of it so far.
    pub taken: Option<Rc<Cell<Taken>>>,
}

/// How much of an input is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    #[default]
    Nothing,
    /// So many lines.
    Lines,
    /// So many bytes.
    Bytes,
}

impl Data {
    /// Whether a line says what it is: a pipe, a file, a text. What its caller sends is not said there.
    pub fn is_fed(&self) -> bool {
        let text = self.text.as_deref().is_some_and(|text| !text.is_empty());
        text || !self.from.is_empty() || self.file.is_some()
    }
}

impl Field {
    pub fn new(text: impl Into<String>, span: Span) -> Self {
        Self { text: text.into(), span, ..Self::default() }
    }

    pub fn is_known(&self) -> bool {
        !self.text.contains(UNKNOWN)
    }

    /// The text, if nothing in it depends on the server but where home is.
    pub fn literal(&self) -> Option<&str> {
        let fixed = |char: char| char == HOME || !is_mark(char);
        self.text.chars().all(fixed).then_some(&self.text)
    }

    /// As one word of a line.
    pub fn quoted(&self) -> String {
        format!("'{}'", self.shown().replace('\'', "'\\''"))
    }

    /// For people: marks as a shell would write them.
    pub fn shown(&self) -> String {
        shown(&self.text)
    }
}

pub fn shown(text: &str) -> String {
    let sign = |char| match char {
        UNKNOWN => '…',
        STAR | DEEP => '*',
        ANY => '?',
        SET => '[',
        HOME => '~',
        char => char,
    };
    text.chars().map(sign).collect()
}

/// The same text as code would see it: home by its variable's value, and globs as they were typed.
pub fn as_code(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_mark) { Cow::Owned(shown(text)) } else { Cow::Borrowed(text) }
}

/// Characters that match file names become marks, as in a word outside quotes.
pub fn with_globs(text: &str) -> String {
    let mark = |char| match char {
        '*' => STAR,
        '?' => ANY,
        '[' if text.contains(']') => SET,
        char => char,
    };
    text.chars().map(mark).collect()
}

impl Data {
    pub fn known(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    pub fn unknown(from: Origins) -> Self {
        Self { from, ..Self::default() }
    }

    /// As the input of several commands, which all read on in it.
    pub fn shared(mut self) -> Self {
        self.taken.get_or_insert_default();
        self
    }

    /// As the input of a command to itself.
    pub fn piped(self) -> Self {
        Self { taken: None, ..self }
    }

    pub fn taken(&self) -> Taken {
        self.taken.as_ref().map(|taken| taken.get()).unwrap_or_default()
    }

    /// A command takes some of it.
    pub fn take(&self, much: Taken) {
        if let Some(taken) = &self.taken {
            taken.set(taken.get().max(much));
        }
    }

    /// The one or the other.
    pub fn or(mut self, other: Self) -> Self {
        if self.text != other.text {
            self.text = None;
        }
        merge(&mut self.from, &other.from);
        self.file = self.file.or(other.file);
        self.names.extend(other.names);
        self.names.truncate(MAX_NAMES);
        self
    }

    pub fn any(ways: Vec<Self>) -> Self {
        let mut ways = ways.into_iter();
        let first = ways.next().unwrap_or_default();
        ways.fold(first, Self::or)
    }

    /// What one command prints, and then another.
    pub fn then(mut self, next: Self) -> Self {
        self.text = match (self.text, next.text) {
            (Some(text), Some(next)) => Some(text + &next),
            _ => None,
        };
        merge(&mut self.from, &next.from);
        self.file = self.file.or(next.file);
        self.names.extend(next.names);
        self.names.truncate(MAX_NAMES);
        self
    }
}

pub fn merge(into: &mut Origins, from: &[Rc<str>]) {
    for name in from {
        if !into.contains(name) {
            into.push(name.clone());
        }
    }
}
