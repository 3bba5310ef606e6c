//! The records that the doors write: what was asked, decided and changed, and on whose word.

use crate::{
    daemon::{
        desk::Asker,
        evidence::Evidence,
        session::{evidence_failed, fields},
    },
    domain::{
        action::{Exec, Input, Opening},
        bytes::Bytes,
        digest::Digest,
        escape::visible,
        files::Files,
        forward::Forward,
        grant::Terms,
        guard::{
            own::{self, Own},
            policy,
        },
        id::Id,
        record::{Kind, Record},
        target::{Route, named::Target},
    },
    protocol::{error::Failure, operator::Remember, view},
};

/// Who the operator is in a record.
const OPERATOR: &str = "operator";
/// Parts of a policy that a record names one by one.
const MOST_CHANGES: usize = 200;
/// Columns of what such a part said.
const SIDE: usize = 300;
/// Who sgw itself is.
const SGW: &str = "sgw";

/// Writes a record; without it, what it announces must not happen.
async fn write(evidence: &Evidence, record: Record) -> Result<(), Failure> {
    evidence.append(record).await.map(|_| ()).map_err(|error| evidence_failed(&error))
}

pub async fn request_created(
    evidence: &Evidence,
    request: &view::Request,
    asker: &Asker,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::RequestCreated, asker.identity.to_string());
    record.target = Some(request.target.clone());
    record.request = request.id.parse().ok();
    record.session = request.session.as_ref().and_then(|id| id.parse().ok());
    record.action = fields([
        ("request", serde_json::to_value(request)),
        ("seen", serde_json::to_value(&**asker.seen)),
    ]);
    write(evidence, record).await
}

/// The policy blocked a command: nothing is sent.
pub async fn command_blocked(
    evidence: &Evidence,
    identity: &str,
    target: &str,
    exec: &Exec,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::ExecBlocked, identity);
    record.target = Some(target.to_owned());
    record.session = Some(exec.session.clone());
    record.exec = Some(exec.id.clone());
    record.action = fields([
        ("command", serde_json::to_value(&exec.line)),
        ("wire", serde_json::to_value(Bytes(exec.wire.clone()))),
        ("stdin", serde_json::to_value(exec.stdin)),
        ("reason", serde_json::to_value(&exec.reason)),
    ]);
    record.decision = Some(fields([("guard", Ok(exec.judged.recorded()))]));
    write(evidence, record).await
}

/// The policy blocked what was to be typed: nothing is.
pub async fn input_blocked(
    evidence: &Evidence,
    identity: &str,
    target: &str,
    input: &Input,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::InputBlocked, identity);
    record.target = Some(target.to_owned());
    record.session = Some(input.session.clone());
    record.action = fields([
        ("bytes", serde_json::to_value(Bytes(input.bytes.clone()))),
        ("line", serde_json::to_value(&input.shown)),
    ]);
    record.decision = Some(fields([("guard", Ok(input.judged.recorded()))]));
    write(evidence, record).await
}

/// The policy blocked an operation on files: nothing was done.
pub async fn files_blocked(
    evidence: &Evidence,
    identity: &str,
    target: &str,
    files: &Files,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::FilesBlocked, identity);
    record.target = Some(target.to_owned());
    record.session = Some(files.session.clone());
    record.action = fields([
        ("operation", serde_json::to_value(&files.operation)),
        ("command", serde_json::to_value(Bytes(files.command()))),
        ("sha256", serde_json::to_value(files.sum())),
    ]);
    record.decision = Some(fields([("guard", Ok(files.judged.recorded()))]));
    write(evidence, record).await
}

/// The policy blocked a forward: nothing was opened.
pub async fn forward_blocked(
    evidence: &Evidence,
    identity: &str,
    target: &str,
    forward: &Forward,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::ForwardBlocked, identity);
    record.target = Some(target.to_owned());
    record.session = Some(forward.session.clone());
    let [direction, end] = forward.way.words();
    record.action = fields([
        ("direction", serde_json::to_value(direction)),
        ("end", serde_json::to_value(end)),
    ]);
    record.decision = Some(fields([("guard", Ok(forward.judged.recorded()))]));
    write(evidence, record).await
}

