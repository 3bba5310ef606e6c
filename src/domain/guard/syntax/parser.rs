//! Lists, pipelines and commands, by recursive descent over the bytes that will be sent (bash's grammar,
//! and what dash and zsh read otherwise where it may matter).

use std::rc::Rc;

use super::{
    Assignment, Command, Join, Kind, List, Pipeline, Redirect, Script, Span, SyntaxError, Value,
    Word,
    lexer::{Parser, Result, ends_word, is_name},
};

/// Words that close what another opened.
const CLOSING: [&str; 9] = ["then", "do", "done", "fi", "else", "elif", "esac", "}", "]]"];

/// Reads a text. With an `origin` all spans are that one: the text is a part of a word of the line.
pub fn parse(text: &str, origin: Option<Span>, plain_dollar: bool) -> Script {
    let mut parser = Parser::new(text, origin);
    parser.plain_dollar = plain_dollar;
    let error = parser.program().err();
    Script { list: parser.done, error }
}

/// Reads a text that stands in the line as it is, from this byte on.
pub fn parse_at(text: &str, base: usize, plain_dollar: bool) -> Script {
    let mut parser = Parser::new(text, None);
    parser.plain_dollar = plain_dollar;
    parser.base = base;
    let error = parser.program().err();
    Script { list: parser.done, error }
}

/// Variables for which a descriptor's number is a file, a directory or a separator.
pub(super) fn numbers_matter(name: &str) -> bool {
    matches!(name, "PATH" | "IFS" | "ENV" | "BASH_ENV" | "CDPATH" | "HOME" | "SHELL")
        || name.starts_with("LD_")
        || name.ends_with("EDITOR")
        || name.ends_with("PAGER")
        || name.starts_with("GIT_")
}

