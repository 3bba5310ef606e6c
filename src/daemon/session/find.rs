//! Finding a session or an exec by what a caller wrote.

use std::sync::Arc;

use super::{Session, Sessions, exec::Exec};
use crate::{
    domain::{
        authorize::Denied,
        capability::Capabilities,
        id::{Name, prefix_kind},
        identity::Identity,
        nearest::{self, nearest},
        target::Destination,
    },
    protocol::error::{Code, Failure},
};

impl Sessions {
    /// A session to work in, wherever SESSION stands: its id, then my session's name, then my only
    /// open session on that target. Another identity's and an unknown one are the same error.
    pub fn to_use(&self, word: &str, mine: &Identity) -> Result<Arc<Session>, Failure> {
        self.that_fits(word, mine, |_| true)
    }

    /// As [`Sessions::to_use`], to run something: where a target's word stands, a session whose budget is
    /// used up is no candidate.
    pub fn to_work_in(&self, word: &str, mine: &Identity) -> Result<Arc<Session>, Failure> {
        self.that_fits(word, mine, Session::has_budget)
    }

    fn that_fits(
        &self,
        word: &str,
        mine: &Identity,
        fits: impl Fn(&Session) -> bool,
    ) -> Result<Arc<Session>, Failure> {
        let mut own = self.everyone();
        own.retain(|session| session.owner == *mine);
        if let Some(session) = own.iter().find(|session| session.id.as_str() == word) {
            return match session.over() {
                Some(why) => Err(why.about(&session.id)),
                None => Ok(session.clone()),
            };
        }
        let known_target = names_a_target(word) || own.iter().any(|one| leads_to(one, word));
        own.retain(|session| session.over().is_none());
        let named = |session: &&Arc<Session>| {
            session.name.as_ref().is_some_and(|name| name.as_str() == word)
        };
        let by_name: Vec<_> = own.iter().filter(named).cloned().collect();
        if !by_name.is_empty() {
            return only(by_name, word);
        }
        let mut there: Vec<_> = own.iter().filter(|one| leads_to(one, word)).cloned().collect();
        let unfit = there.iter().find(|one| !fits(one)).cloned();
        there.retain(|one| fits(one));
        match (there.is_empty(), unfit) {
            (true, Some(unfit)) => Err(used_up(&unfit)),
            (true, None) if known_target => Err(not_granted(word)),
            (true, None) => Err(unknown(word, &own)),
            (false, _) => only(there, word),
        }
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
            let begins = |session: &&Arc<Session>| session.id.as_str().starts_with(word);
            let found: Vec<_> = all.iter().filter(begins).cloned().collect();
            return if found.is_empty() { Err(unknown(word, &all)) } else { only(found, word) };
        }
        let fits = |session: &Arc<Session>| {
            session.name.as_ref().is_some_and(|name| name.as_str() == word)
                || leads_to(session, word)
        };
        let mut found: Vec<_> = all.iter().filter(|session| fits(session)).cloned().collect();
        let open: Vec<_> =
            found.iter().filter(|session| session.over().is_none()).cloned().collect();
        match (open.is_empty(), found.pop()) {
            (false, _) => only(open, word),
            (true, Some(ended)) => Ok(ended),
            (true, None) => Err(unknown(word, &all)),
        }
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
            (None, _) => Err(self.unknown_exec(word, mine)),
        }
    }

    fn unknown_exec(&self, word: &str, mine: Option<&Identity>) -> Failure {
        let mut sessions = self.everyone();
        sessions.retain(|session| mine.is_none_or(|identity| session.owner == *identity));
        let ids = sessions
            .iter()
            .flat_map(|session| session.execs())
            .map(|exec| exec.id.as_str().to_owned());
        let near = nearest::told(nearest(word, ids));
        Failure::new(
            Code::ExecUnknown,
            format!("no command {word}{near}"),
            "sgw history SESSION lists what ran",
        )
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
                && session.has_budget()
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
        (None, _) => Err(unknown(word, &[])),
    }
}

/// What can be nothing else: neither an id nor a name has these.
fn names_a_target(word: &str) -> bool {
    word.parse::<Name>().is_err()
        && prefix_kind(word).is_none()
        && word.parse::<Destination>().is_ok()
}

fn not_granted(word: &str) -> Failure {
    Failure::new(
        Code::GrantMissing,
        format!("you have no open session on {word}, and no standing grant"),
        "ask for one: sgw request DEST --reason …",
    )
}

fn used_up(session: &Session) -> Failure {
    Failure::from(Denied::Exhausted).about(&session.id).sent(false)
}

fn ambiguous(word: &str) -> Failure {
    Failure::new(
        Code::SessionAmbiguous,
        format!("{word} could be several"),
        "name it by its whole id: sgw sessions",
    )
}

/// `mine` are those that the caller may know of.
fn unknown(word: &str, mine: &[Arc<Session>]) -> Failure {
    let words = mine.iter().flat_map(|session| {
        let name = session.name.as_ref().map(|name| name.as_str().to_owned());
        let id = session.id.as_str().to_owned();
        [Some(id), name, Some(session.target()), Some(session.asked.host.clone())]
    });
    let near = nearest::told(nearest(word, words.flatten()));
    Failure::new(
        Code::SessionUnknown,
        format!("no session {word}{near}"),
        "sgw sessions lists yours; sgw request DEST --reason … asks for one",
    )
}
