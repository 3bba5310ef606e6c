//! What the desk shows and what a key does there: events and keys in, a state and effects out. Pure:
//! the time is an argument.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{
    guard::{Guard, Proof},
    words,
};
use crate::{
    cli::approval::Row,
    protocol::{
        operator::Event,
        view::{Kind, Request, RequestStatus, Run, Session, SessionStatus},
    },
};

/// So long after a request was marked no key decides on it: it was meant for what stood there before.
pub const TOO_SOON: Duration = Duration::from_millis(700);
/// Keys so close behind each other are no person's: a burst, as a paste without brackets is.
pub const BURST: Duration = Duration::from_millis(25);
/// What comes so soon behind a burst belongs to it: it came over a slow line.
pub(super) const AFTER_A_BURST: Duration = Duration::from_millis(400);
/// When the bell rings for a request that waits; the first ring is for its coming.
const RINGS: [Duration; 3] = [Duration::ZERO, Duration::from_mins(1), Duration::from_mins(5)];
/// The most characters of a word to the agent.
const WORD: usize = 500;
/// The most characters of a PIN or passphrase.
const SECRET: usize = 1024;

/// A moment: since the desk began, and by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub since: Duration,
    pub at: Timestamp,
}

/// A key as the desk knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Ctrl(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Tab,
    Enter,
    Esc,
    Backspace,
    Paste(String),
    Other,
}

impl Key {
    /// Whether it only moves in what is shown: held down, it comes fast.
    pub(super) fn only_moves(&self) -> bool {
        use Key::{Char, Down, End, Home, PageDown, PageUp, Up};
        matches!(self, Up | Down | PageUp | PageDown | Home | End | Char('j' | 'k'))
    }
}

/// What the desk wants done outside of itself.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Work out all about a request, for [`Desk::looked`].
    Look(String),
    /// Take the decision, for [`Desk::claimed`].
    Claim(String),
    /// Let go of the decision.
    Release,
    /// Send the yes to a command, for [`Desk::decided`].
    Run(String),
    /// The same, and what was asked about passes until its session ends.
    Keep(String),
    /// Send the yes to these lines of a plan, as they are named.
    Lines(String, String),
    /// Leave the screen, and give access or log in with questions, for [`Desk::decided`].
    Give(String),
    /// For [`Desk::decided`].
    Deny(String, Option<String>),
    /// The same to all that its rule finds there, until its session ends.
    DenyRule(String, Option<String>),
    /// For [`Desk::proved`].
    Check(Proof, Zeroizing<String>),
    /// Leave the screen with the keyboard of a session.
    Attach(String),
    /// Leave the screen and look on at a session.
    Watch(String),
    /// Stop an identity, a target, or everyone.
    Pause(Option<String>),
    /// Let everything go on.
    Resume,
    /// Give the keyboard of a session back, with a word to the agent.
    Return(String, Option<String>),
    Bell,
    Suspend,
    Redraw,
    Quit,
}

/// What the person wants, while it takes steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    Run(String),
    Keep(String),
    /// Only some lines of a plan.
    Lines(String),
    Give(String),
    Deny(String),
    DenyRule(String),
    Take(String),
    Return(String),
    Resume,
}

impl Wish {
    /// The request that it is about.
    pub fn request(&self) -> Option<&str> {
        match self {
            Wish::Run(id)
            | Wish::Keep(id)
            | Wish::Lines(id)
            | Wish::Give(id)
            | Wish::Deny(id)
            | Wish::DenyRule(id) => Some(id),
            Wish::Take(_) | Wish::Return(_) | Wish::Resume => None,
        }
    }
}

/// What keys mean now.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Queue,
    Help,
    /// All bytes of the marked request, from this line on.
    All {
        from: usize,
    },
    Pausing,
    /// Whether everyone goes on.
    Resuming,
    /// The decision is being taken.
    Claiming(Wish),
    /// A PIN or the passphrase is typed.
    Proving {
        wish: Wish,
        typed: Zeroizing<String>,
        checking: bool,
    },
    /// A word to the agent is typed.
    Wording {
        id: String,
        typed: String,
        /// It is for all that the request's rule finds there.
        rule: bool,
    },
    /// The numbers of a plan's lines are typed.
    Choosing {
        id: String,
        typed: String,
    },
    /// The same, to go with the keyboard of a session.
    Returning {
        session: String,
        typed: String,
    },
    /// Sent; the answer is due.
    Deciding {
        id: String,
    },
}

/// All about the marked request.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    pub id: String,
    pub rows: Vec<Row>,
    /// The same with all bytes.
    pub whole: Vec<Row>,
    /// The person has seen the end of all bytes.
    pub read: bool,
    /// Why it can't be shown, and so not be decided on.
    pub failed: Option<String>,
}

