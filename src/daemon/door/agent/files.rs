//! Files on a target: what is to be written is taken in whole first, so that what a person, or the policy,
//! says yes to is what is written.

mod check;
mod kept;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use self::check::{check_operation, into_itself, known_sizes};
use super::{
    Caller,
    exec::{still_held, stopped_until},
    value, view,
};
use crate::{
    daemon::{
        audit,
        desk::{Ground, JudgedFiles, Line, NotAsked, Outcome, Permit, Verdict},
        door::{
            follow::Control,
            link::{Gone, to_its_end},
        },
        files::{Resolved, Running},
        session::{
            Session,
            stdin::{CREDIT, Stdin},
        },
    },
    domain::{
        files::{
            Files, How, Look, Operation, REDACTED, Way, Write,
            transfer::{Item, MOST_ITEMS, What},
        },
        grant::Mode,
        guard::{self, files::Canonical},
        id::Id,
        judgement::Manner,
    },
    protocol::{
        agent::Message,
        error::{Code, Failure},
        files::{self, Done},
        frame::{Frame, Kind, MAX_CHUNK},
    },
};

/// The most that is written at once: larger files are put.
const MOST: usize = 16 * 1024 * 1024;
/// What all callers' contents take, those that wait for a person too, in KiB.
const ROOM: usize = 256 * 1024;
static CONTENTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(ROOM)));

/// A content, and its room.
struct Held {
    bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

type Sent = Result<(), Gone>;

impl Caller {
    /// Judges an operation, waits for the operator where that is asked, does it and tells how it went.
    pub(super) async fn files(
        &self,
        number: u32,
        asked: files::Files,
        control: &Arc<Control>,
    ) -> Result<Sent, Failure> {
        let files::Files { session, operation, way, wait_ms, no_ask, only_judged } = asked;
        check_operation(&operation)?;
        let needs = operation.needs();
        let session = self.session(&session, way.needs().unwrap_or(needs)).await?;
        session.collected();
        self.check_stopped(&session)?;
        self.tell_news(number, &session).await;
        let stdin = match &operation {
            Operation::Put(_) => {
                let stdin = Arc::new(Stdin::default());
                // Never set before: a call takes one content.
                let _first = control.feeds.set(stdin.clone());
                Some(stdin)
            }
            _ => None,
        };
        let content = match &operation {
            Operation::Write(_) => Some(self.content(number, control).await?),
            _ => None,
        };
        let wait = wait_ms.map(Duration::from_millis);
        let over = wait.map(|wait| Instant::now() + wait);
        self.logged_in(number, &session, needs, no_ask, over).await?;
        self.check_paused(&session)?;
        let files = self.read_files(&session, operation, way, content, only_judged).await?;
        if only_judged {
            let nothing = Done::Transferred { files: 0, failed: 0, bytes: 0 };
            return Ok(self.outbox.answer(number, value(&nothing)).await);
        }
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let verdict = match self.parts.desk.judge_files(&self.asker, &ground, files, no_ask) {
            Ok(verdict) => verdict,
            Err(refused) => return Err(self.files_refused(&session, refused).await),
        };
        let (permit, request) = match verdict {
            Verdict::Permit(permit) => (permit, None),
            Verdict::Asked { id, new } => {
                if new {
                    self.announce(&id).await?;
                }
                // A yes that is there already is not waited for.
                if self.parts.desk.is_open(self.identity(), &id) {
                    self.say_waiting(number, &id, view::Kind::Command).await;
                }
                let waiting = self.parts.desk.wait(self.identity(), &id, wait);
                if let Outcome::Done(ended) = Self::unless_taken(&session, &id, waiting).await? {
                    return self.again(number, &id, &ended, control).await;
                }
                // The yes is kept: `sgw wait` comes back for it.
                let stopped = self.check_stopped(&session);
                stopped.map_err(|stopped| stopped_until(stopped, &id))?;
                let logged_in = self.logged_in(number, &session, needs, no_ask, over);
                logged_in.await.map_err(|failure| still_held(failure, &id))?;
                (self.permit_files(&id, &session)?, Some(id))
            }
        };
        Ok(self.carry_files(number, &session, permit, request, stdin, control).await)
    }

