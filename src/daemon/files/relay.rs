//! A server's SFTP for a client of the SSH door: on a channel of its own, each call judged before it comes
//! here. What the server answers is the client's, word for word.

use std::sync::Arc;

use super::{Files, Resolved, client::Sftp, described, fault::Fault, leads, record, write};
use crate::{
    daemon::{
        desk::Permit,
        evidence::Evidence,
        session::{Lane, Session, fields},
    },
    domain::{
        authorize::Denied,
        bytes,
        files::{self, Look, Operation},
        id::Id,
        record::Kind,
        sftp::{Call, Pairs, Reply, Status},
    },
    protocol::error::Failure,
};

/// One client's.
pub struct Relay {
    sftp: Sftp,
    session: Arc<Session>,
    evidence: Arc<Evidence>,
}

impl Files {
    /// Opens the server's SFTP for one client, over connections of its own.
    ///
    /// # Errors
    /// The session is over, there is no channel, or the server has no SFTP.
    pub async fn relay(&self, session: &Arc<Session>, lane: &Lane) -> Result<Relay, Failure> {
        if let Some(why) = session.over() {
            return Err(why.about(&session.id).sent(false));
        }
        let sftp =
            Sftp::open_by(session, lane).await.map_err(|fault| fault.at("opening", b"SFTP"))?;
        Ok(Relay { sftp, session: session.clone(), evidence: self.evidence.clone() })
    }
}

impl Relay {
    /// What the server announced beside its version.
    pub fn extensions(&self) -> &Pairs {
        &self.sftp.announced
    }

    /// Where the paths of an operation lead. It is on record that somebody looked.
    pub async fn resolve(
        &self,
        permit: Permit<Look>,
        operation: &Operation,
    ) -> Result<Resolved, Failure> {
        let _look = permit.spend();
        let paths = operation.paths().into_iter().map(|(path, _)| bytes::Bytes(path.to_vec()));
        let mut looked = record(Kind::FilesLook, &self.session);
        looked.action = fields([("paths", serde_json::to_value(paths.collect::<Vec<_>>()))]);
        write(&self.evidence, looked).await?;
        leads(&self.sftp, operation).await
    }

    /// What is permitted: counted, on record, then sent.
    pub async fn perform(
        &self,
        permit: Permit<files::Files>,
        request: Option<Id>,
        call: Call,
    ) -> Result<Reply, Failure> {
        let files = permit.spend();
        if let Operation::Stat { .. } | Operation::List { .. } | Operation::Space { .. } =
            files.operation
        {
            // That it was looked at is on record.
            return self.send(call).await;
        }
        self.session.count_operation(0)?;
        let mut intent = record(Kind::FilesIntent, &self.session);
        intent.durable = request.is_some();
        intent.request = request;
        intent.action = described(&files);
        intent.decision = Some(fields([
            ("guard", Ok(files.judged.recorded())),
            ("passed_by", serde_json::to_value(&files.passed_by)),
        ]));
        let (request, action) = (intent.request.clone(), intent.action.clone());
        write(&self.evidence, intent).await?;
        let reply = self.send(call).await;
        let mut result = record(Kind::FilesResult, &self.session);
        (result.request, result.action) = (request, action);
        result.outcome = match &reply {
            Err(failure) => Some(failure.code.as_str().to_owned()),
            Ok(Reply::Status(Status { code, .. })) if code.number() != 0 => {
                Some(format!("sftp.{}", code.number()))
            }
            Ok(_) => None,
        };
        if let Err(failure) = write(&self.evidence, result).await {
            tracing::error!(session = %self.session.id, code = %failure.code, "a result was not recorded");
        }
        reply
    }

    /// A call that names no path, or what a permitted one has opened. Waits while the operator has the
    /// keyboard.
    pub async fn send(&self, call: Call) -> Result<Reply, Failure> {
        if let Call::Write { data, .. } = &call {
            self.count(data.len())?;
        }
        self.session.keyboard.agents().await;
        let reply = self.sftp.call(call).await.map_err(told)?;
        if let Reply::Data(data) = &reply {
            self.count(data.len())?;
        }
        Ok(reply)
    }

    /// Counts bytes of content.
    fn count(&self, bytes: usize) -> Result<(), Failure> {
        let Some(under) = self.session.under() else { return Ok(()) };
        match under.take_bytes(bytes) {
            all if all == bytes => Ok(()),
            _ => Err(Failure::from(Denied::StandingExhausted).sent(true)),
        }
    }
}

fn told(fault: Fault) -> Failure {
    fault.at("carrying", b"SFTP")
}