#[derive(Debug)]
pub struct Desk {
    /// Oldest first.
    pub waiting: Vec<Request>,
    pub sessions: Vec<Session>,
    /// By exec: its session, and how it stands. Of each session what runs and what ran last.
    pub runs: BTreeMap<String, (String, Run)>,
    /// The request that keys are about.
    pub mark: Option<String>,
    pub shown: Option<Shown>,
    /// The session that keys are about, while the strip has them.
    pub strip: Option<String>,
    pub mode: Mode,
    /// The last thing that was to be told.
    pub word: String,
    pub guard: Guard,
    /// Columns and rows.
    pub size: (u16, u16),
    began: Timestamp,
    marked_at: Duration,
    /// The last burst.
    pub(super) burst_at: Option<Duration>,
    rung: BTreeMap<String, (Duration, usize)>,
}

impl Desk {
    pub fn new(now: Now, size: (u16, u16), guard: Guard) -> Self {
        Self {
            waiting: Vec::new(),
            sessions: Vec::new(),
            runs: BTreeMap::new(),
            mark: None,
            shown: None,
            strip: None,
            mode: Mode::Queue,
            word: String::new(),
            guard,
            size,
            began: now.at,
            marked_at: now.since,
            burst_at: None,
            rung: BTreeMap::new(),
        }
    }

    pub fn marked(&self) -> Option<&Request> {
        let mark = self.mark.as_ref()?;
        self.waiting.iter().find(|request| request.id == *mark)
    }