    /// `sgw wait` with the request of an operation: does it, once, when it is approved.
    pub(super) async fn wait_for_files(
        &self,
        number: u32,
        id: &Id,
        files: &Files,
        over: Option<Instant>,
        control: &Arc<Control>,
    ) -> Result<Sent, Failure> {
        let left = over.map(|over| over.saturating_duration_since(Instant::now()));
        let waiting = self.parts.desk.wait(self.identity(), id, left);
        let session = self.parts.sessions.to_use(files.session.as_str(), self.identity());
        let outcome = match &session {
            Ok(session) => Self::unless_taken(session, id, waiting).await?,
            Err(_over) => waiting.await?,
        };
        let transfers = matches!(files.operation, Operation::Get { .. } | Operation::Put(_));
        if let Outcome::Done(ended) = outcome {
            if transfers {
                // What came or went was its own call's.
                let done = ended.done.clone().and_then(|done| value(&done));
                return Ok(self.outbox.answer(number, done).await);
            }
            return self.again(number, id, &ended, control).await;
        }
        if transfers {
            return Ok(self.outbox.answer(number, value(&runs_again(id))).await);
        }
        let session = session?;
        let held = |failure| still_held(failure, id);
        self.goes_on(&session, over).await.map_err(held)?;
        let needs = files.operation.needs();
        let logged_in = self.logged_in(number, &session, needs, false, over);
        logged_in.await.map_err(held)?;
        let permit = self.permit_files(id, &session)?;
        Ok(self.carry_files(number, &session, permit, Some(id.clone()), None, control).await)
    }

    fn permit_files(&self, id: &Id, session: &Session) -> Result<Permit<Files>, Failure> {
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        self.parts.desk.begin_approved_files(id, self.identity(), &ground)
    }

    /// What the caller sends, to its end.
    async fn content(&self, number: u32, control: &Control) -> Result<Bytes, Failure> {
        let stdin = Arc::new(Stdin::default());
        // Never set before: a call takes one content.
        let _first = control.feeds.set(stdin.clone());
        let _gone = self.credit(number, CREDIT).await;
        let mut held = Held { bytes: Vec::new(), room: None };
        loop {
            let chunk = tokio::select! {
                biased;
                () = control.cancel.cancelled() => return Err(broken_off()),
                () = control.left.cancelled() => return Err(broken_off()),
                chunk = stdin.next() => chunk,
                bytes = stdin.more_credit() => {
                    let _gone = self.credit(number, bytes).await;
                    continue;
                }
            };
            let Some(chunk) = chunk else { break };
            held.take(&chunk)?;
            stdin.took(chunk.len());
        }
        let content = Bytes::from_owner(held);
        match contains(&content, REDACTED.as_bytes()) {
            true => Err(redacted()),
            false => Ok(content),
        }
    }

    async fn credit(&self, number: u32, bytes: u64) -> Sent {
        self.outbox.json(number, &Message::Credit { bytes }).await
    }

    /// The operation with where it leads, and what the guard says of it there.
    async fn read_files(
        &self,
        session: &Arc<Session>,
        mut operation: Operation,
        way: Way,
        content: Option<Bytes>,
        only_judged: bool,
    ) -> Result<Files, Failure> {
        let texts = operation.take_texts();
        let looks = |operation: &Operation| self.may_look_at(session, operation, way);
        let about = |failure: Failure| failure.about(&session.id);
        let files = &self.parts.files;
        let resolved = files.resolve(session, looks(&operation)?, &operation, way).await;
        let Resolved { at, home, seen, leads } = resolved.map_err(about)?;
        operation.lead(leads);
        if operation.moves_into_itself(&at) {
            return Err(about(into_itself(&at[0])));
        }
        let mut sizes = known_sizes(&operation, content.as_ref());
        let mut said = self.judge_files_by(way, session, &operation, (&at, &sizes), &home).await?;
        if !said.sized {
            let found = files
                .sizes((session, way), looks(&operation)?, (&operation, &at), content.as_ref())
                .await;
            sizes = found.map_err(about)?;
            said = self.judge_files_by(way, session, &operation, (&at, &sizes), &home).await?;
        }
        let JudgedFiles { judged, refused, caps, .. } = said;
        let mode = session.grant().mode;
        let asks = match judged.decision {
            guard::Decision::Allow => mode != Mode::Guarded,
            guard::Decision::Approve => true,
            guard::Decision::Block => false,
        };
        let unsaid = matches!(&operation, Operation::Put(put) if !put.has_sums());
        if asks && (unsaid || only_judged) {
            return Err(unsummed());
        }
        let mut replaced = Vec::new();
        if asks {
            let looked = files.compare(
                (session, way),
                looks(&operation)?,
                (&operation, &at),
                content.as_ref(),
                texts,
            );
            replaced = looked.await.map_err(about)?;
        }
        operation.refuse(&refused);
        operation.saw(seen);
        let tells_sum = self.tells_sum(way, session, &operation, &at, &home).await?;
        let (session, passed_by) = (session.id.clone(), Vec::new());
        Ok(Files {
            session,
            operation,
            way,
            at,
            content,
            replaced,
            caps,
            tells_sum,
            judged,
            passed_by,
        })
    }

