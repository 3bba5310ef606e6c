//! The one rule for `--wait-for`: what counts is what came after the input and is not its echo.
//!
//! What comes is drawn as a terminal draws it, from where the cursor stood when the input was
//! written, and the pattern is matched against the lines that then stand there, each by itself.
//!
//! 1. A line is echo, the whole of it, when what was typed before an Enter stands at its end at the
//!    moment when it ends: alone, or behind what looks like a prompt. Blanks don't count. Each typed
//!    line is so excused once; and once more behind a prompt where it stood alone before, since a
//!    line editor draws again what the terminal echoed while something else ran. What is drawn into a
//!    line of echo later is echo, and so is what is drawn above the line in which was typed.
//! 2. Text without an Enter is echo up to its first end in the line in which it was typed. Keys have
//!    no echo; text between editing keys is looked for piece by piece.
//! 3. Any other line counts at once when it ends. What has not ended (a prompt, a menu) counts when
//!    it stands for a moment: a short one once all echo was seen, a longer one before, since the echo
//!    or the rest of a redraw may be on its way, or may never come. (A program that draws no line
//!    shows a prompt for each of several typed lines, long after their echo: those can't be told apart.)

mod paper;
mod parse;
#[cfg(test)]
mod tests;
mod typed;

use std::{collections::VecDeque, ops::Range, time::Duration};

use regex::Regex;

use paper::Paper;
pub use paper::Place;
use parse::{Event, Parser};
use typed::Typed;

/// How long an unfinished line must stand.
pub const STANDS: Duration = Duration::from_millis(30);
/// The same, while echo may still come.
pub const STANDS_BEFORE_ECHO: Duration = Duration::from_millis(300);

/// How much may be looked at, in columns, for each byte that came; looking again at what hardly
/// changes is put off beyond that. It is a lot at first, and whoever means well never comes so far.
const LOOKS: usize = 16;
const MOST_LOOKS: usize = 1 << 20;

/// Where waiting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// What was waited for has not come, or has gone again.
    No,
    /// It stands there; it has come when it still does after so long without a `No`.
    Stands(Duration),
    /// It has come.
    Yes,
}

/// One input's `--wait-for`.
pub struct WaitFor {
    pattern: Regex,
    parser: Parser,
    page: Page,
}

struct Page {
    paper: Paper,
    /// Typed lines whose echo was not seen yet.
    expected: VecDeque<Typed>,
    /// Those whose echo may come again, behind a prompt.
    ahead: Vec<Typed>,
    /// Text without an Enter, and whether its echo was seen.
    open: Option<Typed>,
    open_seen: bool,
    /// The row where the cursor stood when the lines were last looked at.
    cursor_row: usize,
    come: bool,
    looks: usize,
}

impl WaitFor {
    /// `typed`: the bytes of text and keys as they are written to the terminal; nothing of a secret.
    /// `place`: the screen before that.
    pub fn new(pattern: Regex, typed: &[u8], place: Place) -> Self {
        let mut paper = Paper::new(place);
        let (expected, open) = typed::lines(typed);
        let row = paper.cursor_row();
        if !expected.is_empty() || open.is_some() {
            (0..row).for_each(|row| paper.row_mut(row).old = true);
        }
        paper.row_mut(row).holds_echo = expected.is_empty() && open.is_some();
        let page = Page {
            paper,
            expected,
            ahead: Vec::new(),
            open_seen: open.is_none(),
            open,
            cursor_row: row,
            come: false,
            looks: MOST_LOOKS,
        };
        Self { pattern, parser: Parser::default(), page }
    }

    /// What came next, cut anywhere. Takes time in proportion to it, and bounded memory.
    pub fn feed(&mut self, bytes: &[u8]) -> Seen {
        let (page, pattern) = (&mut self.page, &self.pattern);
        page.looks = (page.looks + (bytes.len() + 1) * LOOKS).min(MOST_LOOKS);
        self.parser.advance(bytes, &mut |event| page.event(event, pattern));
        if page.come {
            return Seen::Yes;
        }
        page.look(pattern)
    }
}

impl Page {
    fn event(&mut self, event: Event<'_>, pattern: &Regex) {
        if self.come {
            return;
        }
        if matches!(event, Event::Control(b'\n') | Event::Escape(b'D' | b'E')) {
            self.line_ends(pattern);
        }
        let top = self.paper.top();
        self.paper.draw(event);
        if self.paper.top() == top {
            return;
        }
        while let Some((line, cut)) = self.paper.leaving() {
            let end = line.end;
            self.line_leaves(line, cut, pattern);
            self.paper.forget(end);
        }
    }

    /// A line feed is about to come: the line is an echo, or it counts.
    fn line_ends(&mut self, pattern: &Regex) {
        let row = self.paper.cursor_row();
        if std::mem::replace(&mut self.paper.row_mut(row).ended, true) {
            return;
        }
        let line = self.paper.line(row);
        if !self.may_look_at(&line) {
            return;
        }
        if self.echo_may_come() && self.is_echo(&line) {
            self.mark(line, |row| row.old = true);
        } else if self.paper.feeds_a_new_row() {
            self.come |= self.counts(line, pattern);
        }
    }

