//! Typing into a session's terminal, and reading what comes of it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use super::{
    Caller,
    exec::{still_held, stopped_until},
    look::terminal,
    value, view,
};
use crate::{
    daemon::{
        desk::{self, Ground, NotAsked, Permit, Verdict},
        door::link::{Room, to_its_end},
        reading,
        session::{
            Session, keyboard,
            pty::{Reads, Typing, Until},
        },
    },
    domain::{
        action::{self, Action},
        bytes::Bytes,
        capability::Capability,
        echo::{Seen, WaitFor},
        escape,
        id::Id,
        judgement::Manner,
        keys,
        transcript::Want,
        typed::{Line, Reader},
    },
    protocol::{
        agent::{self, Message},
        error::{Code, Failure},
    },
};

/// The most that is typed at once, in bytes.
const MOST: usize = 64 * 1024;
/// The most keys after the text.
const KEYS: usize = 1000;
/// How long is read at the very most.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What a pattern is matched against at once, in bytes, …
const SLICE: usize = 64 * 1024;
/// … and for how long, before others have their turn.
const TURN: Duration = Duration::from_millis(100);
/// A pattern may take all of a processor: one at a time, and never where others are answered.
static MATCHING: Semaphore = Semaphore::const_new(1);

/// Why reading stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopped {
    Matched,
    Quiet,
    TimedOut,
    Ended,
}

impl Caller {
    /// Judges what is to be typed, waits for the operator where that is asked, types it and reads on.
    pub(super) async fn input(
        &self,
        number: u32,
        asked: agent::Input,
    ) -> Result<(view::Typed, Room), Failure> {
        let session = self.session(&asked.session, Capability::Pty).await?;
        session.collected();
        self.check_stopped(&session)?;
        self.tell_news(number, &session).await;
        let until = read_until(&asked)?;
        let bytes = read_input(&asked, &session)?;
        let text = asked.text.is_some() || is_text(&bytes);
        check_prompt(&session, text)?;
        let wait = asked.wait_ms.map(Duration::from_millis);
        let over = wait.map(|wait| Instant::now() + wait);
        self.logged_in(number, &session, Capability::Pty, asked.no_ask, over).await?;
        let alone = session.alone_at_terminal().await;
        let verdict = self.judge_input(&session, bytes, asked.no_ask).await?;
        let typing = match verdict {
            Verdict::Permit(permit) => {
                let typing = self.type_now(number, &session, permit, None).await?;
                drop(alone);
                typing
            }
            Verdict::Asked { id, new } => {
                drop(alone);
                session.asked_inputs.add(&id, until.clone());
                if new {
                    self.announce(&id).await?;
                }
                self.say_waiting(number, &id, view::Kind::Command).await;
                let waiting = self.parts.desk.wait(self.identity(), &id, wait);
                Self::unless_taken(&session, &id, waiting).await?;
                // The yes is kept: `sgw wait` comes back for it.
                let stopped = self.check_stopped(&session);
                stopped.map_err(|stopped| stopped_until(stopped, &id))?;
                let logged_in =
                    self.logged_in(number, &session, Capability::Pty, asked.no_ask, over);
                logged_in.await.map_err(|failure| still_held(failure, &id))?;
                let permit = self.permit_input(&id, &session, text)?;
                self.type_now(number, &session, permit, Some(id)).await?
            }
        };
        self.read(number, &session, typing, &until).await
    }

    /// What the guard says of what is to be typed, where it would go now.
    async fn judge_input(
        &self,
        session: &Arc<Session>,
        bytes: Vec<u8>,
        no_ask: bool,
    ) -> Result<Verdict<action::Input>, Failure> {
        let open = session.open_pty().filter(|pty| !pty.has_ended());
        let (line, reads) = match open {
            Some(pty) => {
                // Nobody is asked about what could not be typed.
                pty.opens().await?;
                let reads = pty.reads().await;
                (pty.line(), reads)
            }
            None => {
                let reader = Reader::of_login(session.surroundings.shell);
                (Line::default(), Reads { reader, cwd: None })
            }
        };
        self.judge_keys(session, line, reads, bytes, no_ask).await
    }

