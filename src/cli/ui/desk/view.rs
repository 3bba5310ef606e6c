//! How the desk looks: a state becomes lines, and lines a frame. Pure: no terminal is asked anything.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{
    detail,
    fold::{Fold, folds},
    guard::Proof,
    state::{Desk, Mode, Now, TYPE_IT},
};
use crate::{
    cli::{times, values::spoken, views},
    domain::escape::{exact, visible},
    protocol::view::{Control, Kind, Request, Run, Session, SessionStatus},
};

/// Smaller than this nothing can be decided on.
const LEAST: (u16, u16) = (40, 12);
/// A narrower one has no room for the usual columns of a session.
const NARROW: usize = 60;
/// Lines of the queue and of the strip, where there is no room for more.
const QUEUE: usize = 4;
const STRIP: usize = 3;
/// Header, two rules, the word, two lines of keys.
const FRAME: usize = 6;

const YOURS: &str = "YOU HAVE THE KEYBOARD";

/// A line as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    pub text: String,
    pub look: Look,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    Strong,
    Dim,
    /// The mark.
    Marked,
}

impl Drawn {
    pub fn new(text: impl Into<String>, look: Look) -> Self {
        Self { text: text.into(), look }
    }
}

pub fn draw(frame: &mut Frame<'_>, desk: &Desk, now: Now) {
    let area = frame.area();
    for (row, line) in (0..area.height).zip(lines(desk, now, (area.width, area.height))) {
        let modifier = match line.look {
            Look::Plain => Modifier::empty(),
            Look::Strong => Modifier::BOLD,
            Look::Dim => Modifier::DIM,
            Look::Marked => Modifier::REVERSED,
        };
        let text = clipped(&line.text, usize::from(area.width));
        let line = Line::from(Span::styled(text, Style::new().add_modifier(modifier)));
        frame
            .render_widget(line, Rect { x: area.x, y: area.y + row, width: area.width, height: 1 });
    }
}

pub fn fits((columns, rows): (u16, u16)) -> bool {
    columns >= LEAST.0 && rows >= LEAST.1
}

/// How many lines each part has.
struct Layout {
    queue: usize,
    detail: usize,
    strip: usize,
}

impl Layout {
    fn of(desk: &Desk, rows: u16) -> Self {
        let room = usize::from(rows).saturating_sub(FRAME);
        let queue = folds(desk).len().clamp(1, QUEUE.max(room / 4).min(room / 2).max(1));
        let strip = desk.sessions.len().clamp(1, STRIP.max(room / 5).min(room / 4).max(1));
        Self { queue, strip, detail: room.saturating_sub(queue + strip).max(1) }
    }
}

/// Exactly as many lines as there are rows.
pub fn lines(desk: &Desk, now: Now, size: (u16, u16)) -> Vec<Drawn> {
    let (columns, rows) = (usize::from(size.0), usize::from(size.1));
    let mut all = if !fits(size) {
        vec![
            Drawn::new("sgw desk", Look::Strong),
            Drawn::new(format!("{}x{} is too small: 80x24 shows all", size.0, size.1), Look::Plain),
            Drawn::new(format!("{} wait; q quits", desk.waiting.len()), Look::Plain),
        ]
    } else if desk.mode == Mode::Help {
        help(rows)
    } else {
        let layout = Layout::of(desk, size.1);
        let mut all = vec![header(desk, columns)];
        let middle = match desk.mode {
            Mode::All { from } => detail::all(desk, columns, rows - FRAME + 1, from),
            _ => {
                all.extend(padded(queue(desk, now, columns, layout.queue), layout.queue));
                padded(detail::lines(desk, now, columns, layout.detail), layout.detail)
            }
        };
        all.push(rule(&title(desk), columns));
        all.extend(middle);
        if !matches!(desk.mode, Mode::All { .. }) {
            all.push(rule("live", columns));
            all.extend(padded(strip(desk, now, columns, layout.strip), layout.strip));
        }
        all = padded(all, rows - 3);
        all.push(Drawn::new(bottom(desk, columns), Look::Strong));
        all.extend(keys(desk).map(|line| Drawn::new(line, Look::Dim)));
        all
    };
    all.truncate(rows);
    padded(all, rows)
}

fn padded(mut lines: Vec<Drawn>, to: usize) -> Vec<Drawn> {
    lines.resize(to.max(lines.len()), Drawn::new("", Look::Plain));
    lines
}

/// All of the marked request is on the screen.
pub fn shows_all(desk: &Desk) -> bool {
    let columns = usize::from(desk.size.0);
    detail::is_whole(desk, columns, Layout::of(desk, desk.size.1).detail)
}

