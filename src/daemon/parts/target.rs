//! What a change of a named target does to the sessions that are open there.

use std::sync::Arc;

use super::Parts;
use crate::{
    daemon::session::Session,
    domain::{
        id::{Id, Name},
        target::named::{self, Taken, Target},
    },
    protocol::{
        error::{Code, Failure},
        operator::target::Sessions,
    },
};

impl Parts {
    /// Open sessions over a named target, as far as a person said yes to them: no change ends them.
    pub fn approved_over(&self, name: &Name) -> Vec<Id> {
        let over = self.open_over(name).into_iter();
        over.filter(|session| !session.by_itself).map(|session| session.id.clone()).collect()
    }

    /// After a change of a target: sessions that opened by themselves on what it was end, and what it
    /// no longer gives is taken from the others at once.
    pub async fn settle_target(&self, name: &Name) -> Sessions {
        let open = self.open_over(name);
        self.end_unfounded().await;
        let mut settled = Sessions::default();
        for session in open {
            let as_before = session.taken.as_ref().is_none_or(|taken| self.leads_so(taken));
            match session.over() {
                Some(_) => settled.ended.push(session.id.to_string()),
                None if !as_before => settled.go_on.push(session.id.to_string()),
                None => {}
            }
        }
        settled
    }

    /// Takes from an open session what its target does not give now.
    pub(super) fn narrow(&self, session: &Session) {
        let Some(name) = session.taken.as_ref().and_then(Taken::target) else { return };
        if let Some(stored) = self.vault.get::<Target>(name.as_str()) {
            session.narrow(stored.record.pty, stored.record.guard.mode);
        }
    }

    /// Why a session that opened by itself may not go on, where its target is another now.
    pub(super) fn led_elsewhere(&self, session: &Session) -> Option<Failure> {
        let taken = session.taken.as_ref().filter(|_| session.by_itself)?;
        (!self.leads_so(taken)).then(|| {
            Failure::new(
                Code::TargetChanged,
                "the operator changed what this session was opened on; it has ended",
                "sgw whoami lists what you may use now; sgw exec TARGET -- COMMAND opens a fresh one",
            )
        })
    }

    fn open_over(&self, name: &Name) -> Vec<Arc<Session>> {
        let over = |taken: &Taken| taken.targets.contains(name);
        let mut all = self.sessions.everyone();
        all.retain(|one| one.over().is_none() && one.taken.as_ref().is_some_and(over));
        all
    }

    fn leads_so(&self, taken: &Taken) -> bool {
        let way = taken.target().and_then(|name| self.way_to(name).ok());
        way.is_some_and(|(way, _)| named::digest(&way) == taken.digest)
    }
}
