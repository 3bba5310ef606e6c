//! How the objects of the protocol look to people. Words of agents and servers are escaped and capped.

use serde_json::Value;

use super::{times, ui::Table, values::spoken};
use crate::{
    domain::{
        bytes::Bytes,
        escape::{exact, visible},
    },
    protocol::{handover::Ready, view},
};

/// Columns for a command, a reason.
const WIDE: usize = 60;

pub fn sessions(sessions: &[view::Session], everyones: bool) -> String {
    if sessions.is_empty() {
        return "no sessions".to_owned();
    }
    let mut head = vec!["SESSION", "TARGET", "ACCOUNT", "STATUS", "MODE", "EXPIRES", "RUNNING"];
    if everyones {
        head.insert(1, "WHO");
    }
    let mut table = Table::new(&head);
    for session in sessions {
        let mut row = vec![
            named(&session.id, session.name.as_deref()),
            plain(&session.target),
            account(session),
            status_of(session),
            session.mode.to_string(),
            times::from_now(session.expires_at),
            session.running.join(" "),
        ];
        if everyones {
            row.insert(1, plain(&session.identity));
        }
        table.row(row);
    }
    table.text()
}

fn named(id: &str, name: Option<&str>) -> String {
    name.map_or_else(|| plain(id), |name| format!("{} ({})", plain(id), plain(name)))
}

fn account(session: &view::Session) -> String {
    let hop = crate::domain::target::Hop {
        user: session.user.clone(),
        host: session.host.clone(),
        port: session.port,
    };
    plain(&hop.to_string())
}

fn status_of(session: &view::Session) -> String {
    let status = match session.status {
        view::SessionStatus::Active => "active",
        view::SessionStatus::Lost => "lost",
        view::SessionStatus::Closed => "closed",
    };
    let paused = match (session.paused, session.paused_by) {
        (true, Some(view::PausedBy::Refusals)) => ", paused (too much was refused)",
        (true, _) => ", paused",
        (false, _) => "",
    };
    match session.control {
        view::Control::Agent => format!("{status}{paused}"),
        view::Control::Operator => format!("{status}{paused}, the operator has the keyboard"),
    }
}

/// The keyboard came back, as the agent hears of it.
pub fn returned(returned: &view::Returned) -> String {
    let word = returned.word.as_deref().map(|word| format!(": {}", visible(word, 4096)));
    let private = if returned.private { ", some of it private" } else { "" };
    format!(
        "the keyboard is yours again after {}{private}{}{}",
        took(returned.duration_ms),
        changed(&returned.changed),
        word.unwrap_or_default(),
    )
}

/// The same, as the operator hears of it.
pub fn given_back(returned: &view::Returned) -> String {
    let (id, lasted) = (plain(&returned.id), took(returned.duration_ms));
    let left = if returned.line_left {
        "\nwhat you typed in private without Enter may still stand there, for the agent to see"
    } else {
        ""
    };
    let changed = changed(&returned.changed);
    format!("{id}: the agent has the keyboard again, after {lasted}{changed}{left}")
}

fn changed(changed: &view::Changed) -> String {
    let user = changed.user.as_deref().map(|user| format!("the user is {}", plain(user)));
    let cwd =
        changed.cwd.as_ref().map(|cwd| format!("the directory is {}", exact(cwd.as_slice(), WIDE)));
    let program =
        changed.program.as_deref().map(|program| format!("{} is running", plain(program)));
    let all: Vec<String> = [user, cwd, program].into_iter().flatten().collect();
    if all.is_empty() { String::new() } else { format!("; now {}", all.join(", ")) }
}

pub fn requests(requests: &[view::Request]) -> String {
    if requests.is_empty() {
        return "nothing waits".to_owned();
    }
    let mut table = Table::new(&["REQUEST", "KIND", "WHO", "WHERE", "WHAT", "SINCE"]);
    for request in requests {
        let what = match (&request.command, &request.reason) {
            (None, Some(reason)) if request.line_count.is_some() => {
                let lines = request.line_count.unwrap_or_default();
                format!("{lines} lines: {}", visible(reason, WIDE))
            }
            (Some(command), _) => exact(command.as_slice(), WIDE),
            (None, Some(reason)) => visible(reason, WIDE),
            (None, None) => match &request.hop {
                Some(hop) => format!("log in again: {} asks", plain(hop)),
                None => String::new(),
            },
        };
        table.row(vec![
            plain(&request.id),
            kind(request.kind).to_owned(),
            plain(&request.identity),
            plain(&request.target),
            what,
            times::from_now(request.created_at),
        ]);
    }
    table.text()
}

