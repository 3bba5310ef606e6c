//! What each key does. Enter decides nothing, and each kind of request has a yes-key of its own.

use super::{
    state::{AFTER_A_BURST, Desk, Effect, Key, Mode, Now, Wish},
    view, words,
};
use crate::protocol::view::{Control, Kind, Request};

impl Desk {
    /// Keys that came within [`super::state::BURST`] of each other, oldest first. More than one is no person's
    /// decision: it counts only where text is typed, or where it moves.
    pub fn typed(&mut self, keys: Vec<Key>, now: Now) -> Vec<Effect> {
        let leaves = |key: &Key| matches!(key, Key::Ctrl(_) | Key::Esc);
        let typing = matches!(
            self.mode,
            Mode::Proving { .. }
                | Mode::Wording { .. }
                | Mode::Choosing { .. }
                | Mode::Returning { .. }
        );
        let follows = self.burst_at.is_some_and(|at| now.since < at + AFTER_A_BURST);
        match keys.as_slice() {
            [key] if !follows || leaves(key) || typing => self.key(key.clone(), now),
            _ if typing => {
                // Behind the Enter that ends it nothing of them is text.
                let is_text = std::mem::discriminant(&self.mode);
                let mut effects = Vec::new();
                for key in keys {
                    if std::mem::discriminant(&self.mode) == is_text {
                        effects.extend(self.key(key, now));
                    }
                }
                effects
            }
            _ if keys.iter().all(Key::only_moves) => {
                keys.into_iter().flat_map(|key| self.key(key, now)).collect()
            }
            _ => {
                if keys.len() > 1 {
                    self.burst_at = Some(now.since);
                }
                self.guard.used(now.since);
                // What is half asked (a pause, a resume) is not for them either.
                if matches!(self.mode, Mode::Pausing | Mode::Resuming | Mode::Help) {
                    self.mode = Mode::Queue;
                }
                self.word = words::BURST.to_owned();
                match keys.contains(&Key::Ctrl('c')) {
                    true => vec![Effect::Quit],
                    false => Vec::new(),
                }
            }
        }
    }

    pub fn key(&mut self, key: Key, now: Now) -> Vec<Effect> {
        self.guard.used(now.since);
        match key {
            Key::Ctrl('c') => return vec![Effect::Quit],
            Key::Ctrl('z') => return vec![Effect::Suspend],
            Key::Ctrl('l') => return vec![Effect::Redraw],
            Key::Esc => return self.back(),
            _ => {}
        }
        match &self.mode {
            Mode::Queue if self.strip.is_some() => self.strip_key(&key, now),
            Mode::Queue => self.queue_key(&key, now),
            Mode::Help => {
                self.mode = Mode::Queue;
                Vec::new()
            }
            Mode::All { .. } => self.scroll(&key, now),
            Mode::Pausing => self.pause_key(&key),
            Mode::Resuming => {
                self.mode = Mode::Queue;
                match key {
                    Key::Char('y' | 'Y') => self.prove(Wish::Resume, now),
                    _ => Vec::new(),
                }
            }
            Mode::Proving { .. } => self.type_secret(key),
            Mode::Wording { .. } | Mode::Choosing { .. } | Mode::Returning { .. } => {
                self.type_word(key)
            }
            // The answer is a moment away; what is typed meanwhile is not meant for what comes then.
            Mode::Claiming(_) | Mode::Deciding { .. } => Vec::new(),
        }
    }

    /// Esc: out of whatever is open. What is sent already can't be taken back.
    fn back(&mut self) -> Vec<Effect> {
        match std::mem::take(&mut self.mode) {
            Mode::Claiming(_)
            | Mode::Proving { .. }
            | Mode::Wording { .. }
            | Mode::Choosing { .. } => {
                self.word = "nothing was decided".to_owned();
                vec![Effect::Release]
            }
            deciding @ Mode::Deciding { .. } => {
                self.mode = deciding;
                Vec::new()
            }
            Mode::Queue => {
                self.strip = None;
                self.word.clear();
                Vec::new()
            }
            Mode::Returning { .. } => {
                self.word = "the keyboard stays yours".to_owned();
                Vec::new()
            }
            Mode::Help | Mode::All { .. } | Mode::Pausing | Mode::Resuming => Vec::new(),
        }
    }