/// Of all bytes: the lines on a page, and where the last page begins.
pub fn pages(desk: &Desk) -> (usize, usize) {
    let page = usize::from(desk.size.1).saturating_sub(FRAME - 1).max(1);
    let lines = detail::whole(desk, usize::from(desk.size.0)).len();
    (page, lines.saturating_sub(page))
}

fn header(desk: &Desk, columns: usize) -> Drawn {
    let running = desk.runs.values().filter(|(_, run)| run.running).count();
    let (waiting, open) = (desk.waiting.len(), desk.sessions.len());
    let held = desk.sessions.iter().filter(|session| session.control == Control::Operator).count();
    // In front of what a narrow window cuts: whoever holds a keyboard holds up an agent.
    let held = if held > 0 { format!(", {held} in your hands") } else { String::new() };
    let left = format!("sgw desk: {waiting} waiting{held}, {open} open, {running} running");
    let right = match (desk.guard.shared, desk.guard.proof()) {
        (Some(_), _) if columns < NARROW => String::new(),
        (Some(what), Proof::Pin) => format!("under {what}: a yes asks for the PIN"),
        (Some(what), Proof::Passphrase) => format!("under {what}: a yes asks for the passphrase"),
        (None, _) => String::new(),
    };
    Drawn::new(apart(&left, &right, columns), Look::Strong)
}

fn title(desk: &Desk) -> String {
    let Some(request) = desk.marked() else { return "nothing is marked".to_owned() };
    let all = if matches!(desk.mode, Mode::All { .. }) { ", all bytes" } else { "" };
    let kind = match desk.yes_means() {
        Some((_, TYPE_IT)) => "input",
        _ => views::kind(request.kind),
    };
    format!("{} {kind}{all}", word(&request.id, 20))
}

fn queue(desk: &Desk, now: Now, columns: usize, room: usize) -> Vec<Drawn> {
    let folds = folds(desk);
    if folds.is_empty() {
        return vec![Drawn::new("  nothing waits", Look::Dim)];
    }
    // The marked line stays in sight.
    let marked = folds.iter().position(|fold| fold.marked).unwrap_or(0);
    let shown = if folds.len() > room { room.saturating_sub(1).max(1) } else { room };
    let first = (marked + 1).saturating_sub(shown);
    let mut lines: Vec<Drawn> = folds[first..]
        .iter()
        .take(shown)
        .map(|fold| {
            let look = if fold.marked && desk.strip.is_none() { Look::Marked } else { Look::Plain };
            Drawn::new(queue_line(fold, now, columns), look)
        })
        .collect();
    if folds.len() > shown && room > 1 {
        let (before, after) = (first, folds.len() - first - shown);
        lines.push(Drawn::new(format!("  and {before} lines before, {after} behind"), Look::Dim));
    }
    lines
}

fn queue_line(fold: &Fold<'_>, now: Now, columns: usize) -> String {
    let request = fold.shown;
    let mark = if fold.marked { '>' } else { ' ' };
    let many = match fold.members.len() {
        1 => String::new(),
        many if fold.marked => format!("{} of {many}  ", fold.place),
        many => format!("x{many}  "),
    };
    let left = format!(
        "{mark} {:<6} {:<7} {:<9} {:<22} {many}{}",
        word(&request.id, 12),
        views::kind(request.kind),
        clipped(&word(&request.identity, 60), 16),
        clipped(&word(&request.target, 60), 28),
        what(request),
    );
    let age = (now.at.as_second() - request.created_at.as_second()).max(0);
    let age = spoken(age.unsigned_abs());
    // The age in its two units, apart from words of the agent.
    let room = columns.saturating_sub(age.width() + 2);
    apart(&clipped(&left, room), &age, columns)
}

fn what(request: &Request) -> String {
    match (&request.command, &request.reason) {
        (Some(command), _) => exact(command.as_slice(), 200),
        (None, Some(reason)) => match request.line_count {
            Some(lines) => format!("{lines} lines \"{}\"", visible(reason, 200)),
            None => format!("\"{}\"", visible(reason, 200)),
        },
        (None, None) => String::new(),
    }
}

