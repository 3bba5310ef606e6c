//! Changing a part of a text: exactly what was named, or nothing. And the change as people read it.

use crate::domain::difference::{self, Line};

/// The most hunks of one patch.
const HUNKS: usize = 10_000;
/// Lines around a change that are shown.
const AROUND: usize = 3;
/// A text of so many bytes is not where it is by chance.
const SURE: usize = 8;
/// … among bytes that are no text.
const SURE_BINARY: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edited {
    Now(Vec<u8>),
    /// What it was to become it is.
    Already,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("there is nothing to replace: the old text is empty")]
    Nothing,
    #[error("the old text is not there, and neither is the new one")]
    Missing,
    #[error(
        "the old text is not there; what it was to become is, but that is too short to tell that it was changed"
    )]
    Perhaps,
    #[error("there is nothing to delete: the text is not there, now or any more")]
    Gone,
    #[error("the old text is there {0} times, not once; the first times in lines {1} and {2}")]
    Often(usize, usize, usize),
    #[error("line {0} of the patch is none of a unified diff")]
    NoPatch(usize),
    #[error("a patch is for one file, and this one is for several")]
    SeveralFiles,
    #[error("the patch has no hunk")]
    Empty,
    #[error("hunk {0} of the patch fits nowhere, or in more than one place")]
    Hunk(usize),
}

/// Puts `new` where `old` is: once, or with `all` wherever it is.
pub fn replace(text: &[u8], old: &[u8], new: &[u8], all: bool) -> Result<Edited, EditError> {
    if old.is_empty() {
        return Err(EditError::Nothing);
    }
    let (olds, news) = (places(text, old), places(text, new));
    let within =
        |at: &usize| news.iter().any(|start| start <= at && at + old.len() <= start + new.len());
    match (olds.is_empty(), news.is_empty()) {
        // Run again, it changes nothing: what is new holds what was old.
        (false, _) if olds.iter().all(within) => return Ok(Edited::Already),
        (true, false) => {
            let tells = news.iter().any(|at| is_telling(text, *at, new.len()));
            return if tells { Ok(Edited::Already) } else { Err(EditError::Perhaps) };
        }
        (true, true) if new.is_empty() => return Err(EditError::Gone),
        _ => {}
    }
    let line = |at: usize| text[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    match olds.as_slice() {
        [] => return Err(EditError::Missing),
        [first, second, ..] if !all => {
            return Err(EditError::Often(olds.len(), line(*first), line(*second)));
        }
        _ => {}
    }
    let mut edited = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in olds {
        edited.extend_from_slice(&text[from..at]);
        edited.extend_from_slice(new);
        from = at + old.len();
    }
    edited.extend_from_slice(&text[from..]);
    Ok(Edited::Now(edited))
}

/// Whether a text that stands there is no chance: it is some bytes long, or whole lines; more of them among bytes that
/// are no text.
fn is_telling(text: &[u8], at: usize, length: usize) -> bool {
    if !is_text(text) {
        return length >= SURE_BINARY;
    }
    let end = at + length;
    let begins = at == 0 || text[at - 1] == b'\n';
    let ends = end == text.len() || text[end] == b'\n' || text[end - 1] == b'\n';
    length >= SURE || begins && ends
}

/// Where a part begins, without overlap. Nothing is nowhere.
fn places(text: &[u8], part: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let Some(first) = part.first() else { return found };
    let mut at = 0;
    while at + part.len() <= text.len() {
        let Some(next) = text[at..].iter().position(|byte| byte == first) else { break };
        at += next;
        if text[at..].starts_with(part) {
            found.push(at);
            at += part.len();
        } else {
            at += 1;
        }
    }
    found
}

/// A part of a patch: where it was made, and the lines before and after, each with its end.
#[derive(Debug, Default)]
struct Hunk {
    /// From 0.
    at: usize,
    old: Vec<Vec<u8>>,
    new: Vec<Vec<u8>>,
}

/// Applies a unified diff of one file. Each hunk must fit at its place, or at exactly one other behind the
/// hunk before; nothing is guessed.
pub fn patch(text: &[u8], patch: &[u8]) -> Result<Edited, EditError> {
    let hunks = hunks(patch)?;
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    match apply(&lines, hunks.iter().map(|hunk| (hunk.at, &hunk.old, &hunk.new))) {
        Ok(edited) => Ok(Edited::Now(edited)),
        Err(hunk) => {
            let back = apply(&lines, hunks.iter().map(|hunk| (hunk.at, &hunk.new, &hunk.old)));
            if back.is_ok() { Ok(Edited::Already) } else { Err(EditError::Hunk(hunk)) }
        }
    }
}

/// The text, or the number of the hunk that does not fit.
fn apply<'h>(
    lines: &[&[u8]],
    hunks: impl Iterator<Item = (usize, &'h Vec<Vec<u8>>, &'h Vec<Vec<u8>>)>,
) -> Result<Vec<u8>, usize> {
    let (mut edited, mut from, mut shift) = (Vec::new(), 0, 0isize);
    for (number, (at, old, new)) in hunks.enumerate() {
        let fits = |at: usize| {
            at >= from
                && at + old.len() <= lines.len()
                && lines[at..at + old.len()]
                    .iter()
                    .zip(old)
                    .all(|(line, old)| *line == old.as_slice())
        };
        let meant = at.saturating_add_signed(shift);
        let at = if fits(meant) && (!old.is_empty() || meant <= lines.len()) {
            meant
        } else {
            let mut places = (from..lines.len()).filter(|at| !old.is_empty() && fits(*at));
            match (places.next(), places.next()) {
                (Some(one), None) => one,
                _ => return Err(number + 1),
            }
        };
        shift += at as isize - meant as isize;
        lines[from..at].iter().for_each(|line| edited.extend_from_slice(line));
        new.iter().for_each(|line| edited.extend_from_slice(line));
        from = at + old.len();
    }
    lines[from..].iter().for_each(|line| edited.extend_from_slice(line));
    Ok(edited)
}

