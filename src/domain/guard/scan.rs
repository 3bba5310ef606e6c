//! A look at a line's bytes before it is read: what no honest line holds, and what is too much.

use std::borrow::Cow;

use super::{Context, Shell, field::is_mark, finding::Finding, policy::Defaults, syntax::Span};

/// Compound commands that a line may open.
const MAX_KEYWORDS: usize = 400;
/// Stands for a byte that is no UTF-8: one byte too.
pub const PUT: char = '\u{1a}';

/// The line as text, if it is to be read at all, and what its bytes say. Bytes that are no UTF-8 become
/// a control character each, so that all others keep their place.
pub fn scan<'a>(
    line: &'a [u8],
    context: &Context<'_>,
    defaults: &Defaults,
) -> (Option<Cow<'a, str>>, Vec<Finding>) {
    let mut found = Vec::new();
    let finding = |rule: &str, reason: &str, span: Span| {
        Finding::new(defaults.parse_error, rule, reason, span)
    };
    let whole = Span { start: 0, end: line.len() };
    if line.len() > defaults.max_bytes {
        found.push(finding("line.length", "it is longer than is judged", whole));
        return (None, found);
    }
    let text = text(line);
    if let Cow::Owned(_) = text {
        found.push(finding("line.encoding", "it is not UTF-8", whole));
    }
    let mut last = ' ';
    for (start, char) in text.char_indices() {
        let span = Span { start, end: start + char.len_utf8() };
        // What is put in the place of a byte that is no UTF-8.
        let is_put = char == PUT && line.get(start) != Some(&(PUT as u8));
        if !is_put && let Some((rule, reason)) = strange(char, last) {
            found.push(finding(rule, reason, span));
        }
        if is_mark(char) {
            found.push(finding("line.character", "a character that stands for none", span));
            return (None, found);
        }
        last = char;
        if found.len() > 8 {
            break;
        }
    }
    if let Some(span) = context.interactive.then(|| history(&text)).flatten() {
        let reason = "a prompt puts older lines in its place";
        found.push(Finding::new(defaults.opaque, "line.history", reason, span));
    }
    let prompt = context.interactive && matches!(context.shell, Shell::Zsh | Shell::Unknown);
    if let Some(at) = prompt.then(|| comment(&text)).flatten() {
        let reason = "a prompt of zsh runs what stands behind a #";
        found.push(finding("line.comment", reason, Span { start: at, end: at + 1 }));
    }
    if keywords(&text) > MAX_KEYWORDS {
        found.push(finding("line.size", "it opens more constructs than are followed", whole));
        return (None, found);
    }
    (Some(text), found)
}

/// History at a prompt: `!x` outside single quotes, and `^` that begins a line.
fn history(text: &str) -> Option<Span> {
    let (mut quoted, mut escaped, mut last) = (false, false, '\n');
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let next = chars.peek().map_or(' ', |(_, next)| *next);
        let expands = match char {
            '!' => !matches!(next, ' ' | '\t' | '\n' | '=' | '(' | '"' | ';' | ')' | '&' | '|'),
            '^' => last == '\n',
            _ => false,
        };
        if expands && !quoted && !escaped && !matches!(last, '$' | '{' | '[') {
            return Some(Span { start: at, end: at + 1 });
        }
        quoted ^= char == '\'' && !escaped;
        escaped = char == '\\' && !escaped && !quoted;
        last = char;
    }
    None
}

/// A `#` that begins a comment, or to a prompt of zsh a word, where that makes a difference.
fn comment(text: &str) -> Option<usize> {
    // What is expanded has quotes of its own.
    let follows = !text.contains(['$', '`']);
    let (mut quote, mut last) = (None, '\n');
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match (quote, char) {
            (Some('"') | None, '\\') => _ = chars.next(),
            (None, '\'' | '"') if follows => quote = Some(char),
            (Some(open), char) if open == char => quote = None,
            (None, '#') if last.is_whitespace() || ";&|()<>`".contains(last) => {
                let line = text[at..].lines().next().unwrap_or_default();
                if line.contains([';', '|', '&', '`', '$', '<', '>', '(', ')', '\'', '"', '\\']) {
                    return Some(at);
                }
            }
            _ => {}
        }
        last = char;
    }
    None
}

fn text(line: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut text = String::with_capacity(line.len());
            for chunk in line.utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(chunk.invalid().iter().map(|_| PUT));
            }
            Cow::Owned(text)
        }
    }
}

/// Characters that a person does not see, or sees as another.
fn strange(char: char, last: char) -> Option<(&'static str, &'static str)> {
    match char {
        char if char.is_ascii_alphanumeric() && is_twin(last) => {
            Some(("line.homograph", "a letter that looks like another alphabet's"))
        }
        '\t' | '\n' | ' '..='~' => None,
        '\0' => Some(("line.control", "a NUL byte")),
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Some(("line.control", "a control character")),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' => {
            Some(("line.bidi", "a character that turns the direction of writing"))
        }
        '\u{a0}'
        | '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{202f}'
        | '\u{205f}'
        | '\u{3000}' => Some(("line.blank", "a blank that is none to a shell")),
        '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2064}'
        | '\u{feff}'
        | '\u{ad}'
        | '\u{180e}'
        | '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{3164}'
        | '\u{ffa0}' => Some(("line.invisible", "a character that can't be seen")),
        '\u{fe00}'..='\u{fe0f}' if last.is_ascii() => {
            Some(("line.invisible", "a character that can't be seen"))
        }
        '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}' => {
            Some(("line.invisible", "a character that can't be seen"))
        }
        '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' => {
            Some(("line.character", "a character that stands for none"))
        }
        // Letters that look like others, within a word of those.
        char if is_twin(char) && last.is_ascii_alphanumeric() => {
            Some(("line.homograph", "a letter that looks like another alphabet's"))
        }
        _ => None,
    }
}

/// Cyrillic, Greek and full-width letters, which mix with Latin ones only to deceive.
fn is_twin(char: char) -> bool {
    matches!(char, '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' | '\u{ff01}'..='\u{ff5e}' | '\u{13a0}'..='\u{13ff}' | '\u{1d400}'..='\u{1d7ff}')
        || matches!(
            char,
            '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{2010}'..='\u{2013}' | '\u{2212}'
        )
}

/// Words that open a compound command, wherever they stand.
fn keywords(text: &str) -> usize {
    let opens = |word: &str| {
        matches!(
            word,
            "if" | "while" | "until" | "for" | "case" | "select" | "function" | "{" | "("
        )
    };
    text.split([' ', '\t', '\n', ';', '&', '|']).filter(|word| opens(word)).count()
}
