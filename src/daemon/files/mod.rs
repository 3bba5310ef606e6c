//! Files on targets, over SFTP: a session's SFTP connection is kept warm until the session ends. No effect
//! without a permit; what is about to be done is on record before.

mod beneath;
mod brought;
mod calls;
mod change;
mod client;
mod compare;
mod fault;
mod list;
mod names;
mod proof;
mod read;
mod relay;
mod resolve;
mod room;
mod shell;
mod tail;
mod transfer;
mod write;

pub use self::relay::Relay;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ::bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;

use self::{
    brought::Brought,
    client::Sftp,
    fault::Fault,
    names::{Alone, Names, Settles, Still},
};
use super::{
    desk::Permit,
    evidence::Evidence,
    session::{Session, evidence_failed, fields, scripts::Scripts, stdin::Stdin},
};
use crate::{
    domain::{
        bytes, escape,
        files::{Look, Operation, Way},
        guard::files::Canonical,
        id::Id,
        record::{Kind, Record},
        sftp::Attrs,
    },
    protocol::{
        error::{Code, Failure},
        files::Done,
        view::{self, FilesRun},
    },
};

/// Pieces that wait for the caller to take them.
const PIECES: usize = 8;

/// The SFTP connections of all sessions.
pub struct Files {
    warm: Arc<Mutex<BTreeMap<Id, Arc<Slot>>>>,
    names: Arc<names::All>,
    scripts: Arc<Scripts>,
    evidence: Arc<Evidence>,
}

/// One session's; held while one is opened.
type Slot = tokio::sync::Mutex<Option<Arc<Sftp>>>;

/// Where paths lead.
pub struct Resolved {
    /// In their order; of many files at once empty where one leads nowhere.
    pub at: Vec<Vec<u8>>,
    /// What was found there, where that was looked at by the way.
    pub seen: Vec<Option<Attrs>>,
    /// The directory in which the session began.
    pub home: Canonical,
    /// Where links will lead that are made, by their places; empty where that can't be said.
    pub leads: Vec<(usize, Vec<u8>)>,
}

/// An operation under way: what it reads comes first, then how it ended.
pub struct Running {
    pub pieces: mpsc::Receiver<Bytes>,
    /// Sentences for the caller, in sgw's own words.
    pub notes: mpsc::Receiver<&'static str>,
    pub end: tokio::task::JoinHandle<Result<Done, Failure>>,
}

/// Where what it reads goes, and what is said of it.
type To = (mpsc::Sender<Bytes>, mpsc::Sender<&'static str>);

/// What an operation works with.
struct Run<'r> {
    sftp: Arc<Sftp>,
    session: &'r Session,
    files: &'r crate::domain::files::Files,
    names: Arc<Names>,
    brought: Brought,
    /// How often names had been turned when its directories were looked at.
    looked: AtomicU64,
    out: mpsc::Sender<Bytes>,
    notes: mpsc::Sender<&'static str>,
    /// A temporary file that could not be removed.
    left: Mutex<Option<Vec<u8>>>,
}

impl Files {
    pub fn new(evidence: Arc<Evidence>, scripts: Arc<Scripts>) -> Self {
        Self { warm: Arc::default(), names: Arc::default(), scripts, evidence }
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
        way: Way,
    ) -> Result<Resolved, Failure> {
        let _look = permit.spend();
        let paths = operation.paths().into_iter().map(|(path, _)| bytes::Bytes(path.to_vec()));
        let mut record = record(Kind::FilesLook, session);
        record.action = fields([
            ("paths", serde_json::to_value(paths.collect::<Vec<_>>())),
            ("way", serde_json::to_value(way)),
        ]);
        write(&self.evidence, record).await?;
        if way != Way::Sftp {
            let resolved = shell::resolve(session, way, operation).await?;
            if operation.changes() {
                self.scripts.home(&session.account(), &resolved.home.text());
            }
            return Ok(resolved);
        }
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
        let (tells, notes) = mpsc::channel(PIECES);
        let (all, session, to) = (self.clone(), session.clone(), (out, tells));
        let end =
            tokio::spawn(async move { all.perform(&session, permit, request, to, stdin).await });
        Running { pieces, notes, end }
    }

