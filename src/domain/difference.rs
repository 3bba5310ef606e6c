//! Which lines of a text are gone, and which are new.

/// The most pairs of lines that are compared: beyond, all that differs is told as gone and new.
const MOST_PAIRS: usize = 4_000_000;

/// One line of two texts, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// The lines of both, in order: those of `before` are the same and the gone, those of `after` the same and
/// the new.
pub fn lines<'a>(before: &'a str, after: &'a str) -> Vec<Line<'a>> {
    // Not str::lines, which would hide the carriage return before a line's end.
    let (old, new): (Vec<_>, Vec<_>) = (pieces(before), pieces(after));
    let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev());
    let end = end.take_while(|(old, new)| old == new).count();
    let (old_middle, last) = old_rest.split_at(old_rest.len() - end);
    let new_middle = &new_rest[..new_rest.len() - end];
    let mut lines: Vec<Line<'_>> = old[..start].iter().copied().map(Line::Same).collect();
    middle(old_middle, new_middle, &mut lines);
    lines.extend(last.iter().copied().map(Line::Same));
    lines
}

fn pieces(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split_inclusive('\n').map(bare).collect() }
}

fn bare(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

/// By the longest sequence of lines that both have.
fn middle<'a>(old: &[&'a str], new: &[&'a str], into: &mut Vec<Line<'a>>) {
    if old.len().saturating_mul(new.len()) > MOST_PAIRS {
        into.extend(old.iter().copied().map(Line::Gone));
        into.extend(new.iter().copied().map(Line::New));
        return;
    }
    // The length of the longest sequence of what is left from each place on.
    let width = new.len() + 1;
    let mut longest = vec![0u32; (old.len() + 1) * width];
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            longest[i * width + j] = match one == other {
                true => longest[(i + 1) * width + j + 1] + 1,
                false => longest[(i + 1) * width + j].max(longest[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        let both = i < old.len() && j < new.len();
        if both && old[i] == new[j] {
            into.push(Line::Same(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len()
            || both && longest[(i + 1) * width + j] >= longest[i * width + j + 1]
        {
            into.push(Line::Gone(old[i]));
            i += 1;
        } else {
            into.push(Line::New(new[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Line::*, *};

    #[test]
    fn only_what_differs_is_gone_and_new() {
        assert_eq!(lines("a\nb\nc\n", "a\nx\nc\n"), [Same("a"), Gone("b"), New("x"), Same("c")]);
        assert_eq!(lines("", "a\n"), [New("a")]);
        assert_eq!(lines("a\r\n", "a\n"), [Gone("a\r"), New("a")]);
        assert_eq!(lines("a\nb\n", "a\nb\nb\n"), [Same("a"), Same("b"), New("b")]);
    }

    proptest! {
        #[test]
        fn both_texts_can_be_read_off(before in "[ab\n]{0,30}", after in "[ab\n]{0,30}") {
            let all = lines(&before, &after);
            let old: Vec<_> = all.iter().filter_map(|line| match line {
                Same(text) | Gone(text) => Some(*text),
                New(_) => None,
            }).collect();
            let new: Vec<_> = all.iter().filter_map(|line| match line {
                Same(text) | New(text) => Some(*text),
                Gone(_) => None,
            }).collect();
            prop_assert_eq!(old, pieces(&before));
            prop_assert_eq!(new, pieces(&after));
        }
    }
}
