//! `sgw wait`: what an id began is finished, exactly once.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Caller,
    exec::{Sent, fed, still_held, stopped_until},
};
use crate::{
    daemon::{
        authority,
        desk::Outcome,
        door::{
            follow::{self, Control, follow},
            link::value,
        },
        session::exec::{Exec, ORPHAN},
    },
    domain::{
        action::{Action, Stdin},
        id::{Id, Kind, prefix_kind},
    },
    protocol::{
        agent,
        error::{Code, Failure},
    },
};

/// How long a command that another call just started may take to be seen.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

impl Caller {
    /// A request that was withdrawn with its token: the token is why.
    pub(super) fn with_its_cause(&self, failure: Failure) -> Failure {
        match failure.code {
            Code::RequestClosed if self.known.live.is_cancelled() => authority::invalid(),
            _ => failure,
        }
    }

    /// Finishes what an id began.
    pub(super) async fn wait(
        &self,
        number: u32,
        wait: agent::Wait,
        control: &Arc<Control>,
    ) -> Result<Sent, Failure> {
        let limit = wait.wait_ms.map(Duration::from_millis);
        match prefix_kind(&wait.id) {
            Some(Kind::Request) => self.wait_for_request(number, &wait.id, limit, control).await,
            Some(Kind::Exec) => {
                let (session, exec) = self.parts.sessions.exec(&wait.id, Some(self.identity()))?;
                let over = limit.map(|limit| Instant::now() + limit);
                let back = self.back_to_exec(&session, over).await;
                back.map_err(|stopped| stopped_until(stopped, &exec.id))?;
                Ok(self.follow_exec(number, exec, limit, control).await)
            }
            Some(Kind::Session) => {
                let session = self.parts.sessions.to_use(&wait.id, self.identity())?;
                let over = limit.map(|limit| Instant::now() + limit);
                self.back_again(number, &session, over).await?;
                Ok(self.outbox.answer(number, value(&self.parts.shown(&session))).await)
            }
            Some(Kind::Job | Kind::Token | Kind::Grant) | None => Err(Failure::new(
                Code::UsageId,
                "that is no id to wait for",
                "ids begin with s-, r- or x-: sgw shows yours",
            )),
        }
    }

    async fn wait_for_request(
        &self,
        number: u32,
        word: &str,
        limit: Option<Duration>,
        control: &Arc<Control>,
    ) -> Result<Sent, Failure> {
        let id = self.parts.desk.find(word, Some(self.identity()))?;
        let over = limit.map(|limit| Instant::now() + limit);
        let exec = match self.parts.desk.action(&id, self.identity())? {
            Action::Exec(exec) => exec,
            Action::Input(input) => {
                let (typed, room) = self.wait_for_input(number, &id, &input, over).await?;
                return Ok(self.outbox.answer_in(room, number, value(&typed)).await);
            }
            Action::Plan(_) => {
                self.parts.desk.wait(self.identity(), &id, limit).await?;
                return Ok(self.outbox.answer(number, self.plan_shown(&id)).await);
            }
            Action::Files(files) => {
                return self.wait_for_files(number, &id, &files, over, control).await;
            }
            Action::Forward(_) => {
                self.parts.desk.wait(self.identity(), &id, limit).await?;
                return Ok(self.outbox.answer(number, self.forward_shown(&id)).await);
            }
            Action::Handoff(_) => {
                let returned = self.handed_back(&id, limit).await?;
                return Ok(self.outbox.answer(number, value(&returned)).await);
            }
            Action::Access(_) | Action::Login(_) => {
                let session = self.collect(&id, limit).await?;
                return Ok(self.outbox.answer(number, value(&session)).await);
            }
        };
        let waiting = self.parts.desk.wait(self.identity(), &id, limit);
        let outcome = match self.parts.sessions.to_use(exec.session.as_str(), self.identity()) {
            Ok(session) => Self::unless_taken(&session, &id, waiting).await?,
            Err(_over) => waiting.await?,
        };
        match outcome {
            Outcome::Ran(exec) => self.follow_later(number, &exec, limit, control).await,
            _ if matches!(exec.stdin, Stdin::Open | Stdin::Typed) => Err(Failure::new(
                Code::RequestClosed,
                "the call that held the command's input is gone, so it was not run",
                "run the command again, and stay until it is approved",
            )
            .about(&id)),
            _ => {
                let session = self.parts.sessions.to_use(exec.session.as_str(), self.identity())?;
                let held = |failure| still_held(failure, &id);
                self.goes_on(&session, over).await.map_err(held)?;
                let logged_in = self.logged_in(number, &session, exec.needs(), false, over);
                logged_in.await.map_err(held)?;
                // Before: with the permit it is let go.
                let feed = fed(&session, &exec);
                let permit = self.permit_approved(&id, &session)?;
                let feed = feed.map_err(|failure| failure.about(&id))?;
                self.parts.in_use.touch();
                let way = self.way.clone();
                let running =
                    self.parts.sessions.run(&session, permit, Some(id), ORPHAN, feed, way);
                let exec = running.await?;
                Ok(self.follow_exec(number, exec, limit, control).await)
            }
        }
    }

    async fn follow_exec(
        &self,
        number: u32,
        exec: Arc<Exec>,
        limit: Option<Duration>,
        control: &Arc<Control>,
    ) -> Sent {
        let caller = follow::Caller::Waiter { limit };
        follow(&self.outbox, number, exec, control.clone(), caller).await
    }

    /// Follows a command that another call was given the permit for.
    pub(super) async fn follow_later(
        &self,
        number: u32,
        id: &Id,
        limit: Option<Duration>,
        control: &Arc<Control>,
    ) -> Result<Sent, Failure> {
        let over = Instant::now() + SEEN_WITHIN;
        loop {
            match self.parts.sessions.exec(id.as_str(), Some(self.identity())) {
                Ok((_, exec)) => return Ok(self.follow_exec(number, exec, limit, control).await),
                Err(failure) if Instant::now() >= over => return Err(failure),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}
