//! What two policies say of the same commands, where they say otherwise.

use std::{collections::HashMap, sync::Arc};

use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use crate::{
    cli::Stop,
    client::{Connection, connection},
    domain::{
        bytes::Bytes,
        guard::{Decision, Policy},
    },
    judge::{Judge, Question},
    protocol::{
        agent::Message,
        error::{Code, Failure},
        operator::{Event, Request, policy},
    },
};

/// Different commands that are compared, at most, …
const MOST: usize = 200_000;
/// … and the bytes of all of them; what comes later is only counted.
const MOST_BYTES: usize = 64 << 20;

/// A command as it was sent, or as a rule gives it for an example.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    pub line: Vec<u8>,
    pub target: Option<String>,
    pub token: Option<String>,
}

/// How often, and what became of it the last time.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub count: u64,
    pub last: Timestamp,
    pub was: Decision,
}

#[derive(Clone, Debug, Default)]
pub struct Commands {
    all: HashMap<Command, Seen>,
    bytes: usize,
    /// How many were too many to be compared.
    pub left_out: u64,
}

impl Commands {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    fn add(&mut self, command: Command, seen: Seen) {
        if let Some(known) = self.all.get_mut(&command) {
            *known = Seen { count: known.count + seen.count, ..seen };
        } else if self.all.len() < MOST && self.bytes + command.line.len() <= MOST_BYTES {
            self.bytes += command.line.len();
            self.all.insert(command, seen);
        } else {
            self.left_out += 1;
        }
    }
}

impl FromIterator<(Command, Seen)> for Commands {
    fn from_iter<I: IntoIterator<Item = (Command, Seen)>>(all: I) -> Self {
        let mut commands = Self::default();
        all.into_iter().for_each(|(command, seen)| commands.add(command, seen));
        commands
    }
}

/// One of which the second policy says something else.
#[derive(Clone, Debug, Serialize)]
pub struct Other {
    pub command: Bytes,
    pub target: Option<String>,
    pub token: Option<String>,
    pub count: u64,
    pub before: Decision,
    pub after: Decision,
    /// Which rule says it now; none where it passes.
    pub rule: Option<String>,
}

/// All of them, by what is said now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Others {
    pub newly_blocked: Vec<Other>,
    pub newly_asked: Vec<Other>,
    pub newly_allowed: Vec<Other>,
}

impl Others {
    pub fn are_none(&self) -> bool {
        self.newly_blocked.is_empty()
            && self.newly_asked.is_empty()
            && self.newly_allowed.is_empty()
    }

    fn add(&mut self, other: Other) {
        match other.after {
            Decision::Block => self.newly_blocked.push(other),
            Decision::Approve => self.newly_asked.push(other),
            Decision::Allow => self.newly_allowed.push(other),
        }
    }
}

/// What `after` says otherwise than `before`; without `before`, than what was said when it was sent.
pub fn compare(
    commands: &Commands,
    before: Option<&Arc<Policy>>,
    after: &Arc<Policy>,
    today: Date,
) -> Result<Others, Failure> {
    let judge = Judge::start().map_err(|error| unjudged(&error))?;
    let say = |command: &Command, policy: &Arc<Policy>| {
        let question = Question {
            line: command.line.clone(),
            target: command.target.clone(),
            token: command.token.clone(),
            cwd: None,
            today: Some(today),
            manner: crate::domain::judgement::Manner::default(),
            stdin: None,
            files: Arc::default(),
            policy: policy.clone(),
        };
        judge.wait(question).map_err(|error| unjudged(&error))
    };
    let mut others = Others::default();
    let mut newest: Vec<_> = commands.all.iter().collect();
    newest.sort_by(|(one, a), (other, b)| {
        b.last.cmp(&a.last).then_with(|| one.line.cmp(&other.line))
    });
    for (command, seen) in newest {
        let now = say(command, after)?;
        let was = match before {
            Some(policy) => say(command, policy)?.decision,
            None => seen.was,
        };
        if was != now.decision {
            others.add(Other {
                command: Bytes(command.line.clone()),
                target: command.target.clone(),
                token: command.token.clone(),
                count: seen.count,
                before: was,
                after: now.decision,
                rule: now.rule.filter(|_| now.decision != Decision::Allow),
            });
        }
    }
    // What was blocked before is looked at first.
    others.newly_asked.sort_by_key(|other| std::cmp::Reverse(other.before));
    others.newly_allowed.sort_by_key(|other| std::cmp::Reverse(other.before));
    Ok(others)
}

fn unjudged(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Code::UsageCommand, format!("can't judge: {error}"), "sgw policy check -- 'ls'")
}

/// The examples of all rules, without a place or a time.
pub fn examples(policies: &[&Policy]) -> Commands {
    let rules = policies.iter().flat_map(|policy| policy.rules());
    let examples = rules.flat_map(|rule| {
        let lines = rule.matches.iter().chain(&rule.no_match);
        lines.map(|line| Command {
            line: line.clone().into_bytes(),
            target: rule.target.first().cloned(),
            token: rule.token.first().cloned(),
        })
    });
    // None was ever run.
    let seen = Seen { count: 0, last: Timestamp::UNIX_EPOCH, was: Decision::Allow };
    examples.map(|command| (command, seen)).collect()
}