    /// The same of keys for whichever terminal it is that has this in its line.
    pub(super) async fn judge_keys(
        &self,
        session: &Arc<Session>,
        before: Line,
        reads: Reads,
        bytes: Vec<u8>,
        no_ask: bool,
    ) -> Result<Verdict<action::Input>, Failure> {
        let step = before.take(&bytes, &reads.reader);
        let shown = Bytes(step.shown.clone());
        let (grant, place, target) = (session.grant(), session.place(), session.target());
        let line = desk::Line {
            bytes: step.shown.clone(),
            own: None,
            target: &target,
            identity: self.identity(),
            manner: Manner::of(&grant),
            cwd: reads.cwd,
            stdin: None,
            files: self.parts.sessions.scripts.of(&session.account()),
        };
        let (judged, after) = self.parts.desk.guard.judge_typed(line, step).await?;
        let session_id = session.id.clone();
        let input = action::Input { session: session_id, bytes, shown, before, after, judged };
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        match self.parts.desk.judge_input(&self.asker, &ground, input, no_ask) {
            Ok(verdict) => Ok(verdict),
            Err(NotAsked { failure, blocked }) => {
                let blocked = blocked.map(Action::Input);
                Err(self.refused_action(session, failure, blocked).await)
            }
        }
    }

    /// `sgw wait` with the request of an input: types it, once, when it is approved; afterwards reads
    /// its answer again.
    pub(super) async fn wait_for_input(
        &self,
        number: u32,
        id: &Id,
        input: &action::Input,
        over: Option<Instant>,
    ) -> Result<(view::Typed, Room), Failure> {
        let action::Input { session, bytes, .. } = input;
        if let Ok(session) = self.parts.sessions.to_use(session.as_str(), self.identity())
            && let Some(typing) = session.asked_inputs.typing(id)
        {
            self.goes_on(&session, over).await?;
            let until = session.asked_inputs.until(id);
            return self.read(number, &session, typing, &until).await;
        }
        let left = over.map(|over| over.saturating_duration_since(Instant::now()));
        let waiting = self.parts.desk.wait(self.identity(), id, left);
        let session = self.parts.sessions.to_use(session.as_str(), self.identity());
        match &session {
            Ok(session) => Self::unless_taken(session, id, waiting).await?,
            Err(_over) => waiting.await?,
        };
        let session = session?;
        let held = |failure| still_held(failure, id);
        self.goes_on(&session, over).await.map_err(held)?;
        let logged_in = self.logged_in(number, &session, Capability::Pty, false, over);
        logged_in.await.map_err(held)?;
        let text = is_text(bytes);
        let permit = self.permit_input(id, &session, text)?;
        let until = session.asked_inputs.until(id);
        let typing = self.type_now(number, &session, permit, Some(id.clone())).await?;
        self.read(number, &session, typing, &until).await
    }

    /// Uses up a yes, unless nothing could be typed now: then the yes stays.
    fn permit_input(
        &self,
        id: &Id,
        session: &Session,
        text: bool,
    ) -> Result<Permit<action::Input>, Failure> {
        check_prompt(session, text)?;
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        self.parts.desk.permit_approved_input(id, self.identity(), &ground)
    }

    async fn type_now(
        &self,
        number: u32,
        session: &Arc<Session>,
        permit: Permit<action::Input>,
        request: Option<Id>,
    ) -> Result<Typing, Failure> {
        self.parts.in_use.touch();
        let typing = self.parts.sessions.type_input(session, permit, request).await?;
        if typing.instead {
            let text = "the terminal had ended; this is a new one".to_owned();
            let _gone = self.outbox.json(number, &Message::Note { text }).await;
        }
        Ok(typing)
    }

    /// What came of what was typed.
    async fn read(
        &self,
        number: u32,
        session: &Arc<Session>,
        typing: Typing,
        until: &Until,
    ) -> Result<(view::Typed, Room), Failure> {
        let _using = self.parts.in_use.begin();
        let stopped = read_on(session, &typing, until).await?;
        let Typing { pty, before, .. } = typing;
        if pty.is_hidden() {
            let text = "what the operator began in private still prints: it is kept from you until it \
                        is quiet";
            let _gone = self.outbox.json(number, &Message::Note { text: text.to_owned() }).await;
        }
        let room = self.outbox.room().await;
        let page = reading::page(&pty, before.from, Want::First(usize::MAX)).await?;
        pty.has_read(before.line, page.cursor());
        let typed = view::Typed {
            output: reading::of_pty(session, page, !pty.has_ended()),
            matched: until.pattern.is_some().then_some(stopped == Stopped::Matched),
            timed_out: stopped == Stopped::TimedOut,
            asks_for_secret: pty.asks_for_secret(),
        };
        Ok((typed, room))
    }

