//! Forwards: judged, asked about, and their yes used up, as operations on files are. A yes holds for one end
//! until the session is over: a client opens a connection each time that something connects to it.

use super::{Asker, Desk, Ground, Guard, NotAsked, Permit, Verdict, guard::Current, not_spent};
use crate::{
    domain::{
        action::Action,
        authorize,
        forward::Forward,
        grant,
        guard::{Context, forward},
        id::Id,
        identity::Identity,
        judgement::{Judgement, Manner},
        kept::Kept,
        request::WAITS,
    },
    protocol::error::Failure,
};

impl Guard {
    /// Judges where a forward leads.
    ///
    /// # Errors
    /// The operator's policy can't be read: nothing passes.
    pub fn judge_forward(
        &self,
        way: &forward::Way,
        target: &str,
        identity: &Identity,
        manner: Manner,
    ) -> Result<Judgement, Failure> {
        let Current { policy, revision } = self.current()?;
        let token = identity.token.as_ref().map(|token| token.name.to_string());
        let context = Context {
            target: Some(target),
            token: token.as_deref(),
            today: Some(self.today()),
            ..Context::default()
        };
        // The session's mode is the desk's own to keep.
        let verdict = forward::judge(way, &context, grant::Mode::Guarded, &policy);
        Ok(Judgement::of_forward(&Forward::line(way), manner, verdict, revision))
    }
}

impl Desk {
    /// Judges a forward, as [`Desk::judge_exec`].
    pub fn judge_forward(
        &self,
        asker: &Asker,
        ground: &Ground<'_>,
        forward: Forward,
    ) -> Result<Verdict<Forward>, NotAsked<Forward>> {
        let (now, session) = ((self.now)(), forward.session.clone());
        let (identity, leave) = (&asker.identity, ground.leave());
        let denied = self.bars.of(identity, ground.place);
        let mut all = self.kept();
        let mut none = Kept::default();
        let kept = all.get_mut(&session).unwrap_or(&mut none);
        let decision = authorize::authorize_forward(identity, leave, forward, kept, &denied, now);
        drop(all);
        Self::verdict(
            decision,
            false,
            |forward| &forward.judged,
            |forward, rule| {
                let sameness = forward.sameness(identity);
                let copy = forward.clone();
                let digest = |id: &Id, until| copy.digest(identity, id, until, ground.place);
                let action = Action::Forward(Box::new(forward));
                self.ask(asker, action, Some(rule), WAITS, sameness, digest)
            },
        )
    }

    /// Uses up the yes to a forward, as [`Desk::permit_approved`].
    pub fn permit_approved_forward(
        &self,
        id: &Id,
        identity: &Identity,
        ground: &Ground<'_>,
    ) -> Result<Permit<Forward>, Failure> {
        let (now, leave) = ((self.now)(), ground.leave());
        let policy = self.guard.revision();
        self.entry(id, Some(identity), |entry| {
            authorize::authorize_approved_forward(&mut entry.request, leave, &policy, now)
                .map(Permit::issue)
                .map_err(|why| not_spent(id, why))
        })?
    }
}
