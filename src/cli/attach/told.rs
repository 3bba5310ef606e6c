//! What an attached operator must not overlook: what the agent asks, that it asks no more, how to
//! leave where no key does. Lines of sgw's own above the status line, out of the server's reach, until
//! a key is pressed by somebody who has had the time to read them.

use std::time::Duration;

use tokio::time::Instant;

use crate::cli::{approval::folded, ui::terminal::escape::Escape};

/// Whoever presses a key sooner was typing already, and has not read it.
const READING: Duration = Duration::from_secs(1);
/// What stands before the words of an agent, so that none of them begins a line.
const MARGIN: &str = "   ";

/// What is told now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    #[default]
    Nothing,
    /// What the agent asks.
    Asked,
    /// What it asked waits no longer.
    TakenBack,
    /// It was private, and is no more.
    Shared,
    /// No key leaves.
    NoEscape,
}

/// It, and since when it is in sight.
#[derive(Debug, Default)]
pub struct Notice {
    told: Told,
    since: Option<Instant>,
}

impl Notice {
    pub fn tell(&mut self, told: Told, now: Instant) {
        *self = Self { told, since: Some(now) };
    }

    /// A key was pressed; true where it takes the notice away.
    pub fn pressed(&mut self, now: Instant) -> bool {
        let read = self.since.is_some_and(|since| now >= since + READING);
        if read {
            *self = Self::default();
        }
        read
    }

    /// Its lines, at most so many, each of so many columns.
    pub fn lines(&self, asked: Option<&str>, about: &About<'_>) -> Vec<String> {
        let mut lines = match (self.told, asked) {
            (Told::Asked, Some(asked)) => words(asked, about),
            (Told::TakenBack, _) => {
                vec![
                    " The agent has taken back what it asked. The keyboard stays yours until you"
                        .to_owned(),
                    " leave it.".to_owned(),
                ]
            }
            (Told::Shared, _) => {
                vec![" The agent sees what comes from here on. Enter brings the prompt.".to_owned()]
            }
            _ => Vec::new(),
        };
        if self.told != Told::Nothing && about.escape.is_off() {
            lines.extend(no_escape(about.session));
        }
        lines
    }
}

/// Where it is told.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    pub session: &'a str,
    pub escape: Escape,
    pub rows: usize,
    pub columns: usize,
}

/// What the agent asks, whole as far as the window has room; a cut is told. `asked` is escaped.
pub fn words(asked: &str, about: &About<'_>) -> Vec<String> {
    let room = about.columns.saturating_sub(MARGIN.len() + 1).max(1);
    let most = (about.rows / 2).max(1);
    let mut folded = folded(asked, room);
    if folded.len() > most {
        folded.truncate(most);
        folded.push("\u{2026} more than this window shows: make it larger".to_owned());
    }
    let lines = folded.into_iter().map(|line| format!("{MARGIN}{line}"));
    std::iter::once(" The agent asks:".to_owned()).chain(lines).collect()
}

/// How to leave without a key for it.
pub fn no_escape(session: &str) -> [String; 2] {
    [
        " No key leaves (--escape none). Close the window: the keyboard stays yours.".to_owned(),
        format!(" From elsewhere: sgw return {session} makes it the agent's again."),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About<'_> =
        About { session: "s-4fk", escape: Escape::NONE, rows: 24, columns: 80 };

    #[test]
    fn what_is_asked_stands_there_whole_until_somebody_has_read_it() {
        let begin = Instant::now();
        let asked = format!("please log in to {} and say when", "the replica ".repeat(20));
        let mut notice = Notice::default();
        assert!(notice.lines(Some(&asked), &ABOUT).is_empty());
        notice.tell(Told::Asked, begin);
        assert!(!notice.pressed(begin + READING - Duration::from_millis(1)));
        let lines = notice.lines(Some(&asked), &ABOUT);
        let text: String =
            lines.iter().skip(1).map(|line| line.trim_start_matches(MARGIN)).collect();
        assert!(text.contains("and say when") && text.starts_with("please log in"), "{lines:?}");
        assert!(lines.iter().all(|line| line.len() < 80), "{lines:?}");
        assert!(notice.pressed(begin + READING));
        assert!(notice.lines(Some(&asked), &ABOUT).is_empty());
    }

    #[test]
    fn a_cut_is_told_and_so_is_the_way_out() {
        let small = About { rows: 6, columns: 40, ..ABOUT };
        let lines = words(&"x".repeat(2000), &small);
        assert!(lines.len() == 5 && lines[4].contains("make it larger"), "{lines:?}");
        let mut notice = Notice::default();
        notice.tell(Told::NoEscape, Instant::now());
        assert!(notice.lines(None, &ABOUT).concat().contains("sgw return s-4fk"));
    }
}
