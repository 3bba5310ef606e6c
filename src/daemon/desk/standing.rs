//! What the operator said ahead: sessions that open by themselves.

use super::{Asker, Desk, Ground, Permit};
use crate::{
    domain::{
        action::Opening,
        authorize::{self, Leave, NotOpened, Wanted},
        id::Id,
        identity::Identity,
    },
    protocol::error::{Code, Failure},
};

impl<'a> Ground<'a> {
    /// As `authorize` takes it, now.
    pub(super) fn leave(&self) -> Leave<'a> {
        let under = self.under.map(|under| under.live());
        Leave { owner: self.owner, grant: self.grant, under }
    }
}

impl Desk {
    /// Judges a session that nobody is to be asked for: the standing grants of the asker decide. It
    /// counts as a request of its token.
    pub fn judge_opening(&self, asker: &Asker, wanted: Wanted) -> Result<Permit<Opening>, Failure> {
        let (now, target) = ((self.now)(), wanted.target.clone());
        let grants = self.authority.grants_for(&asker.identity, target.as_str());
        let lives = grants.iter().map(|under| under.live());
        let allowed = authorize::authorize_opening(&asker.identity, wanted, lives, now)
            .map_err(|why| not_opened(why, target.as_str()))?;
        self.authority.admit(&asker.identity)?;
        Ok(Permit::issue(allowed))
    }

    /// Requests that wait and whose identity `of` picks.
    pub fn waiting_of(&self, of: impl Fn(&Identity) -> bool) -> Vec<Id> {
        let now = (self.now)();
        let mut queue = self.queue();
        let mut ids = queue.all(now, |entry| of(&entry.request.identity));
        ids.retain(|id| queue.get(id).is_some_and(|entry| entry.request.is_pending(now)));
        ids
    }
}

fn not_opened(why: NotOpened, target: &str) -> Failure {
    const REQUEST: &str = "ask for a session: sgw request DEST --reason …";
    match why {
        NotOpened::Missing => Failure::new(
            Code::GrantMissing,
            format!("you have no open session on {target}, and no standing grant"),
            REQUEST,
        ),
        NotOpened::EachSession => Failure::new(
            Code::GrantMissing,
            format!("you have no open session on {target}, and each one is to be asked for"),
            REQUEST,
        ),
        NotOpened::Capability(capability) => Failure::new(
            Code::GrantMissing,
            format!("your standing grant for {target} does not hold {capability}"),
            format!("ask for it: sgw request DEST --only {capability} --reason …"),
        ),
        NotOpened::Expired => Failure::new(
            Code::GrantExpired,
            format!("the time of your standing grant for {target} is over"),
            REQUEST,
        ),
        NotOpened::Exhausted => Failure::new(
            Code::GrantExhausted,
            format!("the budget of your standing grant for {target} is used up"),
            "ask for a session: sgw request DEST --reason …; or ask your user for a new grant",
        ),
    }
    .sent(false)
}
