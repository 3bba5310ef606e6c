//! What an SSH client wants forwarded: judged, asked about and recorded as all that an agent does.

use std::time::Duration;

use super::{Bridge, Caller, bridge::PATIENCE_MS, value};
use crate::{
    daemon::{
        desk::{Ground, Permit, Verdict},
        door::link::Outbox,
        session::forward::{Forwarding, Shared},
    },
    domain::{action::Action, forward::Forward, guard::forward::Way, id::Id, judgement::Manner},
    protocol::error::{Code, Failure},
};

/// Whether the client can do nothing else while somebody is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It goes on with all its other channels.
    Aside,
    /// Its requests are answered in their order: it waits for a new question only.
    InLine,
}

impl Caller {
    pub(super) fn forward_shown(&self, id: &Id) -> Result<serde_json::Value, Failure> {
        let session = |id: &Id| self.parts.session_shown(id);
        value(&self.parts.desk.show(id.as_str(), Some(self.identity()), session)?)
    }
}

impl Bridge {
    /// Leave for one forward, on record: it is to be opened now.
    ///
    /// # Errors
    /// It may not be, or not yet; nothing was sent to the server.
    pub async fn forward(&self, way: Way, patience: Patience) -> Result<Forwarding, Failure> {
        let (outbox, _nobody) = Outbox::within();
        let caller = self.caller(outbox);
        let session = self.session();
        caller.check_known()?;
        if let Some(why) = session.over() {
            return Err(why.about(&session.id).sent(false));
        }
        caller.check_stopped(session)?;
        let desk = &caller.parts.desk;
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let (target, manner) = (session.target(), Manner::of(&grant));
        let judged = desk.guard.judge_forward(&way, &target, caller.identity(), manner)?;
        let forward = Forward { session: session.id.clone(), way, judged, passed_by: Vec::new() };
        let (permit, request) = self.permitted(&caller, &ground, forward, patience).await?;
        caller.parts.in_use.touch();
        caller.parts.sessions.forward(session, permit, request).await
    }

    /// Of several that wait for one yes the first uses it up, and the others find it kept.
    async fn permitted(
        &self,
        caller: &Caller,
        ground: &Ground<'_>,
        forward: Forward,
        patience: Patience,
    ) -> Result<(Permit<Forward>, Option<Id>), Failure> {
        let (session, desk) = (self.session(), &caller.parts.desk);
        let mut used_up = None;
        loop {
            let (id, new) = match desk.judge_forward(&caller.asker, ground, forward.clone()) {
                Ok(Verdict::Permit(permit)) => return Ok((permit, None)),
                Ok(Verdict::Asked { id, new }) => (id, new),
                Err(refused) => {
                    let blocked = refused.blocked.map(Action::Forward);
                    return Err(caller.refused_action(session, refused.failure, blocked).await);
                }
            };
            if new {
                caller.announce(&id).await?;
            }
            if let Some(failure) = used_up {
                return Err(failure);
            }
            let stays = new || patience == Patience::Aside;
            let moment = Duration::from_millis(if stays { PATIENCE_MS } else { 0 });
            let waiting = desk.wait(caller.identity(), &id, Some(moment));
            let _approved = waiting.await.map_err(|failure| later(failure, &id))?;
            caller.check_stopped(session)?;
            match desk.permit_approved_forward(&id, caller.identity(), ground) {
                Ok(permit) => return Ok((permit, Some(id))),
                Err(failure) => used_up = Some(failure),
            }
        }
    }

    /// A connection to where the server listens for this client: on record, and about to be taken.
    pub async fn forward_came(
        &self,
        listens: &Forwarding,
        from: (String, u32),
    ) -> Result<Forwarding, Failure> {
        let (outbox, _nobody) = Outbox::within();
        let caller = self.caller(outbox);
        caller.check_known()?;
        caller.check_paused(self.session())?;
        caller.parts.in_use.touch();
        listens.came(from).await
    }

    /// The connection that forwards go over.
    pub async fn carrier(&self) -> Result<std::sync::Arc<Shared>, Failure> {
        self.carriers().one(self.session()).await
    }

    /// Bytes go to a server, or from it, at this moment.
    pub fn touch(&self) {
        self.parts().in_use.touch();
    }
}

fn later(failure: Failure, id: &Id) -> Failure {
    match failure.code {
        Code::ApprovalPending => Failure {
            hint: format!(
                "connect again when they have said yes, which then holds for this end in this session: sgw wait {id}"
            ),
            ..failure
        },
        _ => failure,
    }
}
