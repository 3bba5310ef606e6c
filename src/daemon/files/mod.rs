//! Files on targets, over SFTP: a session's SFTP connection is kept warm until the session ends. No effect
//! without a permit; what is about to be done is on record before.

mod beneath;
mod calls;
mod change;
mod client;
mod fault;
mod list;
mod read;
mod relay;
mod resolve;
mod transfer;
mod write;

pub use self::relay::Relay;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use ::bytes::Bytes;
use tokio::sync::mpsc;

use self::{client::Sftp, fault::Fault};
use super::{
    desk::Permit,
    evidence::Evidence,
    session::{Session, evidence_failed, fields, stdin::Stdin},
};
use crate::{
    domain::{
        bytes, escape,
        files::{Look, Operation},
        guard::files::Canonical,
        id::Id,
        record::{Kind, Record},
    },
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// Pieces that wait for the caller to take them.
const PIECES: usize = 8;

/// The SFTP connections of all sessions.
pub struct Files {
    warm: Arc<Mutex<BTreeMap<Id, Arc<Slot>>>>,
    evidence: Arc<Evidence>,
}

/// One session's; held while one is opened.
type Slot = tokio::sync::Mutex<Option<Arc<Sftp>>>;

/// Where paths lead.
pub struct Resolved {
    /// In their order; of many files at once empty where one leads nowhere.
    pub at: Vec<Vec<u8>>,
    /// The directory in which the session began.
    pub home: Canonical,
}

/// An operation under way: what it reads comes first, then how it ended.
pub struct Running {
    pub pieces: mpsc::Receiver<Bytes>,
    pub end: tokio::task::JoinHandle<Result<Done, Failure>>,
}

/// What an operation works with.
struct Run<'r> {
    sftp: Arc<Sftp>,
    session: &'r Session,
    files: &'r crate::domain::files::Files,
    out: mpsc::Sender<Bytes>,
    /// A temporary file that could not be removed.
    left: Mutex<Option<Vec<u8>>>,
}

impl Files {
    pub fn new(evidence: Arc<Evidence>) -> Self {
        Self { warm: Arc::default(), evidence }
    }

    /// The session's SFTP connection: the warm one, or a new one.
    async fn sftp(&self, session: &Arc<Session>) -> Result<Arc<Sftp>, Failure> {
        let slot = self.slot(session);
        let mut slot = slot.lock().await;
        if let Some(sftp) = slot.as_ref().filter(|sftp| !sftp.is_over()) {
            return Ok(sftp.clone());
        }
        if let Some(why) = session.over() {
            return Err(why.about(&session.id).sent(false));
        }
        let opened = Sftp::open(session).await;
        let sftp = Arc::new(opened.map_err(|fault| fault.at("opening", b"SFTP"))?);
        *slot = Some(sftp.clone());
        Ok(sftp)
    }

    fn slot(&self, session: &Arc<Session>) -> Arc<Slot> {
        let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = warm.get(&session.id) {
            return slot.clone();
        }
        let slot = Arc::new(Slot::default());
        warm.insert(session.id.clone(), slot.clone());
        let (all, session) = (Arc::downgrade(&self.warm), session.clone());
        tokio::spawn(async move {
            session.ended().await;
            if let Some(all) = all.upgrade() {
                all.lock().unwrap_or_else(PoisonError::into_inner).remove(&session.id);
            }
        });
        slot
    }

    /// Where the paths of an operation lead.
    pub async fn resolve(
        &self,
        session: &Arc<Session>,
        permit: Permit<Look>,
        operation: &Operation,
    ) -> Result<Resolved, Failure> {
        let _look = permit.spend();
        let paths = operation.paths().into_iter().map(|(path, _)| bytes::Bytes(path.to_vec()));
        let mut record = record(Kind::FilesLook, session);
        record.action = fields([("paths", serde_json::to_value(paths.collect::<Vec<_>>()))]);
        write(&self.evidence, record).await?;
        let sftp = self.sftp(session).await?;
        leads(&sftp, operation).await
    }

    /// Begins what is permitted. A caller that goes away does not stop what changes something half-way.
    pub fn run(
        self: &Arc<Self>,
        session: &Arc<Session>,
        permit: Permit<crate::domain::files::Files>,
        request: Option<Id>,
        stdin: Option<Arc<Stdin>>,
    ) -> Running {
        let (out, pieces) = mpsc::channel(PIECES);
        let (all, session) = (self.clone(), session.clone());
        let end =
            tokio::spawn(async move { all.perform(&session, permit, request, (out, stdin)).await });
        Running { pieces, end }
    }

    async fn perform(
        &self,
        session: &Arc<Session>,
        permit: Permit<crate::domain::files::Files>,
        request: Option<Id>,
        streams: (mpsc::Sender<Bytes>, Option<Arc<Stdin>>),
    ) -> Result<Done, Failure> {
        let files = permit.spend();
        if let Some(why) = session.over() {
            return Err(why.about(&session.id).sent(false));
        }
        session.keyboard.check_agent(&session.id).map_err(|taken| taken.sent(false))?;
        session.count_operation(files.content.as_ref().map_or(0, Bytes::len))?;
        let mut intent = record(Kind::FilesIntent, session);
        intent.durable = request.is_some();
        intent.request = request;
        intent.action = described(&files);
        intent.decision = Some(fields([
            ("guard", Ok(files.judged.recorded())),
            ("passed_by", serde_json::to_value(&files.passed_by)),
        ]));
        let (request, action) = (intent.request.clone(), intent.action.clone());
        write(&self.evidence, intent).await?;
        let done = self.done(session, &files, streams).await;
        let mut result = record(Kind::FilesResult, session);
        (result.request, result.action) = (request, action);
        result.outcome = done.as_ref().err().map(|failure| failure.code.as_str().to_owned());
        result.result =
            done.as_ref().ok().map(|done| fields([("done", serde_json::to_value(done))]));
        if let Err(failure) = write(&self.evidence, result).await {
            tracing::error!(session = %session.id, code = %failure.code, "a result was not recorded");
        }
        done.map_err(|failure| match failure.id {
            Some(_) => failure,
            None => failure.about(&session.id),
        })
    }