fn strip(desk: &Desk, now: Now, columns: usize, room: usize) -> Vec<Drawn> {
    if desk.sessions.is_empty() {
        return vec![Drawn::new("  no session is open", Look::Dim)];
    }
    let marked = desk.sessions.iter().position(|one| desk.strip.as_ref() == Some(&one.id));
    let shown = if desk.sessions.len() > room { room.saturating_sub(1).max(1) } else { room };
    let first = (marked.unwrap_or(0) + 1).saturating_sub(shown);
    let mut lines: Vec<Drawn> = desk.sessions[first..]
        .iter()
        .take(shown)
        .map(|session| {
            let is_marked = desk.strip.as_ref() == Some(&session.id);
            let look = if is_marked { Look::Marked } else { Look::Plain };
            Drawn::new(strip_line(desk, session, is_marked, now, columns), look)
        })
        .collect();
    if desk.sessions.len() > shown && room > 1 {
        let more = desk.sessions.len() - shown;
        lines.push(Drawn::new(format!("  and {more} more: Tab, then the arrow keys"), Look::Dim));
    }
    lines
}

fn strip_line(desk: &Desk, session: &Session, marked: bool, now: Now, columns: usize) -> String {
    let keyboard = match (session.control, session.status) {
        (Control::Operator, _) => YOURS,
        (_, SessionStatus::Lost) => "lost",
        (Control::Agent, _) if session.paused => "paused",
        (Control::Agent, _) => "",
    };
    let runs: Vec<&Run> = desk
        .runs
        .values()
        .filter(|(of, run)| *of == session.id && run.running)
        .map(|(_, run)| run)
        .collect();
    let last = desk.runs.values().find(|(of, run)| *of == session.id && !run.running);
    let does = match (runs.as_slice(), last) {
        ([], None) => String::new(),
        ([], Some((_, run))) => format!("{} {}", ended(run), exact(run.command.as_slice(), 100)),
        ([run], _) => running(run, now),
        ([run, more @ ..], _) => format!("{} (+{})", running(run, now), more.len()),
    };
    let mark = if marked { '>' } else { ' ' };
    let (id, target) = (word(&session.id, 12), clipped(&word(&session.target, 60), 28));
    // Its name is the agent's own, and escaped.
    let name = session.name.as_deref().map_or(String::new(), |name| clipped(&word(name, 70), 20));
    let joined = |parts: &[&str]| {
        let parts = parts.iter().filter(|part| !part.is_empty());
        parts.copied().collect::<Vec<_>>().join("  ")
    };
    let left = match columns < NARROW {
        // Who types there comes first.
        true if keyboard == YOURS => {
            format!("{mark} {id:<6} YOUR KEYBOARD {}", joined(&[&name, &target, &does]))
        }
        true => format!("{mark} {id:<6} {}", joined(&[keyboard, &name, &target, &does])),
        false => format!(
            "{mark} {id:<6} {:<9} {target:<22} {}",
            clipped(&word(&session.identity, 60), 16),
            joined(&[&name, keyboard, &does]),
        ),
    };
    let ends = times::between(session.expires_at, now.at);
    apart(&clipped(&left, columns.saturating_sub(ends.width() + 2)), &ends, columns)
}

fn running(run: &Run, now: Now) -> String {
    let since = (now.at.as_second() - run.started_at.as_second()).max(0).unsigned_abs();
    let (id, command) = (word(&run.id, 20), exact(run.command.as_slice(), 100));
    format!("{id} for {}: {command}", spoken(since))
}

fn ended(run: &Run) -> String {
    match (&run.signal, run.exit_code) {
        (Some(signal), _) => format!("ended by {}:", exact(signal.as_bytes(), 20)),
        (None, Some(0)) => "done:".to_owned(),
        (None, Some(code)) => format!("exit {code}:"),
        (None, None) => "ended:".to_owned(),
    }
}

/// The last word, or what is being typed.
fn bottom(desk: &Desk, columns: usize) -> String {
    // The end of what is typed stays in sight.
    let typed = |prompt: String, text: &str| {
        let room = columns.saturating_sub(prompt.width() + 1);
        let skip = text.chars().count().saturating_sub(room);
        format!("{prompt}{}_", text.chars().skip(skip).collect::<String>())
    };
    match &desk.mode {
        Mode::Wording { typed: text, .. } => {
            typed("no, with a word: ".to_owned(), &visible(text, usize::MAX / 8))
        }
        Mode::Choosing { id, typed: text } => {
            let prompt = format!("lines of {} that pass: ", word(id, 20));
            typed(prompt, &visible(text, usize::MAX / 8))
        }
        Mode::Returning { session, typed: text } => {
            let prompt = format!("{} back to the agent, with a word: ", word(session, 20));
            typed(prompt, &visible(text, usize::MAX / 8))
        }
        Mode::Resuming => "let everyone go on?".to_owned(),
        Mode::Proving { checking: true, .. } => "checking …".to_owned(),
        Mode::Proving { wish, typed: text, .. } => {
            let what = match desk.guard.proof() {
                Proof::Pin => "PIN",
                Proof::Passphrase => "passphrase",
            };
            let about = wish.request().map(|id| format!(" for {}", word(id, 20)));
            let prompt = format!("your {what}{}: ", about.unwrap_or_default());
            typed(prompt, &"*".repeat(text.chars().count()))
        }
        Mode::Claiming(_) | Mode::Deciding { .. } => "a moment …".to_owned(),
        Mode::Pausing => "pause".to_owned(),
        _ => desk.word.clone(),
    }
}