    fn may_look_at(&mut self, line: &Range<usize>) -> bool {
        let left = self.looks.checked_sub(self.paper.cells(line.clone()));
        self.looks = left.unwrap_or(self.looks);
        left.is_some()
    }

    fn echo_may_come(&self) -> bool {
        !(self.expected.is_empty() && self.ahead.is_empty() && self.open_seen)
    }

    fn is_echo(&mut self, line: &Range<usize>) -> bool {
        let shown = self.paper.text_to_cursor(line.clone());
        let shown = shown.as_str();
        let Some(at) = self.expected.front().and_then(|typed| typed.begins_in(shown)) else {
            self.look_for_open(line, shown);
            return self.is_echo_again(shown).is_some_and(|at| {
                self.ahead.remove(at);
                true
            });
        };
        let typed = self.expected.pop_front();
        self.ahead.extend(typed.filter(|_| at == 0));
        true
    }

    /// Which of the lines that were typed ahead stands there behind a prompt.
    fn is_echo_again(&self, shown: &str) -> Option<usize> {
        let prompted = |at: usize| !shown[..at].trim().is_empty();
        self.ahead.iter().position(|typed| typed.begins_in(shown).is_some_and(prompted))
    }

    /// Marks the line in which text without Enter stands, once nothing else is expected.
    fn look_for_open(&mut self, line: &Range<usize>, shown: &str) {
        let stands = self.open.as_ref().is_some_and(|typed| typed.begins_in(shown).is_some());
        if stands && !self.open_seen && self.expected.is_empty() {
            self.open_seen = true;
            self.mark(line.clone(), |row| row.holds_echo = true);
        }
    }

    fn mark(&mut self, line: Range<usize>, mark: impl Fn(&mut paper::Row)) {
        line.for_each(|row| mark(self.paper.row_mut(row)));
    }

    /// Whether the pattern is in this line, as it stands.
    fn counts(&mut self, line: Range<usize>, pattern: &Regex) -> bool {
        self.mark(line.clone(), |row| row.changed = false);
        if line.clone().all(|row| self.paper.row_mut(row).old) {
            return false;
        }
        let text = self.paper.text(line.clone());
        pattern.is_match(self.behind_echo(&line, &text))
    }

    /// What of the text counts, where text without Enter was typed into the line.
    fn behind_echo<'a>(&mut self, line: &Range<usize>, text: &'a str) -> &'a str {
        let holds = line.clone().any(|row| self.paper.row_mut(row).holds_echo);
        let Some(end) = self.open.as_ref().filter(|_| holds).and_then(|typed| typed.ends_in(text))
        else {
            return text;
        };
        self.open_seen = true;
        &text[end..]
    }

    /// A line that scrolled away without having ended where it was looked at.
    fn line_leaves(&mut self, line: Range<usize>, cut: bool, pattern: &Regex) {
        let matched = line.clone().any(|row| self.paper.row_mut(row).matched);
        let changed = line.clone().any(|row| self.paper.row_mut(row).changed);
        let echo = cut && {
            let text = self.paper.text(line.clone());
            self.expected.front().is_some_and(|typed| typed.contains(&text))
        };
        if !echo {
            self.come |= matched || changed && self.counts(line, pattern);
        }
    }

    /// Looks at what changed and has not ended.
    fn look(&mut self, pattern: &Regex) -> Seen {
        let cursor = self.paper.line(self.paper.cursor_row());
        let before = self.paper.line(self.cursor_row);
        self.mark(before, |row| row.changed = true);
        self.cursor_row = self.paper.cursor_row();
        let held = self.paper.held();
        let (mut at, mut stands) = (held.start, false);
        while at < held.end {
            let line = self.paper.line(at);
            at = line.end;
            let changed = line.clone().any(|row| self.paper.row_mut(row).changed);
            if line == cursor || changed {
                let matched = self.may_look_at(&line)
                    && match line == cursor {
                        true => self.unfinished_counts(line.clone(), pattern),
                        false => self.counts(line.clone(), pattern),
                    };
                self.mark(line.clone(), |row| row.matched = matched);
            }
            stands |= line.clone().any(|row| self.paper.row_mut(row).matched);
        }
        match (stands, self.echo_may_come()) {
            (false, _) => Seen::No,
            (true, false) => Seen::Stands(STANDS),
            (true, true) => Seen::Stands(STANDS_BEFORE_ECHO),
        }
    }

    /// The line with the cursor: what is right of that (a suggestion, a second prompt) may or may
    /// not be part of it.
    fn unfinished_counts(&mut self, line: Range<usize>, pattern: &Regex) -> bool {
        let left = self.paper.text_to_cursor(line.clone());
        let echo = |typed: &Typed| typed.begins_in(&left).is_some() || typed.may_become(&left);
        if self.expected.front().is_some_and(echo) || self.is_echo_again(&left).is_some() {
            return false;
        }
        self.look_for_open(&line, &left);
        let holds = line.clone().any(|row| self.paper.row_mut(row).holds_echo);
        let old = line.clone().all(|row| self.paper.row_mut(row).old);
        let matched = !old && pattern.is_match(self.behind_echo(&line, &left));
        matched || !holds && self.counts(line, pattern)
    }
}
