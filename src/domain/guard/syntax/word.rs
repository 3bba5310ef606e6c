//! Words: what quotes, `$` and backquotes make of the bytes.

use std::rc::Rc;

use super::{
    Change, Parameter, Part, Quoting, Script, SyntaxError, Word,
    lexer::{Parser, Result, ends_word},
};

/// Where the parts of a text end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// A word's end.
    Word,
    /// `"`, which stays.
    Quote,
    /// The text's end: a here-document, where `"` is a character.
    Body,
    /// `}` of `${…}`, outside quotes or inside double quotes; it stays.
    Brace(Quoting),
    /// `/` or `}`: the pattern of `${x/pattern/…}`.
    Slash(Quoting),
    /// `]` of a subscript.
    Bracket,
    /// Two closing brackets (`))`) on the floor where the sum began; they stay.
    Sum,
    /// `]` of `$[…]`.
    OldSum,
    /// A regular expression in `[[`: brackets and bars are its own.
    Regex,
}

impl Until {
    /// Whether quotes already stand around the text.
    fn quoting(self) -> Quoting {
        match self {
            Self::Quote
            | Self::Body
            | Self::Brace(Quoting::Double)
            | Self::Slash(Quoting::Double) => Quoting::Double,
            _ => Quoting::Bare,
        }
    }
}

