//! Whole dialogues with shells: after `> ` what was typed, after `< ` what came.

use super::*;

struct Step {
    typed: Vec<u8>,
    got: Vec<u8>,
    place: Place,
}

/// The steps of a dialogue, each with the screen before it.
fn steps(captured: &str) -> Vec<Step> {
    let mut screen = vt100::Parser::new(48.try_into().unwrap(), 160.try_into().unwrap(), 0);
    let (mut steps, mut typed) = (Vec::new(), None);
    for line in captured.lines() {
        let bytes = unescaped(&line[2..]);
        if line.starts_with('>') {
            typed = Some(bytes);
            continue;
        }
        let (row, column) = screen.screen().cursor_position();
        screen.process(&bytes);
        if let Some(typed) = typed.take() {
            steps.push(Step { typed, got: bytes, place: at(row, column) });
        }
    }
    steps
}

fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, more)) = rest.split_first() {
        rest = more;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (length, value) = match rest[0] {
            b'r' => (1, b'\r'),
            b'n' => (1, b'\n'),
            b'x' => (3, u8::from_str_radix(std::str::from_utf8(&rest[1..3]).unwrap(), 16).unwrap()),
            _ => (1, b'\\'),
        };
        bytes.push(value);
        rest = &rest[length..];
    }
    bytes
}

impl Step {
    /// What was seen after each piece.
    fn seen(&self, pattern: &str, size: usize) -> Vec<Seen> {
        let mut wait = WaitFor::new(Regex::new(pattern).unwrap(), &self.typed, self.place);
        self.got.chunks(size).map(|piece| wait.feed(piece)).collect()
    }

    #[track_caller]
    fn comes(&self, pattern: &str) {
        for size in [1, 3, 16, 100, usize::MAX] {
            let last = self.seen(pattern, size).pop().unwrap();
            assert_ne!(last, Seen::No, "{pattern}, {size} at a time, in {self:?}");
        }
    }

    /// Not even for as long as one may wait for the rest of an echo.
    #[track_caller]
    fn never(&self, pattern: &str) {
        for size in [1, 3, 16, 100, usize::MAX] {
            let seen = self.seen(pattern, size);
            let came = seen.iter().position(|seen| [Seen::Yes, SOON].contains(seen));
            assert_eq!(came, None, "{pattern}, {size} at a time, in {self:?}");
            assert_eq!(seen.last(), Some(&Seen::No), "{pattern}, {size} at a time, in {self:?}");
        }
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (typed, got) = (self.typed.escape_ascii(), self.got.escape_ascii());
        write!(f, "\n> {typed}\n< {got}\nat {:?}", self.place)
    }
}

/// What every shell was asked, and what must and must not be seen of the answers. Fish goes on
/// with an unfinished loop in one line that it edits, until Ctrl-C.
fn check(captured: &str, prompt: &str, edits: bool) {
    let steps = steps(captured);
    let expected: &[(&[&str], &[&str])] = &[
        (&["^hi$", prompt], &["h\"i", "echo"]),
        (&["^abcdefghij", prompt], &["echo", "ij abc"]),
        (&[], &["for i"]),
        (&[], &["echo n"]),
        (&["^n2$", prompt], &["done"]),
        (&["^one$", "two$", prompt], &["o\"n", "t\"w"]),
        (&["^é漢$", prompt], &["echo"]),
        (&["^Password:$"], &["stty", "\"Pass"]),
        (&["^got$", prompt], &["secret"]),
        (&[], &["ls"]),
        (&[prompt], &[]),
        (&["^recall$", prompt], &["echo"]),
        // The key for the line before; dash has no such thing.
        (&["^recall$|u@h:~", prompt], &["echo"]),
        (&["^done$", prompt], &["sleep", "d\"o"]),
        (&["^slept$", "ahead$", prompt], &["sleep", "s\"l", "a\"h"]),
        (&["^1$", "^60$", prompt], &["seq"]),
        (&["^bottom$", prompt], &["b\"o"]),
        (&["^abcdefghij", prompt], &["echo", "ij abc"]),
        (&["no newline", prompt], &["\"no"]),
        (&[r"^name\?$"], &["printf"]),
        (&["^got$", prompt], &["joe"]),
    ];
    for (at, (step, (comes, never))) in steps.iter().zip(expected).enumerate() {
        if !(edits && (2..=9).contains(&at)) {
            comes.iter().for_each(|pattern| step.comes(pattern));
        }
        never.iter().for_each(|pattern| step.never(pattern));
    }
    assert_eq!(steps.len(), expected.len());
}

#[test]
fn bash() {
    check(include_str!("../captured/bash.txt"), r"\$ $", false);
}

#[test]
fn dash() {
    check(include_str!("../captured/dash.txt"), r"\$ $", false);
}

#[test]
fn zsh_with_a_prompt_on_the_right() {
    check(include_str!("../captured/zsh.txt"), "^root@h# $", false);
}

#[test]
fn fish() {
    check(include_str!("../captured/fish.txt"), "^root@vm ~# $", true);
}

#[test]
fn python() {
    let steps = steps(include_str!("../captured/python.txt"));
    let expected: &[(&[&str], &[&str])] = &[
        (&["^hi$", "^>>> $"], &["print"]),
        (&[r"^\.\.\. $"], &["range"]),
        (&[r"^\.\.\. $"], &["print"]),
        (&["^n0$", "^n1$", "^>>> $"], &[]),
        (&["^one$", "^two$", "^>>> $"], &["print"]),
        (&["^name: $"], &["input"]),
        (&["^>>> $"], &["joe"]),
        (&["^Password: $"], &["getpass"]),
        (&["'secret'", "^>>> $"], &["^secret"]),
        (&["^200$", "^>>> $"], &["abc"]),
    ];
    for (step, (comes, never)) in steps.iter().zip(expected) {
        comes.iter().for_each(|pattern| step.comes(pattern));
        never.iter().for_each(|pattern| step.never(pattern));
    }
    assert_eq!(steps.len(), expected.len());
}