/// The operator's no, or somebody's taking back.
pub async fn request_ended(
    evidence: &Evidence,
    kind: Kind,
    by: &str,
    id: &Id,
    message: Option<&str>,
) -> Result<(), Failure> {
    let mut record = Record::new(kind, by);
    record.request = Some(id.clone());
    record.decision = Some(fields([("message", serde_json::to_value(message))]));
    write(evidence, record).await
}

/// The operator's no; with a rule to what that finds until the session ends, too.
pub async fn request_denied(
    evidence: &Evidence,
    by: &str,
    id: &Id,
    message: Option<&str>,
    rule: Option<&str>,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::RequestDenied, by);
    record.request = Some(id.clone());
    record.decision = Some(fields([
        ("message", serde_json::to_value(message)),
        ("rule", serde_json::to_value(rule)),
    ]));
    write(evidence, record).await
}

/// The operator's yes to a command, and what of it passes from now on.
pub async fn command_approved(
    evidence: &Evidence,
    id: &Id,
    shown: &Digest,
    remembered: Option<(&[String], Remember)>,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::CommandApproved, OPERATOR);
    record.request = Some(id.clone());
    let (part, how) = remembered.unzip();
    record.decision = Some(fields([
        ("digest", serde_json::to_value(shown)),
        ("passes", serde_json::to_value(part)),
        ("remember", serde_json::to_value(how)),
    ]));
    write(evidence, record).await
}

/// The operator's yes to a forward, and what of it passes until the session ends.
pub async fn forward_approved(
    evidence: &Evidence,
    id: &Id,
    shown: &Digest,
    passes: Option<&[String]>,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::ForwardApproved, OPERATOR);
    record.request = Some(id.clone());
    record.decision = Some(fields([
        ("digest", serde_json::to_value(shown)),
        ("passes", serde_json::to_value(passes)),
    ]));
    write(evidence, record).await
}

/// The operator's yes to these lines of a plan.
pub async fn plan_approved(
    evidence: &Evidence,
    id: &Id,
    shown: &Digest,
    lines: &[u32],
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::PlanApproved, OPERATOR);
    record.request = Some(id.clone());
    record.decision = Some(fields([
        ("digest", serde_json::to_value(shown)),
        ("lines", serde_json::to_value(lines)),
    ]));
    write(evidence, record).await
}

/// The operator's yes, before anything goes anywhere.
pub async fn approved(
    evidence: &Evidence,
    kind: Kind,
    id: &Id,
    shown: &Digest,
    route: Option<&Route>,
    credentials: &[Vec<String>],
    terms: Option<&Terms>,
) -> Result<(), Failure> {
    let mut record = Record::new(kind, OPERATOR);
    record.request = Some(id.clone());
    record.target = route.map(|route| route.target().to_string());
    record.decision = Some(fields([
        ("digest", serde_json::to_value(shown)),
        ("route", serde_json::to_value(route)),
        ("credentials", serde_json::to_value(credentials)),
        ("terms", serde_json::to_value(terms)),
    ]));
    write(evidence, record).await
}

/// `grant` is the standing grant that it lives under, where it does.
pub async fn session_opened(
    evidence: &Evidence,
    request: Option<&Id>,
    grant: Option<&Id>,
    session: &Id,
    owner: &str,
    route: &Route,
    host_keys: &[String],
) -> Result<(), Failure> {
    let kind = Kind::SessionOpened;
    let mut record = of_session(kind, request, session, owner, route, host_keys);
    if let Some(grant) = grant {
        record.action.extend(fields([("grant", serde_json::to_value(grant))]));
    }
    write(evidence, record).await
}

/// A session that was lost is logged in again.
pub async fn session_resumed(
    evidence: &Evidence,
    request: &Id,
    session: &Id,
    owner: &str,
    route: &Route,
    host_keys: &[String],
) -> Result<(), Failure> {
    let kind = Kind::SessionResumed;
    write(evidence, of_session(kind, Some(request), session, owner, route, host_keys)).await
}

