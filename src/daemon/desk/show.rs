//! Requests as they are shown, to their owner and to the operator.

use std::collections::BTreeSet;

use super::{Desk, Entry, unknown};
use crate::{
    domain::{
        action::Action,
        id::Id,
        identity::Identity,
        nearest::{nearest, told},
        request::State,
    },
    protocol::{
        error::{Code, Failure},
        view::{Kind, Past, Place, Question, Request, RequestStatus},
    },
};

/// What the desk must be told of a session to show a command that waits in it.
#[derive(Clone, Debug, Default)]
pub struct SessionShown {
    pub target: String,
    pub place: Vec<Place>,
}

impl Desk {
    /// Requests that wait, oldest first: of one identity, or of all.
    pub fn pending(
        &self,
        of: Option<&Identity>,
        session: impl Fn(&Id) -> Option<SessionShown>,
    ) -> Vec<Request> {
        let now = (self.now)();
        let mut queue = self.queue();
        let ids = queue.all(now, |entry| of.is_none_or(|one| entry.request.identity == *one));
        let mut shown = Vec::new();
        for id in ids {
            if let Some(entry) = queue.get(&id)
                && entry.request.is_pending(now)
            {
                shown.push(show(entry, now, &session));
            }
        }
        shown
    }

    /// One request, whatever its state. A unique prefix serves.
    pub fn show(
        &self,
        prefix: &str,
        of: Option<&Identity>,
        session: impl Fn(&Id) -> Option<SessionShown>,
    ) -> Result<Request, Failure> {
        let id = self.find(prefix, of)?;
        let now = (self.now)();
        self.entry(&id, of, |entry| show(entry, now, &session))
    }

    /// The one request of `of` whose id begins with `prefix`.
    pub fn find(&self, prefix: &str, of: Option<&Identity>) -> Result<Id, Failure> {
        let mut queue = self.queue();
        let mut ids = queue.starting_with("");
        ids.retain(|id| {
            queue.get(id).is_some_and(|e| of.is_none_or(|one| e.request.identity == *one))
        });
        let found: Vec<&Id> = ids.iter().filter(|id| id.as_str().starts_with(prefix)).collect();
        if let Some(whole) = found.iter().find(|id| id.as_str() == prefix) {
            return Ok((*whole).clone());
        }
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                let mut failure = unknown(prefix);
                failure.message += &told(nearest(prefix, ids.iter().map(Id::as_str)));
                Err(failure)
            }
            _ => Err(Failure::new(
                Code::UsageId,
                format!("{prefix} is the start of several requests"),
                "give more of the id: sgw requests",
            )),
        }
    }

    /// Everything that the operator decides on.
    pub fn question(
        &self,
        prefix: &str,
        session: impl Fn(&Id) -> Option<SessionShown>,
    ) -> Result<Question, Failure> {
        let id = self.find(prefix, None)?;
        let now = (self.now)();
        let past = self.past(&id);
        self.entry(&id, None, |entry| {
            let request = show(entry, now, &session);
            let digest = entry.request.digest;
            let seen = entry.request.seen.clone();
            match &entry.request.action {
                Action::Access(access) => Question {
                    request,
                    digest,
                    terms: Some(access.terms.clone()),
                    name: access.name.as_ref().map(ToString::to_string),
                    prolongs: access.prolongs.as_ref().map(ToString::to_string),
                    stdin: false,
                    seen,
                    past,
                    place: access
                        .prolongs
                        .as_ref()
                        .and_then(session)
                        .map(|shown| shown.place)
                        .unwrap_or_default(),
                },
                Action::Exec(exec) => Question {
                    request,
                    digest,
                    terms: None,
                    name: None,
                    prolongs: None,
                    stdin: exec.stdin,
                    seen,
                    past,
                    place: session(&exec.session).map(|shown| shown.place).unwrap_or_default(),
                },
            }
        })
    }

    fn past(&self, id: &Id) -> Past {
        let now = (self.now)();
        let mut queue = self.queue();
        let Some((identity, destination)) = queue.get(id).and_then(|entry| {
            let Action::Access(access) = &entry.request.action else { return None };
            Some((entry.request.identity.clone(), access.destination.clone()))
        }) else {
            return Past::default();
        };
        let mut past = Past::default();
        let like = |entry: &Entry| {
            entry.request.identity == identity
                && matches!(&entry.request.action, Action::Access(a) if a.destination == destination)
        };
        for id in queue.all(now, like) {
            match queue.get(&id).map(|entry| entry.request.state(now).clone()) {
                Some(State::Approved { .. } | State::Used) => past.approved += 1,
                Some(State::Denied { .. }) => past.denied += 1,
                _ => {}
            }
        }
        past
    }
}

fn status(state: &State) -> RequestStatus {
    match state {
        State::Pending => RequestStatus::Pending,
        State::Approved { .. } => RequestStatus::Approved,
        State::Denied { .. } => RequestStatus::Denied,
        State::Expired => RequestStatus::Expired,
        State::Withdrawn => RequestStatus::Withdrawn,
        State::Used => RequestStatus::Used,
    }
}

fn show(
    entry: &mut Entry,
    now: jiff::Timestamp,
    session: &impl Fn(&Id) -> Option<SessionShown>,
) -> Request {
    let status = status(entry.request.state(now));
    let request = &entry.request;
    let (id, identity) = (request.id.to_string(), request.identity.to_string());
    let (created_at, expires_at) = (request.created_at, request.expires_at);
    let rule = entry.rule.map(str::to_owned);
    match &request.action {
        Action::Access(access) => Request {
            id,
            kind: Kind::Access,
            identity,
            status,
            target: access.destination.to_string(),
            host: access.destination.host.clone(),
            port: access.destination.port,
            user: access.destination.user.clone(),
            command: None,
            reason: Some(access.reason.clone()),
            rule,
            only: access.terms.capabilities.clone(),
            hop: None,
            session: entry.session.as_ref().or(access.prolongs.as_ref()).map(Id::to_string),
            created_at,
            expires_at,
        },
        Action::Exec(exec) => {
            let shown = session(&exec.session).unwrap_or_default();
            let target = shown.place.last().map(|place| place.hop.clone());
            Request {
                id,
                kind: Kind::Command,
                identity,
                status,
                target: shown.target,
                host: target.as_ref().map(|hop| hop.host.clone()).unwrap_or_default(),
                port: target.as_ref().map(|hop| hop.port),
                user: target.map(|hop| hop.user),
                command: Some(exec.in_full()),
                reason: exec.reason.clone(),
                rule,
                only: BTreeSet::new(),
                hop: None,
                session: Some(exec.session.to_string()),
                created_at,
                expires_at,
            }
        }
    }
}
