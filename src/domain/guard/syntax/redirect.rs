//! Redirections.

use std::{cell::OnceCell, rc::Rc};

use super::{
    Redirect, RedirectKind, SyntaxError, Word,
    lexer::{Parser, Pending, Result},
    parser::numbers_matter,
};

/// The longest first.
const OPERATORS: [&str; 12] =
    ["&>>", "<<<", "<<-", "&>", ">>", ">|", "<>", ">&", "<&", "<<", "<", ">"];

impl Parser<'_> {
    /// A redirection at the finger, with its descriptor.
    pub fn redirect(&mut self) -> Result<Option<Redirect>> {
        let start = self.at;
        let fd = self.descriptor();
        let named = self.text.get(start..self.at).and_then(|text| text.strip_prefix('{'));
        if named.is_some_and(|name| numbers_matter(name.trim_end_matches('}'))) {
            return Err(SyntaxError::Ambiguous);
        }
        let operator = OPERATORS.into_iter().find(|operator| self.starts(operator));
        let Some(operator) = operator.filter(|_| fd.is_none() || self.peek() != Some(b'&')) else {
            self.at = start;
            return Ok(None);
        };
        // `<(` and `>(` begin a word.
        if fd.is_none() && matches!(operator, "<" | ">") && self.peek_at(1) == Some(b'(') {
            self.at = start;
            return Ok(None);
        }
        self.at += operator.len();
        self.blanks()?;
        if matches!(operator, "<<" | "<<-") {
            return Ok(Some(Redirect { fd, kind: self.here_document(operator == "<<-")? }));
        }
        let Some(word) = self.word()? else { return Err(SyntaxError::Unexpected) };
        let number = |word: &Word| {
            word.literal().is_some_and(|text| {
                text == "-" || text.trim_end_matches('-').bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let kind = match operator {
            "<" => RedirectKind::Read(word),
            "<>" => RedirectKind::ReadWrite(word),
            "<<<" => RedirectKind::HereString(word),
            "<&" => RedirectKind::Duplicate(word),
            ">&" if number(&word) => RedirectKind::Duplicate(word),
            _ => RedirectKind::Write(word),
        };
        Ok(Some(Redirect { fd, kind }))
    }

    /// `2` or `{name}` where a redirection follows at once.
    fn descriptor(&mut self) -> Option<u32> {
        let rest = self.rest();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length = match rest.first() {
            Some(b'{') => {
                let name = rest[1..].iter();
                let name = name.take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
                if name == 0 || rest.get(name + 1) != Some(&b'}') {
                    return None;
                }
                name + 2
            }
            _ => digits,
        };
        if length == 0 || !matches!(rest.get(length), Some(b'<' | b'>')) {
            return None;
        }
        let number = self.text.get(self.at..self.at + digits).and_then(|text| text.parse().ok());
        self.at += length;
        // A descriptor that the shell chooses is none of the first three.
        Some(number.unwrap_or(10))
    }

    fn here_document(&mut self, strip_tabs: bool) -> Result<RedirectKind> {
        let (delimiter, quoted) = self.delimiter()?;
        let body = Rc::new(OnceCell::new());
        self.pending.push(Pending { delimiter, quoted, strip_tabs, body: body.clone() });
        Ok(RedirectKind::HereDocument(body))
    }

    /// The word behind `<<`: nothing in it expands, its quotes go.
    fn delimiter(&mut self) -> Result<(String, bool)> {
        let mut text = String::new();
        let mut quoted = false;
        let start = self.at;
        while let Some(byte) = self.peek() {
            self.step()?;
            match byte {
                b'\'' | b'"' => {
                    quoted = true;
                    self.at += 1;
                    loop {
                        match self.take() {
                            None => return Err(SyntaxError::Unfinished),
                            Some(char) if char == char::from(byte) => break,
                            // A delimiter over two lines can't be one line of the text.
                            Some('\n') => return Err(SyntaxError::Ambiguous),
                            Some('\\') if byte == b'"' => text.extend(self.take()),
                            Some(char) => text.push(char),
                        }
                    }
                }
                b'\\' => {
                    quoted = true;
                    self.at += 1;
                    if self.peek() == Some(b'\n') {
                        return Err(SyntaxError::Ambiguous);
                    }
                    text.extend(self.take());
                }
                // Taken literally by some, as an expansion by others.
                b'$' | b'`' => return Err(SyntaxError::Ambiguous),
                byte if super::lexer::ends_word(byte) => break,
                _ => text.extend(self.take()),
            }
        }
        if self.at == start { Err(SyntaxError::Unexpected) } else { Ok((text, quoted)) }
    }
}