fn of_session(
    kind: Kind,
    request: Option<&Id>,
    session: &Id,
    owner: &str,
    route: &Route,
    host_keys: &[String],
) -> Record {
    let mut record = Record::new(kind, owner);
    record.target = Some(route.target().to_string());
    record.request = request.cloned();
    record.session = Some(session.clone());
    record.action = fields([
        ("route", serde_json::to_value(route)),
        ("host_keys", serde_json::to_value(host_keys)),
    ]);
    record
}

/// An approval that led nowhere: the failure's code.
pub async fn approval_failed(evidence: &Evidence, request: &Id, failure: &Failure) {
    let kind = match failure.code {
        crate::protocol::error::Code::HostkeyChanged => Kind::HostkeyRefused,
        _ => Kind::AccessFailed,
    };
    let mut record = Record::new(kind, OPERATOR);
    record.request = Some(request.clone());
    record.outcome = Some(failure.code.as_str().to_owned());
    record.result = Some(fields([("message", serde_json::to_value(&failure.message))]));
    if let Err(failure) = write(evidence, record).await {
        tracing::error!(code = %failure.code, "a failed approval was not recorded");
    }
}

/// A token or a standing grant comes, changes or goes: what it was, and what it becomes.
pub async fn authority_changed(
    evidence: &Evidence,
    kind: Kind,
    before: Option<&impl serde::Serialize>,
    after: Option<&impl serde::Serialize>,
) -> Result<(), Failure> {
    let mut record = Record::new(kind, OPERATOR);
    record.action =
        fields([("before", serde_json::to_value(before)), ("after", serde_json::to_value(after))]);
    write(evidence, record).await
}

/// A program ended, and its token with it.
pub async fn program_ended(evidence: &Evidence, token: &str, id: &Id) -> Result<(), Failure> {
    let mut record = Record::new(Kind::TokenRevoked, SGW);
    record.action = fields([
        ("token", serde_json::to_value(token)),
        ("id", serde_json::to_value(id)),
        ("why", serde_json::to_value("its program has ended")),
    ]);
    write(evidence, record).await
}

/// Tokens were not taken: so many, since the last such record.
pub async fn tokens_refused(
    evidence: &Evidence,
    why: &'static str,
    token: Option<&str>,
    uid: Option<u32>,
    count: u64,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::TokenRefused, SGW);
    record.outcome = Some(why.to_owned());
    record.action = fields([
        ("token", serde_json::to_value(token)),
        ("uid", serde_json::to_value(uid)),
        ("count", serde_json::to_value(count)),
    ]);
    write(evidence, record).await
}

/// A session is about to open under a standing grant: nothing has gone anywhere yet.
pub async fn session_opening(
    evidence: &Evidence,
    owner: &str,
    opening: &Opening,
    route: &Route,
    credentials: &[Vec<String>],
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::SessionOpening, owner);
    record.target = Some(opening.target.to_string());
    record.action = fields([
        ("grant", serde_json::to_value(&opening.grant)),
        ("route", serde_json::to_value(route)),
        ("credentials", serde_json::to_value(credentials)),
        ("capabilities", serde_json::to_value(&opening.capabilities)),
        ("mode", serde_json::to_value(opening.mode)),
        ("until", serde_json::to_value(opening.expires_at)),
        ("reason", serde_json::to_value(&opening.reason)),
    ]);
    write(evidence, record).await
}

/// It could not be reached.
pub async fn opening_failed(evidence: &Evidence, owner: &str, target: &str, failure: &Failure) {
    let kind = match failure.code {
        crate::protocol::error::Code::HostkeyChanged => Kind::HostkeyRefused,
        _ => Kind::AccessFailed,
    };
    let mut record = Record::new(kind, owner);
    record.target = Some(target.to_owned());
    record.outcome = Some(failure.code.as_str().to_owned());
    record.result = Some(fields([("message", serde_json::to_value(&failure.message))]));
    if let Err(failure) = write(evidence, record).await {
        tracing::error!(code = %failure.code, "a failed opening was not recorded");
    }
}

pub async fn settings_changed(
    evidence: &Evidence,
    name: &str,
    before: &serde_json::Value,
    after: &serde_json::Value,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::SettingsChanged, OPERATOR);
    record.action = fields([
        ("name", serde_json::to_value(name)),
        ("before", serde_json::to_value(before)),
        ("after", serde_json::to_value(after)),
    ]);
    write(evidence, record).await
}