    /// A signal for what runs in a session's terminal.
    pub(super) async fn signal_terminal(
        &self,
        word: &str,
        name: &str,
    ) -> Result<serde_json::Value, Failure> {
        let session = self.parts.sessions.to_use(word, self.identity())?;
        self.check_stopped(&session)?;
        self.may_type_unasked(&session)?;
        let pty = terminal(&session)?.filter(|pty| !pty.has_ended()).ok_or_else(|| {
            let message = format!("{} has no terminal that runs", session.id);
            Failure::new(Code::OutputGone, message, format!("sgw show {}", session.id))
                .about(&session.id)
        })?;
        let name = name.to_owned();
        to_its_end(async move { pty.signal(&name).await }).await?;
        value(&self.parts.shown(&session))
    }

    /// Whether there may be a terminal of somebody's own; true where not each key would be asked about.
    pub(super) fn may_type(&self, session: &Session) -> Result<bool, Failure> {
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let may = self.parts.desk.may_type(&self.asker, &ground, &session.target());
        may.map_err(|failure| failure.about(&session.id))
    }

    /// A signal is judged as what is typed, and asks nobody: where typing asks, it is refused.
    fn may_type_unasked(&self, session: &Session) -> Result<(), Failure> {
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        match self.parts.desk.judge_signal(&self.asker, &ground, &session.target()) {
            Ok(()) => Ok(()),
            Err(failure) if failure.code == Code::ApprovalRequired => Err(Failure::new(
                Code::ApprovalRequired,
                "what is typed there needs the operator's yes, and a signal asks for none",
                format!("ask with a key: sgw input {} --key ctrl-c", session.id),
            )
            .about(&session.id)
            .sent(false)),
            Err(failure) => Err(failure.about(&session.id)),
        }
    }
}

fn read_until(asked: &agent::Input) -> Result<Until, Failure> {
    let usual = Until::default();
    let timeout = asked.timeout_ms.map_or(usual.timeout, Duration::from_millis);
    if timeout > LONGEST {
        return Err(Failure::new(
            Code::UsageArguments,
            "no answer is waited for longer than a day",
            "give a shorter --timeout",
        ));
    }
    let pattern = asked.wait_for.as_deref().map(reading::pattern).transpose()?;
    let settle = asked.settle_ms.map_or(usual.settle, Duration::from_millis).min(timeout);
    Ok(Until { pattern, settle, timeout })
}

/// Whether it is more than control keys, like Enter or Ctrl-C.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| !byte.is_ascii_control())
}

/// Where a password is asked for, no text is typed: what an agent knows is no secret, and what it
/// does not know is the operator's to type.
fn check_prompt(session: &Session, text: bool) -> Result<(), Failure> {
    let at_prompt = || {
        let pty = session.open_pty().filter(|pty| !pty.has_ended());
        pty.is_some_and(|pty| pty.asks_for_secret())
    };
    if text && at_prompt() {
        let hint = format!(
            "sgw handoff {0} 'please type the password'; or leave it: sgw input {0} --key ctrl-c",
            session.id
        );
        let message = "the terminal seems to ask for a password (a guess), so nothing was typed";
        return Err(Failure::new(Code::InputEchoOff, message, hint).about(&session.id).sent(false));
    }
    Ok(())
}

