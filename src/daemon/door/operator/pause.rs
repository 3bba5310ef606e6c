//! Stopping agents for a while, and letting them go on, on record.

use std::collections::BTreeSet;

use super::Operator;
use crate::{
    daemon::audit,
    domain::{
        escape::exact,
        nearest::{nearest, told},
        record::Kind as RecordKind,
    },
    protocol::error::{Code, Failure},
};

impl Operator {
    /// Stops first and records then: it only narrows, and must not wait for a disk. What changes
    /// nothing is not recorded: it needs no proof, and whoever repeats it would fill the record.
    pub(super) async fn pause(&self, what: Option<String>) -> Result<serde_json::Value, Failure> {
        if let Some(word) = &what {
            self.check_known(word)?;
        }
        let parts = &self.parts;
        if parts.desk.pauses.pause(what.clone())? {
            audit::paused(&parts.evidence, RecordKind::Paused, self.who(), what.as_deref()).await?;
        }
        Ok(serde_json::Value::Null)
    }

    pub(super) async fn resume(&self, what: Option<&str>) -> Result<serde_json::Value, Failure> {
        let parts = &self.parts;
        parts.desk.pauses.check_paused(what)?;
        audit::paused(&parts.evidence, RecordKind::Resumed, self.who(), what).await?;
        parts.desk.pauses.resume(what)?;
        Ok(serde_json::Value::Null)
    }

    /// Denies no more what a rule finds in a session, and wherever else that was denied with it.
    pub(super) async fn lift_rule(
        &self,
        word: &str,
        rule: &str,
    ) -> Result<serde_json::Value, Failure> {
        let parts = &self.parts;
        let session = parts.sessions.to_see(word, None)?;
        let (owner, place) = (&session.owner, session.place());
        let denied = parts.desk.denied_rules(owner, &place);
        if !denied.iter().any(|one| one.rule == rule) {
            let rule = exact(rule.as_bytes(), 60);
            let message = format!("what {rule} finds is not denied in {}", session.id);
            let hint = format!("sgw show --all {} lists what is", session.id);
            return Err(Failure::new(Code::UsageArguments, message, hint));
        }
        let what = format!("{rule} in {}", session.id);
        let kind = RecordKind::Resumed;
        audit::paused(&parts.evidence, kind, self.who(), Some(&what)).await?;
        parts.desk.lift_bar(owner, &place, rule);
        Ok(serde_json::Value::Null)
    }

    /// A slip of the finger must not look like a pause.
    fn check_known(&self, word: &str) -> Result<(), Failure> {
        let parts = &self.parts;
        let mut known = BTreeSet::new();
        for session in parts.sessions.everyone() {
            if session.over().is_none() {
                known.insert(session.owner.to_string());
                known.extend(session.names());
            }
        }
        for request in parts.desk.pending(None, |id| parts.session_shown(id)) {
            known.extend([request.identity, request.target, request.host]);
        }
        if known.contains(word) {
            return Ok(());
        }
        let near = told(nearest(word, &known));
        Err(Failure::new(
            Code::UsageArguments,
            format!(
                "no identity or target {} works or waits here{near}",
                exact(word.as_bytes(), 60)
            ),
            "sgw sessions --all lists them; sgw pause --all stops everything",
        ))
    }
}
