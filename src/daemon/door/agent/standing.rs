//! Sessions that open by themselves: a target's name stands where a session's does, as far as the
//! operator said so ahead.

use std::sync::Arc;

use super::Caller;
use crate::{
    daemon::{door::link::to_its_end, session::Session},
    domain::{
        action::Access,
        authorize::Wanted,
        capability::{Capabilities, Capability},
        id::prefix_kind,
    },
    protocol::error::{Code, Failure},
};

impl Caller {
    /// The session that a word means: my own by its id, its name or its target; else one that a
    /// standing grant opens on the target of this name, for what is needed.
    pub(super) async fn session(
        &self,
        word: &str,
        needs: Capability,
    ) -> Result<Arc<Session>, Failure> {
        let none = match self.parts.sessions.to_work_in(word, self.identity()) {
            Ok(session) => return Ok(session),
            Err(failure) => failure,
        };
        let target = match (none.code, prefix_kind(word)) {
            (Code::SessionUnknown | Code::GrantMissing | Code::GrantExhausted, None) => {
                word.parse().ok()
            }
            _ => None,
        };
        let Some(target) = target.and_then(|asked| self.parts.target_named(&asked)) else {
            return Err(none);
        };
        let wanted = Wanted {
            target,
            name: None,
            needs: Capabilities::from([needs]),
            only: None,
            mode: None,
            duration_s: None,
            max_commands: None,
            reason: None,
        };
        match self.opens(wanted, false).await {
            // What is there and used up says more than that there is nothing else.
            Err(failure)
                if failure.code == Code::GrantMissing && none.code == Code::GrantExhausted =>
            {
                Err(none)
            }
            opened => opened,
        }
    }

    /// What a request asks for, where a standing grant gives it: nobody is asked then. Without words of
    /// its own it takes what the grant has.
    pub(super) async fn opens_for_request(
        &self,
        access: &Access,
        said_only: bool,
    ) -> Result<Option<Arc<Session>>, Failure> {
        let Some(target) = self.parts.target_named(&access.destination) else { return Ok(None) };
        let terms = &access.terms;
        let wanted = Wanted {
            target,
            name: access.name.clone(),
            needs: if said_only { terms.capabilities.clone() } else { Capabilities::new() },
            only: Some(terms.capabilities.clone()),
            mode: Some(terms.mode),
            duration_s: Some(terms.duration_s),
            max_commands: terms.max_commands,
            reason: Some(access.reason.clone()),
        };
        match self.opens(wanted, true).await {
            Ok(session) => Ok(Some(session)),
            // The operator can give it all the same.
            Err(failure) => match failure.code {
                Code::GrantMissing
                | Code::GrantExpired
                | Code::GrantExhausted
                | Code::TargetBorrowed => Ok(None),
                _ => Err(failure),
            },
        }
    }

    /// Opens a session under a standing grant. Of several calls at once that need one on the same target
    /// the first opens it, and the others use it, unless another was asked for.
    async fn opens(&self, wanted: Wanted, another: bool) -> Result<Arc<Session>, Failure> {
        let parts = self.parts.clone();
        let target = wanted.target.as_str().to_owned();
        parts.desk.pauses.check(self.identity(), &[&target])?;
        let turn = parts.sessions.turn_to_open(self.identity(), &target);
        let _alone = turn.lock().await;
        if !another && let Ok(session) = parts.sessions.to_work_in(&target, self.identity()) {
            return Ok(session);
        }
        let permit = parts.desk.judge_opening(&self.asker, wanted)?;
        parts.in_use.touch();
        let owner = self.identity().clone();
        to_its_end(async move { parts.open_permitted(permit, owner).await }).await
    }
}
