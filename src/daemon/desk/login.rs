//! Logins that need a person: asked for when a session has lost its connection, and permitted.

use super::{Asker, Desk, Ground, Permit, approval_required, not_approved};
use crate::{
    domain::{
        action::{Action, Login},
        authorize::{self, NotApproved},
        capability::Capability,
        digest::Digest,
        id::Id,
        request::WAITS,
    },
    protocol::error::Failure,
};

/// Why a person is asked.
const LOST: &str = "login.lost";

impl Desk {
    /// Puts a request to log in again into the queue, or joins the one there. The flag says whether
    /// it is new. `needs` is what the asker would do then.
    pub fn ask_login(
        &self,
        asker: &Asker,
        ground: &Ground<'_>,
        login: Login,
        needs: Capability,
        no_ask: bool,
    ) -> Result<(Id, bool), Failure> {
        authorize::check_login(&asker.identity, ground.leave(), needs, (self.now)())?;
        if no_ask {
            return Err(approval_required());
        }
        let sameness = login.sameness(&asker.identity);
        let copy = login.clone();
        let digest = |id: &Id, until| copy.digest(&asker.identity, id, until, ground.place);
        self.ask(asker, Action::Login(login), Some(LOST.to_owned()), WAITS, sameness, digest)
    }

    /// The operator said yes to what `shown` stands for: leave to log in again for a session that
    /// holds `ground`. The request stays open until [`Desk::approved`].
    pub fn permit_login(
        &self,
        id: &Id,
        shown: &Digest,
        ground: &Ground<'_>,
        by: u64,
    ) -> Result<Permit<Login>, Failure> {
        self.claim(id, by)?;
        let now = (self.now)();
        self.entry(id, None, |entry| {
            match authorize::authorize_shown_login(&mut entry.request, shown, ground.leave(), now) {
                Ok(allowed) => Ok(Permit::issue(allowed)),
                Err(NotApproved::Denied(denied)) => Err(Failure::from(denied)),
                Err(error) => Err(not_approved(id, error)),
            }
        })?
    }

    /// The session that a request is about, where it is not about a new one.
    pub fn session_of(&self, id: &Id) -> Option<Id> {
        self.entry(id, None, |entry| entry.request.action.session().cloned()).ok().flatten()
    }
}