fn hunks(patch: &[u8]) -> Result<Vec<Hunk>, EditError> {
    let mut hunks: Vec<Hunk> = Vec::new();
    // Lines that the hunk still has, of the old text and of the new one.
    let (mut old_left, mut new_left) = (0, 0);
    let mut files = 0;
    for (number, line) in patch.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let wrong = Err(EditError::NoPatch(number + 1));
        if old_left == 0 && new_left == 0 {
            if line.starts_with(b"@@") {
                let Some((at, old, new)) = head(line) else { return wrong };
                (old_left, new_left) = (old, new);
                // `-0,0`, and a count of none, name the line before.
                let at = if old == 0 { at } else { at.saturating_sub(1) };
                hunks.push(Hunk { at, ..Hunk::default() });
                if hunks.len() > HUNKS {
                    return wrong;
                }
            } else if line.starts_with(b"--- ") {
                files += 1;
            } else if line.starts_with(b"\\") {
                hunks.last_mut().iter_mut().for_each(|hunk| without_end(hunk, b'*'));
            }
            continue;
        }
        let Some(hunk) = hunks.last_mut() else { return wrong };
        let (sign, rest) = match line.split_first() {
            Some((b'\n', _)) | None => (b' ', line),
            Some((sign, rest)) => (*sign, rest),
        };
        let (old, new) = (matches!(sign, b' ' | b'-'), matches!(sign, b' ' | b'+'));
        if sign == b'\\' {
            // The line before, of the side that has no more.
            without_end(hunk, if old_left == 0 { b'-' } else { b'+' });
            continue;
        }
        if !(old || new) || old && old_left == 0 || new && new_left == 0 {
            return wrong;
        }
        if old {
            old_left -= 1;
            hunk.old.push(rest.to_vec());
        }
        if new {
            new_left -= 1;
            hunk.new.push(rest.to_vec());
        }
    }
    match (hunks.is_empty(), files) {
        (true, _) => Err(EditError::Empty),
        (_, 2..) => Err(EditError::SeveralFiles),
        _ if old_left + new_left > 0 => Err(EditError::Hunk(hunks.len())),
        _ => Ok(hunks),
    }
}

/// `\ No newline at end of file` behind a line of one side; `*` where the hunk is whole: of each side whose
/// last line came last.
fn without_end(hunk: &mut Hunk, side: u8) {
    let cut = |lines: &mut Vec<Vec<u8>>| {
        if let Some(last) = lines.last_mut().filter(|last| last.ends_with(b"\n")) {
            last.pop();
        }
    };
    let same = hunk.old.last() == hunk.new.last();
    match side {
        b'-' => cut(&mut hunk.old),
        b'+' => cut(&mut hunk.new),
        _ => {
            cut(&mut hunk.new);
            if same {
                cut(&mut hunk.old);
            }
        }
    }
}

