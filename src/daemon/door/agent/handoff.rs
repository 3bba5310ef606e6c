//! The agent gives the keyboard away, and waits for it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Caller, REASON, view};
use crate::{
    daemon::{
        desk::Outcome,
        door::link::to_its_end,
        session::{
            Session,
            control::Taker,
            keyboard::{self, Held},
        },
    },
    domain::{action::Handoff, escape::visible, id::Id},
    protocol::{
        agent::Message,
        error::{Code, Failure},
    },
};

impl Caller {
    /// Gives control to the operator at once; returns when it comes back.
    pub(super) async fn handoff(
        &self,
        number: u32,
        word: &str,
        message: String,
        wait: Option<Duration>,
    ) -> Result<view::Returned, Failure> {
        let session = self.parts.sessions.to_use(word, self.identity())?;
        session.collected();
        self.check_paused(&session)?;
        let message = read_message(message)?;
        let id = self.hand_over(session, message).await?;
        self.say_waiting(number, &id, view::Kind::Handoff).await;
        self.handed_back(&id, wait).await
    }

    /// Waits for the keyboard, or gets what was kept of its return.
    pub(super) async fn handed_back(
        &self,
        id: &Id,
        wait: Option<Duration>,
    ) -> Result<view::Returned, Failure> {
        match self.parts.desk.wait(self.identity(), id, wait).await? {
            Outcome::Returned(returned) => Ok(*returned),
            _ => Err(super::desk::unknown(id.as_str())),
        }
    }

    /// The request is there before control changes hands, so that a handoff without one is never
    /// seen; both happen, also where the caller goes away.
    async fn hand_over(&self, session: Arc<Session>, message: String) -> Result<Id, Failure> {
        let handoff = Handoff { session: session.id.clone(), message };
        let (id, new) = self.parts.desk.ask_handoff(&self.asker, handoff)?;
        if new {
            self.announce(&id).await?;
        }
        let parts = self.parts.clone();
        let taking = async move {
            let taken = parts.sessions.take_control(&session, Taker::Handoff { request: &id });
            if let Err(failure) = taken.await {
                if session.keyboard.control().is_agents() {
                    parts.desk.withdraw(&id)?;
                }
                return Err(failure.about(&id));
            }
            // The keyboard may have been given back just before, with this answered.
            parts.settle_keyboards().await;
            Ok(id)
        };
        to_its_end(taking).await
    }

    /// Stays until the session is the agent's again, and tells what the operator said.
    pub(super) async fn back_again(
        &self,
        number: u32,
        session: &Session,
        over: Option<Instant>,
    ) -> Result<(), Failure> {
        self.goes_on(session, over).await?;
        self.tell_news(number, session).await;
        Ok(())
    }

    /// Tells, once, that the operator had the keyboard since the agent's last call.
    pub(super) async fn tell_news(&self, number: u32, session: &Session) {
        let Some(Held { how, word, .. }) = session.keyboard.news() else { return };
        let text = format!(
            "the operator had the keyboard for {}s{}{}; look before you go on",
            how.lasted.as_secs(),
            if how.was_private { ", in private" } else { "" },
            word.map_or_else(String::new, |word| format!(", and says: {}", visible(&word, REASON))),
        );
        let _gone = self.outbox.json(number, &Message::Note { text }).await;
    }

    /// Waits for a person, and says so unless they have decided already.
    pub(super) async fn waits<T>(
        &self,
        number: u32,
        session: &Session,
        id: &Id,
        waiting: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::pin!(waiting);
        tokio::select! {
            biased;
            decided = &mut waiting => return decided,
            () = std::future::ready(()) => {}
        }
        self.say_waiting(number, id, view::Kind::Command).await;
        Self::unless_taken(session, id, waiting).await
    }

    /// Waits as `waiting` does, unless the operator takes the keyboard meanwhile: `sgw wait` with this
    /// id stays for it. Where they have it already, the caller came to stay.
    pub(super) async fn unless_taken<T>(
        session: &Session,
        id: &Id,
        waiting: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let stays = !session.keyboard.control().is_agents();
        tokio::select! {
            outcome = waiting => outcome,
            () = session.keyboard.taken(), if !stays => {
                Err(super::exec::stopped_until(keyboard::taken(&session.id), id))
            }
        }
    }
}

fn read_message(message: String) -> Result<String, Failure> {
    let message = message.trim();
    if message.is_empty() {
        return Err(Failure::new(
            Code::UsageReason,
            "a handoff needs a message",
            "say in one line what the person should do: sgw handoff SESSION MESSAGE",
        ));
    }
    if message.len() > REASON {
        return Err(Failure::new(
            Code::LimitReason,
            format!("the message is {} bytes; at most {REASON} are taken", message.len()),
            "say it in one line",
        ));
    }
    Ok(message.to_owned())
}
