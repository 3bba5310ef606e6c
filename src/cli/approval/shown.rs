//! What the operator sees before deciding. *Known* is what the kernel and the vault vouch for, *seen*
//! what the asking process chose itself; every word from outside is escaped, and its cut is told.

use unicode_width::UnicodeWidthChar;

use super::{Answers, Approval, Way, change, plan};
use crate::{
    cli::{times, ui::Ui, values::spoken, views},
    domain::{
        escape::{exact, visible, visible_bytes},
        known_hosts::{Known, Marker},
        target::Hop,
    },
    protocol::{operator::Remember, view},
};

const REASON: usize = 600;
const COMMAND: usize = 4000;
const WORD: usize = 200;
/// What stands before a row's text.
const MARGIN: usize = 11;
const MOST_PARENTS: usize = 8;

/// A line of what is shown, under its name; without a name it goes on with the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: &'static str,
    pub text: String,
    pub strong: bool,
}

/// How much of long texts is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Usual,
    /// All bytes.
    Whole,
}

impl Extent {
    pub fn cap(self, usual: usize) -> usize {
        match self {
            Self::Usual => usual,
            Self::Whole => usize::MAX / 8,
        }
    }
}

pub fn text(ui: Ui, approval: &Approval) -> String {
    let mut lines = vec![String::new(), head(ui, &approval.question.request)];
    let room = ui.columns().saturating_sub(MARGIN).max(20);
    for row in rows(approval, Extent::Usual) {
        let text = if row.strong { ui.bold(&row.text) } else { row.text };
        let folded = folded(&text, room).join(&format!("\n{}", " ".repeat(MARGIN)));
        lines.push(format!("  {} {folded}", ui.dim(&pad(row.name))));
    }
    lines.join("\n")
}

/// All that is decided on, row by row.
pub fn rows(approval: &Approval, extent: Extent) -> Vec<Row> {
    let question = &approval.question;
    let request = &question.request;
    let mut rows = Vec::new();
    let mut add = |name, text, strong| rows.push(Row { name, text, strong });
    let mut row = |name, text| add(name, text, false);
    row("known", word(&request.identity));
    row("seen", seen(question));
    if approval.own_uid {
        let why = "your own uid asks: it can type, read and approve as you do (personal-grade)";
        add("careful", why.to_owned(), true);
    }
    let mut row = |name, text| add(name, text, false);
    match &request.reason {
        Some(reason) if !reason.is_empty() => {
            row("reason", format!("\"{}\"", visible(reason, extent.cap(REASON))))
        }
        _ if request.kind == view::Kind::Login => {}
        _ => row("reason", "none given".to_owned()),
    }
    let forwards = request.kind == view::Kind::Forward;
    if let Some(way) = request.command.as_ref().filter(|_| forwards) {
        forward_rows(question, way.as_slice(), extent, &mut add);
    }
    if let Some(command) = request.command.as_ref().filter(|_| !forwards) {
        let (does, to) = effect(question.terminal, question.stdin);
        let found = question.finding.as_ref();
        let span = found.and_then(|found| found.span);
        match question.files {
            true => change::doing(question, command.as_slice(), extent, &mut add),
            false => add(does, marked(command.as_slice(), span, extent), true),
        }
        let input = question.input.as_ref();
        match input.filter(|input| input.span.is_some()) {
            None => finding_rows(command.as_slice(), span, found, extent, &mut add),
            Some(input) => finding_rows(input.head.as_slice(), input.span, found, extent, &mut add),
        }
        match input {
            Some(input) => input_rows(input, extent, &mut add),
            // What is written stands in the question itself.
            None if question.files => {}
            None => add(to.0, to.1.to_owned(), false),
        }
        change::rows(&question.replaced, (&request.id, extent), &mut add);
    }
    let is_plan = request.kind == view::Kind::Plan;
    if is_plan {
        plan::rows(request, approval.lines.as_deref(), extent, &mut add);
    }
    let mut row = |name, text| add(name, text, false);
    match (&request.rule, &question.finding) {
        _ if is_plan => {}
        (Some(rule), Some(found)) if *rule == found.rule => row("asked", ruled(found)),
        (Some(rule), _) => row("asked", because(rule)),
        (None, _) => {}
    }
    if let Some(name) = &question.name {
        row("name", word(name));
    }
    if let Some(session) = &question.prolongs {
        row("prolongs", format!("session {}, for more time", word(session)));
    }
    if let Some(terms) = &approval.terms {
        row("gives", given(terms));
        let asked = question.terms.as_ref().filter(|asked| *asked != terms);
        if let Some(asked) = asked {
            row("", format!("asked: {}", given(asked)));
        }
    }
    let login = request.kind == view::Kind::Login;
    match &approval.way {
        Some(Way { named: Some(named), .. }) if !login => super::named::rows(named, &mut add),
        Some(way) if !login => {
            way_rows(way, &mut add);
            add("log in", log_in(approval.answers, way), false);
        }
        Some(way) => {
            place_rows(question, "logs in", &mut add);
            way.resolved.notes.iter().for_each(|note| add("note", visible(note, WORD), false));
            match &way.named {
                Some(named) => super::named::log_in_rows(named, &mut add),
                None => add("log in", log_in(approval.answers, way), false),
            }
        }
        None if forwards => place_rows(question, "through", &mut add),
        None => place_rows(question, "runs on", &mut add),
    }
    if let Some(remember) = approval.remember {
        add("from now", lasting(remember, request), true);
    }
    if let Some(lines) = &approval.lines {
        add("from now", plan::passing(lines), true);
    }
    if let Some(hop) = request.hop.as_ref().filter(|_| login) {
        add("person", format!("{} asked for one at the last login", word(hop)), false);
    }
    let view::Past { approved, denied } = question.past;
    if approved + denied > 0 {
        add("before", format!("given {approved}×, refused {denied}× since unlock"), false);
    }
    rows
}

