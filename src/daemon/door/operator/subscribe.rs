//! What a desk draws: all that waits and runs, then each change. Objects go out whole, and one that
//! changed twice while a slow desk was not reading goes out once, as it is then.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tokio::sync::watch;

use super::{Operator, terminal::Open};
use crate::{
    daemon::{Parts, door::link::Gone},
    protocol::{
        error::Failure,
        operator::Event,
        view::{FilesRun, Request, RequestStatus, Run, Session, SessionStatus},
    },
};

/// At most so often is looked for what changed.
const PACE: Duration = Duration::from_millis(50);
/// What only time changes (an expiry, a lost server) wakes nobody: it is looked for.
const ROUND: Duration = Duration::from_secs(1);

impl Operator {
    /// Sends events until `cancel`, or the daemon's end.
    pub(super) async fn subscribe(&self, open: &Open) -> Result<Result<Value, Failure>, Gone> {
        let over = async {
            tokio::select! {
                () = open.stream.cancel.cancelled() => {}
                () = self.parts.end.cancelled() => {}
            }
        };
        tokio::select! {
            gone = self.draw(open.stream.number) => Err(gone),
            () = over => Ok(Ok(Value::Null)),
        }
    }

    async fn draw(&self, number: u32) -> Gone {
        let parts = &self.parts;
        let mut desk = parts.desk.changes();
        let mut sessions = parts.sessions.changes();
        let mut drawn = Picture::default();
        loop {
            desk.mark_unchanged();
            sessions.mark_unchanged();
            let now = Picture::of(parts);
            let ended = |id: &str| self.ended(id);
            for event in drawn.events_to(&now, ended) {
                // While a slow desk is waited for nothing is looked at: it gets what is so afterwards.
                if let Err(gone) = self.outbox.json(number, &event).await {
                    return gone;
                }
            }
            drawn = now;
            tokio::time::sleep(PACE).await;
            tokio::select! {
                () = changed(&mut desk) => {}
                () = changed(&mut sessions) => {}
                () = tokio::time::sleep(ROUND) => {}
            }
        }
    }

    /// A request that waits no longer, and on whose word.
    fn ended(&self, id: &str) -> Option<(Request, Option<String>)> {
        let desk = &self.parts.desk;
        let request = desk.show(id, None, |id| self.parts.session_shown(id)).ok()?;
        let by = id.parse().ok().and_then(|id| desk.decided_by(&id));
        Some((request, by))
    }
}

async fn changed(what: &mut watch::Receiver<u64>) {
    if what.changed().await.is_err() {
        // Its sender lives as long as the daemon.
        std::future::pending::<()>().await;
    }
}

/// What a desk shows at one moment.
#[derive(Default)]
struct Picture {
    requests: Vec<Request>,
    sessions: Vec<Session>,
    /// Of each session what runs, and what ran last.
    execs: BTreeMap<String, (String, Run)>,
    /// What was done last with files, by session.
    files: BTreeMap<String, FilesRun>,
}

impl Picture {
    fn of(parts: &Parts) -> Self {
        let requests = parts.desk.pending(None, |id| parts.session_shown(id));
        let sessions = parts.sessions_shown(None).sessions;
        let (mut execs, mut files) = (BTreeMap::new(), BTreeMap::new());
        for session in parts.sessions.everyone() {
            if session.over().is_some() {
                continue;
            }
            files.extend(session.did.last().map(|last| (session.id.to_string(), last)));
            let all = session.execs();
            let last = all.last().cloned();
            for exec in all.into_iter().filter(|exec| exec.is_running()).chain(last) {
                let run = exec.shown();
                execs.insert(run.id.clone(), (session.id.to_string(), run));
            }
        }
        Self { requests, sessions, execs, files }
    }