    pub fn session(&self, id: &str) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == id)
    }

    /// Marks another request: whatever was typed until now was not meant for it.
    pub fn move_mark(&mut self, to: Option<String>, now: Now) -> Vec<Effect> {
        if self.mark == to {
            return Vec::new();
        }
        self.mark = to.clone();
        self.shown = None;
        self.marked_at = now.since;
        to.map(Effect::Look).into_iter().collect()
    }

    /// The screen was left and is back: what was typed meanwhile is for nobody.
    pub fn returned(&mut self, now: Now) {
        self.marked_at = now.since;
        self.guard.used(now.since);
    }

    pub(super) fn is_too_soon(&self, now: Now) -> bool {
        now.since < self.marked_at + TOO_SOON
    }

    pub fn event(&mut self, event: Event, now: Now) -> Vec<Effect> {
        match event {
            Event::Request { request, by } if request.status == RequestStatus::Pending => {
                debug_assert!(by.is_none());
                self.waits(request, now)
            }
            Event::Request { request, by } => self.is_over(&request, by.as_deref(), now),
            Event::Session { session } => {
                self.session_is(session);
                Vec::new()
            }
            Event::Exec { session, exec } => {
                if !exec.running {
                    self.runs.retain(|_, (of, run)| *of != session || run.running);
                }
                self.runs.insert(exec.id.clone(), (session, exec));
                Vec::new()
            }
            Event::Files { session, files } => {
                if !files.running {
                    self.runs.retain(|_, (of, run)| *of != session || run.running);
                }
                self.runs.insert(format!("files {session}"), (session, files.into_run()));
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn waits(&mut self, request: Request, now: Now) -> Vec<Effect> {
        if let Some(known) = self.waiting.iter_mut().find(|known| known.id == request.id) {
            *known = request;
            return Vec::new();
        }
        let id = request.id.clone();
        // Those that waited when the desk was opened are in front of the person already.
        let rung = usize::from(request.created_at < self.began);
        self.rung.insert(id.clone(), (now.since, rung));
        self.waiting.push(request);
        let mut effects = self.ring(now);
        // A new one never moves the mark.
        if self.mark.is_none() {
            effects.extend(self.move_mark(Some(id), now));
        }
        effects
    }

    fn is_over(&mut self, request: &Request, by: Option<&str>, now: Now) -> Vec<Effect> {
        let Some(at) = self.waiting.iter().position(|one| one.id == request.id) else {
            return Vec::new();
        };
        let ours = self.mode == Mode::Deciding { id: request.id.clone() };
        let mut effects = Vec::new();
        if !ours {
            self.word = words::over(request, by);
            effects.extend(self.break_off(&request.id));
        }
        effects.extend(self.remove(at, now));
        effects
    }

    /// Ends whatever is open about a request.
    fn break_off(&mut self, id: &str) -> Vec<Effect> {
        let about = match &self.mode {
            Mode::Claiming(wish) | Mode::Proving { wish, .. } => wish.request() == Some(id),
            Mode::Wording { id: open, .. }
            | Mode::Choosing { id: open, .. }
            | Mode::Deciding { id: open } => open == id,
            Mode::All { .. } => {
                if self.mark.as_deref() == Some(id) {
                    self.mode = Mode::Queue;
                }
                false
            }
            Mode::Queue | Mode::Help | Mode::Pausing | Mode::Resuming | Mode::Returning { .. } => {
                false
            }
        };
        if !about {
            return Vec::new();
        }
        self.mode = Mode::Queue;
        vec![Effect::Release]
    }

    fn remove(&mut self, at: usize, now: Now) -> Vec<Effect> {
        let gone = self.waiting.remove(at);
        self.rung.remove(&gone.id);
        if self.mark.as_deref() != Some(&gone.id) {
            return Vec::new();
        }
        // One that is like it comes first, else what stands in its place.
        let like = self.waiting.iter().find(|one| super::fold::alike(one, &gone));
        let next = like.or_else(|| self.waiting.get(at)).or(self.waiting.last());
        let next = next.map(|one| one.id.clone());
        self.move_mark(next, now)
    }

    fn session_is(&mut self, session: Session) {
        if session.status == SessionStatus::Closed {
            self.runs.retain(|_, (of, _)| *of != session.id);
            self.sessions.retain(|known| known.id != session.id);
            if self.strip.as_ref() == Some(&session.id) {
                self.strip = self.sessions.first().map(|first| first.id.clone());
            }
            return;
        }
        match self.sessions.iter_mut().find(|known| known.id == session.id) {
            Some(known) => *known = session,
            None => self.sessions.push(session),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) -> Vec<Effect> {
        self.ring(now)
    }

    fn ring(&mut self, now: Now) -> Vec<Effect> {
        let mut rings = false;
        for (seen, rung) in self.rung.values_mut() {
            let due = RINGS.iter().filter(|after| now.since >= *seen + **after).count();
            if due > *rung {
                (*rung, rings) = (due, true);
            }
        }
        if rings { vec![Effect::Bell] } else { Vec::new() }
    }

    /// All about a request is known, or why not.
    pub fn looked(&mut self, shown: Shown) {
        if self.mark.as_ref() == Some(&shown.id) {
            self.shown = Some(shown);
        }
    }

    /// The decision is ours, or another terminal's.
    pub fn claimed(&mut self, id: &str, refused: Option<String>, now: Now) -> Vec<Effect> {
        let Mode::Claiming(wish) = &self.mode else { return vec![Effect::Release] };
        if wish.request() != Some(id) {
            return vec![Effect::Release];
        }
        let wish = wish.clone();
        self.mode = Mode::Queue;
        if let Some(why) = refused {
            self.word = why;
            return vec![Effect::Release];
        }
        self.prove(wish, now)
    }

    /// Goes on with a wish, after a PIN where one is due.
    pub(super) fn prove(&mut self, wish: Wish, now: Now) -> Vec<Effect> {
        let is_no = matches!(wish, Wish::Deny(_) | Wish::DenyRule(_));
        if is_no || !self.guard.asks(now.since) {
            return self.act(wish);
        }
        self.word.clear();
        self.mode = Mode::Proving { wish, typed: Zeroizing::default(), checking: false };
        Vec::new()
    }

    fn act(&mut self, wish: Wish) -> Vec<Effect> {
        let (mode, effect) = match wish {
            Wish::Run(id) => (Mode::Deciding { id: id.clone() }, Some(Effect::Run(id))),
            Wish::Give(id) => (Mode::Deciding { id: id.clone() }, Some(Effect::Give(id))),
            Wish::Keep(id) => (Mode::Deciding { id: id.clone() }, Some(Effect::Keep(id))),
            Wish::Lines(id) => (Mode::Choosing { id, typed: String::new() }, None),
            Wish::Deny(id) => (Mode::Wording { id, typed: String::new(), rule: false }, None),
            Wish::DenyRule(id) => (Mode::Wording { id, typed: String::new(), rule: true }, None),
            Wish::Take(session) => (Mode::Queue, Some(Effect::Attach(session))),
            Wish::Return(session) => (Mode::Returning { session, typed: String::new() }, None),
            Wish::Resume => (Mode::Queue, Some(Effect::Resume)),
        };
        self.mode = mode;
        effect.into_iter().collect()
    }

    /// What was typed is right, or why not.
    pub fn proved(&mut self, wrong: Option<String>, now: Now) -> Vec<Effect> {
        let Mode::Proving { wish, typed, checking } = &mut self.mode else { return Vec::new() };
        *checking = false;
        typed.clear();
        match wrong {
            Some(why) => {
                self.guard.wrong();
                self.word = why;
                Vec::new()
            }
            None => {
                let wish = wish.clone();
                self.guard.proved(now.since);
                self.act(wish)
            }
        }
    }

    /// The answer to what was decided here.
    pub fn decided(&mut self, id: &str, told: String, is_over: bool, now: Now) -> Vec<Effect> {
        if self.mode == (Mode::Deciding { id: id.to_owned() }) {
            self.mode = Mode::Queue;
        }
        self.word = told;
        let mut effects = vec![Effect::Release];
        match self.waiting.iter().position(|one| one.id == id) {
            Some(at) if is_over => effects.extend(self.remove(at, now)),
            // It failed on the way and waits on: what was shown may have changed.
            Some(_) => {
                self.shown = None;
                self.marked_at = now.since;
                effects.push(Effect::Look(id.to_owned()));
            }
            None => {}
        }
        effects
    }

    pub(super) fn type_secret(&mut self, key: Key) -> Vec<Effect> {
        let proof = self.guard.proof();
        let Mode::Proving { typed, checking, .. } = &mut self.mode else { return Vec::new() };
        if *checking {
            return Vec::new();
        }
        match key {
            Key::Char(char) if typed.chars().count() < SECRET => typed.push(char),
            Key::Paste(text) if typed.chars().count() + text.chars().count() <= SECRET => {
                typed.push_str(text.trim_end_matches(['\r', '\n']));
            }
            Key::Backspace => _ = typed.pop(),
            Key::Ctrl('u') => typed.clear(),
            Key::Enter if !typed.is_empty() => {
                *checking = true;
                return vec![Effect::Check(proof, std::mem::take(typed))];
            }
            _ => {}
        }
        Vec::new()
    }

    pub(super) fn type_word(&mut self, key: Key) -> Vec<Effect> {
        let (Mode::Wording { typed, .. }
        | Mode::Choosing { typed, .. }
        | Mode::Returning { typed, .. }) = &mut self.mode
        else {
            return Vec::new();
        };
        match key {
            Key::Char(char) if typed.chars().count() < WORD => typed.push(char),
            Key::Paste(text) => {
                let room = WORD.saturating_sub(typed.chars().count());
                typed.extend(text.chars().filter(|char| !char.is_control()).take(room));
            }
            Key::Backspace => _ = typed.pop(),
            Key::Ctrl('u') => typed.clear(),
            Key::Enter => {
                let word = Some(typed.trim().to_owned()).filter(|word| !word.is_empty());
                return vec![match std::mem::take(&mut self.mode) {
                    Mode::Returning { session, .. } => Effect::Return(session, word),
                    Mode::Choosing { id, typed } if word.is_none() => {
                        self.mode = Mode::Choosing { id, typed };
                        return Vec::new();
                    }
                    Mode::Choosing { id, .. } => {
                        self.mode = Mode::Deciding { id: id.clone() };
                        Effect::Lines(id, word.unwrap_or_default())
                    }
                    Mode::Wording { id, rule, .. } => {
                        self.mode = Mode::Deciding { id: id.clone() };
                        match rule {
                            true => Effect::DenyRule(id, word),
                            false => Effect::Deny(id, word),
                        }
                    }
                    other => {
                        self.mode = other;
                        return Vec::new();
                    }
                }];
            }
            _ => {}
        }
        Vec::new()
    }

    /// What a yes to the marked request means, in words: an input is typed, not run.
    pub fn yes_means(&self) -> Option<(char, &'static str)> {
        let request = self.marked()?;
        match &self.shown {
            Some(shown) if request.kind == Kind::Command && is_input(&shown.rows) => {
                Some(('r', TYPE_IT))
            }
            _ => Self::yes_key(request.kind),
        }
    }

    /// Whether a yes to the marked request can hold for its session.
    pub fn may_keep(&self) -> bool {
        let kept = |shown: &Shown| shown.rows.iter().any(|row| row.name == "session");
        self.marked().is_some_and(|request| request.kind == Kind::Command)
            && self.shown.as_ref().is_some_and(kept)
    }

    /// Whether a request of this kind is given with this key, and what that would mean.
    pub fn yes_key(kind: Kind) -> Option<(char, &'static str)> {
        match kind {
            Kind::Access => Some(('g', "give access")),
            Kind::Command => Some(('r', "run it")),
            Kind::Handoff => Some(('t', "take the keyboard")),
            Kind::Login => Some(('l', "log in")),
            Kind::Forward => Some(('c', "let it connect")),
            Kind::Plan => Some(('e', "every line passes")),
            _ => None,
        }
    }
}

pub const TYPE_IT: &str = "type it";

/// Whether these rows are about something to be typed into a session's terminal.
pub fn is_input(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.name == "types")
}

#[cfg(test)]
mod tests;
