//! A session's terminal: one shell on the target, typed into by the agent or by the operator, read by
//! lines or as a screen.

mod actor;
mod answers;
mod asked;
mod model;
mod open;
mod reads;
mod screen;
mod sieve;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Mutex as Turn, watch};
use tokio_util::sync::CancellationToken;

use self::model::Model;
pub use self::{
    asked::{Asked, Until},
    model::Before,
    open::{Slot, Typing},
    reads::{COMES, Lookout, Reads, Seen},
    screen::{Screen, Shown},
};
use super::{keyboard::Keyboard, record::Recorder};
use crate::{
    daemon::{
        authority::Under,
        upstream::{ChannelError, Look, Pool, Rest, Running, Writer},
    },
    domain::{
        bytes::Bytes,
        id::Id,
        prompt,
        terminal::Size,
        transcript::Transcript,
        typed::{Line, Reader},
    },
    protocol::{
        error::{Code, Failure},
        view::Changed,
    },
};

/// Before each piece of this size, in bytes, the agent is asked whether it still has the keyboard.
const PIECE: usize = 256;
/// So long the agent's keys wait for what was begun in private to come to its end.
const OPENS: Duration = Duration::from_secs(5);

/// A terminal, open or ended. Shared by its actor and whoever types, reads or looks.
pub struct Pty {
    session: Id,
    marker: String,
    keyboard: Arc<Keyboard>,
    recorder: Recorder,
    pool: Arc<Pool>,
    /// What it prints counts there.
    under: Option<Arc<Under>>,
    writer: Writer,
    model: Mutex<Model>,
    /// One text of the agent's at a time.
    turn: Turn<()>,
    /// The end of the transcript; closed when the terminal has ended.
    changes: watch::Receiver<u64>,
    /// Counts what was drawn, for whoever looks at the screen; closed likewise.
    drawn: watch::Receiver<u64>,
    stop: CancellationToken,
    over: CancellationToken,
    /// Its end is on record, and what ran on it has ended.
    ended: CancellationToken,
    /// Why it ended otherwise than by the shell's own end.
    why: Mutex<Option<Failure>>,
    /// What was in the foreground when the operator sat down.
    before: Mutex<Option<Look>>,
    /// What ran there before anything was hidden.
    start: Mutex<Option<Running>>,
    typed: Mutex<TypedInPrivate>,
    /// What stands in its line, as far as it is known.
    line: Mutex<Line>,
    lookout: Lookout,
    /// Held while a look is taken; the operator's keys come after it.
    looking: Arc<Turn<()>>,
}

/// What the operator typed since what comes is hidden.
#[derive(Clone, Copy, Default)]
struct TypedInPrivate {
    something: bool,
    /// Not up to an Enter: a line may stand there.
    half: bool,
}

/// What becomes of a terminal's line with what an agent types.
#[derive(Clone, Copy)]
enum Lines<'a> {
    /// Judged where `before` stood there.
    Judged {
        before: &'a Line,
        after: &'a Line,
    },
    Signal,
}

/// What a look found when the operator gives a terminal back.
#[derive(Default)]
pub struct LookedAfter {
    pub changed: Option<Changed>,
    /// What was typed in private without Enter may still stand there.
    pub line_left: bool,
}