/// A named target was added, changed or removed; what is absent was not there. Holds no value.
pub async fn target_changed(
    evidence: &Evidence,
    name: &str,
    before: Option<&Target>,
    after: Option<&Target>,
    new_value: bool,
    go_on: &[Id],
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::TargetChanged, OPERATOR);
    record.target = Some(name.to_owned());
    record.action = fields([
        ("before", serde_json::to_value(before)),
        ("after", serde_json::to_value(after)),
        ("new_value", serde_json::to_value(new_value)),
        ("go_on", serde_json::to_value(go_on)),
    ]);
    write(evidence, record).await
}

/// A named secret was added, given another value, or removed.
pub async fn secret_changed(evidence: &Evidence, name: &str, what: &str) -> Result<(), Failure> {
    let mut record = Record::new(Kind::SecretChanged, OPERATOR);
    record.action =
        fields([("name", serde_json::to_value(name)), ("what", serde_json::to_value(what))]);
    write(evidence, record).await
}

/// Another policy is accepted: what it was and becomes, by digest, and each part that is otherwise.
pub async fn policy_changed(
    evidence: &Evidence,
    before: Option<&Own>,
    after: &str,
) -> Result<(), Failure> {
    let was = before.map(|own| own.text.as_str());
    let mut changes = policy::changes(was.unwrap_or_default(), after);
    let more = changes.len().saturating_sub(MOST_CHANGES);
    changes.truncate(MOST_CHANGES);
    for side in changes.iter_mut().flat_map(|one| [&mut one.before, &mut one.after]) {
        *side = side.take().map(|text| visible(&text, SIDE));
    }
    let mut record = Record::new(Kind::PolicyChanged, OPERATOR);
    record.action = fields([
        ("before", serde_json::to_value(was.map(own::digest))),
        ("after", serde_json::to_value(own::digest(after))),
        ("changes", serde_json::to_value(changes)),
        ("more", serde_json::to_value(more)),
    ]);
    write(evidence, record).await
}

/// A pause and its end; everyone's where nothing is named.
pub async fn paused(
    evidence: &Evidence,
    kind: Kind,
    by: &str,
    what: Option<&str>,
) -> Result<(), Failure> {
    let mut record = Record::new(kind, by);
    record.action = fields([("what", serde_json::to_value(what))]);
    write(evidence, record).await
}

/// Something that concerns the whole vault, before it happens; or, with a code, that it failed.
pub async fn vault(
    evidence: &Evidence,
    kind: Kind,
    action: serde_json::Map<String, serde_json::Value>,
    failed: Option<&Failure>,
) -> Result<(), Failure> {
    let mut record = Record::new(kind, OPERATOR);
    record.action = action;
    record.outcome = failed.map(|failure| failure.code.as_str().to_owned());
    write(evidence, record).await
}

/// A wrong PIN, and at which terminal's process.
pub async fn pin_failed(evidence: &Evidence, who: &str) -> Result<(), Failure> {
    let mut record = Record::new(Kind::PinFailed, OPERATOR);
    record.action = fields([("who", serde_json::to_value(who))]);
    write(evidence, record).await
}

/// The daemon's own beginning and end.
pub async fn daemon(evidence: &Evidence, kind: Kind, revision: u64) -> Result<(), Failure> {
    let mut record = Record::new(kind, SGW);
    record.revision = Some(revision);
    record.action = fields([("version", serde_json::to_value(env!("CARGO_PKG_VERSION")))]);
    write(evidence, record).await
}

/// What a killed daemon left running is being looked after.
pub async fn left_running_ended(
    evidence: &Evidence,
    exec: &Id,
    session: Option<&Id>,
    target: &str,
    remote: view::Remote,
) -> Result<(), Failure> {
    let mut record = Record::new(Kind::ExecResult, SGW);
    record.exec = Some(exec.clone());
    record.session = session.cloned();
    record.target = Some(target.to_owned());
    record.outcome = Some("daemon.lost".to_owned());
    record.result = Some(fields([("remote", serde_json::to_value(remote))]));
    write(evidence, record).await
}
