//! Lines with what is expected of each: how policies are measured.

use super::Decision;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub expected: Decision,
    pub command: String,
    /// What kind of line it is (`evasion:quoting`).
    pub class: String,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct CorpusError {
    pub line: usize,
    pub what: &'static str,
}

/// Reads `expected<TAB>command<TAB>class: note`; in the command `\\ \n \t \r \0` are escapes. Empty lines and
/// those that begin with `#` say nothing.
pub fn read(text: &str) -> Result<Vec<Line>, CorpusError> {
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let error = |what| CorpusError { line: at + 1, what };
        let mut parts = line.splitn(3, '\t');
        let expected = match parts.next() {
            Some("allow") => Decision::Allow,
            Some("approve") => Decision::Approve,
            Some("block") => Decision::Block,
            _ => return Err(error("it begins with none of allow, approve, block")),
        };
        let command = unescape(parts.next().ok_or_else(|| error("it has no command"))?);
        let (class, note) =
            parts.next().unwrap_or("other").split_once(": ").unwrap_or(("other", ""));
        lines.push(Line { expected, command, class: class.to_owned(), note: note.to_owned() });
    }
    Ok(lines)
}

fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('n') => result.push('\n'),
                Some('t') => result.push('\t'),
                Some('r') => result.push('\r'),
                Some('0') => result.push('\0'),
                Some(other) => result.push(other),
                None => result.push('\\'),
            },
            char => result.push(char),
        }
    }
    result
}