    async fn done(
        &self,
        session: &Arc<Session>,
        files: &crate::domain::files::Files,
        (out, stdin): (mpsc::Sender<Bytes>, Option<Arc<Stdin>>),
    ) -> Result<Done, Failure> {
        let sftp = self.sftp(session).await?;
        let run = Run { sftp, session, files, out, left: Mutex::default() };
        let done = run.operate(stdin).await;
        let left = run.left.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (done, left) {
            (Err(failure), Some(left)) => {
                let left = escape::exact(&left, 300);
                let message = format!("{}; a temporary file is left: {left}", failure.message);
                Err(Failure { message, ..failure })
            }
            (done, _) => done,
        }
    }
}

/// Where the paths of an operation lead.
async fn leads(sftp: &Sftp, operation: &Operation) -> Result<Resolved, Failure> {
    let many = matches!(operation, Operation::Get { .. } | Operation::Put(_));
    let (home, at) = tokio::join!(home(sftp), async {
        match many {
            true => transfer::resolve(sftp, operation).await,
            false => resolve::resolve(sftp, operation).await,
        }
    });
    Ok(Resolved { at: at?, home: home? })
}

/// The directory in which the session began.
async fn home(sftp: &Sftp) -> Result<Canonical, Failure> {
    let home = sftp.home.get_or_try_init(|| resolve::resolved(sftp, b".")).await;
    let home = home.map_err(|fault| fault.at("resolving", b"~"))?;
    Canonical::new(home).ok_or_else(|| leads_elsewhere(home))
}

impl Run<'_> {
    async fn operate(&self, stdin: Option<Arc<Stdin>>) -> Result<Done, Failure> {
        match &self.files.operation {
            Operation::List { depth, .. } => self.list(*depth).await,
            Operation::Stat { follow, .. } => self.stat(*follow).await,
            Operation::Read { offset, limit, .. } => self.read(*offset, *limit).await,
            Operation::Tail { lines, follow, .. } => self.tail(*lines, *follow).await,
            Operation::Sum { .. } => self.sum().await,
            Operation::Space { .. } => self.space().await,
            Operation::Write(write) => {
                self.write(write, self.files.content.clone().unwrap_or_default()).await
            }
            Operation::MakeDirectory { parents, mode, .. } => {
                self.make_directory(*parents, *mode).await
            }
            Operation::Move { replace, .. } => self.rename(*replace).await,
            Operation::Remove { recursive, .. } => self.remove(*recursive).await,
            Operation::SetMode { mode, .. } => self.set_mode(*mode).await,
            Operation::Link { target, .. } => self.link(target.as_slice()).await,
            Operation::Get { files } => self.get(files).await,
            Operation::Put(put) => self.put(put, stdin.unwrap_or_default()).await,
            // A client's own call does it, or a command.
            Operation::Attributes(_) | Operation::HardLink { .. } | Operation::Served { .. } => {
                Err(calls::unsupported().at("changing", self.at(0)))
            }
        }
    }

    /// One of its paths, resolved.
    fn at(&self, number: usize) -> &[u8] {
        self.files.at.get(number).map_or(b"/", Vec::as_slice)
    }

    /// Counts bytes that came, before anybody gets them.
    fn count(&self, bytes: usize) -> Result<(), Fault> {
        let Some(under) = self.session.under() else { return Ok(()) };
        match under.take_bytes(bytes) {
            all if all == bytes => Ok(()),
            _ => Err(Failure::from(crate::domain::authorize::Denied::StandingExhausted)
                .sent(true)
                .into()),
        }
    }

    fn left_behind(&self, path: &[u8]) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_vec());
    }
}

/// For the record: all but the content.
fn described(files: &crate::domain::files::Files) -> serde_json::Map<String, serde_json::Value> {
    let at: Vec<_> = files.at.iter().map(|path| bytes::Bytes(path.clone())).collect();
    fields([
        ("operation", serde_json::to_value(&files.operation)),
        ("at", serde_json::to_value(at)),
        ("bytes", serde_json::to_value(files.content.as_ref().map(Bytes::len))),
        ("sha256", serde_json::to_value(files.sum())),
    ])
}

fn record(kind: Kind, session: &Session) -> Record {
    let mut record = Record::new(kind, session.owner.to_string());
    record.target = Some(session.target());
    record.session = Some(session.id.clone());
    record
}

/// Writes a record; without it, what it announces must not happen.
async fn write(evidence: &Evidence, record: Record) -> Result<(), Failure> {
    evidence.append(record).await.map(|_| ()).map_err(|error| evidence_failed(&error))
}

/// What was judged and what is there are not the same any more.
fn leads_elsewhere(at: &[u8]) -> Failure {
    let shown = escape::exact(at, 300);
    let message = format!("{shown} leads elsewhere than it did a moment ago; nothing was done");
    let hint = "look what changes there: sgw files stat SESSION PATH";
    Failure::new(Code::FilesChanged, message, hint).sent(true)
}
