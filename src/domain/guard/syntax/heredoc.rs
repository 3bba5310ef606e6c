//! Here-documents: their text stands behind the line that asks for it.

use super::{
    Part, Word,
    lexer::{Parser, Pending, Result},
    word::Until,
};

impl Parser<'_> {
    /// Reads the texts of all here-documents that the line before began, in their order.
    pub fn read_bodies(&mut self) -> Result<()> {
        for pending in std::mem::take(&mut self.pending) {
            let text = self.document(&pending)?;
            let span = self.span(self.at);
            let parts = match pending.quoted {
                true => vec![Part::Quoted(text)],
                false => self.expand_body(&text)?,
            };
            let _ = pending.body.set(Word { parts, span });
        }
        Ok(())
    }

    /// The lines up to the delimiter, or to the end, where a shell warns and goes on.
    fn document(&mut self, pending: &Pending) -> Result<String> {
        let mut text = String::new();
        let mut joined = false;
        while self.at < self.bytes.len() {
            self.step()?;
            let end = self.rest().iter().position(|byte| *byte == b'\n');
            let end = end.map_or(self.bytes.len(), |end| self.at + end);
            let mut line = self.text.get(self.at..end).unwrap_or_default();
            self.at = (end + 1).min(self.bytes.len());
            if pending.strip_tabs {
                line = line.trim_start_matches('\t');
            }
            if !joined && line == pending.delimiter {
                return Ok(text);
            }
            let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
            joined = !pending.quoted && backslashes % 2 == 1;
            text.push_str(line);
            text.push('\n');
        }
        Ok(text)
    }

    /// What expands in an unquoted here-document.
    fn expand_body(&mut self, text: &str) -> Result<Vec<Part>> {
        let mut inner = Parser::new(text, Some(self.span(self.at)));
        inner.depth = self.depth;
        inner.plain_dollar = self.plain_dollar;
        inner.substitutions = self.substitutions;
        inner.parts(Until::Body)
    }
}
