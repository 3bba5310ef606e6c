//! What a session puts on record of its commands: the intent before the effect, the result after.

use std::sync::Arc;

use super::Session;
use crate::{
    daemon::evidence::Evidence,
    domain::{
        action,
        bytes::Bytes,
        id::Id,
        record::{Kind, Record},
        terminal::Wanted,
    },
    protocol::{
        error::{Code, Failure},
        view,
    },
};

/// Written before a command is sent; without it nothing is. Where a yes is spent with it, it is on
/// the disk before.
pub async fn intent(
    evidence: &Evidence,
    session: &Session,
    action: &action::Exec,
    request: Option<&Id>,
    terminal: Option<&Wanted>,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::ExecIntent, session.owner.to_string());
    record.target = Some(session.target());
    record.session = Some(session.id.clone());
    record.request = request.cloned();
    record.exec = Some(action.id.clone());
    record.durable = request.is_some();
    record.action = fields([
        ("command", serde_json::to_value(&action.line)),
        ("wire", serde_json::to_value(Bytes(action.wire.clone()))),
        ("marker", serde_json::to_value(&action.marker)),
        ("route", serde_json::to_value(&session.route)),
        ("stdin", serde_json::to_value(action.stdin)),
        ("timeout_ms", serde_json::to_value(action.timeout_ms)),
        ("reason", serde_json::to_value(&action.reason)),
    ]);
    if let Some(Wanted { name, window, modes }) = terminal {
        let told = fields([
            ("name", serde_json::to_value(name)),
            ("columns", serde_json::to_value(window.columns)),
            ("rows", serde_json::to_value(window.rows)),
            ("modes", serde_json::to_value(modes)),
        ]);
        record.action.insert("terminal".to_owned(), told.into());
    }
    record.decision = Some(fields([
        ("guard", Ok(action.judged.recorded())),
        ("passed_by", serde_json::to_value(&action.passed_by)),
    ]));
    write(evidence, record).await
}

/// Writes a record; without it, what it announces must not happen.
pub async fn write(evidence: &Evidence, record: Record) -> Result<(), Failure> {
    evidence.append(record).await.map(|_| ()).map_err(|error| evidence_failed(&error))
}

/// Written when a command has ended. The effect is there already: a failure is logged.
pub async fn result(evidence: &Evidence, session: &Session, end: &view::ExecEnd) {
    let mut record = Record::new(Kind::ExecResult, session.owner.to_string());
    record.target = Some(session.target());
    record.session = Some(session.id.clone());
    record.exec = end.id.parse().ok();
    record.outcome = end.failure.as_ref().map(|failure| failure.code.as_str().to_owned());
    record.result = serde_json::to_value(end).ok().and_then(|value| match value {
        serde_json::Value::Object(map) => Some(map),
        _ => None,
    });
    if let Err(error) = evidence.append(record).await {
        tracing::error!(exec = %end.id, %error, "a result was not recorded");
    }
}

/// Writes what happens at a session's terminal.
pub struct Recorder {
    evidence: Arc<Evidence>,
    owner: String,
    target: String,
    session: Id,
    exec: Option<Id>,
}

impl Recorder {
    pub fn new(evidence: Arc<Evidence>, session: &Session) -> Self {
        let (owner, target) = (session.owner.to_string(), session.target());
        Self { evidence, owner, target, session: session.id.clone(), exec: None }
    }

    /// Of a command's own terminal.
    pub fn of_exec(self, exec: &Id) -> Self {
        Self { exec: Some(exec.clone()), ..self }
    }

    fn record(&self, kind: Kind, identity: &str) -> Record {
        let mut record = Record::new(kind, identity);
        record.target = Some(self.target.clone());
        record.session = Some(self.session.clone());
        record.exec.clone_from(&self.exec);
        record
    }

    async fn write(&self, record: Record) -> Result<(), Failure> {
        self.evidence.append(record).await.map(|_| ()).map_err(|error| evidence_failed(&error))
    }

    /// Before anything is sent.
    pub async fn opened(
        &self,
        session: &Session,
        who: &str,
        marker: &str,
        wire: &[u8],
    ) -> Result<(), Failure> {
        let mut record = self.record(Kind::TerminalOpened, who);
        record.action = fields([
            ("wire", serde_json::to_value(Bytes(wire.to_vec()))),
            ("marker", serde_json::to_value(marker)),
            ("route", serde_json::to_value(&session.route)),
        ]);
        self.write(record).await
    }

    /// The effect is there already: a failure is logged.
    pub async fn closed(&self, why: Option<&Failure>, exit_code: Option<u32>) {
        let mut record = self.record(Kind::TerminalClosed, &self.owner);
        record.outcome = why.map(|failure| failure.code.as_str().to_owned());
        record.result = Some(fields([("exit_code", serde_json::to_value(exit_code))]));
        if let Err(error) = self.write(record).await {
            tracing::error!(session = %self.session, %error, "a terminal's end was not recorded");
        }
    }

    /// Before the bytes are typed. Where a yes is spent with them, it is on the disk before.
    pub async fn input(&self, input: &action::Input, request: Option<&Id>) -> Result<(), Failure> {
        let mut record = self.record(Kind::InputIntent, &self.owner);
        record.request = request.cloned();
        record.durable = request.is_some();
        record.action = fields([("bytes", serde_json::to_value(Bytes(input.bytes.clone())))]);
        record.decision = Some(fields([("guard", Ok(input.judged.recorded()))]));
        self.write(record).await
    }

    pub async fn operators_input(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut record = self.record(Kind::InputIntent, "operator");
        record.action = fields([("bytes", serde_json::to_value(Bytes(bytes.to_vec())))]);
        self.write(record).await
    }

    pub async fn signal(&self, name: &str) -> Result<(), Failure> {
        let mut record = self.record(Kind::InputIntent, &self.owner);
        record.action = fields([("signal", serde_json::to_value(name))]);
        self.write(record).await
    }
}

/// A map for a record, of values that serialise.
pub fn fields<const N: usize>(
    pairs: [(&str, serde_json::Result<serde_json::Value>); N],
) -> serde_json::Map<String, serde_json::Value> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.unwrap_or(serde_json::Value::Null)))
        .collect()
}

pub fn evidence_failed(error: &impl std::fmt::Display) -> Failure {
    Failure::new(
        Code::EvidenceFailed,
        format!("the record could not be written, so nothing was done: {error}"),
        "the operator should look at the disk that holds sgw's home: sgw daemon status",
    )
    .sent(false)
}