impl Parser<'_> {
    fn program(&mut self) -> Result<()> {
        let list = self.list(true)?;
        self.done.extend(list);
        if self.peek().is_some() { Err(SyntaxError::Unexpected) } else { Ok(()) }
    }

    /// Up to what closes it, which stays. On the top floor each line goes to `done` as soon as it is read.
    pub fn list(&mut self, top: bool) -> Result<List> {
        self.down()?;
        let mut list = List::new();
        let mut join = Join::Then;
        loop {
            self.lines()?;
            if self.at_close() {
                if join != Join::Then {
                    return Err(self.missing());
                }
                break;
            }
            let (negated, stages) = self.pipeline()?;
            list.push(Pipeline { join, negated, background: false, stages });
            self.blanks()?;
            if self.peek() == Some(b'#') {
                self.comment();
            }
            join = match (self.eat("&&"), self.starts("||")) {
                (true, _) => Join::And,
                (false, true) => Join::Or,
                (false, false) => Join::Then,
            };
            if join != Join::Then {
                _ = join == Join::Or && self.eat("||");
                continue;
            }
            match self.peek() {
                Some(b'\n') => {
                    self.newline()?;
                    if top {
                        self.done.append(&mut list);
                    }
                }
                // `;;` and `;&` belong to `case`.
                Some(b';') if !matches!(self.peek_at(1), Some(b';' | b'&')) => self.at += 1,
                // A comment ran to the end, or `)` closes.
                Some(b'&') => {
                    self.at += 1;
                    if let Some(last) = list.last_mut() {
                        last.background = true;
                    }
                }
                _ => break,
            }
        }
        self.up();
        Ok(list)
    }

    fn missing(&self) -> SyntaxError {
        if self.peek().is_none() { SyntaxError::Unfinished } else { SyntaxError::Unexpected }
    }

    fn at_close(&self) -> bool {
        match self.peek() {
            None | Some(b')') => true,
            Some(b';') => matches!(self.peek_at(1), Some(b';' | b'&')),
            _ => self.keyword().is_some_and(|word| CLOSING.contains(&word)),
        }
    }

    /// The plain word at the finger, if it is nothing but letters and brackets.
    fn keyword(&self) -> Option<&str> {
        let rest = self.rest();
        let letter = |byte: &u8| {
            byte.is_ascii_lowercase() || matches!(byte, b'{' | b'}' | b'[' | b']' | b'!')
        };
        let length = rest.iter().take_while(|byte| letter(byte)).count();
        let ends = rest.get(length).is_none_or(|byte| ends_word(*byte));
        if !ends || length == 0 {
            return None;
        }
        self.text.get(self.at..self.at + length)
    }

    fn eat_keyword(&mut self, word: &str) -> bool {
        let there = self.keyword() == Some(word);
        if there {
            self.at += word.len();
        }
        there
    }

    fn expect_keyword(&mut self, word: &str) -> Result<()> {
        self.lines()?;
        if self.eat_keyword(word) { Ok(()) } else { Err(self.missing()) }
    }

    /// Its stages, and whether a `!` stands before it.
    fn pipeline(&mut self) -> Result<(bool, Vec<Command>)> {
        let mut stages = Vec::new();
        let mut negated = false;
        loop {
            negated |= self.prefixes()?;
            stages.push(self.command()?);
            self.blanks()?;
            if self.starts("||") || !(self.eat("|&") || self.eat("|")) {
                return Ok((negated, stages));
            }
            self.lines()?;
        }
    }

    /// `!` and `time`, which change no command; whether the former is there.
    fn prefixes(&mut self) -> Result<bool> {
        let mut negated = false;
        loop {
            self.step()?;
            let before = self.at;
            if self.eat_keyword("!") {
                negated = true;
                self.blanks()?;
                continue;
            }
            if self.eat_keyword("time") {
                self.blanks()?;
                for flag in ["-p", "--"] {
                    if self.starts(flag) && self.peek_at(2).is_none_or(ends_word) {
                        self.at += 2;
                        self.blanks()?;
                    }
                }
                // A shell without the keyword runs a program of this name, with flags of its own.
                if self
                    .peek()
                    .is_none_or(|byte| matches!(byte, b'-' | b'\n' | b';' | b'&' | b'|' | b')'))
                {
                    self.at = before;
                    return Ok(negated);
                }
                continue;
            }
            return Ok(negated);
        }
    }

    pub fn command(&mut self) -> Result<Command> {
        self.down()?;
        let start = self.at;
        let kind = self.compound()?;
        let command = match kind {
            Some(kind) => {
                let redirects = self.redirects()?;
                Command { kind, redirects, span: self.span(start) }
            }
            None => self.simple(start)?,
        };
        self.up();
        Ok(command)
    }

    fn redirects(&mut self) -> Result<Vec<Redirect>> {
        let mut redirects = Vec::new();
        loop {
            self.blanks()?;
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => return Ok(redirects),
            }
        }
    }

    fn compound(&mut self) -> Result<Option<Kind>> {
        if self.starts("((")
            && let Some(kind) = self.arithmetic_command()?
        {
            return Ok(Some(kind));
        }
        if self.eat("(") {
            let list = self.list(false)?;
            self.expect(")")?;
            return Ok(Some(Kind::Group { list, subshell: true }));
        }
        let Some(word) = self.keyword() else { return Ok(None) };
        let start = self.at;
        let length = word.len();
        Ok(Some(match word {
            "{" => {
                self.at += length;
                let list = self.list(false)?;
                self.expect_keyword("}")?;
                Kind::Group { list, subshell: false }
            }
            "if" => {
                self.at += length;
                self.branches()?
            }
            "while" | "until" => {
                self.at += length;
                let condition = self.list(false)?;
                let body = self.body()?;
                Kind::Loop { words: Vec::new(), lists: vec![condition, body] }
            }
            "for" | "select" => {
                self.at += length;
                self.each()?
            }
            "case" => {
                self.at += length;
                self.case()?
            }
            "function" => {
                self.at += length;
                self.blanks()?;
                let Some(name) = self.word()?.and_then(|word| word.literal()) else {
                    return Err(SyntaxError::Ambiguous);
                };
                self.blanks()?;
                if self.eat("(") {
                    self.blanks()?;
                    self.expect(")")?;
                }
                self.lines()?;
                Kind::Function { name, body: Rc::new(self.command()?) }
            }
            "coproc" => {
                self.at += length;
                self.blanks()?;
                self.coprocess()?
            }
            "[[" => {
                self.at += length;
                self.test()?
            }
            "]]" => return Ok(None),
            word if CLOSING.contains(&word) => return Err(SyntaxError::Unexpected),
            _ => {
                self.at = start;
                return Ok(None);
            }
        }))
    }

    /// `coproc [NAME] command`; a name stands only before a compound command.
    fn coprocess(&mut self) -> Result<Kind> {
        let start = self.at;
        if let Some(name) = self.word()?
            && let Some(name) = name.literal().filter(|name| is_name(name))
        {
            self.blanks()?;
            if self.peek() == Some(b'(') || self.keyword().is_some_and(|word| word == "{") {
                if numbers_matter(&name) {
                    return Err(SyntaxError::Ambiguous);
                }
                let command = self.command()?;
                let stages = vec![command];
                let list = vec![Pipeline::beside(stages)];
                return Ok(Kind::Group { list, subshell: true });
            }
        }
        self.at = start;
        let stages = vec![self.command()?];
        Ok(Kind::Group { list: vec![Pipeline::beside(stages)], subshell: true })
    }

    fn branches(&mut self) -> Result<Kind> {
        let mut lists = Vec::new();
        loop {
            lists.push(self.list(false)?);
            self.expect_keyword("then")?;
            lists.push(self.list(false)?);
            self.lines()?;
            if self.eat_keyword("elif") {
                continue;
            }
            if self.eat_keyword("else") {
                lists.push(self.list(false)?);
            }
            self.expect_keyword("fi")?;
            return Ok(Kind::Branches { words: Vec::new(), lists });
        }
    }

    /// `do … done`, or a group in its place.
    fn body(&mut self) -> Result<List> {
        self.lines()?;
        if self.eat(";") {
            self.lines()?;
        }
        let close = match self.keyword() {
            Some("do") => "done",
            Some("{") => "}",
            _ => return Err(self.missing()),
        };
        self.at += if close == "done" { 2 } else { 1 };
        let list = self.list(false)?;
        self.expect_keyword(close)?;
        Ok(list)
    }

    fn each(&mut self) -> Result<Kind> {
        self.blanks()?;
        if self.eat("((") {
            let word = self.arithmetic_text()?.ok_or(SyntaxError::Unexpected)?;
            let body = self.body()?;
            return Ok(Kind::Loop { words: vec![word], lists: vec![body] });
        }
        let name = self.word()?.and_then(|word| word.literal());
        let name = name.ok_or(SyntaxError::Unexpected)?;
        self.lines()?;
        let mut values = None;
        if self.eat_keyword("in") {
            let mut words = Vec::new();
            loop {
                self.blanks()?;
                match self.word()? {
                    Some(word) => words.push(word),
                    None => break,
                }
            }
            values = Some(words);
        }
        let body = self.body()?;
        Ok(Kind::For { name, values, body })
    }

    fn case(&mut self) -> Result<Kind> {
        self.blanks()?;
        let mut words = vec![self.word()?.ok_or(SyntaxError::Unexpected)?];
        let mut lists = Vec::new();
        self.expect_keyword("in")?;
        loop {
            self.lines()?;
            if self.eat_keyword("esac") {
                return Ok(Kind::Branches { words, lists });
            }
            self.eat("(");
            loop {
                self.blanks()?;
                words.push(self.word()?.ok_or_else(|| self.missing())?);
                self.blanks()?;
                if !self.eat("|") {
                    break;
                }
            }
            self.expect(")")?;
            lists.push(self.list(false)?);
            self.lines()?;
            if !(self.eat(";;&") || self.eat(";;") || self.eat(";&"))
                && self.keyword() != Some("esac")
            {
                return Err(self.missing());
            }
        }
    }

    /// `[[ … ]]`: what its words expand is all that can happen.
    fn test(&mut self) -> Result<Kind> {
        let mut words = Vec::new();
        let mut regex = false;
        loop {
            self.lines()?;
            if self.eat_keyword("]]") {
                return Ok(Kind::Test(words));
            }
            match self.peek() {
                None => return Err(SyntaxError::Unfinished),
                Some(b'(' | b')' | b'<' | b'>' | b'|' | b'&' | b';') => {
                    self.at += 1;
                    self.step()?;
                }
                Some(_) if regex => {
                    words.push(self.regex()?);
                    regex = false;
                }
                Some(_) => {
                    let word = self.word()?.ok_or(SyntaxError::Unexpected)?;
                    regex = word.literal().is_some_and(|text| text == "=~");
                    words.push(word);
                }
            }
        }
    }

    /// `(( … ))`, unless it can only be a subshell in a subshell. A shell without arithmetic commands
    /// reads the latter always: both readings count.
    fn arithmetic_command(&mut self) -> Result<Option<Kind>> {
        let start = self.at;
        self.at += 2;
        let word = match self.arithmetic_text() {
            Err(SyntaxError::Unexpected | SyntaxError::Unfinished) => None,
            word => word?,
        };
        let end = self.at;
        self.at = start;
        let Some(word) = word else { return Ok(None) };
        let kept = (self.depth, self.substitutions, self.pending.len());
        self.at += 1;
        match self.list(false) {
            Ok(list) if self.at + 1 == end => {
                self.at = end;
                return Ok(Some(Kind::Branches { words: vec![word], lists: vec![list] }));
            }
            // What is too deep to be read as commands may be commands all the same.
            Err(error @ (SyntaxError::Depth | SyntaxError::Steps)) => return Err(error),
            _ => {}
        }
        (self.depth, self.substitutions) = (kept.0, kept.1);
        self.pending.truncate(kept.2);
        self.at = end;
        Ok(Some(Kind::Test(vec![word])))
    }

    fn simple(&mut self, start: usize) -> Result<Command> {
        let mut assignments = Vec::new();
        let mut words: Vec<Word> = Vec::new();
        let mut redirects = Vec::new();
        let mut end = self.at;
        loop {
            self.step()?;
            self.blanks()?;
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                end = self.at;
                continue;
            }
            if self.peek() == Some(b'#') {
                break;
            }
            let declares = words.first().and_then(Word::literal).is_some_and(|name| {
                matches!(name.as_str(), "export" | "declare" | "typeset" | "local" | "readonly")
            });
            if (words.is_empty() || declares)
                && let Some(assignment) = self.assignment(declares)?
            {
                // For a declaration the assignment is an argument, and takes effect all the same.
                assignments.push(assignment);
                end = self.at;
                continue;
            }
            let Some(word) = self.word()? else { break };
            end = self.at;
            words.push(word);
            if words.len() == 1 && assignments.is_empty() && self.function_follows()? {
                let name = words[0].literal().ok_or(SyntaxError::Ambiguous)?;
                self.lines()?;
                let body = Rc::new(self.command()?);
                let span = self.span(start);
                return Ok(Command { kind: Kind::Function { name, body }, redirects, span });
            }
        }
        if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
            return Err(self.missing());
        }
        let span = self.origin.unwrap_or(Span { start: self.base + start, end: self.base + end });
        Ok(Command { kind: Kind::Simple { assignments, words }, redirects, span })
    }

    /// `()` behind a command's first word.
    fn function_follows(&mut self) -> Result<bool> {
        let start = self.at;
        self.blanks()?;
        if self.eat("(") {
            self.blanks()?;
            if self.eat(")") {
                return Ok(true);
            }
        }
        self.at = start;
        Ok(false)
    }

    /// `NAME=…`, `NAME+=…`, `NAME[…]=…`, `NAME=( … )` at the finger. Where it is an argument (of `export`) only
    /// arrays are read here, since the words are wanted too.
    fn assignment(&mut self, argument: bool) -> Result<Option<Assignment>> {
        let rest = self.rest();
        let length =
            rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let Some(name) = self.text.get(self.at..self.at + length).filter(|name| is_name(name))
        else {
            return Ok(None);
        };
        let name = name.to_owned();
        let start = self.at;
        self.at += length;
        let index = match self.peek() {
            Some(b'[') => self.subscript()?,
            _ => None,
        };
        let append = self.starts("+=");
        if !(self.eat("+=") || self.eat("=")) {
            self.at = start;
            return Ok(None);
        }
        if self.peek() == Some(b'(') {
            self.at += 1;
            let value = Value::Array(self.array()?);
            return Ok(Some(Assignment { name, index, append, value }));
        }
        if argument {
            self.at = start;
            return Ok(None);
        }
        let from = self.at;
        let word = self.word()?.unwrap_or(Word { parts: Vec::new(), span: self.span(from) });
        Ok(Some(Assignment { name, index, append, value: Value::Scalar(word) }))
    }

    fn array(&mut self) -> Result<Vec<Word>> {
        let mut words = Vec::new();
        loop {
            self.lines()?;
            if self.eat(")") {
                return Ok(words);
            }
            words.push(self.word()?.ok_or_else(|| self.missing())?);
        }
    }
}