/// For whom a yes holds beyond this once.
fn lasting(remember: Remember, request: &view::Request) -> String {
    let target = word(&request.target);
    match (remember, request.identity.strip_prefix("token:")) {
        (Remember::Session { times: None }, _) => {
            "exactly this passes until its session ends".to_owned()
        }
        (Remember::Session { times: Some(times) }, _) => {
            format!("exactly this passes {times} times more in its session")
        }
        (Remember::Rule { days }, Some(token)) => {
            format!("exactly this passes on {target} for token {}, {days} days long", word(token))
        }
        (Remember::Rule { days }, None) => format!(
            "exactly this passes on {target} for EVERYONE, of any token and any uid, {days} days long: \
             who asks here shows no token that it could be for"
        ),
    }
}

/// Where a forward leads, and for how long a yes holds.
fn forward_rows(
    question: &view::Question,
    way: &[u8],
    extent: Extent,
    add: &mut impl FnMut(&'static str, String, bool),
) {
    let (name, end, what) = match way.strip_prefix(b"remote ") {
        Some(end) => (
            "listens",
            end,
            "the server listens there; each connection goes to the agent's ssh (-R)",
        ),
        None => {
            let end = way.strip_prefix(b"local ").unwrap_or(way);
            ("to", end, "the server connects there for the agent's ssh (-L, -D, -W)")
        }
    };
    add(name, exact(end, extent.cap(COMMAND)), true);
    add("", what.to_owned(), false);
    let lasts = match &question.only_once {
        None => {
            "a yes holds for exactly this end until the session is over, for any number of connections"
        }
        Some(_) => "a yes is for one connection: the session's mode asks about each",
    };
    add("session", lasts.to_owned(), false);
}

/// What a yes to these bytes does, and what goes with them.
fn effect(terminal: bool, stdin: bool) -> (&'static str, (&'static str, &'static str)) {
    match (terminal, stdin) {
        (true, _) => ("types", ("into", "the session's terminal, to whatever runs there then")),
        (false, true) => ("runs", ("stdin", "open: what comes there is not known now")),
        (false, false) => ("runs", ("stdin", "empty")),
    }
}

/// The command with what decided between marks: an agent's own marks would be escaped.
pub fn marked(command: &[u8], span: Option<(usize, usize)>, extent: Extent) -> String {
    let cap = extent.cap(COMMAND);
    let span = span.filter(|_| command.len() <= cap);
    let parts = span.and_then(|(from, to)| {
        Some((command.get(..from)?, command.get(from..to)?, command.get(to..)?))
    });
    let show = |bytes| exact(bytes, cap);
    match parts {
        Some((before, trigger, after)) if !trigger.is_empty() && trigger.len() < command.len() => {
            format!("{}«{}»{}", show(before), show(trigger), show(after))
        }
        _ => show(command),
    }
}

/// The bytes that the command will read, no others, as far as they are shown.
fn input_rows(
    input: &view::Input,
    extent: Extent,
    add: &mut impl FnMut(&'static str, String, bool),
) {
    let view::Input { bytes, sha256, head, span } = input;
    add("stdin", format!("exactly these {bytes} bytes, sha256 {sha256}"), false);
    add("", marked(head.as_slice(), *span, extent), true);
    let more = bytes.saturating_sub(head.as_slice().len() as u64);
    if more > 0 {
        add("", format!("… and {more} bytes more, which nobody judged"), false);
    }
}

/// What the guard found: the bytes that decided where the line is cut, and the command as it resolves.
fn finding_rows(
    command: &[u8],
    span: Option<(usize, usize)>,
    found: Option<&view::Finding>,
    extent: Extent,
    add: &mut impl FnMut(&'static str, String, bool),
) {
    let Some(found) = found else { return };
    let trigger = span.and_then(|(from, to)| command.get(from..to)).unwrap_or_default();
    if command.len() > extent.cap(COMMAND) && !trigger.is_empty() {
        add("trigger", exact(trigger, extent.cap(COMMAND)), true);
    }
    let resolved = found.command.join(" ");
    if !resolved.is_empty() && resolved.as_bytes() != trigger {
        add("means", exact(resolved.as_bytes(), extent.cap(COMMAND)), true);
    }
    if !found.chain.is_empty() {
        add("inside", exact(found.chain.join(" > ").as_bytes(), WORD), false);
    }
    if let Some(part) = &found.part {
        let part = exact(part.join(" ").as_bytes(), extent.cap(COMMAND));
        add("session", format!("a yes can hold for it, for exactly: {part}"), false);
    }
}

/// The policy's own words, each rule once.
fn ruled(found: &view::Finding) -> String {
    let mut rules: Vec<(&str, usize)> = vec![(&found.rule, 1)];
    for rule in &found.also {
        match rules.iter_mut().find(|(known, _)| known == rule) {
            Some((_, times)) => *times += 1,
            None => rules.push((rule, 1)),
        }
    }
    let said = |(rule, times): &(&str, usize)| match times {
        1 => word(rule),
        times => format!("{} ×{times}", word(rule)),
    };
    let also = match &rules[1..] {
        [] => String::new(),
        also => format!("; also {}", also.iter().map(said).collect::<Vec<_>>().join(", ")),
    };
    format!("because {} {}{also}", said(&rules[0]), visible(&found.reason, WORD))
}

fn because(rule: &str) -> String {
    match rule {
        "mode.each" => "because each command of this session is (mode each)".to_owned(),
        "login.lost" => {
            "because the connection was lost, and only a person can log in there again".to_owned()
        }
        "mode.read" => "because it does more than read (mode read)".to_owned(),
        rule => format!("because {}", visible(rule, WORD)),
    }
}

/// Cuts a row into lines that fit, so that no word from outside ever begins a line of the terminal:
/// it could look like a row of ours. What styles the text takes no room.
pub fn folded(text: &str, room: usize) -> Vec<String> {
    let (mut lines, mut line, mut columns) = (Vec::new(), String::new(), 0);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char == '\x1b' {
            line.push(char);
            line.extend(chars.by_ref().take_while(|char| *char != 'm'));
            line.push('m');
            continue;
        }
        let width = char.width().unwrap_or(0);
        if columns + width > room {
            lines.push(std::mem::take(&mut line));
            columns = 0;
        }
        columns += width;
        line.push(char);
    }
    lines.push(line);
    lines
}

fn head(ui: Ui, request: &view::Request) -> String {
    let id = ui.bold(&word(&request.id));
    let target = ui.bold(&word(&request.target));
    let kind = views::kind(request.kind);
    format!("{id}  {kind} on {target}, asked {}", times::from_now(request.created_at))
}

fn pad(name: &str) -> String {
    format!("{name:<8}")
}

fn seen(question: &view::Question) -> String {
    let seen = &question.seen;
    let mut text = match &seen.executable {
        Some(executable) => word(executable),
        None => "an unknown program".to_owned(),
    };
    text.push_str(&format!(" (pid {})", seen.pid));
    if let Some(directory) = &seen.directory {
        text.push_str(&format!(" in {}", word(directory)));
    }
    if !seen.parents.is_empty() {
        let parents: Vec<String> =
            seen.parents.iter().take(MOST_PARENTS).map(|name| exact(name.as_bytes(), 40)).collect();
        text.push_str(&format!(", started by {}", parents.join(" < ")));
    }
    text.push_str("; it chose this itself");
    text
}

fn given(terms: &crate::domain::grant::Terms) -> String {
    let capabilities: Vec<&str> = terms.capabilities.iter().map(|one| one.as_str()).collect();
    let most = match terms.max_commands {
        Some(most) => format!(", at most {most} commands"),
        None => String::new(),
    };
    let (mode, time) = (terms.mode, spoken(terms.duration_s));
    let opaque = if terms.opaque.is_ask() { "" } else { ", what only the server knows allowed" };
    format!("{}, mode {mode}, for {time}{most}{opaque}", capabilities.join(" "))
}

/// Where an access leads: every machine, its account, and what is known of its key.
fn way_rows(way: &Way, add: &mut impl FnMut(&'static str, String, bool)) {
    let hops = &way.resolved.hops;
    for (at, (hop, known)) in hops.iter().zip(&way.known).enumerate() {
        let last = at + 1 == hops.len();
        add(if last { "leads to" } else { "over" }, hop_text(&hop.hop), true);
        for difference in hop.differences() {
            let asked = difference.asked.as_deref().map_or("nothing".to_owned(), word);
            let (what, resolved) = (difference.what, word(&difference.resolved));
            add("", format!("{what}: asked {asked}, ssh_config says {resolved}"), false);
        }
        keys(known).into_iter().for_each(|line| add("", line, false));
    }
    way.resolved.notes.iter().for_each(|note| add("note", visible(note, WORD), false));
}

/// What logs in, where it is said already; else what there is to choose from after the yes.
fn log_in(answers: &Answers, way: &Way) -> String {
    let mut said: Vec<String> = answers.identities.iter().map(|path| key_file(path)).collect();
    said.extend(answers.use_agent.then(|| "your ssh-agent".to_owned()));
    said.extend(answers.password.as_ref().map(|_| "a password".to_owned()));
    if !said.is_empty() {
        return format!("with {}", said.join(", "));
    }
    let mut ways = Vec::new();
    for hop in &way.resolved.hops {
        ways.extend(hop.agent.as_ref().map(|_| "your ssh-agent".to_owned()));
        let files = hop.identities.iter().filter(|identity| identity.file);
        ways.extend(files.map(|identity| key_file(&identity.path)));
    }
    ways.push("a password or another key".to_owned());
    ways.dedup();
    let asked = if answers.yes { "as ssh would" } else { "you choose after your yes" };
    format!("{asked}: {}", ways.join(", "))
}

/// Agent and key files are borrowed: whoever shares the uid can use them too.
fn key_file(path: &std::path::Path) -> String {
    let path = visible_bytes(path.as_os_str().as_encoded_bytes(), WORD);
    format!("key file {path} (borrowed)")
}

fn keys(known: &[Known]) -> Vec<String> {
    const MOST: usize = 4;
    if known.is_empty() {
        return vec![
            "host key: not known to ssh; if sgw does not know it either, it asks you".to_owned(),
        ];
    }
    let mut lines: Vec<String> = known.iter().take(MOST).map(key).collect();
    if known.len() > MOST {
        lines.push(format!("and {} more in known_hosts", known.len() - MOST));
    }
    lines
}

fn key(known: &Known) -> String {
    let fingerprint = known.key.fingerprint(ssh_key::HashAlg::Sha256);
    let what = match known.marker {
        Some(Marker::Revoked) => "REVOKED host key",
        Some(Marker::CertAuthority) => "host key signed by",
        None => "host key known to ssh",
    };
    let algorithm = known.key.algorithm();
    format!("{what}: {} {fingerprint} ({}:{})", algorithm.as_str(), word(&known.file), known.line)
}

/// Where a command runs, or time is added: the session's own route.
fn place_rows(
    question: &view::Question,
    verb: &'static str,
    add: &mut impl FnMut(&'static str, String, bool),
) {
    let count = question.place.len();
    for (at, place) in question.place.iter().enumerate() {
        add(if at + 1 == count { verb } else { "over" }, hop_text(&place.hop), true);
        let key = place.host_key.as_deref().map_or("unknown".to_owned(), word);
        if let Some(command) = &place.proxy_command {
            add("", super::named::by_command(command), false);
        }
        add("", format!("host key {key}"), false);
    }
}

fn hop_text(hop: &Hop) -> String {
    word(&hop.to_string())
}

fn word(text: &str) -> String {
    exact(text.as_bytes(), WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_not_said_to_run() {
        let (does, (to, what)) = effect(true, false);
        assert_eq!((does, to), ("types", "into"));
        assert!(what.contains("the session's terminal"), "{what}");
        assert_eq!(effect(false, false), ("runs", ("stdin", "empty")));
    }

    #[test]
    fn a_rule_that_holds_often_is_named_once() {
        let also = ["b", "a", "a", "b", "c"].map(str::to_owned).to_vec();
        let found: view::Finding = serde_json::from_value(serde_json::json!({
            "rule": "a", "reason": "of this", "span": null, "command": [], "chain": [],
            "also": also, "part": null, "policy": "0".repeat(64),
        }))
        .unwrap();
        assert_eq!(ruled(&found), "because a ×3 of this; also b ×2, c");
    }

    #[test]
    fn a_yes_that_lasts_says_for_whom() {
        let asked = |identity: &str| -> view::Request {
            serde_json::from_value(serde_json::json!({
                "id": "r-9mq", "kind": "command", "identity": identity, "status": "pending",
                "target": "web1", "host": "web1", "port": null, "user": null, "command": null,
                "reason": null, "rule": null, "only": [], "hop": null, "session": "s-4fk",
                "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z",
            }))
            .unwrap()
        };
        let rule = |identity| lasting(Remember::Rule { days: 30 }, &asked(identity));
        assert_eq!(rule("token:ci"), "exactly this passes on web1 for token ci, 30 days long");
        assert!(
            rule("uid:1000").contains("on web1 for EVERYONE, of any token and any uid, 30 days")
        );
        let times = Remember::Session { times: Some(2) };
        assert!(lasting(times, &asked("uid:1000")).contains("2 times more in its session"));
    }

    #[test]
    fn a_rows_text_stays_in_its_column_whatever_it_says() {
        assert_eq!(folded("", 4), [""]);
        assert_eq!(folded("abcdefghi", 4), ["abcd", "efgh", "i"]);
        assert_eq!(folded("a\u{6771}\u{4eac}b", 4), ["a\u{6771}", "\u{4eac}b"]);
        assert_eq!(folded("\x1b[1mabcde\x1b[0m", 5), ["\x1b[1mabcde\x1b[0m"]);
    }
}