    async fn perform(
        &self,
        session: &Arc<Session>,
        permit: Permit<crate::domain::files::Files>,
        request: Option<Id>,
        to: To,
        stdin: Option<Arc<Stdin>>,
    ) -> Result<Done, Failure> {
        let mut files = permit.spend();
        if request.is_some() {
            // A person took their time.
            files.operation.forget();
        }
        if let Some(why) = session.over() {
            return Err(why.about(&session.id).sent(false));
        }
        session.keyboard.check_agent(&session.id).map_err(|taken| taken.sent(false))?;
        session.count_operation(files.content.as_ref().map_or(0, Bytes::len))?;
        let intent = intent(session, &files, request);
        let (request, action) = (intent.request.clone(), intent.action.clone());
        write(&self.evidence, intent).await?;
        let number = session.files_begin(begun(&files, request.as_ref()));
        let done = self.done(session, &files, to, stdin).await;
        let (bytes, outcome) = match &done {
            Ok(done) => (done.bytes(), None),
            Err(failure) => (None, Some(failure.code.as_str().to_owned())),
        };
        session.files_end(number, bytes, outcome, Timestamp::now());
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
        (out, notes): To,
        stdin: Option<Arc<Stdin>>,
    ) -> Result<Done, Failure> {
        let names = self.names.of(&session.account());
        if files.way != Way::Sftp {
            let brought = Brought { scripts: self.scripts.clone(), account: session.account() };
            let before = brought.begins(files);
            let done = shell::Run { session, files, names, out, notes }.operate(stdin).await;
            brought.ended(files, before, done.as_ref().err());
            return done;
        }
        let sftp = self.sftp(session).await?;
        let looked = AtomicU64::new(names.turns());
        if let Some(home) = sftp.home.get().filter(|_| files.operation.changes()) {
            self.scripts.home(&session.account(), &String::from_utf8_lossy(home));
        }
        let brought = Brought { scripts: self.scripts.clone(), account: session.account() };
        let left = Mutex::default();
        let run = Run { sftp, session, files, names, brought, looked, out, notes, left };
        let before = run.brought.begins(files);
        let mut done = run.operate(stdin).await;
        if let (Err(failure), Some(made)) = (&mut done, files.at.last()) {
            let found = resolve::why_not_there(&run.sftp, &files.operation, made, failure.clone());
            *failure = found.await;
        }
        run.brought.ended(files, before, done.as_ref().err());
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
            false => resolve::resolve(sftp, operation).await.map(|at| (at, Vec::new())),
        }
    });
    let (at, seen) = at?;
    let leads = resolve::led(sftp, operation, &at).await?;
    Ok(Resolved { at, seen, home: home?, leads })
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

    async fn still(&self) -> Result<Still, Failure> {
        self.names.still().await
    }

    /// How often names were turned by now, when none is being turned: what is then done is done by the same names
    /// if it is as often afterwards.
    async fn quiet(&self) -> Result<u64, Failure> {
        let _still = self.still().await?;
        Ok(self.names.turns())
    }

    /// For what is sent to be done by names.
    fn settles(&self) -> Settles {
        self.sftp.settles()
    }

    async fn alone(&self) -> Result<Alone, Failure> {
        self.names.alone().await
    }

    /// What makes a name lead elsewhere, at this path and no other; last thing before it is done.
    async fn turning(&self, at: &[u8]) -> Result<Alone, Failure> {
        let turning = self.names.turning().await?;
        self.stays(at).await?;
        Ok(turning)
    }

    /// For one of many files, whose directories were looked at together: again only where names were turned
    /// since.
    async fn still_at(&self, at: &[u8]) -> Result<Still, Failure> {
        let still = self.names.still().await?;
        if self.names.turns() != self.looked.load(Ordering::Acquire) {
            self.stays(at).await?;
        }
        Ok(still)
    }

    /// Counts bytes that came, before anybody gets them.
    fn count(&self, bytes: usize) -> Result<(), Fault> {
        count(self.session, bytes)
    }

    /// How much is asked for where the policy has a cap: one byte more, which tells that there is more. With it
    /// what may be given yet.
    fn capped(&self, index: usize, limit: Option<u64>, earlier: u64) -> (Option<u64>, u64) {
        let Some(cap) = self.files.cap(index) else { return (limit, u64::MAX) };
        let room = cap.saturating_sub(earlier);
        let more = room.saturating_add(1);
        (Some(limit.map_or(more, |limit| limit.min(more))), room)
    }

    /// No more is read or written there than what was judged.
    fn check_cap(&self, index: usize, bytes: u64) -> Result<(), Failure> {
        match self.files.cap(index) {
            Some(cap) if bytes > cap => Err(over_cap(self.at(index), cap)),
            _ => Ok(()),
        }
    }

    fn left_behind(&self, path: &[u8]) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_vec());
    }
}