/// The bytes: the text, Enter, the keys.
fn read_input(asked: &agent::Input, session: &Session) -> Result<Vec<u8>, Failure> {
    let wrong = |message: &str, hint: &str| {
        Err(Failure::new(Code::UsageArguments, message, hint).sent(false))
    };
    if asked.secret.is_some() {
        return wrong(
            "secrets that are typed by name are not built yet",
            "hand the keyboard over for a password: sgw handoff SESSION MESSAGE",
        );
    }
    if asked.keys.len() > KEYS {
        return wrong("too many keys at once", "send them in several inputs");
    }
    let mut bytes = Vec::new();
    if let Some(text) = &asked.text {
        bytes.extend_from_slice(text.as_slice());
        if asked.enter {
            bytes.push(b'\r');
        }
    }
    let application = session.open_pty().is_some_and(|pty| pty.application_cursor());
    for key in &asked.keys {
        let pressed = keys::bytes(key, application).map_err(|error| {
            let message = escape::visible(&error.to_string(), 200);
            Failure::new(Code::UsageArguments, message, "sgw input --help lists the keys")
                .sent(false)
        })?;
        bytes.extend_from_slice(&pressed);
    }
    if bytes.is_empty() {
        return wrong("there is nothing to type", "sgw input SESSION TEXT, or --key KEY");
    }
    if bytes.len() > MOST {
        let message = format!("{} bytes are too much to type; at most {MOST} are", bytes.len());
        let hint = "put it into a file: sgw exec SESSION -i 'cat > FILE' < FILE";
        return Err(Failure::new(Code::LimitCommand, message, hint).sent(false));
    }
    Ok(bytes)
}

/// Reads until what is waited for has come, or until it is quiet where there is none, or the time is
/// over.
async fn read_on(session: &Session, typing: &Typing, until: &Until) -> Result<Stopped, Failure> {
    let Typing { pty, bytes, before, .. } = typing;
    let over = Instant::now() + until.timeout;
    let mut changes = pty.changes();
    let pattern = until.pattern.clone();
    let awaited = pattern.is_some();
    let mut waited = pattern.map(|pattern| WaitFor::new(pattern, bytes, before.place));
    let mut left = Vec::new();
    let mut seen = before.from;
    // When what stands there has stood for long enough, or it was quiet for so long.
    let mut enough = waited.is_none().then(|| Instant::now() + until.settle);
    loop {
        if left.is_empty() {
            changes.borrow_and_update();
        }
        if let Some(mut matcher) = waited.take() {
            if left.is_empty() {
                let (begin, new) = pty.raw(seen);
                seen = begin + new.len() as u64;
                left = new;
            }
            let matching = tokio::select! {
                biased;
                () = session.keyboard.taken() => {
                    return Err(keyboard::taken(&session.id).sent(true));
                }
                () = sleep_until(over) => return Ok(Stopped::TimedOut),
                matching = match_some(matcher, left) => matching,
            };
            let Some(matched) = matching else { return Ok(Stopped::TimedOut) };
            (matcher, left) = (matched.waited, matched.left);
            waited = Some(matcher);
            enough = match matched.seen {
                Seen::Yes => return Ok(Stopped::Matched),
                Seen::No => None,
                Seen::Stands(long) => {
                    let stood = Instant::now() + long;
                    Some(enough.map_or(stood, |enough| enough.min(stood)))
                }
            };
            if !left.is_empty() {
                enough = None;
                continue;
            }
        }
        let next = enough.map_or(over, |enough| enough.min(over));
        // What comes is looked at first: it may be why there is not enough yet. However much comes, the
        // time goes on.
        let late = Instant::now() >= next;
        tokio::select! {
            biased;
            () = session.keyboard.taken() => {
                return Err(keyboard::taken(&session.id).sent(true));
            }
            changed = changes.changed(), if !late => {
                if changed.is_err() {
                    return Ok(Stopped::Ended);
                }
                if !awaited {
                    enough = Some(Instant::now() + until.settle);
                }
            }
            () = sleep_until(next) => {
                return Ok(match (enough.is_some_and(|enough| enough <= over), awaited) {
                    (false, _) => Stopped::TimedOut,
                    (true, true) => Stopped::Matched,
                    (true, false) => Stopped::Quiet,
                });
            }
        }
    }
}

/// What came of matching for a while.
struct Matched {
    waited: WaitFor,
    seen: Seen,
    /// What was not looked at yet.
    left: Vec<u8>,
}

/// Matches on a thread of its own, for one turn. None where that thread failed.
async fn match_some(mut waited: WaitFor, mut new: Vec<u8>) -> Option<Matched> {
    let turn = MATCHING.acquire().await;
    let matching = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let over = Instant::now() + TURN;
        let mut at = 0;
        let mut seen;
        loop {
            let end = new.len().min(at + SLICE);
            seen = waited.feed(&new[at..end]);
            at = end;
            if at == new.len() || seen == Seen::Yes || Instant::now() >= over {
                break;
            }
        }
        Matched { waited, seen, left: new.split_off(at) }
    });
    matching.await.ok()
}