fn keys(desk: &Desk) -> [String; 2] {
    let yes = desk.yes_means();
    let two = |one: &str, other: &str| [one.to_owned(), other.to_owned()];
    match &desk.mode {
        Mode::Wording { rule: true, .. } => two(
            "Enter says no to all that its rule finds there, until the session ends",
            "Esc decides nothing",
        ),
        Mode::Wording { .. } => two("Enter says no; the word may be empty", "Esc decides nothing"),
        Mode::Choosing { .. } => {
            two("Enter lets only these pass, like 1,3-5", "Esc decides nothing")
        }
        Mode::Returning { .. } => {
            two("Enter gives it back; the word may be empty", "Esc keeps the keyboard")
        }
        Mode::Resuming => two("y yes, everyone", "any other key changes nothing"),
        // The question has a line of its own, whatever there is to tell.
        Mode::Proving { .. } if !desk.word.is_empty() => {
            two(&desk.word, "Enter checks it; Esc decides nothing")
        }
        Mode::Proving { .. } => two("Enter checks it", "Esc decides nothing"),
        Mode::Claiming(_) | Mode::Deciding { .. } => two("", ""),
        Mode::Pausing => two(
            "a everyone  i this identity  h this target  o everything goes on again",
            "Esc changes nothing",
        ),
        Mode::All { .. } => two("arrows, PageUp, PageDown, Home, End scroll", "b or Esc goes back"),
        Mode::Help => two("", ""),
        Mode::Queue if desk.strip.is_some() => {
            let held = desk.session(desk.strip.as_deref().unwrap_or_default());
            let first = match held.is_some_and(|one| one.control == Control::Operator) {
                true => "h hand it back  t to the keyboard  w watch  arrows choose",
                false => "w watch  t take the keyboard  arrows choose",
            };
            two(first, "q quit  ? help  Tab back  p pause")
        }
        Mode::Queue => {
            let first = match yes {
                Some((key, what)) if desk.may_keep() => {
                    format!(
                        "{key} {what}  a and again, this session  d D deny  s skip  b all bytes"
                    )
                }
                Some((key, what)) if desk.marked().is_some_and(|one| one.kind == Kind::Plan) => {
                    format!("{key} {what}  o only some  d deny  s skip  b all bytes")
                }
                Some((key, what)) => format!("{key} {what}  d deny  s skip  b all bytes"),
                None if desk.waiting.is_empty() => String::new(),
                None => "d deny  s skip  b all bytes".to_owned(),
            };
            [
                first,
                "q quit  ? help  w watch  t take the keyboard  Tab sessions  p pause".to_owned(),
            ]
        }
    }
}

/// The text of `sgw help desk`.
fn help(rows: usize) -> Vec<Drawn> {
    const TEXT: &str = include_str!("../../commands/help/desk.txt");
    let lines = TEXT.lines().chain(["", "Any key goes back."]);
    lines.take(rows).map(|line| Drawn::new(line, Look::Plain)).collect()
}

fn rule(title: &str, columns: usize) -> Drawn {
    let rest = columns.saturating_sub(title.width() + 4);
    Drawn::new(format!("── {title} {}", "─".repeat(rest)), Look::Dim)
}

/// One at the left, the other at the right end.
fn apart(left: &str, right: &str, columns: usize) -> String {
    let room = columns.saturating_sub(right.width() + 1);
    let left = clipped(left, room);
    let between = columns.saturating_sub(left.width() + right.width());
    format!("{left}{}{right}", " ".repeat(between))
}

/// As much as fits; an ellipsis where there was more.
pub fn clipped(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 0);
    for char in text.chars() {
        used += char.width().unwrap_or(0);
        if used >= columns {
            break;
        }
        kept.push(char);
    }
    if columns > 0 { kept + "…" } else { kept }
}

fn word(text: &str, cap: usize) -> String {
    exact(text.as_bytes(), cap)
}

#[cfg(test)]
mod tests;