/// Counts bytes of content against what a standing grant gives.
fn count(session: &Session, bytes: usize) -> Result<(), Fault> {
    let Some(under) = session.under() else { return Ok(()) };
    match under.take_bytes(bytes) {
        all if all == bytes => Ok(()),
        _ => {
            let over = crate::domain::authorize::Denied::StandingExhausted;
            Err(Failure::from(over).sent(true).into())
        }
    }
}

/// Paths of one operation that its session remembers.
const PATHS: usize = 20;

/// For whoever looks at what the session did.
fn begun(files: &crate::domain::files::Files, request: Option<&Id>) -> FilesRun {
    FilesRun {
        id: None,
        kind: view::Kind::Files,
        verb: files.operation.verb().to_owned(),
        paths: files.at.iter().take(PATHS).map(|path| bytes::Bytes(path.clone())).collect(),
        path_count: files.at.len() as u64,
        command: files.in_short(),
        bytes: files.content.as_ref().map(|content| content.len() as u64),
        running: true,
        outcome: None,
        started_at: Timestamp::now(),
        duration_ms: None,
        request: request.map(Id::to_string),
    }
}

/// For the record: all but the content.
fn described(files: &crate::domain::files::Files) -> serde_json::Map<String, serde_json::Value> {
    let at: Vec<_> = files.at.iter().map(|path| bytes::Bytes(path.clone())).collect();
    fields([
        ("operation", serde_json::to_value(&files.operation)),
        ("way", serde_json::to_value(files.way)),
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

/// Announces an operation; one that a person said yes to is on the disk before it.
fn intent(session: &Session, files: &crate::domain::files::Files, request: Option<Id>) -> Record {
    let mut intent = record(Kind::FilesIntent, session);
    intent.durable = request.is_some();
    intent.request = request;
    intent.action = described(files);
    intent.decision = Some(fields([
        ("guard", Ok(files.judged.recorded())),
        ("passed_by", serde_json::to_value(&files.passed_by)),
    ]));
    intent
}

/// Writes a record; without it, what it announces must not happen.
async fn write(evidence: &Evidence, record: Record) -> Result<(), Failure> {
    evidence.append(record).await.map(|_| ()).map_err(|error| evidence_failed(&error))
}

/// The policy judges sizes there, and this is more than it was when it was judged.
fn over_cap(at: &[u8], cap: u64) -> Failure {
    let shown = escape::exact(at, 300);
    let message = format!(
        "{shown} has more than when it was judged: the policy judges anew what is beyond {cap} bytes, and \
         stopped there"
    );
    let hint = "run it again: it is judged by the size that it has then";
    Failure::new(Code::FilesChanged, message, hint).sent(true)
}

/// What was judged and what is there are not the same any more.
fn leads_elsewhere(at: &[u8]) -> Failure {
    let shown = escape::exact(at, 300);
    let message = format!("{shown} leads elsewhere than it did a moment ago; nothing was done");
    let hint = "look what changes there: sgw files stat SESSION PATH";
    Failure::new(Code::FilesChanged, message, hint).sent(true)
}
