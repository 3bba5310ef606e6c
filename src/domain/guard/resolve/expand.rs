//! Words become fields: tilde, parameters, substitutions, field splitting, globs.

use std::rc::Rc;

use super::{ARGUMENTS, MAX_EXPANDED, MAX_VALUE, Walk, brace};
use crate::domain::guard::{
    field::{self, ANY, Data, Field, HOME, Origins, SET, STAR, UNKNOWN, is_mark, with_globs},
    syntax::{Part, Quoting, Script, Span, Word},
};

/// Fields that come out of one word.
#[derive(Default)]
struct Builder {
    fields: Vec<Field>,
    current: Field,
    /// Something was written, if only empty quotes.
    begun: bool,
    split: bool,
}

impl Builder {
    fn push(&mut self, text: &str) {
        self.current.text.push_str(text);
        self.begun = true;
    }

    fn end(&mut self) {
        if self.begun {
            let span = self.current.span;
            self.fields.push(std::mem::take(&mut self.current));
            self.current.span = span;
            self.begun = false;
        }
    }

    /// A value outside quotes: split, and its globs match.
    fn spread(&mut self, text: &str, separators: &str) {
        let text = with_globs(text);
        if !self.split {
            return self.push(&text);
        }
        let separator = |char| separators.contains(char);
        if text.starts_with(separator) {
            self.end();
        }
        let mut pieces = text.split(separator).filter(|piece| !piece.is_empty()).peekable();
        while let Some(piece) = pieces.next() {
            self.push(piece);
            if pieces.peek().is_some() || text.ends_with(separator) {
                self.end();
            }
        }
    }
}