    fn queue_key(&mut self, key: &Key, now: Now) -> Vec<Effect> {
        match key {
            Key::Up | Key::Char('k') => self.mark_line(-1, now),
            Key::Down | Key::Char('j') => self.mark_line(1, now),
            Key::Char('s') => match self.next_request() {
                Some(next) => self.move_mark(Some(next), now),
                None => Vec::new(),
            },
            Key::Tab => {
                self.strip = self.sessions.first().map(|session| session.id.clone());
                Vec::new()
            }
            Key::Char('b') => {
                if self.shown.is_some() {
                    self.mode = Mode::All { from: 0 };
                    self.note_read();
                }
                Vec::new()
            }
            Key::Char('w') => self.watch(self.session_of_mark()),
            _ => self.deciding_key(key, now),
        }
    }

    fn mark_line(&mut self, steps: isize, now: Now) -> Vec<Effect> {
        match self.other_line(steps) {
            Some(line) => self.move_mark(Some(line), now),
            None => Vec::new(),
        }
    }

    fn session_of_mark(&self) -> Option<String> {
        self.marked().and_then(|request| request.session.clone())
    }

    fn watch(&mut self, session: Option<String>) -> Vec<Effect> {
        match session {
            Some(session) => vec![Effect::Watch(session)],
            None => {
                self.word = words::NO_SESSION.to_owned();
                Vec::new()
            }
        }
    }

    fn strip_key(&mut self, key: &Key, now: Now) -> Vec<Effect> {
        let at = self.sessions.iter().position(|one| self.strip.as_ref() == Some(&one.id));
        let Some(at) = at else {
            self.strip = None;
            return Vec::new();
        };
        let marked = self.sessions[at].id.clone();
        let to = match key {
            Key::Up | Key::Char('k') => at.saturating_sub(1),
            Key::Down | Key::Char('j') => (at + 1).min(self.sessions.len() - 1),
            Key::Tab => {
                self.strip = None;
                return Vec::new();
            }
            Key::Char('w') => return self.watch(Some(marked)),
            Key::Char('t') => return self.prove(Wish::Take(marked), now),
            Key::Char('h') if self.sessions[at].control == Control::Operator => {
                return self.prove(Wish::Return(marked), now);
            }
            Key::Char('h') => {
                self.word = words::NOT_YOURS.to_owned();
                return Vec::new();
            }
            _ => return self.plain_key(key),
        };
        self.strip = Some(self.sessions[to].id.clone());
        Vec::new()
    }

    /// Keys that mean the same everywhere.
    fn plain_key(&mut self, key: &Key) -> Vec<Effect> {
        match key {
            Key::Char('q') => return vec![Effect::Quit],
            Key::Char('p') => self.mode = Mode::Pausing,
            Key::Char('?') => self.mode = Mode::Help,
            _ => {}
        }
        Vec::new()
    }

    /// The yes of each kind, and the no of all.
    fn deciding_key(&mut self, key: &Key, now: Now) -> Vec<Effect> {
        let Key::Char(char) = key else { return self.plain_key(key) };
        let Some(request) = self.marked().cloned() else { return self.plain_key(key) };
        let yes = Desk::yes_key(request.kind);
        if *char == 'd' {
            return if self.may_decide(now) {
                self.claim(Wish::Deny(request.id))
            } else {
                Vec::new()
            };
        }
        // A rule of the guard's, not the mode's.
        let ruled = request.rule.as_ref().is_some_and(|rule| !rule.starts_with("mode."));
        if *char == 'D' && request.kind == Kind::Command && ruled {
            return if self.may_decide(now) {
                self.claim(Wish::DenyRule(request.id))
            } else {
                Vec::new()
            };
        }
        if *char == 'a' && self.may_keep() {
            return if self.may_decide(now) && self.may_say_yes() {
                self.claim(Wish::Keep(request.id))
            } else {
                Vec::new()
            };
        }
        if *char == 'o' && request.kind == Kind::Plan {
            return if self.may_decide(now) && self.may_say_yes() {
                self.claim(Wish::Lines(request.id))
            } else {
                Vec::new()
            };
        }
        if yes.is_some_and(|(key, _)| key == *char) {
            return if self.may_decide(now) && self.may_say_yes() {
                self.say_yes(&request, now)
            } else {
                Vec::new()
            };
        }
        // Not a yes: the keyboard of the session that it is about.
        if let ('t', Some(session)) = (*char, &request.session) {
            return self.prove(Wish::Take(session.clone()), now);
        }
        let kinds = [Kind::Access, Kind::Command, Kind::Plan, Kind::Handoff, Kind::Login];
        let other = kinds
            .into_iter()
            .chain([Kind::Forward])
            .find(|kind| Desk::yes_key(*kind).is_some_and(|(key, _)| key == *char));
        if let Some(other) = other {
            self.word = words::other_kind(other, request.kind);
            return Vec::new();
        }
        self.plain_key(key)
    }

