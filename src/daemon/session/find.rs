//! Finding a session or an exec by what a caller wrote.

use std::sync::Arc;

use super::{Session, Sessions, exec::Exec};
use crate::{
    domain::{capability::Capabilities, id::prefix_kind, identity::Identity, target::Destination},
    protocol::error::{Code, Failure},
};

impl Sessions {
    /// A session to work in, wherever SESSION stands: its id, then my session's name, then my only
    /// open session on that target. Another identity's and an unknown one are the same error.
    pub fn to_use(&self, word: &str, mine: &Identity) -> Result<Arc<Session>, Failure> {
        let mut own = self.everyone();
        own.retain(|session| session.owner == *mine);
        if let Some(session) = own.iter().find(|session| session.id.as_str() == word) {
            return match session.over() {
                Some(why) => Err(why.about(&session.id)),
                None => Ok(session.clone()),
            };
        }
        own.retain(|session| session.over().is_none());
        let named = |session: &&Arc<Session>| {
            session.name.as_ref().is_some_and(|name| name.as_str() == word)
        };
        let by_name: Vec<_> = own.iter().filter(named).cloned().collect();
        if !by_name.is_empty() {
            return only(by_name, word);
        }
        own.retain(|session| leads_to(session, word));
        only(own, word)
    }

    /// A session to look at or close: as [`Sessions::to_use`], or the start of its id; ended ones
    /// too. `mine` is `None` for the operator.
    pub fn to_see(&self, word: &str, mine: Option<&Identity>) -> Result<Arc<Session>, Failure> {
        let mut all = self.everyone();
        all.retain(|session| mine.is_none_or(|identity| session.owner == *identity));
        if let Some(session) = all.iter().find(|session| session.id.as_str() == word) {
            return Ok(session.clone());
        }
        if prefix_kind(word).is_some() {
            all.retain(|session| session.id.as_str().starts_with(word));
            return only(all, word);
        }
        let fits = |session: &Arc<Session>| {
            session.name.as_ref().is_some_and(|name| name.as_str() == word)
                || leads_to(session, word)
        };
        all.retain(fits);
        let open: Vec<_> = all.iter().filter(|session| session.over().is_none()).cloned().collect();
        if open.is_empty() { only(all.pop().into_iter().collect(), word) } else { only(open, word) }
    }

    /// A command by its id or the start of it.
    pub fn exec(
        &self,
        word: &str,
        mine: Option<&Identity>,
    ) -> Result<(Arc<Session>, Arc<Exec>), Failure> {
        let mut found = Vec::new();
        for session in self.everyone() {
            if mine.is_some_and(|identity| session.owner != *identity) {
                continue;
            }
            for exec in session.execs() {
                if exec.id.as_str() == word {
                    return Ok((session, exec));
                }
                if exec.id.as_str().starts_with(word) {
                    found.push((session.clone(), exec));
                }
            }
        }
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            (Some(_), false) => Err(Failure::new(
                Code::SessionAmbiguous,
                format!("{word} could be several commands"),
                "name it by its whole id: sgw history SESSION",
            )),
            (None, _) => Err(Failure::new(
                Code::ExecUnknown,
                format!("no command {word}"),
                "sgw history SESSION lists what ran",
            )),
        }
    }

    /// An open session of mine on just this destination that gives what is asked.
    pub fn that_serves(
        &self,
        mine: &Identity,
        destination: &Destination,
        needed: &Capabilities,
    ) -> Option<Arc<Session>> {
        self.everyone().into_iter().find(|session| {
            session.owner == *mine
                && session.asked == *destination
                && session.over().is_none()
                && needed.is_subset(&session.grant().capabilities)
        })
    }
}

fn leads_to(session: &Session, word: &str) -> bool {
    session.asked.to_string() == word
        || session.asked.host == word
        || session.route.target().host == word
        || session.route.target().to_string() == word
}

fn only(mut found: Vec<Arc<Session>>, word: &str) -> Result<Arc<Session>, Failure> {
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(ambiguous(word)),
        (None, _) => Err(unknown(word)),
    }
}

fn ambiguous(word: &str) -> Failure {
    Failure::new(
        Code::SessionAmbiguous,
        format!("{word} could be several"),
        "name it by its whole id: sgw sessions",
    )
}

fn unknown(word: &str) -> Failure {
    Failure::new(
        Code::SessionUnknown,
        format!("no session {word}"),
        "sgw sessions lists yours; sgw request DEST --reason … asks for one",
    )
}
