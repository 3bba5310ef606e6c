//! The keyboard and the handoffs that wait for it: what gives it back answers them, and what ends
//! them gives it back where nobody has come for it.

use super::Parts;
use crate::{
    daemon::session::{
        Session,
        keyboard::{GivenBack, Keyboard, agents_already},
    },
    domain::{id::Id, terminal::Size},
    protocol::{
        error::Failure,
        view::{Changed, Control, Kind, Returned},
    },
};

/// Who the operator is in a record.
const OPERATOR: &str = "operator";
/// Who sgw itself is.
const SGW: &str = "sgw";

impl Parts {
    /// The operator gives the keyboard back; every handoff that waits for it is answered.
    pub async fn give_back(
        &self,
        session: &Session,
        word: Option<String>,
    ) -> Result<Returned, Failure> {
        if session.keyboard.held().is_none() {
            return Err(agents_already(&session.id));
        }
        let (changed, line_left) = self.tidy_up(session).await;
        // Seen while control changes hands: one that comes later takes the keyboard later.
        let mut waiting = Vec::new();
        let given = self.sessions.give_back(session, OPERATOR, word.clone(), |_| {
            waiting = self.handoffs_at(session);
            true
        });
        let given = given.await?;
        let GivenBack { lasted, was_private } = given.unwrap_or_default();
        let about = waiting.first().unwrap_or(&session.id);
        let returned = Returned {
            id: about.to_string(),
            kind: Kind::Handoff,
            control: Control::Agent,
            word,
            private: was_private,
            duration_ms: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
            changed,
            line_left: false,
        };
        for id in &waiting {
            self.desk.handed_back(id, &returned);
        }
        if !waiting.is_empty() {
            // The answer to the handoff says it.
            let _told = session.keyboard.news();
        }
        // For the operator alone.
        Ok(Returned { line_left, ..returned })
    }

    /// Terminals have the size again that the agent knows. What is other in them than before, and
    /// whether a line that was begun in private may still stand in one.
    async fn tidy_up(&self, session: &Session) -> (Changed, bool) {
        let (mut changed, mut line_left) = (None, false);
        for one in self.sessions.those_at(&session.keyboard) {
            let Some(pty) = one.open_pty().filter(|pty| !pty.has_ended()) else { continue };
            if pty.size() != Size::USUAL {
                let (rows, columns) = (Size::USUAL.rows.get(), Size::USUAL.columns.get());
                // One that ends at this moment needs none.
                let _ended = pty.resize(rows, columns).await;
            }
            let seen = pty.look_after().await;
            changed = changed.or(seen.changed);
            line_left |= seen.line_left;
        }
        (changed.unwrap_or_default(), line_left)
    }

    /// A handoff was refused. Whoever proved to be the operator gives the keyboard back by that, also
    /// where they had sat at it; a no without proof only takes away what asked for it.
    pub async fn handoff_refused(&self, session: &str, proven: bool) {
        self.settle_keyboards().await;
        let Ok(session) = self.sessions.to_see(session, None) else { return };
        if !proven || session.keyboard.held().is_none() {
            return;
        }
        if session.keyboard.is_attached() || !self.handoffs_at(&session).is_empty() {
            return;
        }
        self.tidy_up(&session).await;
        let free = self.sessions.give_back(&session, OPERATOR, None, |keyboard| {
            !keyboard.is_attached() && self.handoffs_at(&session).is_empty()
        });
        if let Err(failure) = free.await {
            tracing::error!(code = %failure.code, "a keyboard stays with the operator");
        }
    }

    /// Gives back what was handed over and is asked for no more: withdrawn, denied, expired, its
    /// session over. Where the operator has sat down, it is theirs until they say otherwise, or until no
    /// session is left there and nobody sits at it.
    pub async fn settle_keyboards(&self) {
        for session in self.sessions.everyone() {
            let over = |keyboard: &Keyboard| {
                let alone = self.sessions.at_keyboard(&session.keyboard).is_empty();
                let asked_for = !self.handoffs_at(&session).is_empty();
                !asked_for && (keyboard.only_handed_over() || alone && !keyboard.is_attached())
            };
            if session.keyboard.held().is_none() || !over(&session.keyboard) {
                continue;
            }
            let back = self.sessions.give_back(&session, SGW, None, over);
            if let Err(failure) = back.await {
                tracing::warn!(code = %failure.code, "a keyboard stays with the operator");
            }
        }
    }

    /// The handoffs that wait for this session's keyboard, oldest first.
    pub fn handoffs_at(&self, session: &Session) -> Vec<Id> {
        let there = self.sessions.at_keyboard(&session.keyboard);
        self.desk.handoffs(|id| *id == session.id || there.contains(id))
    }
}
