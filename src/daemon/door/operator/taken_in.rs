//! What an import would bring and take away: on record before it happens, and shown before the yes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    daemon::{
        authority,
        vault::{Change, Record},
    },
    domain::{
        grant::standing::Standing, secret::named::Named, target::named::Target, token::Token,
    },
};

/// The most changes in one record.
const PART: usize = 100;
/// The most lines that a person is told of each kind.
const LINES: usize = 50;

/// What would be other than it is.
#[derive(Default)]
pub struct Difference {
    changes: Vec<Value>,
    /// Authority that comes, and authority that goes, in a line each.
    pub came: Vec<String>,
    pub went: Vec<String>,
}

impl Difference {
    pub fn of(change: &Change) -> Self {
        let mut all = Self::default();
        // No record has a hash: who has one can try out whether a token is that one.
        all.table::<Token>(change, authority::told, |token| Some(format!("token {}", token.name)));
        all.table::<Standing>(change, |grant| json!(grant), |grant| Some(line(grant)));
        all.table::<Target>(change, |target| json!(target), |_| None);
        all.table::<Named>(change, |secret| json!(secret), |_| None);
        let (was, is) = change.settings();
        let (was, is) = (json!(was), json!(is));
        if was != is {
            all.changes.push(json!({ "what": "settings", "before": was, "after": is }));
            all.came.push(format!("settings {is}"));
        }
        let (was, is) = change.host_keys();
        for address in was.keys().chain(is.keys().filter(|at| !was.contains_key(*at))) {
            let (before, after) = (was.get(address), is.get(address));
            all.add("host_keys", address, before, after);
        }
        for lines in [&mut all.came, &mut all.went] {
            let more = lines.len().saturating_sub(LINES);
            lines.truncate(LINES);
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
        }
        all
    }

    fn table<R: Record + PartialEq>(
        &mut self,
        change: &Change,
        told: impl Fn(&R) -> Value,
        line: impl Fn(&R) -> Option<String>,
    ) {
        let by_id = |all: Vec<std::sync::Arc<crate::daemon::vault::Stored<R>>>| {
            let all = all.into_iter().map(|one| (one.record.id().to_owned(), one));
            all.collect::<BTreeMap<_, _>>()
        };
        let (was, is) = (by_id(change.all_before::<R>()), by_id(change.all::<R>()));
        for (id, before) in &was {
            let after = is.get(id).map(|one| &one.record);
            if after == Some(&before.record) {
                continue;
            }
            self.went.extend(line(&before.record));
            self.came.extend(after.and_then(&line));
            self.push(R::TABLE, id, Some(told(&before.record)), after.map(&told));
        }
        for (id, after) in is.iter().filter(|(id, _)| !was.contains_key(*id)) {
            self.came.extend(line(&after.record));
            self.push(R::TABLE, id, None, Some(told(&after.record)));
        }
    }

    fn add<T: Serialize + PartialEq>(
        &mut self,
        what: &str,
        id: &str,
        before: Option<&T>,
        after: Option<&T>,
    ) {
        if before != after {
            let json = |one: Option<&T>| one.map(|one| json!(one));
            self.push(what, id, json(before), json(after));
        }
    }

    fn push(&mut self, what: &str, id: &str, before: Option<Value>, after: Option<Value>) {
        self.changes.push(json!({ "what": what, "id": id, "before": before, "after": after }));
    }

    /// What the records say, one after another: one at least, however little changes.
    pub fn actions(self, replace: bool) -> Vec<Map<String, Value>> {
        let count = self.changes.len();
        let mut parts: Vec<&[Value]> = self.changes.chunks(PART).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let action = |changes: &[Value]| {
            let mut action = Map::new();
            action.insert("replace".to_owned(), Value::from(replace));
            action.insert("changes".to_owned(), Value::from(changes));
            action.insert("of".to_owned(), Value::from(count));
            action
        };
        parts.into_iter().map(action).collect()
    }
}

fn line(grant: &Standing) -> String {
    format!("grant {} -> {} ({})", grant.holder, grant.target, grant.id)
}
