//! Operations on files: judged, asked about, and their yes used up, as commands are.

use std::sync::Arc;

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
    protocol::{error::Failure, files::Done},
};

/// How far an approved operation is.
pub enum Carried {
    Running,
    Ended(Arc<Ended>),
}

/// How one ended, for whoever waits for it again.
#[derive(Debug)]
pub struct Ended {
    /// What it read; `None` where that was too much to be kept.
    pub output: Option<Vec<u8>>,
    pub done: Result<Done, Failure>,
}

/// What is kept of all that ended, in bytes; what ended first is let go.
const KEPT: usize = 8 * 1024 * 1024;

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
        Self::verdict(
            decision,
            no_ask,
            |files| &files.judged,
            |files, rule| {
                let sameness = files.sameness(identity);
                let copy = files.clone();
                let digest = |id: &Id, until| copy.digest(identity, id, until, ground.place);
                let action = Action::Files(Box::new(files));
                self.ask(asker, action, Some(rule), WAITS, sameness, digest)
            },
        )
    }

    /// Uses up the yes to an operation, as [`Desk::permit_approved_files`], and keeps how it ends for whoever comes
    /// again: [`Desk::files_ended`] tells.
    pub fn begin_approved_files(
        &self,
        id: &Id,
        identity: &Identity,
        ground: &Ground<'_>,
    ) -> Result<Permit<Files>, Failure> {
        self.spend_approved_files(id, identity, ground, Some(Carried::Running))
    }

    /// It has ended.
    pub fn files_ended(&self, id: &Id, ended: Ended) {
        let _forgotten = self.entry(id, None, |entry| {
            entry.files = Some(Carried::Ended(Arc::new(ended)));
        });
        self.queue().let_go(KEPT);
        self.tell(id);
    }

    /// Uses up the yes to an operation, as [`Desk::permit_approved`].
    pub fn permit_approved_files(
        &self,
        id: &Id,
        identity: &Identity,
        ground: &Ground<'_>,
    ) -> Result<Permit<Files>, Failure> {
        self.spend_approved_files(id, identity, ground, None)
    }

    fn spend_approved_files(
        &self,
        id: &Id,
        identity: &Identity,
        ground: &Ground<'_>,
        carried: Option<Carried>,
    ) -> Result<Permit<Files>, Failure> {
        let (now, leave) = ((self.now)(), ground.leave());
        let policy = self.guard.revision();
        self.entry(id, Some(identity), |entry| {
            let permit =
                authorize::authorize_approved_files(&mut entry.request, leave, &policy, now)
                    .map(Permit::issue)
                    .map_err(|why| not_spent(id, why))?;
            if carried.is_some() {
                entry.files = carried;
            }
            Ok(permit)
        })?
    }
}
