//! Requests as they are shown, to their owner and to the operator.

use std::collections::BTreeSet;

use super::{Desk, Entry, unknown};
use crate::{
    domain::{
        action::{Action, Exec, Stdin},
        bytes::Bytes,
        files::{
            Files,
            replaced::{self, Before},
        },
        grant::Mode,
        guard::forward::End,
        id::Id,
        identity::Identity,
        judgement::Judgement,
        nearest::{nearest, told},
        request::State,
        target::Hop,
    },
    protocol::{
        error::{Code, Failure},
        view::{Finding, Input, Kind, Past, Place, Question, Replaced, Request, RequestStatus},
    },
};

/// What the desk must be told of a session to show a command that waits in it.
#[derive(Clone, Debug, Default)]
pub struct SessionShown {
    pub target: String,
    pub place: Vec<Place>,
    pub mode: Option<Mode>,
    /// The machine at which a person had to answer something to log in, the first of them.
    pub asked_at: Option<Hop>,
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
                // Many plans at once fit into no answer.
                shown.push(Request { lines: Vec::new(), ..show(entry, now, &session) });
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
        input: impl Fn(&Exec) -> Option<Bytes>,
    ) -> Result<Question, Failure> {
        let id = self.find(prefix, None)?;
        let now = (self.now)();
        let past = self.past(&id);
        self.entry(&id, None, |entry| {
            let request = show(entry, now, &session);
            let digest = entry.request.digest;
            let seen = entry.request.seen.clone();
            let action = &entry.request.action;
            let access = match action {
                Action::Access(access) => Some(access),
                _ => None,
            };
            let shown = action.session().and_then(session);
            let mode = shown.as_ref().and_then(|shown| shown.mode);
            let place = shown.map(|shown| shown.place);
            Question {
                request,
                digest,
                terms: access.map(|access| access.terms.clone()),
                name: access.and_then(|access| access.name.as_ref()).map(ToString::to_string),
                prolongs: access
                    .and_then(|access| access.prolongs.as_ref())
                    .map(ToString::to_string),
                stdin: matches!(action, Action::Exec(exec) if exec.stdin == Stdin::Open),
                input: match action {
                    Action::Exec(exec) => input_shown(exec, input),
                    _ => None,
                },
                files: matches!(action, Action::Files(_)),
                replaced: match action {
                    Action::Files(files) => replaced(files),
                    _ => Vec::new(),
                },
                terminal: matches!(action, Action::Input(_)),
                seen,
                uid: Some(entry.request.identity.uid),
                past,
                place: place.unwrap_or_default(),
                named: None,
                only_once: super::commands::only_once(action, mode).map(str::to_owned),
                finding: match action {
                    Action::Exec(exec) => found(&exec.judged, exec.in_full().as_slice(), mode),
                    // What a typed line runs is no part that could pass again: where it is typed counts.
                    Action::Input(input) => found(&input.judged, input.shown.as_slice(), mode)
                        .map(|found| Finding { part: None, ..found }),
                    Action::Files(files) => {
                        // It is about the command that the guard was asked about, which nobody runs.
                        found(&files.judged, &[], mode).map(|found| Finding {
                            span: None,
                            command: Vec::new(),
                            ..found
                        })
                    }
                    Action::Forward(forward) => found(&forward.judged, &[], mode)
                        .map(|found| Finding { command: Vec::new(), ..found }),
                    _ => None,
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

/// What a command will read, where that is known; bytes behind the line's end are counted in it.
fn input_shown(exec: &Exec, head: impl Fn(&Exec) -> Option<Bytes>) -> Option<Input> {
    let Stdin::Whole(whole) = exec.stdin else { return None };
    let line = exec.in_full().as_slice().len();
    let inside =
        |(from, to): (usize, usize)| Some((from.checked_sub(line)?, to.checked_sub(line)?));
    Some(Input {
        bytes: whole.bytes,
        sha256: whole.sum,
        head: head(exec).unwrap_or_default(),
        span: exec.judged.span.and_then(inside),
    })
}

fn replaced(files: &Files) -> Vec<Replaced> {
    let one = |one: &replaced::Replaced| {
        let (bytes, sha256) = match &one.before {
            Before::Nothing | Before::Directory { .. } | Before::Link { .. } => (None, None),
            Before::Content { size, sum } => (Some(*size), Some(sum.clone())),
            Before::Unread { size, .. } => (*size, None),
        };
        let path = files.at.get(one.index).cloned().map(Bytes).unwrap_or_default();
        Replaced { path, bytes, sha256, change: one.change.clone() }
    };
    files.replaced.iter().map(one).collect()
}

/// Why the guard asks for a person, where it does.
fn found(judged: &Judgement, line: &[u8], mode: Option<Mode>) -> Option<Finding> {
    let rule = judged.rule.clone()?;
    let first = judged.parts.first();
    Some(Finding {
        rule,
        reason: judged.reason.clone().unwrap_or_default(),
        span: judged.span.filter(|(from, _)| *from < line.len()),
        command: first.map(|part| part.argv.clone()).unwrap_or_default(),
        chain: first.map(|part| part.chain.clone()).unwrap_or_default(),
        also: judged.parts.iter().skip(1).map(|part| part.rule.clone()).collect(),
        // In the other modes all of it is asked about again.
        part: judged.part().filter(|_| mode == Some(Mode::Guarded)).map(|part| part.argv.clone()),
        policy: judged.policy,
    })
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
    let (kind, command, reason) = match &request.action {
        Action::Access(access) => (Kind::Access, None, Some(access.reason.clone())),
        Action::Exec(exec) => (Kind::Command, Some(exec.in_full()), exec.reason.clone()),
        Action::Input(input) => (Kind::Command, Some(input.shown.clone()), None),
        Action::Handoff(handoff) => (Kind::Handoff, None, Some(handoff.message.clone())),
        Action::Login(_) => (Kind::Login, None, None),
        Action::Plan(plan) => (Kind::Plan, None, Some(plan.reason.clone())),
        Action::Files(files) => (Kind::Command, Some(files.in_full()), None),
        Action::Forward(forward) => {
            (Kind::Forward, Some(Bytes(forward.way.to_string().into_bytes())), None)
        }
    };
    let lines = match &request.action {
        Action::Plan(plan) => super::lines_shown(plan, entry.progress.as_ref()),
        _ => Vec::new(),
    };
    let place = Placed::of(&request.action, session);
    let about = entry.session.as_ref().or(request.action.session());
    Request {
        id: request.id.to_string(),
        kind,
        identity: request.identity.to_string(),
        status,
        target: place.target,
        host: place.host,
        port: place.port,
        user: place.user,
        command,
        reason,
        rule: entry.rule.clone(),
        only: match &request.action {
            Action::Access(access) => access.terms.capabilities.clone(),
            _ => BTreeSet::new(),
        },
        hop: place.hop,
        session: about.map(Id::to_string),
        line_count: u32::try_from(lines.len()).ok().filter(|count| *count > 0),
        lines,
        created_at: request.created_at,
        expires_at: request.expires_at,
    }
}

/// Where a request leads: as asked for a new session, as resolved for what is in one.
struct Placed {
    target: String,
    host: String,
    port: Option<u16>,
    user: Option<String>,
    /// The one of the machines that a login is about.
    hop: Option<String>,
}

impl Placed {
    fn of(action: &Action, session: &impl Fn(&Id) -> Option<SessionShown>) -> Self {
        if let Action::Access(access) = action {
            let asked = &access.destination;
            let (target, host) = (asked.to_string(), asked.host.clone());
            let (port, user) = (asked.port, asked.user.clone());
            return Self { target, host, port, user, hop: None };
        }
        let shown = action.session().and_then(session).unwrap_or_default();
        let asked_at = shown.asked_at.filter(|_| matches!(action, Action::Login(_)));
        let hop = shown.place.last().map(|place| place.hop.clone());
        if let Action::Forward(forward) = action {
            // Where it leads; the machine that it leads through is the target.
            let (host, port) = match &forward.way.end {
                End::Port(host, port) => (host.to_string(), Some(*port)),
                End::Socket(_) => (String::new(), None),
            };
            let hop = hop.map(|hop| hop.to_string());
            return Self { target: shown.target, host, port, user: None, hop };
        }
        Self {
            hop: asked_at.map(|hop| hop.to_string()),
            target: shown.target,
            host: hop.as_ref().map(|hop| hop.host.clone()).unwrap_or_default(),
            port: hop.as_ref().map(|hop| hop.port),
            user: hop.map(|hop| hop.user),
        }
    }
}
