//! Control changes hands: on record first, then in effect.

use std::sync::Arc;

use super::{
    Session, Sessions,
    keyboard::{GivenBack, Keyboard, Seat, agents_already},
    record::{self, fields},
};
use crate::{
    domain::{
        id::Id,
        record::{Kind, Record},
    },
    protocol::error::Failure,
};

/// Who takes the keyboard from the agent.
#[derive(Clone, Copy, Debug)]
pub enum Taker<'a> {
    /// The agent itself gives it away.
    Handoff { request: &'a Id },
    Operator {
        fresh: bool,
        /// From another terminal of theirs.
        over: bool,
    },
}

impl Sessions {
    /// The operator has the keyboard of this session, and of all that its owner has on its target.
    /// Returns when no write of the agent's is in progress.
    ///
    /// # Errors
    /// It could not be recorded: the agent still has it. Or a write does not end.
    pub async fn take_control(&self, session: &Session, taker: Taker<'_>) -> Result<(), Failure> {
        let _changing = session.keyboard.changing.lock().await;
        self.take_recorded(session, taker).await
    }

    /// The same, and the operator sits down at it; with `over` also where another terminal of theirs
    /// sits there, which ends.
    pub async fn take_seat(
        &self,
        session: &Session,
        fresh: bool,
        over: bool,
    ) -> Result<Seat, Failure> {
        let _changing = session.keyboard.changing.lock().await;
        let over = over && session.keyboard.is_attached();
        if session.keyboard.is_attached() && !over {
            // Refused before anything is said to have happened.
            return session.keyboard.sit_down(&session.id);
        }
        self.take_recorded(session, Taker::Operator { fresh, over }).await?;
        if over {
            session.keyboard.clear_seat();
        }
        session.keyboard.sit_down(&session.id)
    }

    async fn take_recorded(&self, session: &Session, taker: Taker<'_>) -> Result<(), Failure> {
        let (who, request, how, fresh) = match taker {
            Taker::Handoff { request } => {
                (session.owner.to_string(), Some(request), "handoff", false)
            }
            Taker::Operator { fresh, over: false } => {
                ("operator".to_owned(), None, "attach", fresh)
            }
            Taker::Operator { fresh, over: true } => {
                ("operator".to_owned(), None, "another terminal", fresh)
            }
        };
        let mut record = of(session, Kind::ControlTaken, who);
        record.request = request.cloned();
        record.action = fields([
            ("how", serde_json::to_value(how)),
            ("fresh", serde_json::to_value(fresh)),
            ("sessions", serde_json::to_value(self.at_keyboard(&session.keyboard))),
        ]);
        record::write(&self.evidence, record).await?;
        match taker {
            Taker::Handoff { .. } => session.keyboard.take().await,
            Taker::Operator { .. } => session.keyboard.take_in_person().await,
        }
    }

    /// Private on or off, on record.
    pub async fn set_private(&self, session: &Session, on: bool) -> Result<(), Failure> {
        let _changing = session.keyboard.changing.lock().await;
        if session.keyboard.control().is_private() == on || session.keyboard.held().is_none() {
            return Ok(());
        }
        let mut record = of(session, Kind::ControlPrivate, "operator".to_owned());
        record.action = fields([("private", serde_json::to_value(on))]);
        record::write(&self.evidence, record).await?;
        session.keyboard.set_private(on);
        Ok(())
    }

    /// The agent has the keyboard again, where `if_still` holds; none where it does not.
    ///
    /// # Errors
    /// The agent has it already, or it could not be recorded: the operator still has it.
    pub async fn give_back(
        &self,
        session: &Session,
        who: &str,
        word: Option<String>,
        if_still: impl FnOnce(&Keyboard) -> bool + Send,
    ) -> Result<Option<GivenBack>, Failure> {
        let keyboard = &session.keyboard;
        let _changing = keyboard.changing.lock().await;
        let Some(held) = keyboard.held() else { return Err(agents_already(&session.id)) };
        if !if_still(keyboard) {
            return Ok(None);
        }
        let mut record = of(session, Kind::ControlReturned, who.to_owned());
        let lasted = u64::try_from(held.lasted.as_millis()).unwrap_or(u64::MAX);
        record.action = fields([("message", serde_json::to_value(&word))]);
        record.result = Some(fields([
            ("duration_ms", serde_json::to_value(lasted)),
            ("private", serde_json::to_value(held.was_private)),
            ("sessions", serde_json::to_value(self.at_keyboard(keyboard))),
        ]));
        record::write(&self.evidence, record).await?;
        keyboard.give_back(word);
        Ok(Some(held))
    }

    /// The open sessions that this keyboard is for.
    pub fn those_at(&self, keyboard: &Arc<Keyboard>) -> Vec<Arc<Session>> {
        let mut all = self.everyone();
        all.retain(|one| Arc::ptr_eq(&one.keyboard, keyboard) && one.over().is_none());
        all
    }

    pub fn at_keyboard(&self, keyboard: &Arc<Keyboard>) -> Vec<Id> {
        self.those_at(keyboard).into_iter().map(|session| session.id.clone()).collect()
    }
}

fn of(session: &Session, kind: Kind, who: String) -> Record {
    let mut record = Record::new(kind, who);
    record.target = Some(session.target());
    record.session = Some(session.id.clone());
    record
}