    /// What leads from here to `now`. `ended` tells what became of a request that waits no longer.
    fn events_to(
        &self,
        now: &Picture,
        ended: impl Fn(&str) -> Option<(Request, Option<String>)>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for request in self.requests.iter().filter(|one| !now.waits(&one.id)) {
            let gone = || {
                let gone = Request { status: RequestStatus::Withdrawn, ..request.clone() };
                (gone, None)
            };
            let (request, by) = ended(&request.id).unwrap_or_else(gone);
            events.push(Event::Request { request, by });
        }
        for session in &self.sessions {
            if !now.sessions.iter().any(|one| one.id == session.id) {
                let session = Session { status: SessionStatus::Closed, ..session.clone() };
                events.push(Event::Session { session });
            }
        }
        let sessions = now.sessions.iter().filter(|one| !self.sessions.contains(one));
        events.extend(sessions.cloned().map(|session| Event::Session { session }));
        for (id, (session, exec)) in &now.execs {
            if self.execs.get(id).is_none_or(|(_, before)| before != exec) {
                events.push(Event::Exec { session: session.clone(), exec: exec.clone() });
            }
        }
        for (id, (session, exec)) in &self.execs {
            let open = now.sessions.iter().any(|one| one.id == *session);
            if exec.running && open && !now.execs.contains_key(id) {
                // It ended, and another ran after it: how, its history tells.
                let exec = Run { running: false, ..exec.clone() };
                events.push(Event::Exec { session: session.clone(), exec });
            }
        }
        for (session, files) in &now.files {
            if self.files.get(session) != Some(files) {
                let (session, files) = (session.clone(), files.clone());
                events.push(Event::Files { session, files });
            }
        }
        let requests = now.requests.iter().filter(|one| !self.requests.contains(one));
        events.extend(requests.cloned().map(|request| Event::Request { request, by: None }));
        events
    }

    fn waits(&self, id: &str) -> bool {
        self.requests.iter().any(|request| request.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::view::Kind;

    fn request(id: &str) -> Request {
        let text = format!(
            r#"{{"id":"{id}","kind":"access","identity":"uid:1","status":"pending","target":"w",
            "host":"w","port":null,"user":null,"command":null,"reason":null,"rule":null,"only":[],
            "hop":null,"session":null,"created_at":"2026-01-01T00:00:00Z",
            "expires_at":"2026-01-02T00:00:00Z"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn run(id: &str, running: bool) -> Run {
        Run {
            id: id.into(),
            kind: Kind::Exec,
            command: "ls".into(),
            exit_code: (!running).then_some(0),
            signal: None,
            running,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            duration_ms: None,
            request: None,
        }
    }

    fn picture(requests: &[&str], execs: &[(&str, bool)]) -> Picture {
        Picture {
            requests: requests.iter().map(|id| request(id)).collect(),
            sessions: Vec::new(),
            execs: execs
                .iter()
                .map(|(id, running)| ((*id).to_owned(), ("s-1".to_owned(), run(id, *running))))
                .collect(),
            files: BTreeMap::new(),
        }
    }

    fn told(events: Vec<Event>) -> Vec<String> {
        let word = |event: Event| match event {
            Event::Request { request, by } => {
                format!("{} {:?} {}", request.id, request.status, by.unwrap_or_default())
            }
            Event::Exec { exec, .. } => format!("{} {}", exec.id, exec.running),
            other => format!("{other:?}"),
        };
        events.into_iter().map(word).collect()
    }

    #[test]
    fn only_what_changed_is_sent_and_its_end_with_who_decided() {
        let none = |_: &str| None;
        let (empty, two) = (Picture::default(), picture(&["r-1", "r-2"], &[("x-1", true)]));
        assert_eq!(told(empty.events_to(&two, none)), ["x-1 true", "r-1 Pending ", "r-2 Pending "]);
        assert!(two.events_to(&two, none).is_empty());
        let one = picture(&["r-2"], &[("x-1", false)]);
        let denied = |id: &str| {
            let request = Request { status: RequestStatus::Denied, ..request(id) };
            Some((request, Some("operator (pid 7)".to_owned())))
        };
        assert_eq!(told(two.events_to(&one, denied)), ["r-1 Denied operator (pid 7)", "x-1 false"]);
        assert_eq!(told(two.events_to(&one, none))[0], "r-1 Withdrawn ");
    }
}
