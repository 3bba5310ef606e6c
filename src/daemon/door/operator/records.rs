//! The audit, for the operator's eyes.

use serde_json::Value;
use tokio::sync::mpsc;

use super::Operator;
use crate::{
    daemon::{
        door::link::{Gone, value},
        evidence::{AuditState, Filter},
    },
    protocol::{
        error::{Code, Failure},
        operator::Event,
        view::Verified,
    },
};

/// Records that are read ahead of the client.
const AHEAD: usize = 32;

impl Operator {
    /// Sends the records after `since`, the last so many of them, oldest first; then the answer is due.
    pub(super) async fn audit_list(
        &self,
        number: u32,
        since: Option<u64>,
        last: Option<u64>,
    ) -> Result<Result<Value, Failure>, Gone> {
        // Records are numbered without a gap.
        let before_last = last.map_or(0, |last| self.parts.evidence.tip().seq.saturating_sub(last));
        let after = since.unwrap_or(0).max(before_last);
        self.send_records(number, Filter { after, ..Filter::default() }).await
    }

    /// Sends the records that pass; then the answer is due.
    pub(super) async fn send_records(
        &self,
        number: u32,
        filter: Filter,
    ) -> Result<Result<Value, Failure>, Gone> {
        let listing = self.parts.evidence.list(filter);
        let (sender, mut records) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            for record in listing {
                let record = record.map_err(|error| unreadable(&error));
                let failed = record.is_err();
                if sender.blocking_send(record).is_err() || failed {
                    return;
                }
            }
        });
        while let Some(record) = records.recv().await {
            let record = match record.and_then(|record| value(&record)) {
                Ok(record) => record,
                Err(failure) => return Ok(Err(failure)),
            };
            self.outbox.json(number, &Event::Record { record }).await?;
        }
        Ok(Ok(Value::Null))
    }

    pub(super) async fn audit_verify(&self) -> Result<Value, Failure> {
        // What is written now must be on disk to be verified.
        let synced = self.parts.evidence.sync().await;
        synced.map_err(|error| crate::daemon::session::evidence_failed(&error))?;
        let (evidence, vault) = (self.parts.evidence.clone(), self.parts.vault.clone());
        let verified = tokio::task::spawn_blocking(move || evidence.verify(vault.anchored()))
            .await
            .map_err(|error| unreadable(&error))?
            .map_err(|error| unreadable(&error))?;
        let (first_bad, message) = match verified.state {
            AuditState::Whole => (None, None),
            AuditState::Broken(bad) => (Some(bad.seq), Some(bad.to_string())),
            AuditState::Behind { last, anchor } => (
                Some(last + 1),
                Some(format!(
                    "it ends at record {last}, but record {anchor} was written: it was cut or put back"
                )),
            ),
        };
        value(&Verified {
            ok: first_bad.is_none(),
            records: verified.records,
            head: Some(verified.tip.hash.to_string()),
            first_bad,
            message,
        })
    }
}

fn unreadable(error: &impl std::fmt::Display) -> Failure {
    Failure::new(
        Code::EvidenceFailed,
        format!("the audit can't be read: {error}"),
        "sgw audit verify names the first bad record",
    )
}