    fn say_yes(&mut self, request: &Request, now: Now) -> Vec<Effect> {
        let id = request.id.clone();
        match (request.kind, &request.session) {
            (Kind::Access | Kind::Login, _) => self.claim(Wish::Give(id)),
            (Kind::Command | Kind::Plan | Kind::Forward, _) => self.claim(Wish::Run(id)),
            (Kind::Handoff, Some(session)) => self.prove(Wish::Take(session.clone()), now),
            _ => Vec::new(),
        }
    }

    fn claim(&mut self, wish: Wish) -> Vec<Effect> {
        let id = wish.request().unwrap_or_default().to_owned();
        self.mode = Mode::Claiming(wish);
        vec![Effect::Claim(id)]
    }

    /// A decision is about what was in front of the person for a moment.
    fn may_decide(&mut self, now: Now) -> bool {
        if self.is_too_soon(now) {
            self.word = words::TOO_SOON.to_owned();
            return false;
        }
        if !view::fits(self.size) {
            self.word = words::TOO_SMALL.to_owned();
            return false;
        }
        true
    }

    /// A yes is about all of it.
    fn may_say_yes(&mut self) -> bool {
        let Some(shown) = &self.shown else {
            self.word = words::NOT_SHOWN.to_owned();
            return false;
        };
        if let Some(why) = &shown.failed {
            self.word = why.clone();
            return false;
        }
        if !shown.read && !view::shows_all(self) {
            self.word = words::NOT_READ.to_owned();
            return false;
        }
        true
    }

    fn scroll(&mut self, key: &Key, now: Now) -> Vec<Effect> {
        let (page, last) = view::pages(self);
        let Mode::All { from } = &mut self.mode else { return Vec::new() };
        *from = match key {
            Key::Up | Key::Char('k') => from.saturating_sub(1),
            Key::Down | Key::Char('j') => (*from + 1).min(last),
            Key::PageUp => from.saturating_sub(page),
            Key::PageDown | Key::Char(' ') => (*from + page).min(last),
            Key::Home => 0,
            Key::End => last,
            Key::Char('b' | 'q') => {
                self.mode = Mode::Queue;
                return Vec::new();
            }
            _ => return self.deciding_key(key, now),
        };
        self.note_read();
        Vec::new()
    }

    /// Whether the end of all bytes is on the screen.
    fn note_read(&mut self) {
        let (_, last) = view::pages(self);
        if let (Mode::All { from }, Some(shown)) = (&self.mode, &mut self.shown) {
            shown.read |= *from >= last;
        }
    }

    fn pause_key(&mut self, key: &Key) -> Vec<Effect> {
        let marked = self.marked().map(|one| (one.identity.clone(), one.target.clone()));
        let strip = self.strip.as_ref().and_then(|id| self.session(id));
        let about = strip.map(|one| (one.identity.clone(), one.target.clone())).or(marked);
        self.mode = Mode::Queue;
        match (key, about) {
            (Key::Char('a'), _) => vec![Effect::Pause(None)],
            (Key::Char('i'), Some((identity, _))) => vec![Effect::Pause(Some(identity))],
            (Key::Char('h'), Some((_, target))) => vec![Effect::Pause(Some(target))],
            (Key::Char('o'), _) => {
                self.mode = Mode::Resuming;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}
