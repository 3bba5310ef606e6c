//! Operations on files: judged, asked about, and their yes used up, as commands are.

use super::{Asker, Desk, Ground, NotAsked, Permit, Verdict, not_spent};
use crate::{
    domain::{
        action::Action,
        authorize,
        capability::Capability,
        files::{Files, Look},
        id::Id,
        identity::Identity,
        kept::Kept,
        request::WAITS,
    },
    protocol::error::Failure,
};

impl Desk {
    /// Leave to find out where paths lead, for an operation that needs `needed`.
    pub fn may_look(
        &self,
        identity: &Identity,
        ground: &Ground<'_>,
        session: &Id,
        needed: Capability,
    ) -> Result<Permit<Look>, Failure> {
        let (now, look) = ((self.now)(), Look { session: session.clone() });
        let looks = authorize::authorize_look(identity, ground.leave(), look, needed, now);
        Ok(Permit::issue(looks?))
    }

    /// Judges an operation, as [`Desk::judge_exec`].
    pub fn judge_files(
        &self,
        asker: &Asker,
        ground: &Ground<'_>,
        files: Files,
        no_ask: bool,
    ) -> Result<Verdict<Files>, NotAsked<Files>> {
        let (now, session) = ((self.now)(), files.session.clone());
        let (identity, leave) = (&asker.identity, ground.leave());
        let denied = self.bars.of(identity, ground.place);
        let mut all = self.kept();
        let mut none = Kept::default();
        let kept = all.get_mut(&session).unwrap_or(&mut none);
        let decision = authorize::authorize_files(identity, leave, files, kept, &denied, now);
        drop(all);
        Self::verdict(decision, no_ask, |files, rule| {
            let sameness = files.sameness(identity);
            let copy = files.clone();
            let digest = |id: &Id, until| copy.digest(identity, id, until, ground.place);
            let action = Action::Files(Box::new(files));
            self.ask(asker, action, Some(rule), WAITS, sameness, digest)
        })
    }

    /// Uses up the yes to an operation, as [`Desk::permit_approved`].
    pub fn permit_approved_files(
        &self,
        id: &Id,
        identity: &Identity,
        ground: &Ground<'_>,
    ) -> Result<Permit<Files>, Failure> {
        let (now, leave) = ((self.now)(), ground.leave());
        let policy = self.guard.revision();
        self.entry(id, Some(identity), |entry| {
            authorize::authorize_approved_files(&mut entry.request, leave, &policy, now)
                .map(Permit::issue)
                .map_err(|why| not_spent(id, why))
        })?
    }
}