pub fn kind(kind: view::Kind) -> &'static str {
    match kind {
        view::Kind::Session => "session",
        view::Kind::Exec => "exec",
        view::Kind::Output => "output",
        view::Kind::Access => "access",
        view::Kind::Command => "command",
        view::Kind::Plan => "plan",
        view::Kind::Handoff => "handoff",
        view::Kind::Login => "login",
        view::Kind::Secret => "secret",
        view::Kind::Transfer => "transfer",
        view::Kind::Forward => "forward",
        view::Kind::Files => "files",
        view::Kind::Setting => "setting",
        view::Kind::Token => "token",
        view::Kind::Grant => "grant",
    }
}

pub fn history(all: &[view::Happened]) -> String {
    if all.is_empty() {
        return "nothing was run".to_owned();
    }
    let mut table = Table::new(&["EXEC", "STARTED", "TOOK", "END", "APPROVED", "COMMAND"]);
    for one in all {
        let run = match one {
            view::Happened::Exec(run) => run,
            view::Happened::Files(run) => {
                table.row(files_row(run));
                continue;
            }
        };
        let end = match (&run.signal, run.exit_code) {
            _ if run.running => "runs".to_owned(),
            (Some(signal), _) => exact(signal.as_bytes(), 20),
            (None, Some(code)) => code.to_string(),
            (None, None) => "unknown".to_owned(),
        };
        table.row(vec![
            plain(&run.id),
            times::local(run.started_at),
            run.duration_ms.map(took).unwrap_or_default(),
            end,
            run.request.as_deref().map(plain).unwrap_or_default(),
            exact(run.command.as_slice(), WIDE),
        ]);
    }
    table.text()
}

fn files_row(run: &view::FilesRun) -> Vec<String> {
    let end = match &run.outcome {
        _ if run.running => "runs".to_owned(),
        Some(code) => exact(code.as_bytes(), 40),
        None => run.bytes.map_or("done".to_owned(), |bytes| format!("{bytes} bytes")),
    };
    vec![
        "-".to_owned(),
        times::local(run.started_at),
        run.duration_ms.map(took).unwrap_or_default(),
        end,
        run.request.as_deref().map(plain).unwrap_or_default(),
        // Its paths are escaped in it already: once is enough.
        exact(run.command.as_slice(), WIDE).replace("\\\\", "\\"),
    ]
}

fn took(ms: u64) -> String {
    if ms < 1000 { format!("{ms}ms") } else { spoken(ms / 1000) }
}

pub fn whoami(me: &view::Whoami) -> String {
    let mut text = format!("{} (uid {})\n", plain(&me.identity), me.uid);
    for reach in &me.targets {
        let capabilities: Vec<&str> = reach.capabilities.iter().map(|one| one.as_str()).collect();
        let standing = match (&reach.why, reach.standing) {
            (_, true) => ", standing".to_owned(),
            (Some(why), false) => format!(", to be asked for: {}", visible(why, 200)),
            (None, false) => String::new(),
        };
        text.push_str(&format!("{}: {}{standing}\n", plain(&reach.name), capabilities.join(" ")));
    }
    if me.targets.is_empty() {
        text.push_str("no access yet: sgw request DEST --reason TEXT\n");
    }
    text
}

/// Ten lines at most.
pub fn status(status: &view::Status) -> String {
    const MOST: usize = 4;
    const NAMES: usize = 8;
    let mut lines = Vec::new();
    let who = status.identity.as_deref().map(plain).unwrap_or_default();
    let paused = if status.paused { ", and the operator has paused you" } else { "" };
    let service = if status.mode == view::Running::Service { " (service)" } else { "" };
    lines.push(format!("sgw {}{service}: you are {who}{paused}", plain(&status.version)));
    for session in status.sessions.iter().take(MOST) {
        let running = match session.running.as_slice() {
            [] => String::new(),
            running => format!(", runs {}", running.join(" ")),
        };
        lines.push(format!(
            "{} on {} ({}), ends {}{running}",
            named(&session.id, session.name.as_deref()),
            plain(&session.target),
            status_of(session),
            times::from_now(session.expires_at),
        ));
    }
    more(&mut lines, status.sessions.len(), MOST, "sgw sessions");
    let told = [!status.notes.is_empty(), !status.standing.is_empty()];
    let most = MOST - told.into_iter().filter(|told| *told).count();
    for request in status.requests.iter().take(most) {
        let target = plain(&request.target);
        lines.push(format!(
            "{} waits for the operator: {} on {target}",
            request.id,
            kind(request.kind)
        ));
    }
    more(&mut lines, status.requests.len(), most, "sgw status --json");
    // One note, and the others' number.
    if let Some(note) = status.notes.first() {
        let others = match status.notes.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more: sgw policy show)"),
        };
        lines.push(format!("for the operator: {}{others}", visible(note, 300)));
    }
    if !status.standing.is_empty() {
        let names = status.standing.iter().take(NAMES).map(|reach| plain(&reach.name));
        let rest = match status.standing.len().saturating_sub(NAMES) {
            0 => String::new(),
            count => format!(" and {count} more: sgw whoami"),
        };
        let names = names.collect::<Vec<_>>().join(", ");
        lines.push(format!("without a request you may use {names}{rest}"));
    }
    if !status.hint.is_empty() {
        lines.push(format!("next: {}", status.hint));
    }
    lines.join("\n")
}

