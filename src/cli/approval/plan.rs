//! A plan as the operator sees it: every line with its number, what the guard says of it, and what decided.

use super::shown::{Extent, marked};
use crate::{
    domain::{escape::visible, guard::Decision},
    protocol::view::{PlanLine, Request},
};

const WORD: usize = 200;

/// The lines, and how a yes holds; `chosen` are those that it is for, where not all.
pub fn rows(
    request: &Request,
    chosen: Option<&[u32]>,
    extent: Extent,
    add: &mut impl FnMut(&'static str, String, bool),
) {
    let width = request.lines.last().map_or(1, |line| line.number.to_string().len());
    for (at, line) in request.lines.iter().enumerate() {
        let name = if at == 0 { "plan" } else { "" };
        let passes = chosen.is_none_or(|chosen| chosen.contains(&line.number));
        let word = match (passes, line.verdict) {
            (false, _) => "no   ",
            (true, Decision::Allow) => "allow",
            (true, Decision::Approve) => "asks ",
            (true, Decision::Block) => "BLOCK",
        };
        let command = marked(line.command.as_slice(), line.span.filter(|_| asks(line)), extent);
        add(name, format!("{:>width$} {word} {command}", line.number), asks(line));
        if let Some(rule) = line.rule.as_ref().filter(|_| asks(line)) {
            let reason = line.reason.as_deref().unwrap_or_default();
            let why = format!("{} {}", visible(rule, WORD), visible(reason, WORD));
            add("", format!("{:>width$}       because {}", "", why.trim_end()), false);
        }
    }
    add("stdin", "empty, of each".to_owned(), false);
    let asking = request.lines.iter().filter(|line| asks(line)).count();
    let (all, holds) = (request.lines.len(), "each passes once, in this order, for 30 minutes");
    add("asked", format!("{asking} of {all} would ask by themselves; {holds}"), false);
}

fn asks(line: &PlanLine) -> bool {
    line.verdict != Decision::Allow
}

/// A person's tally of the lines that their yes is for.
pub fn passing(chosen: &[u32]) -> String {
    let numbers: Vec<String> = chosen.iter().map(u32::to_string).collect();
    format!(
        "only {}: {}",
        if chosen.len() == 1 { "this line passes" } else { "these lines pass" },
        numbers.join(", ")
    )
}
