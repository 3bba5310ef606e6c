//! The policy, for the operator: shown, and another one accepted, on record before it holds.

use serde_json::Value;

use super::Operator;
use crate::{
    daemon::{
        Parts,
        door::link::{Gone, to_its_end, value},
        evidence::Filter,
    },
    domain::{guard::own, record::Kind as RecordKind},
    protocol::{
        error::Failure,
        operator::policy::{InForce, Kind, Own, Request},
    },
};

/// Records that hold a command as an agent gave it.
const COMMANDS: [RecordKind; 3] =
    [RecordKind::ExecIntent, RecordKind::ExecBlocked, RecordKind::RequestCreated];

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
                let accepting = async move {
                    parts.accept_policy(text, was, file).await?;
                    value(&shown(&parts))
                };
                to_its_end(accepting).await
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