/// Where the old lines begin, how many they are and how many the new ones: `@@ -a,b +c,d @@`.
fn head(line: &[u8]) -> Option<(usize, usize, usize)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.strip_prefix("@@ ")?.split(' ');
    let range = |word: &str, sign: char| {
        let word = word.strip_prefix(sign)?;
        let (at, count) = word.split_once(',').unwrap_or((word, "1"));
        Some((at.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
    };
    let (at, old) = range(words.next()?, '-')?;
    let (_, new) = range(words.next()?, '+')?;
    words.next()?.starts_with("@@").then_some((at, old, new))
}

/// What changes, as a unified diff without its two head lines. Empty where nothing does.
pub fn unified(before: &str, after: &str) -> String {
    let lines = difference::lines(before, after);
    let changed: Vec<usize> =
        (0..lines.len()).filter(|at| !matches!(lines[*at], Line::Same(_))).collect();
    let mut text = String::new();
    let mut rest = changed.as_slice();
    while let [first, ..] = rest {
        let close = rest.windows(2).take_while(|pair| pair[1] - pair[0] <= 2 * AROUND).count();
        let last = rest[close];
        let (from, to) = (first.saturating_sub(AROUND), (last + AROUND + 1).min(lines.len()));
        hunk(&lines, from, to, &mut text);
        rest = &rest[close + 1..];
    }
    text
}

/// Of what is text but for some bytes in it, Latin-1 say: they stand in it as they are. `None` where one is no text.
pub fn unified_bytes(before: &[u8], after: &[u8]) -> Option<Vec<u8>> {
    if !is_text(before) || !is_text(after) {
        return None;
    }
    if let (Ok(before), Ok(after)) = (std::str::from_utf8(before), std::str::from_utf8(after)) {
        return Some(unified(before, after).into_bytes());
    }
    // Each byte as the character of its number, and back: lines end where they did.
    let wide = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let diff = unified(&wide(before), &wide(after));
    Some(diff.chars().map(|char| u8::try_from(char).unwrap_or(b'?')).collect())
}

/// A text has no NUL byte, whatever else it has.
pub fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0)
}