    /// Whether the caller would hear the SHA-256 of what is there unasked, were that the question: of what is compared
    /// with one, and of what something comes behind.
    async fn tells_sum(
        &self,
        way: Way,
        session: &Session,
        operation: &Operation,
        at: &[Vec<u8>],
        home: &Canonical,
    ) -> Result<bool, Failure> {
        let path = match operation {
            Operation::Write(Write { path, if_sum: Some(_), .. }) => path,
            Operation::Write(Write { path, how: How::Append, .. }) => path,
            _ => return Ok(false),
        };
        let sum = Operation::Sum { path: path.clone() };
        let grant = session.grant();
        if !grant.capabilities.contains(&sum.needs()) || grant.mode == Mode::Each {
            return Ok(false);
        }
        let said = self.judge_files_by(way, session, &sum, (at, &[]), home).await?;
        Ok(said.judged.decision == guard::Decision::Allow && said.sized)
    }

    fn may_look_at(
        &self,
        session: &Session,
        operation: &Operation,
        way: Way,
    ) -> Result<Permit<Look>, Failure> {
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let desk = &self.parts.desk;
        let look = desk.may_look(self.identity(), &ground, &session.id, operation.needs())?;
        match way.needs() {
            Some(needs) => desk.may_look(self.identity(), &ground, &session.id, needs),
            None => Ok(look),
        }
    }

    /// `sizes`: as [`crate::daemon::desk::Guard::judge_files`] has them.
    pub(super) async fn judge_files(
        &self,
        session: &Session,
        operation: &Operation,
        (at, sizes): (&[Vec<u8>], &[Option<u64>]),
        home: &Canonical,
    ) -> Result<JudgedFiles, Failure> {
        self.judge_files_by(Way::Sftp, session, operation, (at, sizes), home).await
    }

    async fn judge_files_by(
        &self,
        way: Way,
        session: &Session,
        operation: &Operation,
        (at, sizes): (&[Vec<u8>], &[Option<u64>]),
        home: &Canonical,
    ) -> Result<JudgedFiles, Failure> {
        // sgw's own quoting, whatever shell the account has.
        let shell = guard::Shell::Posix;
        let (target, identity) = (session.target(), self.identity());
        let manner = Manner { shell, ..Manner::of(&session.grant()) };
        let bytes = way.command(operation, at);
        let files = self.parts.sessions.scripts.of(&session.account());
        let (target, stdin) = (target.as_str(), None);
        let line = Line { bytes, own: None, target, identity, manner, cwd: None, stdin, files };
        self.parts.desk.guard.judge_files(line, operation, (at, sizes), home).await
    }

    /// What the policy blocks is put on record; what was refused is counted.
    pub(super) async fn files_refused(
        &self,
        session: &Session,
        refused: NotAsked<Files>,
    ) -> Failure {
        let NotAsked { failure, blocked } = refused;
        if !matches!(failure.code, Code::GuardBlocked | Code::ApprovalDenied) {
            return failure;
        }
        let (parts, id) = (self.parts.clone(), session.id.clone());
        let (owner, target) = (self.identity().to_string(), session.target());
        let recording = async move {
            let recorded = match blocked {
                Some(files) => audit::files_blocked(&parts.evidence, &owner, &target, &files).await,
                None => Ok(()),
            };
            parts.refused(&id).await;
            recorded
        };
        match to_its_end(recording).await {
            Ok(()) if failure.id.is_some() => failure,
            Ok(()) => failure.about(&session.id),
            Err(failure) => failure,
        }
    }

