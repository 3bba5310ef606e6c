//! The policy, for the operator: shown, and another one accepted, on record before it holds.

use serde_json::Value;

use super::{Operator, settings::refused};
use crate::{
    daemon::{
        Parts, audit,
        door::link::{Gone, to_its_end, value},
        evidence::Filter,
        vault::VaultError,
    },
    domain::{digest::Digest, guard::own, record::Kind as RecordKind},
    protocol::{
        error::{Code, Failure},
        operator::policy::{InForce, Kind, Own, Request},
    },
};

/// Records that hold a command as an agent gave it.
const COMMANDS: [RecordKind; 2] = [RecordKind::ExecIntent, RecordKind::RequestCreated];

impl Operator {
    pub(super) async fn policy(
        &self,
        number: u32,
        request: Request,
    ) -> Result<Result<Value, Failure>, Gone> {
        Ok(match request {
            Request::Show {} => value(&shown(&self.parts)),
            Request::Accept { text, was, file } => {
                let parts = self.parts.clone();
                let accepting = async move { accept(&parts, text, was, file).await };
                to_its_end(accepting).await.and_then(|shown| value(&shown))
            }
            Request::Commands { since } => {
                let kinds = COMMANDS.map(RecordKind::as_str).to_vec();
                let filter = Filter { kinds, since: Some(since), ..Filter::default() };
                return self.send_records(number, filter).await;
            }
        })
    }
}

fn shown(parts: &Parts) -> InForce {
    let in_force = parts.policies.in_force();
    InForce {
        kind: Kind::Policy,
        revision: in_force.revision,
        own: in_force.own.as_ref().map(|own| Own {
            text: own.record.text.clone(),
            digest: own::digest(&own.record.text),
            accepted_at: own.record.accepted_at,
        }),
        problem: in_force.problem(),
        notes: parts.policies.notes(parts.today()),
    }
}

/// Seals what was shown, or nothing.
async fn accept(
    parts: &Parts,
    text: String,
    was: Digest,
    file: Option<Digest>,
) -> Result<InForce, Failure> {
    let _alone = parts.policies.changing.lock().await;
    let before = parts.policies.in_force();
    if before.revision != was {
        return Err(changed());
    }
    own::check(&text).map_err(|why| {
        Failure::new(Code::PolicyInvalid, why, "nothing was changed; mend it: sgw policy edit")
    })?;
    audit::policy_changed(&parts.evidence, before.own.as_ref().map(|own| &own.record), &text)
        .await?;
    let sealed = tokio::task::block_in_place(|| parts.policies.seal(&before, text, parts.now()));
    sealed.map_err(|error| match error {
        VaultError::Changed { .. } | VaultError::Exists { .. } | VaultError::Missing { .. } => {
            changed()
        }
        error => refused(&error),
    })?;
    tokio::task::block_in_place(|| parts.policies.follow(file.as_ref()));
    Ok(shown(parts))
}

fn changed() -> Failure {
    Failure::new(
        Code::PolicyChanged,
        "another policy came into force meanwhile, so what was shown is not what would change",
        "nothing was changed; look at the difference anew: sgw policy accept",
    )
}