fn hunk(lines: &[Line<'_>], from: usize, to: usize, text: &mut String) {
    let old = |lines: &[Line<'_>]| lines.iter().filter(|l| !matches!(l, Line::New(_))).count();
    let new = |lines: &[Line<'_>]| lines.iter().filter(|l| !matches!(l, Line::Gone(_))).count();
    let range = |before: usize, count: usize| match count {
        0 => format!("{before},0"),
        count => format!("{},{count}", before + 1),
    };
    let (above, within) = (&lines[..from], &lines[from..to]);
    let old_range = range(old(above), old(within));
    let new_range = range(new(above), new(within));
    text.push_str(&format!("@@ -{old_range} +{new_range} @@\n"));
    for line in within {
        let (sign, line) = match line {
            Line::Same(line) => (' ', line),
            Line::Gone(line) => ('-', line),
            Line::New(line) => ('+', line),
        };
        text.push(sign);
        text.push_str(line);
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now(text: &str) -> Result<Edited, EditError> {
        Ok(Edited::Now(text.as_bytes().to_vec()))
    }

    fn replaced(text: &str, old: &str, new: &str, all: bool) -> Result<Edited, EditError> {
        replace(text.as_bytes(), old.as_bytes(), new.as_bytes(), all)
    }

    #[test]
    fn a_text_is_replaced_where_it_is_once() {
        assert_eq!(replaced("a b c", "b", "x", false), now("a x c"));
        assert_eq!(replaced("a b b", "b", "x", false), Err(EditError::Often(2, 1, 1)));
        assert_eq!(replaced("a\nb b", "b", "x", true), now("a\nx x"));
        assert_eq!(replaced("a", "b", "c", false), Err(EditError::Missing));
        assert_eq!(replaced("a", "", "c", false), Err(EditError::Nothing));
        assert_eq!(replaced("a b", " b", "", false), now("a"));
    }

    #[test]
    fn what_is_there_already_is_no_failure() {
        assert_eq!(replaced("a DEBUG=off c", "DEBUG=on", "DEBUG=off", false), Ok(Edited::Already));
        assert_eq!(replaced("a\nx\nc", "b", "x", false), Ok(Edited::Already), "a whole line");
        assert_eq!(replaced("a\nx\n", "b\n", "x\n", false), Ok(Edited::Already), "and its end");
        // What is new holds what was old: run again, nothing happens.
        assert_eq!(replaced("port 80\n", "port 80", "port 80 ssl", false), now("port 80 ssl\n"));
        assert_eq!(replaced("port 80 ssl\n", "port 80", "port 80 ssl", false), Ok(Edited::Already));
        // Nothing is everywhere: that says nothing.
        assert_eq!(replaced("a", "b", "", false), Err(EditError::Gone));
    }

    #[test]
    fn what_may_be_there_by_chance_is_not_said_to_be_done() {
        assert_eq!(replaced("a x c", "b", "x", false), Err(EditError::Perhaps));
        assert_eq!(replaced("axc", "bbbbbbbb", "x", true), Err(EditError::Perhaps));
        let zeros = [&[0; 64][..], b"\nx\n"].concat();
        assert_eq!(replace(&zeros, b"bbbb", &[0; 16], false), Err(EditError::Perhaps));
        assert_eq!(
            replace(&zeros, b"bbbb", b"x", false),
            Err(EditError::Perhaps),
            "no lines there"
        );
        assert_eq!(replace(&zeros, b"bbbb", &[0; 32], false), Ok(Edited::Already));
    }

    #[test]
    fn a_patch_fits_exactly_or_not_at_all() {
        let text = "one\ntwo\nthree\nfour\n";
        let diff = "--- a\n+++ b\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";
        let patched = |text: &str, diff: &str| patch(text.as_bytes(), diff.as_bytes());
        assert_eq!(patched(text, diff), now("one\n2\nthree\nfour\n"));
        assert_eq!(patched("one\n2\nthree\nfour\n", diff), Ok(Edited::Already));
        assert_eq!(patched("new\none\ntwo\nthree\n", diff), now("new\none\n2\nthree\n"));
        assert_eq!(patched("one\nTWO\nthree\n", diff), Err(EditError::Hunk(1)));
        let twice = "x\none\ntwo\nthree\none\ntwo\nthree\n";
        assert_eq!(patched(twice, diff), Err(EditError::Hunk(1)));
        assert_eq!(patched(text, "hello\n"), Err(EditError::Empty));
        assert_eq!(patched(text, "@@ -1 +1 @@\n?\n"), Err(EditError::NoPatch(2)));
        assert_eq!(patched(text, &format!("{diff}{diff}")), Err(EditError::SeveralFiles));
    }

    #[test]
    fn a_patch_knows_of_a_missing_newline() {
        let patched = |text: &str, diff: &str| patch(text.as_bytes(), diff.as_bytes());
        let gains = "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n";
        assert_eq!(patched("a", gains), now("a\n"));
        let loses = "@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n";
        assert_eq!(patched("a\n", loses), now("b"));
        let keeps = "@@ -1,2 +1,2 @@\n-a\n+b\n c\n\\ No newline at end of file\n";
        assert_eq!(patched("a\nc", keeps), now("b\nc"));
        let creates = "@@ -0,0 +1,2 @@\n+a\n+b\n";
        assert_eq!(patched("", creates), now("a\nb\n"));
    }

    proptest! {
        /// What is shown of a change makes it.
        #[test]
        fn a_change_as_it_is_shown_is_a_patch(before in "([abc]{0,2}\n){0,12}", after in "([abc]{0,2}\n){0,12}") {
            let diff = unified(&before, &after);
            if before == after {
                prop_assert_eq!(diff, "");
            } else {
                let patched = patch(before.as_bytes(), diff.as_bytes());
                prop_assert_eq!(patched, Ok(Edited::Now(after.into_bytes())), "{}", diff);
            }
        }

        #[test]
        fn any_bytes_are_a_patch_or_an_error(text: Vec<u8>, diff in "(@@ -[0-3],[0-3] \\+[0-3],[0-3] @@\n|[-+ \\\\][ab]?\n){0,8}") {
            let _any = patch(&text, diff.as_bytes());
        }
    }
}
