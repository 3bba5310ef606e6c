//! Tokens and standing grants as the operator is shown them, and each agent its own.

use super::Parts;
use crate::{
    daemon::authority::{Activity, Under},
    domain::{escape::visible, grant::standing::Holder, identity::Identity, token::Token},
    protocol::{
        error::{Code, Failure},
        operator::{grant, token},
        view::{Kind, Thing},
    },
};

impl Parts {
    /// A token by the start of its id: any for the operator, `of` whoever else asks their own. Another's
    /// and an unknown one are the same error.
    pub(super) fn token_to_see(&self, word: &str, of: Option<&Identity>) -> Result<Thing, Failure> {
        let own = |token: &Token| {
            of.is_none_or(|me| me.token.as_ref().is_some_and(|shown| shown.id == token.id))
        };
        let mut found = self.authority.tokens();
        found.retain(|(token, ..)| own(token) && token.id.as_str().starts_with(word));
        let hint = match of {
            Some(_) => "sgw whoami; for the operator: sgw token show ID",
            None => "sgw token list",
        };
        let at = only(found.iter().map(|(token, ..)| token.id.as_str()), word, |what| {
            Failure::new(Code::TokenUnknown, format!("{what} token {}", visible(word, 63)), hint)
        })?;
        let (token, activity, with_program) = found.swap_remove(at);
        Ok(Thing::Token(Box::new(self.token_shown(&token, &activity, with_program))))
    }

    /// A standing grant by the start of its id: any for the operator, `of` whoever else asks what they
    /// hold.
    pub(super) fn grant_to_see(&self, word: &str, of: Option<&Identity>) -> Result<Thing, Failure> {
        let mut found = self.authority.grants();
        found.retain(|under| {
            under.standing.id.as_str().starts_with(word)
                && of.is_none_or(|me| under.standing.holder.is(me))
        });
        let hint = match of {
            Some(_) => "sgw whoami; for the operator: sgw show --all ID",
            None => "sgw grant list",
        };
        let at = only(found.iter().map(|under| under.standing.id.as_str()), word, |what| {
            let message = format!("{what} standing grant {}", visible(word, 63));
            Failure::new(Code::GrantUnknown, message, hint)
        })?;
        Ok(Thing::Grant(Box::new(grant_shown(&found[at]))))
    }

    pub fn token_shown(
        &self,
        token: &Token,
        activity: &Activity,
        with_program: bool,
    ) -> token::Shown {
        let now = self.now();
        let status = match (token.revoked_at, token.is_live(now)) {
            (Some(_), _) => token::Status::Revoked,
            (None, true) => token::Status::Active,
            (None, false) => token::Status::Expired,
        };
        let sessions = self.sessions.everyone().into_iter().filter(|session| {
            session.over().is_none()
                && session.owner.token.as_ref().is_some_and(|shown| shown.id == token.id)
        });
        let grants = self.authority.grants_of_token(&token.id);
        token::Shown {
            id: token.id.to_string(),
            kind: Kind::Token,
            name: token.name.to_string(),
            status,
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            last_used_at: activity.last_used,
            overlap_until: token.previous.as_ref().map(|one| one.until).filter(|at| *at > now),
            requests_per_hour: token.limits.requests_per_hour,
            max_sessions: token.limits.sessions,
            with_program,
            sessions: sessions.map(|session| session.id.to_string()).collect(),
            grants: grants.iter().map(|under| under.standing.id.to_string()).collect(),
            notes: Vec::new(),
        }
    }
}

pub fn grant_shown(under: &Under) -> grant::Shown {
    let (standing, used) = (&under.standing, under.live().used);
    let (token, uid) = match &standing.holder {
        Holder::Token { name, .. } => (Some(name.to_string()), None),
        Holder::Uid(uid) => (None, Some(*uid)),
    };
    grant::Shown {
        id: standing.id.to_string(),
        kind: Kind::Grant,
        holder: standing.holder.to_string(),
        token,
        uid,
        target: standing.target.to_string(),
        capabilities: standing.capabilities.clone(),
        mode: standing.mode,
        opaque: standing.opaque,
        approval: standing.approval,
        max_commands: standing.budget.max_commands,
        used_commands: used.commands,
        max_bytes: standing.budget.max_bytes,
        used_bytes: used.bytes,
        created_at: standing.created_at,
        expires_at: standing.expires_at,
        notes: Vec::new(),
    }
}

/// Which of these ids, all of which begin with `word`, is meant: the one that is it, or the only one.
fn only<'a>(
    ids: impl Iterator<Item = &'a str> + Clone,
    word: &str,
    failure: impl Fn(&str) -> Failure,
) -> Result<usize, Failure> {
    let count = ids.clone().count();
    match (ids.clone().position(|id| id == word), count) {
        (Some(at), _) => Ok(at),
        (None, 1) => Ok(0),
        (None, 0) => Err(failure("there is no")),
        (None, _) => Err(failure("there is more than one")),
    }
}