impl Pty {
    fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.model)
    }

    /// Whether nothing more comes and nothing more can be typed.
    pub fn has_ended(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Why it ended, where that was not the shell's own end.
    pub fn why(&self) -> Option<Failure> {
        lock(&self.why).clone()
    }

    /// Returns when the terminal's end is on record.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Ends it, and what runs on it; [`Pty::ended`] tells when that is done.
    pub fn close(&self) {
        self.stop.cancel();
    }

    /// Types as the agent, as long as the agent has the keyboard: asked before each piece. Gives what
    /// stood there just before.
    ///
    /// # Errors
    /// What was begun in private goes on; another line stands there than `line` was judged for; the
    /// keyboard was taken, of which `sent` says whether something had been typed; the terminal ended.
    async fn type_as_agent(&self, bytes: &[u8], line: Lines<'_>) -> Result<Before, Failure> {
        let _turn = self.turn.lock().await;
        self.opens().await?;
        if let Lines::Judged { before, .. } = line
            && *lock(&self.line) != *before
        {
            return Err(self.stands_otherwise());
        }
        let before = self.model().before();
        let written = self.write_as_agent(bytes).await;
        let mut stands = lock(&self.line);
        match (&written, line) {
            (Ok(()), Lines::Judged { after, .. }) => stands.clone_from(after),
            (Ok(()), Lines::Signal) => *stands = stands.take(bytes, &Reader::Unseen).after,
            (Err(failure), _) if failure.sent == Some(false) => {}
            (Err(_), _) => stands.cut_short(),
        }
        written.map(|()| before)
    }

    async fn write_as_agent(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let begun = rest.len() < bytes.len();
            let piece = self.writer.write_some(&rest[..rest.len().min(PIECE)]);
            let written = self.keyboard.write(&self.session, piece).await;
            let written = written.map_err(|taken| taken.sent(begun))?;
            rest = &rest[written.map_err(|error| self.gone(&error).sent(begun))?..];
        }
        Ok(())
    }

    fn stands_otherwise(&self) -> Failure {
        let message = "what stands in the terminal's line is not what it was when this was judged, so \
                       nothing was typed";
        Failure::new(Code::ApprovalExpired, message, "look, and type it again: it is judged anew")
            .about(&self.session)
            .sent(false)
    }

    /// Types as the operator. What is not private is on record before.
    pub async fn type_as_operator(&self, bytes: &[u8]) -> Result<(), Failure> {
        drop(self.looking.lock().await);
        let private = self.keyboard.control().is_private();
        if !private {
            self.recorder.operators_input(bytes).await?;
        }
        if private || self.is_hidden() {
            let mut typed = lock(&self.typed);
            typed.something |= private;
            let ends = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0x03);
            typed.half = bytes.last().map_or(typed.half, |last| !ends(last));
        }
        lock(&self.line).disturb(bytes);
        self.writer.write(bytes.to_vec()).await.map_err(|error| self.gone(&error))
    }

    /// # Errors
    /// A size that is none.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), Failure> {
        let size = Size::new(rows, columns).map_err(|error| {
            let hint = "make the terminal's window smaller, or larger than nothing";
            Failure::new(Code::UsageArguments, error.to_string(), hint)
        })?;
        self.model().resize(size);
        self.writer.resize(size.into()).await.map_err(|error| self.gone(&error))
    }

    pub fn size(&self) -> Size {
        self.model().size()
    }

    /// What stops or goes on at the keyboard (`INT`, `QUIT`, `TSTP`, `EOF`) is typed, as the agent;
    /// other signals go to what has the terminal's foreground.
    pub async fn signal(&self, name: &str) -> Result<(), Failure> {
        let typed: &[u8] = match name {
            "INT" => b"\x03",
            "QUIT" => b"\x1c",
            "TSTP" => b"\x1a",
            "EOF" => b"\x04",
            "TERM" | "HUP" | "KILL" | "CONT" | "USR1" | "USR2" => {
                self.keyboard.check_agent(&self.session)?;
                self.recorder.signal(name).await?;
                let sending = self.pool.signal_foreground(&self.marker, name);
                return match self.keyboard.write(&self.session, sending).await? {
                    true => Ok(()),
                    false => Err(Failure::new(
                        Code::TargetRefused,
                        "nothing in the foreground could be signalled",
                        "type it: sgw input SESSION --key ctrl-c; or close the session",
                    )),
                };
            }
            _ => {
                return Err(Failure::new(
                    Code::UsageArguments,
                    "that is no signal that can be sent",
                    "INT TERM QUIT HUP KILL TSTP CONT USR1 USR2 EOF",
                ));
            }
        };
        self.opens().await?;
        self.recorder.signal(name).await?;
        self.type_as_agent(typed, Lines::Signal).await.map(|_| ())
    }

    /// What everyone may see. While the operator is private: what was shown before.
    pub fn screen(&self) -> Shown {
        self.model().open().shown()
    }

    /// The lines of [`Pty::screen`].
    pub fn screen_lines(&self) -> Vec<String> {
        self.model().open().lines()
    }

    /// What the operator sees, private or not.
    pub fn operator_screen(&self) -> Shown {
        self.model().live().shown()
    }

    /// Whether what stands before the cursor seems to ask for a secret: a guess. Of what everyone may
    /// see.
    pub fn asks_for_secret(&self) -> bool {
        prompt::asks_for_secret(&self.model().open().before_cursor())
    }

    /// The same of what the operator sees, private or not.
    pub fn asks_operator_for_secret(&self) -> bool {
        prompt::asks_for_secret(&self.model().live().before_cursor())
    }

    /// Whether what comes is kept from everyone but the operator. It is for a while after they were
    /// private: what they began then has to come to its end.
    pub fn is_hidden(&self) -> bool {
        self.model().is_private()
    }

    /// Comes when nothing is hidden, for the agent's keys: what they would do is not seen, and what was
    /// begun in private is not theirs to stop or to answer.
    ///
    /// # Errors
    /// What was begun in private goes on for longer than [`OPENS`]; the keyboard was taken.
    pub async fn opens(&self) -> Result<(), Failure> {
        let mut drawn = self.drawn();
        let opens = async { while self.is_hidden() && drawn.changed().await.is_ok() {} };
        let opens = tokio::time::timeout(OPENS, opens);
        let _late =
            self.keyboard.write(&self.session, opens).await.map_err(|why| why.sent(false))?;
        if !self.is_hidden() {
            return Ok(());
        }
        Err(Failure::new(
            Code::ControlOperator,
            "what the operator began in private still goes on there: it is kept from you, and \
             nothing was typed",
            format!("try again later; or ask: sgw handoff {} 'please finish there'", self.session),
        )
        .about(&self.session)
        .sent(false))
    }

    /// Whether programs want cursor keys in the application's form, as far as everyone may see.
    pub fn application_cursor(&self) -> bool {
        self.model().open().application_cursor()
    }

    /// The transcript's end: changes as bytes come, never while the operator is private, and closes
    /// when the terminal has ended.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Changes with [`Pty::operator_screen`], and closes when the terminal has ended.
    pub fn drawn(&self) -> watch::Receiver<u64> {
        self.drawn.clone()
    }

    /// The transcript's end.
    pub fn end(&self) -> u64 {
        self.model().transcript.cursor()
    }

    /// What is kept, to be searched while the terminal goes on.
    pub fn transcript(&self) -> Transcript {
        self.model().transcript.clone()
    }

    /// The bytes from `since` on that are kept, and where they begin.
    pub fn raw(&self, since: u64) -> (u64, Vec<u8>) {
        self.model().transcript.raw(since)
    }

    /// Where the agent's last read ended.
    pub fn read_to(&self) -> u64 {
        self.model().read_to
    }

    /// The agent has read from `from` to `to`, both at a line's begin. What lies unread before is not
    /// passed over.
    pub fn has_read(&self, from: u64, to: u64) {
        let mut model = self.model();
        if model.read_to >= from {
            model.read_to = model.read_to.max(to);
        }
    }

    /// The session is over: less of it is kept.
    pub(super) fn fade(&self) {
        self.model().fade();
    }

    /// Remembers what is in the foreground, to be compared with later; the first look counts. Where
    /// nothing was hidden yet, `anew`, so does what runs. Goes on beside; what the operator types waits for
    /// it, since what they begin is to be told from what ran before.
    pub async fn look_before(self: &Arc<Self>, anew: bool) {
        let looking = self.looking.clone().lock_owned().await;
        let pty = self.clone();
        tokio::spawn(async move {
            pty.look_first(anew).await;
            drop(looking);
        });
    }

    async fn look_first(&self, anew: bool) {
        if anew {
            *lock(&self.start) = None;
        }
        if lock(&self.before).is_none()
            && let Some(look) = self.pool.look(&self.marker).await
        {
            if anew {
                lock(&self.start).clone_from(&look.running);
            }
            lock(&self.before).get_or_insert(look);
        }
    }

    /// What is other than it was at [`Pty::look_before`], which is forgotten. A line that was begun in
    /// private is taken away where a shell is sure to have it: its next reader would have it run.
    pub async fn look_after(&self) -> LookedAfter {
        let before = lock(&self.before).take();
        let half = lock(&self.typed).half;
        if before.is_none() && !half {
            return LookedAfter::default();
        }
        let Some(now) = self.pool.look(&self.marker).await else {
            return LookedAfter { changed: None, line_left: half };
        };
        let line_left = half && !(self.rests(&now) == Rest::Shell && self.drop_line().await);
        let changed = before.map(|before| Changed {
            user: now.user.filter(|user| before.user.as_ref() != Some(user)),
            cwd: now.cwd.filter(|cwd| before.cwd.as_ref() != Some(cwd)).map(Bytes),
            program: now.program.filter(|program| before.program.as_ref() != Some(program)),
        });
        LookedAfter { changed, line_left }
    }

    fn rests(&self, look: &Look) -> Rest {
        let start = lock(&self.start);
        look.running.as_ref().map_or(Rest::Works, |running| running.rest(start.as_ref()))
    }

    /// Ctrl-C, at a shell's prompt: what Ctrl-U takes away, Ctrl-Y gives back.
    async fn drop_line(&self) -> bool {
        let dropped = self.writer.write(b"\x03".to_vec()).await.is_ok();
        if dropped {
            lock(&self.line).disturb(b"\x03");
            lock(&self.typed).half = false;
        }
        dropped
    }

    fn gone(&self, error: &ChannelError) -> Failure {
        Failure::new(
            Code::SessionLost,
            format!("the terminal has ended: {error}"),
            format!(
                "see what it showed last: sgw output {}; the next input opens a new one",
                self.session
            ),
        )
        .about(&self.session)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