impl Parser<'_> {
    /// The word at the finger, if one begins here.
    pub fn word(&mut self) -> Result<Option<Word>> {
        let start = self.at;
        let parts = self.parts(Until::Word)?;
        if self.at == start {
            return Ok(None);
        }
        Ok(Some(Word { parts, span: self.span(start) }))
    }

    pub fn regex(&mut self) -> Result<Word> {
        let start = self.at;
        let parts = self.parts(Until::Regex)?;
        Ok(Word { parts, span: self.span(start) })
    }

    /// `[…]` at the finger, if it closes on this word.
    pub fn subscript(&mut self) -> Result<Option<Word>> {
        let start = self.at;
        self.at += 1;
        let parts = self.parts(Until::Bracket)?;
        if self.eat("]") {
            return Ok(Some(Word { parts, span: self.span(start) }));
        }
        self.at = start;
        Ok(None)
    }

    /// A sum behind `((`, with the brackets that close it; `None` where they don't.
    pub fn arithmetic_text(&mut self) -> Result<Option<Word>> {
        let start = self.at;
        let parts = self.parts(Until::Sum)?;
        let span = self.span(start);
        Ok(self.eat("))").then_some(Word { parts, span }))
    }

    pub fn parts(&mut self, until: Until) -> Result<Vec<Part>> {
        self.down()?;
        let mut parts = Parts::default();
        let quoting = until.quoting();
        let mut brackets = 0u32;
        while let Some(byte) = self.peek() {
            self.step()?;
            match (byte, until) {
                (byte, Until::Word) if ends_word(byte) => {
                    if matches!(byte, b'<' | b'>') && self.peek_at(1) == Some(b'(') {
                        parts.push(self.process()?);
                        continue;
                    }
                    if byte == b'(' && self.pattern_list(&mut parts)? {
                        continue;
                    }
                    break;
                }
                (b' ' | b'\t' | b'\n', Until::Regex) if brackets == 0 => break,
                (b'(' | b'[', Until::Regex) => brackets += 1,
                (b')' | b']', Until::Regex) => brackets = brackets.saturating_sub(1),
                (b'"', Until::Quote) => break,
                (b'}', Until::Brace(_) | Until::Slash(_)) => break,
                (b'/', Until::Slash(_)) if !parts.is_empty() => break,
                (b'[', Until::Bracket | Until::OldSum) => brackets += 1,
                (b']', Until::Bracket | Until::OldSum) => match brackets {
                    0 => break,
                    _ => brackets -= 1,
                },
                (b'(', Until::Sum) => brackets += 1,
                (b')', Until::Sum) if brackets == 0 => break,
                (b')', Until::Sum) => brackets -= 1,
                _ => {}
            }
            match byte {
                b'\\' => self.escape(until, &mut parts)?,
                b'\'' if quoting == Quoting::Bare => {
                    self.at += 1;
                    parts.quoted(self.single()?);
                }
                b'"' if until != Until::Body => {
                    self.at += 1;
                    parts.quoted("");
                    for part in self.parts(Until::Quote)? {
                        parts.push(part);
                    }
                    self.expect("\"")?;
                }
                b'`' => {
                    let part = self.backquotes(until)?;
                    parts.push(part);
                }
                b'$' => self.dollar(quoting, &mut parts)?,
                _ => {
                    let Some(char) = self.take() else { break };
                    match quoting {
                        Quoting::Bare => parts.bare(char),
                        Quoting::Double => parts.quoted_char(char),
                    }
                }
            }
        }
        self.up();
        Ok(parts.list)
    }

    fn escape(&mut self, until: Until, parts: &mut Parts) -> Result<()> {
        self.at += 1;
        let next = self.peek();
        if next == Some(b'\n') {
            self.at += 1;
            return Ok(());
        }
        let escapes = match until {
            Until::Quote => matches!(next, Some(b'$' | b'`' | b'"' | b'\\')),
            Until::Body => matches!(next, Some(b'$' | b'`' | b'\\')),
            Until::Brace(Quoting::Double) | Until::Slash(Quoting::Double) => {
                matches!(next, Some(b'$' | b'`' | b'"' | b'\\' | b'}' | b'/'))
            }
            _ => true,
        };
        if !escapes {
            parts.quoted("\\");
            return Ok(());
        }
        match self.take() {
            Some(char) => parts.quoted_char(char),
            // A backslash at the end stands for itself.
            None => parts.quoted("\\"),
        }
        Ok(())
    }

    /// Up to the closing quote, which is taken.
    fn single(&mut self) -> Result<&str> {
        let start = self.at;
        let length = self.rest().iter().position(|byte| *byte == b'\'');
        let length = length.ok_or(SyntaxError::Unfinished)?;
        self.at += length + 1;
        Ok(self.text.get(start..start + length).unwrap_or_default())
    }

    /// `?( … )` and its like are patterns where extended globs are on, and an error elsewhere: nothing runs,
    /// unless it is zsh, which reads `*(e:…:)` as code.
    fn pattern_list(&mut self, parts: &mut Parts) -> Result<bool> {
        let glob = |char| matches!(char, '@' | '!' | '?' | '+' | '*');
        if !parts.last_bare().is_some_and(glob) {
            return Ok(false);
        }
        let plain = |byte: &&u8| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'.' | b'-' | b'_' | b'|' | b'*' | b'?' | b'/')
        };
        let length = self.rest()[1..].iter().take_while(plain).count();
        if self.peek_at(length + 1) != Some(b')') {
            return Err(SyntaxError::Ambiguous);
        }
        self.at += length + 2;
        // Whatever it matches: a star stands for it.
        parts.bare('*');
        Ok(true)
    }

    fn process(&mut self) -> Result<Part> {
        let reads = self.peek() == Some(b'<');
        self.at += 2;
        let script = self.substituted(")")?;
        Ok(Part::Process(script, reads))
    }

    /// The list up to what closes it.
    fn substituted(&mut self, close: &str) -> Result<Rc<Script>> {
        self.enter_substitution()?;
        let pending = std::mem::take(&mut self.pending);
        let list = self.list(false)?;
        if !self.pending.is_empty() {
            // Shells disagree on where the text of such a here-document stands.
            return Err(SyntaxError::Ambiguous);
        }
        self.pending = pending;
        if close == "}" {
            self.lines()?;
        }
        self.expect(close)?;
        self.leave_substitution();
        Ok(Rc::new(Script { list, error: None }))
    }

    fn backquotes(&mut self, until: Until) -> Result<Part> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            self.step()?;
            match self.take() {
                None => return Err(SyntaxError::Unfinished),
                Some('`') => break,
                Some('\\') => match self.peek() {
                    Some(b'`' | b'\\' | b'$') => text.extend(self.take()),
                    Some(b'"') if until.quoting() == Quoting::Double => text.extend(self.take()),
                    _ => text.push('\\'),
                },
                Some(char) => text.push(char),
            }
        }
        self.enter_substitution()?;
        let mut inner = Parser::new(&text, Some(self.span(start)));
        inner.depth = self.depth;
        inner.plain_dollar = self.plain_dollar;
        inner.substitutions = self.substitutions;
        let list = inner.list(false)?;
        if inner.peek().is_some() || !inner.pending.is_empty() && text.contains('\n') {
            return Err(SyntaxError::Unexpected);
        }
        self.leave_substitution();
        let script = Script { list, error: None };
        Ok(Part::Substitution(Rc::new(script), until.quoting()))
    }

    fn dollar(&mut self, quoting: Quoting, parts: &mut Parts) -> Result<()> {
        match self.peek_at(1) {
            Some(b'(') => {
                let part = self.round(quoting)?;
                parts.push(part);
            }
            Some(b'[') => {
                self.enter_substitution()?;
                self.at += 2;
                let start = self.at;
                let inner = self.parts(Until::OldSum)?;
                let span = self.span(start);
                self.expect("]")?;
                self.leave_substitution();
                parts.push(Part::Arithmetic(Word { parts: inner, span }));
            }
            Some(b'{') => {
                self.at += 2;
                let part = self.braces(quoting)?;
                parts.push(part);
            }
            Some(b'\'')
                if quoting == Quoting::Bare && !(self.plain_dollar && escapes(self.rest())) =>
            {
                self.at += 2;
                parts.quoted(&self.ansi()?);
            }
            // `$"…"` is looked up in a catalogue; in a shell without it the dollar stays.
            Some(b'"') if quoting == Quoting::Bare => self.at += 1,
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                self.at += 1;
                let length = self.rest().iter();
                let length =
                    length.take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                let name = self.text.get(self.at..self.at + length).unwrap_or_default().to_owned();
                self.at += length;
                parts.push(parameter(name, quoting));
            }
            Some(byte @ (b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!')) => {
                self.at += 2;
                parts.push(parameter(char::from(byte).to_string(), quoting));
            }
            _ => {
                self.at += 1;
                match quoting {
                    Quoting::Bare => parts.bare('$'),
                    Quoting::Double => parts.quoted_char('$'),
                }
            }
        }
        Ok(())
    }

    /// `$( … )` or `$(( … ))`.
    fn round(&mut self, quoting: Quoting) -> Result<Part> {
        if self.starts("$((") {
            let start = self.at;
            let kept = (self.depth, self.substitutions, self.pending.len());
            self.enter_substitution()?;
            self.at += 3;
            match self.arithmetic_text() {
                Ok(Some(word)) => {
                    self.leave_substitution();
                    return Ok(Part::Arithmetic(word));
                }
                Ok(None) | Err(SyntaxError::Unexpected | SyntaxError::Unfinished) => {}
                Err(error) => return Err(error),
            }
            (self.depth, self.substitutions) = (kept.0, kept.1);
            self.pending.truncate(kept.2);
            self.at = start;
        }
        self.at += 2;
        Ok(Part::Substitution(self.substituted(")")?, quoting))
    }

    /// Behind `${`.
    fn braces(&mut self, quoting: Quoting) -> Result<Part> {
        // bash 5.3 runs `${ list; }` and `${| list; }`; elsewhere it is an error.
        if matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'|')) {
            self.eat("|");
            return Ok(Part::Substitution(self.substituted("}")?, quoting));
        }
        self.enter_substitution()?;
        let mut length = false;
        let mut indirect = false;
        match (self.peek(), self.peek_at(1)) {
            (Some(b'#'), Some(next))
                if next != b'}' && !matches!(next, b':' | b'-' | b'+' | b'=' | b'%') =>
            {
                self.at += 1;
                length = true;
            }
            (Some(b'!'), Some(next))
                if next != b'}' && !matches!(next, b':' | b'-' | b'+' | b'=') =>
            {
                self.at += 1;
                indirect = true;
            }
            _ => {}
        }
        let name = self.parameter_name();
        let index = match self.peek() {
            Some(b'[') if !name.is_empty() => self.subscript()?,
            _ => None,
        };
        let change = match (length, name.is_empty()) {
            (_, true) => Change::Opaque(self.operand(Until::Brace(quoting))?),
            (true, _) if self.peek() == Some(b'}') => Change::Length,
            (true, _) => Change::Opaque(self.operand(Until::Brace(quoting))?),
            _ => self.change(quoting)?,
        };
        self.expect("}")?;
        self.leave_substitution();
        Ok(Part::Parameter(Box::new(Parameter { name, index, indirect, change, quoting })))
    }

    fn parameter_name(&mut self) -> String {
        let rest = self.rest();
        let length = match rest.first() {
            Some(byte) if byte.is_ascii_digit() => {
                rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
            }
            Some(byte) if byte.is_ascii_alphabetic() || *byte == b'_' => {
                rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count()
            }
            Some(b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') => 1,
            _ => 0,
        };
        let name = self.text.get(self.at..self.at + length).unwrap_or_default().to_owned();
        self.at += length;
        name
    }

    fn change(&mut self, quoting: Quoting) -> Result<Change> {
        let rest = Until::Brace(quoting);
        Ok(match (self.peek(), self.peek_at(1)) {
            (Some(b'}') | None, _) => Change::None,
            (Some(b':'), Some(operator @ (b'-' | b'=' | b'+' | b'?'))) => {
                self.at += 2;
                Change::Default { operator, colon: true, word: self.operand(rest)? }
            }
            (Some(operator @ (b'-' | b'=' | b'+' | b'?')), _) => {
                self.at += 1;
                Change::Default { operator, colon: false, word: self.operand(rest)? }
            }
            (Some(side @ (b'#' | b'%')), next) => {
                let longest = next == Some(side);
                self.at += 1 + usize::from(longest);
                // Patterns are read as outside quotes.
                let pattern = self.operand(Until::Brace(Quoting::Bare))?;
                Change::Strip { end: side == b'%', longest, pattern }
            }
            (Some(b'/'), next) => {
                let all = next == Some(b'/');
                self.at += 1 + usize::from(all);
                let pattern = self.operand(Until::Slash(Quoting::Bare))?;
                self.eat("/");
                Change::Replace { all, pattern, with: self.operand(rest)? }
            }
            (Some(b':'), _) => {
                self.at += 1;
                Change::Slice(self.operand(rest)?)
            }
            (Some(byte @ (b'^' | b',')), next)
                if next == Some(b'}') || next == Some(byte) && self.peek_at(2) == Some(b'}') =>
            {
                let all = next == Some(byte);
                self.at += 1 + usize::from(all);
                Change::Case { upper: byte == b'^', all }
            }
            _ => Change::Opaque(self.operand(rest)?),
        })
    }

    fn operand(&mut self, until: Until) -> Result<Word> {
        let start = self.at;
        let parts = self.parts(until)?;
        Ok(Word { parts, span: self.span(start) })
    }

    /// `$'…'`: the closing quote is taken.
    fn ansi(&mut self) -> Result<String> {
        let mut text = String::new();
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            self.step()?;
            let char = self.take().ok_or(SyntaxError::Unfinished)?;
            match char {
                '\'' => break,
                '\\' => self.ansi_escape(&mut bytes)?,
                char => bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        // A NUL ends the word in bash.
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        text.push_str(&String::from_utf8_lossy(&bytes[..end]));
        Ok(text)
    }

    fn ansi_escape(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let char = self.take().ok_or(SyntaxError::Unfinished)?;
        let byte = match char {
            'a' => 7,
            'b' => 8,
            'e' | 'E' => 27,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' | '\'' | '"' | '?' => char as u8,
            'c' => (self.take().ok_or(SyntaxError::Unfinished)? as u32 as u8) & 0x1f,
            '0'..='7' => {
                self.at -= 1;
                self.digits(8, 3) as u8
            }
            'x' => {
                let brace = self.eat("{");
                let value = self.digits(16, if brace { 8 } else { 2 });
                if brace {
                    self.eat("}");
                }
                value as u8
            }
            'u' | 'U' => {
                let value = self.digits(16, if char == 'u' { 4 } else { 8 });
                let char = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
                bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            char => {
                bytes.push(b'\\');
                bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
        };
        bytes.push(byte);
        Ok(())
    }

    fn digits(&mut self, radix: u32, most: usize) -> u32 {
        let mut value = 0u32;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(radix)) else {
                break;
            };
            value = value.wrapping_mul(radix).wrapping_add(digit);
            self.at += 1;
        }
        value
    }
}

fn parameter(name: String, quoting: Quoting) -> Part {
    Part::Parameter(Box::new(Parameter {
        name,
        index: None,
        indirect: false,
        change: Change::None,
        quoting,
    }))
}

/// Parts, with neighbours of a kind joined.
#[derive(Debug, Default)]
struct Parts {
    list: Vec<Part>,
}

impl Parts {
    fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn push(&mut self, part: Part) {
        match part {
            Part::Quoted(text) => self.quoted(&text),
            part => self.list.push(part),
        }
    }

    fn bare(&mut self, char: char) {
        match self.list.last_mut() {
            Some(Part::Bare(text)) => text.push(char),
            _ => self.list.push(Part::Bare(char.to_string())),
        }
    }

    fn quoted(&mut self, text: &str) {
        match self.list.last_mut() {
            Some(Part::Quoted(before)) => before.push_str(text),
            _ => self.list.push(Part::Quoted(text.to_owned())),
        }
    }

    fn quoted_char(&mut self, char: char) {
        self.quoted(char.encode_utf8(&mut [0; 4]));
    }

    fn last_bare(&self) -> Option<char> {
        match self.list.last() {
            Some(Part::Bare(text)) => text.chars().last(),
            _ => None,
        }
    }
}

/// Whether what begins with `$'` is a text that shells without such quotes end elsewhere.
pub fn escapes(text: &[u8]) -> bool {
    let mut inside = text.iter().skip(2).take_while(|byte| **byte != b'\'');
    inside.any(|byte| *byte == b'\\')
}
