//! How two policies differ, for the person who decides: part by part, line by line, and in what they say
//! of commands. All of a file may be somebody else's words: each is escaped.

use super::verdicts::{Other, Others};
use crate::{
    cli::{commands::policy::check::word, ui::Ui},
    domain::{
        difference::{self, Line},
        escape::{exact, visible},
        guard::policy::Change,
    },
};

/// Columns of one side of a part, and of a command.
const WIDE: usize = 160;
/// Columns of a line of the file: none of it may be cut off unseen.
const LINE: usize = 4000;
/// Lines around what differs.
const AROUND: usize = 2;
/// Commands of one kind that are named.
const NAMED: usize = 8;

pub fn parts(ui: Ui, changes: &[Change]) {
    for Change { part, name, before, after } in changes {
        let side = |text: &Option<String>| {
            text.as_deref().map_or_else(|| "-".to_owned(), |text| visible(text, WIDE))
        };
        ui.say(&format!("  {part} {}: {} > {}", visible(name, WIDE), side(before), side(after)));
    }
}

/// The lines that are gone and new, every one of them.
pub fn lines(ui: Ui, before: &str, after: &str) {
    let lines = difference::lines(before, after);
    let differs = |line: &Line<'_>| !matches!(line, Line::Same(_));
    let near = |at: usize| {
        let around = at.saturating_sub(AROUND)..(at + AROUND + 1).min(lines.len());
        lines[around].iter().any(differs)
    };
    let mut skipped = false;
    for (at, line) in lines.iter().enumerate() {
        if !near(at) {
            skipped = true;
            continue;
        }
        if std::mem::take(&mut skipped) {
            ui.say(&ui.dim("    …"));
        }
        match line {
            Line::Same(text) => ui.say(&ui.dim(&format!("    {}", visible(text, LINE)))),
            Line::Gone(text) => ui.say(&format!("  - {}", visible(text, LINE))),
            Line::New(text) => ui.say(&format!("  + {}", visible(text, LINE))),
        }
    }
}

/// Commands of which something else is said; `of` says which commands they are.
pub fn verdicts(ui: Ui, others: &Others, of: &str) {
    if others.are_none() {
        ui.say(&format!("  {of}: nothing is said otherwise"));
    }
    for (what, all) in kinds(others) {
        if !all.is_empty() {
            ui.say(&format!("  {of}, {what}: {}", all.len()));
            all.iter().take(NAMED).for_each(|other| ui.say(&format!("    {}", one(other))));
            if all.len() > NAMED {
                ui.say(&format!("    and {} more", all.len() - NAMED));
            }
        }
    }
}

/// All of them, for a result.
pub fn all(others: &Others) -> String {
    let mut text = String::new();
    for (what, all) in kinds(others) {
        text.push_str(&format!("{what}: {}\n", all.len()));
        all.iter().for_each(|other| text.push_str(&format!("  {}\n", one(other))));
    }
    text
}

fn kinds(others: &Others) -> [(&'static str, &[Other]); 3] {
    [
        ("newly allowed", &others.newly_allowed),
        ("newly asked", &others.newly_asked),
        ("newly blocked", &others.newly_blocked),
    ]
}

fn one(other: &Other) -> String {
    let often = if other.count > 1 { format!(" ({} times)", other.count) } else { String::new() };
    let on = other.target.as_deref().map(|target| format!(" on {}", visible(target, 80)));
    let rule = other.rule.as_deref().map(|rule| format!(" by {}", visible(rule, 80)));
    format!(
        "{} > {}{}{}{often}: {}",
        word(other.before),
        word(other.after),
        rule.unwrap_or_default(),
        on.unwrap_or_default(),
        exact(&other.command.0, WIDE)
    )
}