fn more(lines: &mut Vec<String>, count: usize, shown: usize, all: &str) {
    // The line takes the place of the last thing shown, so that the sum stays.
    if count > shown {
        lines.pop();
        lines.push(format!("and {} more: {all}", count + 1 - shown));
    }
}

/// No daemon answers, for this reason.
pub fn not_there(status: &view::Status, why: &str) -> String {
    let service = if status.mode == view::Running::Service { " (service)" } else { "" };
    format!("sgw {}{service}: {why}\nnext: {}", plain(&status.version), status.hint)
}

/// `2 open, 1 running, 1 waiting`.
pub fn status_line(status: &view::Status) -> String {
    let running: usize = status.sessions.iter().map(|session| session.running.len()).sum();
    let mut parts = vec![format!("{} open", status.sessions.len())];
    if running > 0 {
        parts.push(format!("{running} running"));
    }
    if !status.requests.is_empty() {
        parts.push(format!("{} waiting", status.requests.len()));
    }
    format!("sgw: {}", parts.join(", "))
}

pub fn daemon(status: &view::DaemonStatus) -> String {
    if !status.running {
        return format!("no daemon runs (home: {})", status.home);
    }
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    format!(
        "{}{} for {} (pid {}, sgw {})\nsessions: {}\nconnections: {}\nhome: {}",
        if status.mode == view::Running::Service { "service: " } else { "" },
        if status.unlocked { "runs" } else { "waits for its key (sgw unlock)," },
        status.uptime_s.map(spoken).unwrap_or_default(),
        number(status.pid.map(u64::from)),
        status.version.as_deref().map(plain).unwrap_or_default(),
        number(status.sessions),
        number(status.connections),
        status.home,
    )
}

pub fn ready(ready: &Ready) -> String {
    let changed = ready.changed_at.map(|at| format!(", changed {}", times::local(at)));
    let last = ready.audit_at.map(|at| format!(", last {}", times::local(at)));
    let head = ready.audit_head.as_deref().map(|head| format!(", head {}", plain(head)));
    format!(
        "unlocked (pid {})\nstate: revision {}{}\naudit: {} records{}{}",
        ready.pid,
        ready.revision,
        changed.unwrap_or_default(),
        ready.audit_records,
        last.unwrap_or_default(),
        head.unwrap_or_default(),
    )
}

pub fn decided(decided: &view::Decided) -> String {
    let word = match decided.status {
        view::RequestStatus::Pending => "pending",
        view::RequestStatus::Approved => "approved",
        view::RequestStatus::Denied => "denied",
        view::RequestStatus::Expired => "expired",
        view::RequestStatus::Withdrawn => "withdrawn",
        view::RequestStatus::Used => "used",
    };
    match &decided.session {
        Some(session) => format!("{} {word}: {}", plain(&decided.id), plain(session)),
        None => format!("{} {word}{}", plain(&decided.id), denied_by_rule(decided)),
    }
}

/// What else a denial by its rule denies, how it ends, and what it denied at once.
fn denied_by_rule(decided: &view::Decided) -> String {
    let Some(view::DeniedRule { rule, until }) = &decided.denied_rule else { return String::new() };
    let (rule, until) = (plain(rule), plain(until));
    let also = match decided.also.as_slice() {
        [] => String::new(),
        also => format!("\ndenied with it: {}", plain(&also.join(", "))),
    };
    format!(
        "\nwhatever {rule} finds is denied to the same identity in all its sessions on that account \
         until {until} ends; to lift it: sgw resume {until} --rule {rule}{also}"
    )
}

pub fn closed(value: &Value) -> String {
    match value.get("id").and_then(Value::as_str) {
        Some(id) => format!("{} closed", plain(id)),
        None => String::new(),
    }
}

