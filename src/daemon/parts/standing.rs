//! Sessions under standing grants: opened by themselves, or by a yes to each.

use std::sync::Arc;

use super::{Opening, Parts};
use crate::{
    daemon::{
        audit,
        authority::Under,
        desk::Permit,
        session::{Room, Session},
    },
    domain::{
        action,
        capability::{Capabilities, Capability},
        grant::{Grant, standing::Approval},
        identity::Identity,
        target::{Destination, named::Target},
    },
    protocol::{
        error::{Code, Failure},
        view::Reach,
    },
};

impl Parts {
    /// Room for one more session of an identity, as its token allows.
    pub fn room(&self, owner: &Identity) -> Result<Room, Failure> {
        self.sessions.room(owner, self.authority.most_sessions(owner))
    }

    /// Opens a session that was permitted by a standing grant. Run it to its end.
    ///
    /// # Errors
    /// The target can't be reached with what the vault holds; the grant is gone meanwhile.
    pub async fn open_permitted(
        &self,
        permit: Permit<action::Opening>,
        owner: Identity,
    ) -> Result<Arc<Session>, Failure> {
        let opening = permit.spend();
        let _room = self.room(&owner)?;
        let gone = || Failure::new(Code::GrantMissing, "the standing grant is gone", "sgw whoami");
        let under = self.authority.grant(&opening.grant).ok_or_else(gone)?;
        let reached = self.reach(&opening.target)?;
        let (whose, target) = (owner.to_string(), opening.target.to_string());
        let (route, named) = (&reached.route, &reached.credentials);
        audit::session_opening(&self.evidence, &whose, &opening, route, named).await?;
        let grant = Grant {
            capabilities: opening.capabilities,
            mode: opening.mode,
            expires_at: opening.expires_at,
            max_commands: opening.max_commands,
            used_commands: 0,
            opaque: opening.opaque,
        };
        let session = Opening {
            request: None,
            owner,
            name: opening.name,
            asked: Destination { user: None, host: target.clone(), port: None },
            grant,
            under: Some(under),
            created_at: self.now(),
        };
        match self.open_standing(reached, session).await {
            Ok(session) => {
                session.collected();
                self.founded(session).await
            }
            Err(failure) => {
                audit::opening_failed(&self.evidence, &whose, &target, &failure).await;
                Err(failure.sent(false))
            }
        }
    }

    /// What an identity has on which target without having asked: each with whether a session opens by
    /// itself, and what is left under its grant.
    pub fn standing_for(&self, identity: &Identity) -> Vec<Reach> {
        let now = self.now();
        let mut all = Vec::new();
        for target in self.vault.all::<Target>() {
            let name = target.record.name.as_str();
            for under in self.authority.grants_for(identity, name) {
                let (standing, used) = (&under.standing, under.live().used);
                let over = standing.is_over(now) || !standing.budget.is_left(&used);
                if over || !standing.target.matches(name) {
                    continue;
                }
                let mut capabilities = standing.capabilities.clone();
                capabilities.retain(|one| target.record.pty || *one != Capability::Pty);
                let why = match standing.approval {
                    Approval::EachSession => Some("each session is to be asked for".to_owned()),
                    _ => self.needs_operator(&target.record.name),
                };
                let (name, standing) = (name.to_owned(), why.is_none());
                let (left_commands, left_bytes) = under.left();
                all.push(Reach { name, capabilities, standing, why, left_commands, left_bytes });
            }
        }
        all
    }

    /// A new session, unless what it rests on has gone while it was opened.
    pub async fn founded(&self, session: Arc<Session>) -> Result<Arc<Session>, Failure> {
        match self.unfounded(&session) {
            None => Ok(session),
            Some(why) => {
                self.sessions.close(&session, why.clone(), why.code.as_str()).await;
                Err(why.sent(false))
            }
        }
    }

    /// The standing grant that a session on a named target is to live under which the operator gives:
    /// one that wants each of them asked for, and holds all of it.
    pub fn each_session(
        &self,
        owner: &Identity,
        asked: &Destination,
        capabilities: &Capabilities,
    ) -> Option<Arc<Under>> {
        let target = self.target_named(asked)?;
        let (now, name) = (self.now(), target.as_str());
        let fits = |under: &Arc<Under>| {
            let standing = &under.standing;
            standing.approval == Approval::EachSession
                && standing.target.matches(name)
                && !standing.is_over(now)
                && standing.budget.is_left(&under.live().used)
                && capabilities.is_subset(&standing.capabilities)
        };
        self.authority.grants_for(owner, name).into_iter().find(fits)
    }
}