impl Walk<'_> {
    pub(super) fn words(&mut self, words: &[Word]) -> Vec<Field> {
        words.iter().flat_map(|word| self.expand(word)).collect()
    }

    pub(super) fn expand(&mut self, word: &Word) -> Vec<Field> {
        let span = self.origin.unwrap_or(word.span);
        // Most words are plain text.
        if let [Part::Bare(text)] = word.parts.as_slice()
            && !text.contains(['~', '*', '?', '[', '{'])
            && !text.contains(is_mark)
        {
            return vec![Field::new(text.as_str(), span)];
        }
        match brace::expand(word) {
            Some(words) => {
                words.iter().flat_map(|word| self.expand_parts(word, span, true)).collect()
            }
            None => {
                self.opaque("limit.braces", span);
                vec![Field::new(UNKNOWN, span)]
            }
        }
    }

    /// As one field, where a shell does not split: assignments, redirections, here-documents.
    pub(super) fn expand_one(&mut self, word: &Word) -> Field {
        let span = self.origin.unwrap_or(word.span);
        let mut fields = self.expand_parts(word, span, false).into_iter();
        let mut first = fields.next().unwrap_or_else(|| Field::new("", span));
        for field in fields {
            first.text.push(' ');
            first.text.push_str(&field.text);
            field::merge(&mut first.from, &field.from);
        }
        first
    }

    fn expand_parts(&mut self, word: &Word, span: Span, split: bool) -> Vec<Field> {
        let mut builder = Builder { split, ..Builder::default() };
        builder.current.span = span;
        for (at, part) in word.parts.iter().enumerate() {
            if builder.current.text.len() > MAX_VALUE * 2 {
                self.expanded = self.expanded.saturating_add(MAX_EXPANDED);
                break;
            }
            match part {
                Part::Bare(text) => self.bare(text, at == 0, &mut builder),
                Part::Quoted(text) => builder.push(text),
                Part::Parameter(parameter) => {
                    let quoted = parameter.quoting == Quoting::Double;
                    let values = self.parameter(parameter);
                    let all = parameter.index.as_ref().and_then(Word::literal);
                    let apart = parameter.name == "@" || all.is_some_and(|index| index == "@");
                    self.put(values, quoted, apart, &mut builder);
                }
                Part::Substitution(script, quoting) => {
                    let data = self.substitution(script);
                    let text = data.text.map(|text| text.trim_end_matches('\n').to_owned());
                    let names = data.names;
                    let maybe = || match names.as_slice() {
                        [] => UNKNOWN.to_string(),
                        names if *quoting == Quoting::Double => {
                            names.first().cloned().unwrap_or_default()
                        }
                        names => format!("{} {UNKNOWN}", names.join(" ")),
                    };
                    let value = Field {
                        text: text.unwrap_or_else(maybe),
                        from: data.from,
                        data: None,
                        span,
                    };
                    self.put(vec![value], *quoting == Quoting::Double, false, &mut builder);
                }
                Part::Arithmetic(word) => {
                    let sum = self.expand_one(word);
                    self.sum(&sum);
                    let digits = sum.text.trim();
                    match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                        true => builder.push(digits),
                        false => builder.push(UNKNOWN.encode_utf8(&mut [0; 4])),
                    }
                }
                Part::Process(script, reads) => {
                    let data = self.process(script, *reads);
                    builder.push("/dev/fd/63");
                    builder.current.from = data.from.clone();
                    builder.current.data = Some(Rc::new(data));
                }
            }
        }
        builder.end();
        self.expanded += builder.fields.iter().map(|field| field.text.len()).sum::<usize>();
        if self.expanded > MAX_EXPANDED {
            self.opaque("limit.words", span);
            return vec![Field::new(UNKNOWN, span)];
        }
        builder.fields
    }

    fn bare(&mut self, text: &str, first: bool, builder: &mut Builder) {
        let mut text = text;
        if first && text.starts_with('~') {
            let end = text.find('/').unwrap_or(text.len());
            builder.push(&self.tilde(&text[1..end]));
            text = &text[end..];
        }
        let closes = text.contains(']');
        let mut run = String::with_capacity(text.len());
        for (at, char) in text.char_indices() {
            match char {
                '*' => run.push(STAR),
                '?' => run.push(ANY),
                '[' if closes => run.push(SET),
                // `NAME=~/…` and `a:~/…` in assignments; harmless elsewhere.
                '~' if !builder.split && text[..at].ends_with(':') => run.push(HOME),
                '~' if text[..at].ends_with('=') => run.push(HOME),
                char => run.push(char),
            }
        }
        if !run.is_empty() {
            builder.push(&run);
        }
    }

    fn tilde(&mut self, user: &str) -> String {
        match user {
            "" => HOME.to_string(),
            "+" => self.cwd().unwrap_or_else(|| UNKNOWN.to_string()),
            "-" => UNKNOWN.to_string(),
            "root" => "/root".to_owned(),
            user if user.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') => {
                format!("/home/{user}")
            }
            _ => format!("~{user}"),
        }
    }

    fn put(&mut self, values: Vec<Field>, quoted: bool, apart: bool, builder: &mut Builder) {
        let separators = if quoted { String::new() } else { self.separators() };
        let count = values.len();
        for (at, value) in values.into_iter().enumerate() {
            field::merge(&mut builder.current.from, &value.from);
            if value.data.is_some() {
                builder.current.data = value.data;
            }
            match quoted {
                true => builder.push(&value.text),
                false => builder.spread(&value.text, &separators),
            }
            if at + 1 < count {
                if apart || !quoted && builder.split {
                    builder.end();
                } else {
                    builder.push(" ");
                }
            }
        }
    }

    /// What splits fields (`IFS`), where the line set it.
    pub(super) fn separators(&mut self) -> String {
        let value = self.value_of("IFS").and_then(|value| value.into_iter().next());
        let value = value.filter(Field::is_known);
        value.map_or_else(|| " \t\n".to_owned(), |field| field.text)
    }

    fn substitution(&mut self, script: &Rc<Script>) -> Data {
        let outer = std::mem::replace(&mut self.choosing, true);
        let data = self.apart(|walk| walk.list(&script.list));
        self.choosing = outer;
        data.piped()
    }

    fn process(&mut self, script: &Rc<Script>, reads: bool) -> Data {
        if reads {
            return self.substitution(script);
        }
        // `>( … )`: what comes in is not known here.
        let outer = std::mem::take(&mut self.stdin);
        self.substitution(script);
        self.stdin = outer;
        Data::default()
    }

    /// A sum's variables are read as sums too: code hides in a subscript.
    pub(super) fn sum(&mut self, sum: &Field) {
        self.sum_assigns(sum);
        self.hides(sum);
    }

    pub(super) fn hides(&mut self, sum: &Field) {
        if sum.text.contains("$(") || sum.text.contains('`') {
            self.opaque("opaque.arithmetic", sum.span);
        }
        let names = sum.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let hides = |text: &str| text.contains("$(") || text.contains('`');
        let hidden = names.filter(|name| !name.is_empty()).any(|name| {
            let variable = self.variables.get(name);
            variable.is_some_and(|v| v.fields().any(|field| hides(&field.text)))
        });
        if hidden {
            self.opaque("opaque.arithmetic", sum.span);
        }
    }

    pub(super) fn positional_fields(&mut self) -> Vec<Field> {
        let span = self.origin.unwrap_or_default();
        self.value_of(ARGUMENTS).unwrap_or_else(|| vec![Field::new(UNKNOWN, span)])
    }

    pub(super) fn unknown(&self, from: Origins) -> Field {
        Field { text: UNKNOWN.to_string(), from, ..Field::default() }
    }
}