pub fn verified(verified: &view::Verified) -> String {
    let head = verified.head.as_deref().map(|head| format!(", head {}", plain(head)));
    match (&verified.ok, verified.first_bad) {
        (true, _) => format!("{} records, whole{}", verified.records, head.unwrap_or_default()),
        (false, first) => format!(
            "broken at record {}: {}",
            first.map_or_else(|| "unknown".to_owned(), |first| first.to_string()),
            verified.message.as_deref().map(|text| visible(text, 200)).unwrap_or_default(),
        ),
    }
}

pub fn settings(settings: &[view::Setting]) -> String {
    let mut table = Table::new(&["SETTING", "VALUE", "ABOUT"]);
    for setting in settings {
        let same = if setting.value == setting.default { " (default)" } else { "" };
        table.row(vec![
            plain(&setting.name),
            format!("{}{same}", visible(&setting.value.to_string(), WIDE)),
            visible(&setting.about, 100),
        ]);
    }
    table.text()
}

/// One audit record on one line; `--json` has all of it.
pub fn record(record: &Value) -> String {
    let text = |name: &str| record.get(name).map(short).unwrap_or_default();
    let at = text("at").parse().map(times::local).unwrap_or_else(|_| text("at"));
    let words = [text("seq"), at, text("kind"), text("identity"), text("target"), text("session")];
    // What went as it should has none, or just ended.
    let outcome = Some(text("outcome")).filter(|outcome| !matches!(&**outcome, "" | "closed"));
    let all: Vec<String> = words
        .into_iter()
        .chain(outcome.map(|outcome| format!("outcome {outcome}")))
        .chain(["action", "result"].map(|name| record.get(name).map(essence).unwrap_or_default()))
        .filter(|word| !word.is_empty())
        .collect();
    all.join("  ")
}

/// What a record is about, in a word or two.
fn essence(part: &Value) -> String {
    let of = |name: &str| part.get(name).filter(|value| !value.is_null());
    if let Some(command) = of("command") {
        return serde_json::from_value::<Bytes>(command.clone())
            .map(|command| exact(command.as_slice(), WIDE))
            .unwrap_or_default();
    }
    if let Some(request) = of("request") {
        let reason = request.get("reason").and_then(Value::as_str).unwrap_or_default();
        return format!("\"{}\"", visible(reason, WIDE));
    }
    for (name, word) in [("exit_code", "exit "), ("signal", "signal "), ("version", "sgw ")] {
        if let Some(value) = of(name) {
            return format!("{word}{}", short(value));
        }
    }
    String::new()
}

fn short(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        other => visible(&other.to_string(), 120),
    }
}

/// An object without a view of its own: a line a field.
/// What got a signal: a command's state or a session.
pub fn signalled(signal: &str, to: &Value) -> String {
    let text = |name: &str| to[name].as_str().map(plain).unwrap_or_default();
    match to["kind"].as_str() {
        Some("session") => format!("{signal} sent to the terminal of {}", text("id")),
        _ if to["running"] == true => format!("{signal} sent to {}", text("id")),
        _ => format!("{signal} sent to {}, which has ended", text("id")),
    }
}

pub fn any(value: &Value) -> String {
    let Value::Object(fields) = value else {
        return visible(&value.to_string(), 400);
    };
    let mut text = String::new();
    for (name, value) in fields {
        let shown = match value {
            Value::Null => continue,
            Value::String(text) => visible(text, 400),
            other => visible(&other.to_string(), 400),
        };
        text.push_str(&format!("{name}: {shown}\n"));
    }
    text
}

fn plain(text: &str) -> String {
    exact(text.as_bytes(), 120)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_signal_says_whom_it_reached() {
        for (to, said) in [
            (json!({"kind": "session", "id": "s-1"}), "INT sent to the terminal of s-1"),
            (json!({"kind": "exec", "id": "x-1", "running": true}), "INT sent to x-1"),
            (
                json!({"kind": "exec", "id": "x-1", "running": false}),
                "INT sent to x-1, which has ended",
            ),
        ] {
            assert_eq!(signalled("INT", &to), said);
        }
    }

    #[test]
    fn a_return_tells_what_is_other_than_before_and_what_was_left() {
        let mut returned = view::Returned {
            id: "s-1".to_owned(),
            kind: view::Kind::Session,
            control: view::Control::Agent,
            word: None,
            private: true,
            duration_ms: 61_000,
            changed: view::Changed::default(),
            line_left: false,
        };
        let said = given_back(&returned);
        assert!(said.starts_with("s-1: the agent has the keyboard again, after 1"), "{said}");
        assert!(!said.contains("now") && !said.contains("Enter"), "{said}");
        returned.line_left = true;
        returned.changed.user = Some("root".to_owned());
        let said = given_back(&returned);
        assert!(
            said.contains("; now the user is root\n") && said.contains("without Enter"),
            "{said}"
        );
    }
}
