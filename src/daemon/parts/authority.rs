//! What rests on a token or a standing grant, and ends with it.

use std::sync::Arc;

use super::Parts;
use crate::{
    daemon::{
        audit,
        authority::{self, Known, NotKnown},
        session::Session,
    },
    domain::{
        grant::standing::Standing,
        id::Id,
        identity::Identity,
        record::Kind as RecordKind,
        secret::Secret,
        token::{Invalid, Token},
    },
    protocol::error::Failure,
};

impl Parts {
    /// Who stands at the agents' door. Whoever is refused hears nothing of why; the audit does.
    pub async fn who(&self, uid: u32, token: Option<&Secret<Vec<u8>>>) -> Result<Known, Failure> {
        let NotKnown { why, name } = match self.authority.who(uid, token) {
            Ok(known) => return Ok(known),
            Err(not) => not,
        };
        let told = self.authority.refusals.count(why, name, self.now());
        if let Some(((why, name), count)) = told {
            let name = name.as_ref().map(|name| name.as_str());
            let told =
                audit::tokens_refused(&self.evidence, why.as_str(), name, Some(uid), count).await;
            if let Err(failure) = told {
                tracing::error!(code = %failure.code, "a refused token was not recorded");
            }
        }
        Err(authority::not_taken(why == Invalid::Missing))
    }

    /// Ends what rests on nothing any more, tells the audit of refused tokens, and writes what was used
    /// last, for as long as the daemon lives.
    pub async fn keep_authority(self: Arc<Self>) {
        const ROUND: std::time::Duration = std::time::Duration::from_millis(500);
        loop {
            tokio::select! {
                () = self.authority.shaken.notified() => {}
                () = tokio::time::sleep(ROUND) => {}
            }
            self.authority.end_expired();
            let (parts, unfounded) = (self.clone(), self.unfounded_sessions());
            if !unfounded.is_empty() {
                tokio::spawn(async move { parts.end_sessions(unfounded).await });
            }
            self.withdraw_unfounded().await;
            for ((why, name), count) in self.authority.refusals.due(self.now()) {
                let name = name.as_ref().map(|name| name.as_str());
                let told =
                    audit::tokens_refused(&self.evidence, why.as_str(), name, None, count).await;
                if let Err(failure) = told {
                    tracing::error!(code = %failure.code, "refused tokens were not recorded");
                }
            }
            self.settle_authority(false);
        }
    }

    pub fn settle_authority(&self, whole: bool) {
        if let Err(error) = tokio::task::block_in_place(|| self.authority.settle(whole)) {
            tracing::error!(%error, "what was used was not written");
        }
    }

    /// Ends at once what rests on nothing any more.
    pub async fn end_unfounded(&self) {
        self.withdraw_unfounded().await;
        self.sessions.everyone().iter().for_each(|session| self.narrow(session));
        self.end_sessions(self.unfounded_sessions()).await;
    }

    /// Why nothing may go on in a session, where its token or its grant is gone.
    pub fn unfounded(&self, session: &Session) -> Option<Failure> {
        if session.owner.token.is_some() && !self.authority.is_live(&session.owner) {
            return Some(authority::invalid());
        }
        let over = session.under().and_then(|under| under.over(self.now()));
        over.or_else(|| self.led_elsewhere(session))
    }

    fn unfounded_sessions(&self) -> Vec<(Arc<Session>, Failure)> {
        let open = self.sessions.everyone().into_iter().filter(|one| one.over().is_none());
        open.filter_map(|one| self.unfounded(&one).map(|why| (one, why))).collect()
    }

    async fn end_sessions(&self, ended: Vec<(Arc<Session>, Failure)>) {
        let closing = ended.into_iter().map(|(session, why)| async move {
            self.desk.session_ended(&session.id);
            let outcome = why.code.as_str();
            self.sessions.close(&session, why.about(&session.id), outcome).await;
        });
        futures::future::join_all(closing).await;
    }

    async fn withdraw_unfounded(&self) {
        let gone =
            |identity: &Identity| identity.token.is_some() && !self.authority.is_live(identity);
        for id in self.desk.waiting_of(gone) {
            if self.desk.withdraw(&id).is_err() {
                continue;
            }
            let kind = RecordKind::RequestClosed;
            let told = audit::request_ended(&self.evidence, kind, "sgw", &id, None).await;
            if let Err(failure) = told {
                tracing::error!(code = %failure.code, "a withdrawn request was not recorded");
            }
        }
        self.settle_keyboards().await;
    }

    /// A token's end: on record first, and without one where that can't be written: it only narrows.
    /// Returns when nothing runs on its word any more.
    pub async fn revoke(&self, token: &Token) -> Result<(), Failure> {
        let after = Token { revoked_at: Some(self.now()), ..token.clone() };
        let kind = RecordKind::TokenRevoked;
        let shown = (authority::told(token), authority::told(&after));
        let told =
            audit::authority_changed(&self.evidence, kind, Some(&shown.0), Some(&shown.1)).await;
        let ended = match told {
            Ok(()) => self.end_token(&token.id).await,
            Err(failure) => Err(failure),
        };
        if let Err(why) = ended {
            self.authority.end_now(&token.id);
            self.end_unfounded().await;
            let again = format!("sgw token revoke {}", token.id);
            let what = format!("token {}", token.name);
            return Err(authority::ended_unkept(&what, &why, again));
        }
        Ok(())
    }

    /// A standing grant's end, in the same way.
    pub async fn take_back(&self, standing: &Standing) -> Result<(), Failure> {
        let kind = RecordKind::GrantRemoved;
        let after = None::<&Standing>;
        let told = audit::authority_changed(&self.evidence, kind, Some(standing), after).await;
        let removed = match told {
            Ok(()) => tokio::task::block_in_place(|| self.authority.remove_grant(&standing.id))
                .map_err(|error| authority::not_kept(&error)),
            Err(failure) => Err(failure),
        };
        if removed.is_err() {
            self.authority.remove_grant_now(&standing.id);
        }
        self.end_unfounded().await;
        removed.map_err(|why| {
            let again = format!("sgw grant rm {}", standing.id);
            authority::ended_unkept(&format!("grant {}", standing.id), &why, again)
        })
    }

    /// The end of the program that a token was made for.
    pub async fn program_ended(&self, id: &Id) {
        let Some((token, _, _)) = self.authority.token(id.as_str()) else { return };
        if token.revoked_at.is_some() {
            return;
        }
        let told = audit::program_ended(&self.evidence, token.name.as_str(), id).await;
        if let Err(failure) = told {
            // It ends all the same: that only narrows.
            tracing::error!(code = %failure.code, "the end of a program was not recorded");
        }
        if let Err(failure) = self.end_token(id).await {
            self.authority.end_now(id);
            self.end_unfounded().await;
            tracing::error!(code = %failure.code, "a program's token was not ended");
        }
    }

    async fn end_token(&self, id: &Id) -> Result<(), Failure> {
        let revoked = tokio::task::block_in_place(|| self.authority.revoke(id));
        revoked.map_err(|error| authority::not_kept(&error))?;
        self.end_unfounded().await;
        Ok(())
    }
}
