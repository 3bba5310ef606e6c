//! What a shell line says: the guard's own picture of it, between the parser and everything else. Nothing
//! outside this module knows how the picture came about.

mod heredoc;
mod lexer;
mod parser;
mod redirect;
mod word;

#[cfg(test)]
mod tests;

use std::{cell::OnceCell, rc::Rc};

pub use parser::{parse, parse_at};
pub use word::escapes;

/// Open constructs at once, at most: substitutions and compound commands together. A counter, not a clock.
pub const MAX_DEPTH: u32 = 60;
/// Open substitutions (`$(`, `` ` ``, `${`, `$((`, `<(`) at once, at most.
pub const MAX_SUBSTITUTIONS: u32 = 24;

/// Bytes of the line that was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// A text as read, up to the first thing that is no shell.
#[derive(Debug, Default)]
pub struct Script {
    pub list: List,
    /// Why reading ended early: a shell that reads line by line has run what stands before.
    pub error: Option<SyntaxError>,
}

/// Why a text can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    #[error("a quote, bracket or keyword is not closed")]
    Unfinished,
    #[error("something stands where a shell allows none")]
    Unexpected,
    #[error("it nests deeper than is followed")]
    Depth,
    #[error("it takes more steps than are spent on a line")]
    Steps,
    #[error("shells disagree on what this means")]
    Ambiguous,
}

pub type List = Vec<Pipeline>;

/// Commands whose output runs into the next one.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub join: Join,
    /// Behind `!`.
    pub negated: bool,
    /// Before `&`: the shell goes on at once.
    pub background: bool,
    pub stages: Vec<Command>,
}

/// What stands before a pipeline; behind `&&` or `||` it may not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// `;`, `&`, a new line, or nothing.
    Then,
    And,
    Or,
}

#[derive(Clone, Debug)]
pub struct Command {
    pub kind: Kind,
    pub redirects: Vec<Redirect>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Simple {
        assignments: Vec<Assignment>,
        words: Vec<Word>,
    },
    /// `{ … }`, `( … )` and what runs in the background.
    Group {
        list: List,
        subshell: bool,
    },
    /// `if`, `case`: each list may run; the words are looked at.
    Branches {
        words: Vec<Word>,
        lists: Vec<List>,
    },
    /// `while`, `until`, C's `for`: the lists may run again and again.
    Loop {
        words: Vec<Word>,
        lists: Vec<List>,
    },
    /// `for` and `select`; without values over the positional parameters.
    For {
        name: String,
        values: Option<Vec<Word>>,
        body: List,
    },
    Function {
        name: String,
        body: Rc<Command>,
    },
    /// `[[ … ]]` and `(( … ))`: nothing runs but what their words contain.
    Test(Vec<Word>),
}

#[derive(Clone, Debug)]
pub struct Assignment {
    pub name: String,
    pub index: Option<Word>,
    pub append: bool,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    Scalar(Word),
    Array(Vec<Word>),
}

#[derive(Clone, Debug)]
pub struct Redirect {
    pub fd: Option<u32>,
    pub kind: RedirectKind,
}

#[derive(Clone, Debug)]
pub enum RedirectKind {
    Read(Word),
    Write(Word),
    /// `<>`.
    ReadWrite(Word),
    /// `>&2`, `<&-`, `>&$fd`.
    Duplicate(Word),
    /// Empty where its text never came.
    HereDocument(Rc<OnceCell<Word>>),
    HereString(Word),
}

#[derive(Clone, Debug, Default)]
pub struct Word {
    pub parts: Vec<Part>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Part {
    /// Text outside quotes: it may hold globs, braces and a leading tilde.
    Bare(String),
    /// Text that stands for itself.
    Quoted(String),
    Parameter(Box<Parameter>),
    Substitution(Rc<Script>, Quoting),
    /// `$(( … ))`, `$[ … ]`: a number; the word holds what its text expands.
    Arithmetic(Word),
    /// `<( … )` (true) and `>( … )`.
    Process(Rc<Script>, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    Bare,
    Double,
}

/// `$name`, `${name…}`.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    pub index: Option<Word>,
    /// `${!name}`.
    pub indirect: bool,
    pub change: Change,
    pub quoting: Quoting,
}

/// What `${…}` does with a value.
#[derive(Clone, Debug)]
pub enum Change {
    None,
    Length,
    /// `-` `=` `+` `?`; with a colon an empty value counts as none.
    Default {
        operator: u8,
        colon: bool,
        word: Word,
    },
    /// `#` `##` `%` `%%`.
    Strip {
        end: bool,
        longest: bool,
        pattern: Word,
    },
    Replace {
        all: bool,
        pattern: Word,
        with: Word,
    },
    /// `:offset:length`.
    Slice(Word),
    /// `^` `^^` `,` `,,`.
    Case {
        upper: bool,
        all: bool,
    },
    /// `@P` and its like, flags of zsh, and what else is not followed.
    Opaque(Word),
}

impl Pipeline {
    /// In the background.
    pub fn beside(stages: Vec<Command>) -> Self {
        Self { join: Join::Then, negated: false, background: true, stages }
    }
}

impl Word {
    /// The text, where nothing in it expands.
    pub fn literal(&self) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Bare(piece) | Part::Quoted(piece) => text.push_str(piece),
                _ => return None,
            }
        }
        Some(text)
    }
}