/// The commands of the audit since then.
pub async fn of_audit(connection: &mut Connection, since: Timestamp) -> Result<Commands, Stop> {
    connection.begin(&Request::Policy(policy::Request::Commands { since })).await?;
    let mut commands = Commands::default();
    loop {
        let frame = connection.read().await?;
        if let Ok(Event::Record { record }) = serde_json::from_slice(&frame.body) {
            if let Some((command, seen)) = of_record(&record) {
                commands.add(command, seen);
            }
            continue;
        }
        match connection::message(&frame)? {
            Message::Done { .. } => return Ok(commands),
            Message::Error(failure) => return Err(failure.into()),
            _ => {}
        }
    }
}

/// The command of an intent, of a block, or of a question, and what was said of it.
fn of_record(record: &serde_json::Value) -> Option<(Command, Seen)> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let (action, decision) = (&record["action"], &record["decision"]);
    let asked = record["kind"] == "request.created";
    // A question's command comes again as an intent where it was answered with a yes: it counts there.
    let (command, count) = match asked {
        true => (&action["request"]["command"], 0),
        false => (&action["command"], 1),
    };
    let line: Bytes = serde_json::from_value(command.clone()).ok()?;
    let said = serde_json::from_value(decision["guard"]["verdict"].clone()).ok();
    let was = match said {
        Some(said) => said,
        None if asked || record["request"].is_string() => Decision::Approve,
        None => Decision::Allow,
    };
    let command = Command {
        line: line.0,
        target: text(&record["target"]),
        token: record["identity"].as_str()?.strip_prefix("token:").map(str::to_owned),
    };
    let last = record["at"].as_str()?.parse().ok()?;
    Some((command, Seen { count, last, was }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_tells_what_was_run_and_what_was_said_of_it() {
        let record = |kind: &str, action: serde_json::Value, request: Option<&str>, decision| {
            let at = "2027-01-01T10:00:00Z";
            let record = json!({
                "kind": kind, "at": at, "identity": "token:ci", "target": "web1", "request": request,
                "action": action, "decision": decision,
            });
            of_record(&record).map(|(command, seen)| {
                assert_eq!(
                    (command.target.as_deref(), command.token.as_deref()),
                    (Some("web1"), Some("ci"))
                );
                (String::from_utf8(command.line).unwrap(), seen.count, seen.was)
            })
        };
        let intent = json!({ "command": "ls -l", "wire": "…" });
        let ran = |was| Some(("ls -l".to_owned(), 1, was));
        assert_eq!(record("exec.intent", intent.clone(), None, json!(null)), ran(Decision::Allow));
        assert_eq!(
            record("exec.intent", intent.clone(), Some("r-abc"), json!(null)),
            ran(Decision::Approve)
        );
        let blocked = json!({ "guard": { "verdict": "block" } });
        assert_eq!(record("exec.blocked", intent, None, blocked), ran(Decision::Block));
        let asked = json!({ "request": { "command": "reboot" } });
        let told = Some(("reboot".to_owned(), 0, Decision::Approve));
        assert_eq!(record("request.created", asked, Some("r-abc"), json!(null)), told);
        let access = json!({ "request": { "command": null } });
        assert_eq!(record("request.created", access, Some("r-abc"), json!(null)), None);
    }

    #[test]
    fn only_what_is_said_otherwise_is_told() {
        let own = "version = 1\n[[rule]]\nid = \"fs.rm-critical\"\ndecision = \"approve\"\nprogram = [\"rm\", \"ls\"]\n";
        let after = Arc::new(Policy::built_in().over(own).unwrap());
        let before = Policy::built_in();
        let seen = Seen { count: 2, last: Timestamp::UNIX_EPOCH, was: Decision::Allow };
        let command = |line: &str| {
            let line = line.as_bytes().to_vec();
            (Command { line, target: None, token: None }, seen)
        };
        let commands = [command("rm -rf /"), command("ls"), command("rm x")];
        let commands: Commands = commands.into_iter().collect();
        let today = jiff::civil::date(2027, 1, 1);
        let others = compare(&commands, Some(&before), &after, today).unwrap();
        assert!(others.newly_blocked.is_empty() && others.newly_allowed.is_empty());
        let asked: Vec<_> =
            others.newly_asked.iter().map(|one| (&*one.command.0, one.before)).collect();
        assert_eq!(asked, [(&b"rm -rf /"[..], Decision::Block), (b"ls", Decision::Allow),]);
        let others = compare(&commands, None, &before, today).unwrap();
        assert_eq!(others.newly_blocked.len(), 1, "{others:?}");
        let asked: Vec<_> = others.newly_asked.iter().map(|one| &*one.command.0).collect();
        assert_eq!(asked, [&b"rm x"[..]]);
        assert!(others.newly_allowed.is_empty());
        assert!(compare(&commands, Some(&before), &before, today).unwrap().are_none());
    }
}