    /// Does it: what it reads goes to the caller as it comes, then the answer.
    async fn carry_files(
        &self,
        number: u32,
        session: &Arc<Session>,
        permit: Permit<Files>,
        request: Option<Id>,
        stdin: Option<Arc<Stdin>>,
        control: &Control,
    ) -> Sent {
        let _using = self.parts.in_use.begin();
        let _fed = Fed(stdin.clone());
        let follows = permit.follows();
        let run = self.parts.files.run(session, permit, request.clone(), stdin.clone());
        let Running { mut pieces, mut notes, end } = match request {
            Some(id) => kept::keeping(self.parts.desk.clone(), id, run, follows),
            None => run,
        };
        if stdin.is_some() {
            self.credit(number, CREDIT).await?;
        }
        let mut offset = 0;
        loop {
            let piece = tokio::select! {
                biased;
                () = control.cancel.cancelled() => break,
                () = control.left.cancelled(), if stdin.is_some() => break,
                Some(note) = notes.recv() => {
                    let note = Message::Note { text: note.to_owned() };
                    self.outbox.json(number, &note).await?;
                    continue;
                }
                piece = pieces.recv() => piece,
                bytes = more_credit(stdin.as_deref()) => {
                    self.credit(number, bytes).await?;
                    continue;
                }
            };
            let Some(piece) = piece else { break };
            for chunk in piece.chunks(MAX_CHUNK) {
                let frame = Frame::output(Kind::Stdout, number, offset, chunk);
                self.outbox.send(frame).await?;
                offset += chunk.len() as u64;
            }
        }
        // Nobody reads on: what only reads ends. Nobody sends on: what is half put ends.
        drop(pieces);
        drop(_fed);
        let done = end.await.unwrap_or_else(|error| Err(kept::failed(&error)));
        self.outbox.answer(number, done.and_then(|done| value(&done))).await
    }
}

impl Held {
    /// Takes in more of it, where there is room.
    fn take(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let size = self.bytes.len() + chunk.len();
        if size > MOST {
            let message = format!("more than {} MiB are too much to write at once", MOST >> 20);
            let hint = "put it as a file: sgw files put SESSION LOCAL REMOTE";
            return Err(Failure::new(Code::LimitContent, message, hint).sent(false));
        }
        let held = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = (size.div_ceil(1024)).saturating_sub(held);
        // At most MOST / 1024.
        let room = CONTENTS.clone().try_acquire_many_owned(more as u32).map_err(|_| {
            let message = "too much is being written, or waits for a person, at once";
            Failure::new(Code::LimitContent, message, "wait for some of it: sgw requests")
                .sent(false)
        })?;
        match &mut self.room {
            Some(held) => held.merge(room),
            None => self.room = Some(room),
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

/// What a caller sends, which ends with the call, however that ends.
struct Fed(Option<Arc<Stdin>>);

impl Drop for Fed {
    fn drop(&mut self) {
        if let Some(stdin) = &self.0 {
            // An empty chunk is the end, which costs no credit.
            let _ended = stdin.push(Vec::new());
        }
    }
}

async fn more_credit(stdin: Option<&Stdin>) -> u64 {
    match stdin {
        Some(stdin) => stdin.more_credit().await,
        None => std::future::pending().await,
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn redacted() -> Failure {
    Failure::new(
        Code::FilesRedacted,
        "what is to be written holds a mark that stands for a secret, so nothing was written",
        "change the lines around it alone: sgw files edit SESSION PATH --old TEXT --new TEXT",
    )
    .sent(false)
}

/// What a person is asked about is what is put, byte for byte.
fn unsummed() -> Failure {
    let message =
        "a person is to decide on what is put, so it is to be said with the SHA-256 of each file";
    Failure::new(Code::FilesSums, message, "sgw files put says it by itself").sent(false)
}

/// What is got or put goes through the call that asked.
fn runs_again(id: &Id) -> files::RunsAgain {
    let next = "run the same call again".to_owned();
    files::RunsAgain { request: id.to_string(), approved: true, next }
}

fn broken_off() -> Failure {
    Failure::new(Code::RequestClosed, "the caller broke it off", "nothing was written").sent(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_takes_room_and_gives_it_back() {
        let free = || CONTENTS.available_permits();
        let before = free();
        let mut held = Held { bytes: Vec::new(), room: None };
        for _ in 0..3 {
            held.take(&[7; 1500]).unwrap();
        }
        assert_eq!(free(), before - 5);
        let content = Bytes::from_owner(held);
        let copy = content.slice(1..);
        drop(content);
        assert_eq!((copy.len(), free()), (4499, before - 5));
        drop(copy);
        assert_eq!(free(), before);
    }

    #[test]
    fn more_than_is_taken_is_refused() {
        let mut held = Held { bytes: Vec::new(), room: None };
        held.take(&vec![0; MOST]).unwrap();
        assert_eq!(held.take(&[0]).unwrap_err().code, Code::LimitContent);
    }
}
