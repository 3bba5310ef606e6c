//! What one policy of the operator's says otherwise than another: by rule, default, list and program.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::Policy;
use crate::domain::guard::Decision;

/// One part that is other than it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The part's kind, as the file has it: `rule`, `file`, `forward`, `defaults`, `target`, `token`, `paths`, `program`,
    /// `wrapper`, `allow`.
    pub part: String,
    /// A rule's id, a default's or list's name; of an `allow` its rule.
    pub name: String,
    /// What was said, in a line; absent: nothing.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What is otherwise with `after` laid over the built-in policy than with `before`. A text that is no TOML
/// says nothing.
pub fn changes(before: &str, after: &str) -> Vec<Change> {
    let (old, new) = (said(before), said(after));
    let built_in = Policy::built_in();
    let mut keys: Vec<&Key> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let differing = keys.into_iter().filter(|key| old.get(key) != new.get(key));
    differing
        .map(|key| {
            let of = |side: &BTreeMap<Key, Value>| match side.get(key) {
                Some(value) => Some(line(&key.part, value)),
                None => usual(&built_in, key),
            };
            let (before, mut after) = (of(&old), of(&new));
            if before == after {
                // A rule of the same verdict.
                after = after.map(|after| format!("{after}, otherwise"));
            }
            Change { part: key.part.clone(), name: key.name.clone(), before, after }
        })
        .collect()
}

/// Where in a file something stands; `index` tells like ones apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    part: String,
    name: String,
    index: String,
}

fn said(text: &str) -> BTreeMap<Key, Value> {
    let table = text.parse::<Table>().unwrap_or_default();
    let mut all = BTreeMap::new();
    let mut put = |part: &str, name: &str, index: String, value: Value| {
        all.insert(Key { part: part.to_owned(), name: name.to_owned(), index }, value);
    };
    for (part, value) in table {
        match value {
            Value::Table(table) => {
                for (name, value) in table {
                    put(&part, &name, String::new(), value);
                }
            }
            Value::Array(list) => {
                for value in list {
                    // An allow has no name: one that is changed is another one.
                    let (key, index) = match part.as_str() {
                        "rule" | "file" | "forward" => ("id", String::new()),
                        _ => ("rule", value.to_string()),
                    };
                    let name = value.get(key).and_then(Value::as_str).unwrap_or_default();
                    let name = name.to_owned();
                    put(&part, &name, index, value);
                }
            }
            _ if part == "version" => {}
            other => put("top", &part, String::new(), other),
        }
    }
    all
}

/// What the built-in policy says there.
fn usual(built_in: &Policy, key: &Key) -> Option<String> {
    match key.part.as_str() {
        "rule" => built_in.rule(&key.name).map(|rule| word(rule.decision).to_owned()),
        "file" => built_in.file_rule(&key.name).map(|rule| word(rule.decision).to_owned()),
        "forward" => built_in.forward_rule(&key.name).map(|rule| word(rule.decision).to_owned()),
        "paths" => built_in.paths.contains_key(&key.name).then(|| "as sgw has it".to_owned()),
        "program" | "wrapper" => built_in.knows(&key.name).then(|| "as sgw has it".to_owned()),
        "defaults" => {
            let defaults = built_in.defaults;
            Some(match key.name.as_str() {
                "unmatched" => word(defaults.unmatched).to_owned(),
                "opaque" => word(defaults.opaque).to_owned(),
                "parse_error" => word(defaults.parse_error).to_owned(),
                "max_bytes" => defaults.max_bytes.to_string(),
                "pty" => defaults.terminal().as_str().to_owned(),
                _ => return None,
            })
        }
        _ => None,
    }
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Approve => "approve",
        Decision::Block => "block",
    }
}

/// A value in a line.
fn line(part: &str, value: &Value) -> String {
    match (part, value) {
        ("rule" | "file", Value::Table(table)) => {
            table.get("decision").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        (_, Value::String(text)) => text.clone(),
        (_, value) => serde_json::to_string(value).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
        let text = |side: Option<String>| side.unwrap_or_else(|| "-".into());
        changes(before, after)
            .into_iter()
            .map(|one| {
                format!("{} {}: {} > {}", one.part, one.name, text(one.before), text(one.after))
            })
            .collect()
    }

    #[test]
    fn each_part_that_differs_is_named_with_both_sides() {
        let rule = |decision: &str, program: &str| {
            format!(
                "[[rule]]\nid = \"fs.rm-critical\"\ndecision = \"{decision}\"\nprogram = [\"{program}\"]\n"
            )
        };
        assert_eq!(told("", ""), [""; 0]);
        assert_eq!(told("", &rule("approve", "rm")), ["rule fs.rm-critical: block > approve"]);
        assert_eq!(told(&rule("approve", "rm"), ""), ["rule fs.rm-critical: approve > block"]);
        assert_eq!(
            told(&rule("block", "rm"), &rule("block", "mv")),
            ["rule fs.rm-critical: block > block, otherwise"]
        );
        let own = "[[rule]]\nid = \"own.x\"\ndecision = \"allow\"\nprogram = [\"x\"]\n";
        assert_eq!(told("", own), ["rule own.x: - > allow"]);
        assert_eq!(
            told("[defaults]\nopaque = \"allow\"", "[defaults]\nunmatched = \"approve\""),
            ["defaults opaque: allow > approve", "defaults unmatched: allow > approve"]
        );
        assert_eq!(
            told("", "[target.\"p-*\"]\nopaque = \"block\""),
            ["target p-*: - > {\"opaque\":\"block\"}"]
        );
        assert_eq!(told("", "[paths]\ncritical = []"), ["paths critical: as sgw has it > []"]);
        let allow = |day: &str| {
            format!(
                "[[allow]]\nrule = \"fs.rm\"\nargv = [\"rm\", \"-r\", \"/srv/x\"]\nexpires = \"{day}\"\n"
            )
        };
        let changed = told(&allow("2027-01-01"), &allow("2028-01-01"));
        assert_eq!(changed.len(), 2, "{changed:?}");
        assert!(changed.iter().all(|one| one.starts_with("allow fs.rm: ")));
    }
}
