//! Requests and sessions for the desk's tests.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    guard::Guard,
    state::{Desk, Now, Shown},
};
use crate::{
    cli::approval::{Extent, Row},
    domain::{
        capability::Capability,
        escape::{exact, visible},
        grant::{Grant, Mode},
        guard::Decision,
    },
    protocol::{
        operator::Event,
        view::{Control, Kind, PlanLine, Request, RequestStatus, Run, Session, SessionStatus},
    },
};

pub const SIZE: (u16, u16) = (80, 24);

pub fn began() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

/// So many milliseconds after the desk began.
pub fn at(ms: u64) -> Now {
    let passed = SignedDuration::from_millis(i64::try_from(ms).unwrap());
    Now { since: Duration::from_millis(ms), at: began() + passed }
}

pub fn empty() -> Desk {
    Desk::new(at(0), SIZE, Guard::new(None, true))
}

/// The request is marked and shown, since the beginning.
pub fn showing(request: Request) -> Desk {
    let mut desk = empty();
    let shown = shown(&request);
    desk.event(came(request), at(0));
    desk.looked(shown);
    desk
}

pub fn came(request: Request) -> Event {
    Event::Request { request, by: None }
}

pub fn over(request: Request, status: RequestStatus, by: Option<&str>) -> Event {
    Event::Request { request: Request { status, ..request }, by: by.map(str::to_owned) }
}

fn request(id: &str, kind: Kind) -> Request {
    Request {
        id: id.into(),
        kind,
        identity: "uid:1000".into(),
        status: RequestStatus::Pending,
        target: "deploy@web1".into(),
        host: "web1".into(),
        port: Some(22),
        user: Some("deploy".into()),
        command: None,
        reason: None,
        rule: None,
        only: Capability::usual(),
        hop: None,
        session: (kind != Kind::Access).then(|| "s-4fk".to_owned()),
        lines: Vec::new(),
        line_count: None,
        created_at: began(),
        expires_at: began() + SignedDuration::from_hours(24),
    }
}

pub fn access(id: &str) -> Request {
    Request { reason: Some("read the nginx logs".into()), ..request(id, Kind::Access) }
}

pub fn command(id: &str, line: &str) -> Request {
    let command = Some(line.into());
    Request { command, rule: Some("mode.each".into()), ..request(id, Kind::Command) }
}

pub fn plan(id: &str) -> Request {
    let line = |number, command: &str, rule: Option<(&str, usize)>| PlanLine {
        number,
        command: command.into(),
        verdict: if rule.is_some() { Decision::Approve } else { Decision::Allow },
        rule: rule.map(|(rule, _)| rule.into()),
        reason: rule.map(|_| "services stopped or changed".into()),
        span: rule.map(|(_, from)| (from, command.len())),
        approved: None,
        exec: None,
    };
    let migrate = "cd -- /srv/app || exit 1; ./migrate --check";
    let restart = "cd -- /srv/app || exit 1; systemctl restart app";
    let lines = vec![
        line(3, migrate, None),
        line(4, restart, Some(("service.change", 26))),
        line(6, "cd -- /srv/app || exit 1; curl -fsS localhost:8080/health", None),
    ];
    let reason = Some("deploy 1.4.2: migrate, restart, look".to_owned());
    Request { reason, lines, line_count: Some(3), ..request(id, Kind::Plan) }
}

pub fn handoff(id: &str) -> Request {
    let reason = Some("please log in to the database: it asks for your password".to_owned());
    Request { reason, ..request(id, Kind::Handoff) }
}

pub fn login(id: &str) -> Request {
    Request { hop: Some("deploy@web1:22".into()), ..request(id, Kind::Login) }
}

/// As the approval would put it.
pub fn shown(request: &Request) -> Shown {
    let rows = |extent: usize| {
        let row = |name, text: String| Row { name, text, strong: false };
        let mut rows = vec![
            row("known", exact(request.identity.as_bytes(), 200)),
            row(
                "seen",
                "/usr/bin/claude (pid 4711) in /home/me/site, started by bash < tmux; it chose this itself"
                    .to_owned(),
            ),
            row(
                "reason",
                match &request.reason {
                    Some(reason) => format!("\"{}\"", visible(reason, 600)),
                    None => "none given".to_owned(),
                },
            ),
        ];
        let mut add = |name, text, strong| rows.push(Row { name, text, strong });
        if request.kind == Kind::Plan {
            crate::cli::approval::plan_rows(request, None, Extent::Usual, &mut add);
        }
        if let Some(command) = &request.command {
            let text = exact(command.as_slice(), extent);
            rows.push(Row { name: "runs", text, strong: true });
            rows.push(row("stdin", "empty".to_owned()));
            rows.push(row(
                "asked",
                "because each command of this session is (mode each)".to_owned(),
            ));
        }
        let leads = if request.kind == Kind::Access {
            rows.push(row("gives", "exec pty files:read, mode guarded, for 1h".to_owned()));
            "leads to"
        } else {
            "runs on"
        };
        rows.push(Row { name: leads, text: "deploy@web1.example.org:22".into(), strong: true });
        rows.push(row(
            "",
            "host key SHA256:Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE".to_owned(),
        ));
        if request.kind == Kind::Access {
            let log_in = "you choose after your yes: your ssh-agent, a password or another key";
            rows.push(row("log in", log_in.to_owned()));
            rows.push(row("before", "given 3×, refused 1× since unlock".to_owned()));
        }
        rows
    };
    let (id, read, failed) = (request.id.clone(), false, None);
    Shown { id, rows: rows(4000), whole: rows(1_000_000), read, failed }
}

pub fn session(id: &str) -> Session {
    let expires_at = began() + SignedDuration::from_mins(48);
    Session {
        id: id.into(),
        kind: Kind::Session,
        name: None,
        target: "deploy@web1".into(),
        host: "web1.example.org".into(),
        port: 22,
        user: "deploy".into(),
        identity: "uid:1000".into(),
        status: SessionStatus::Active,
        control: Control::Agent,
        paused: false,
        paused_by: None,
        denied_rules: Vec::new(),
        returned: None,
        mode: Mode::Guarded,
        left_commands: None,
        left_bytes: None,
        granted: Grant {
            capabilities: Capability::usual(),
            mode: Mode::Guarded,
            expires_at,
            max_commands: None,
            used_commands: 0,
            opaque: crate::domain::grant::Opaque::Ask,
        },
        created_at: began(),
        expires_at,
        running: Vec::new(),
        waiting: None,
    }
}

pub fn run(id: &str, command: &str, running: bool) -> Run {
    Run {
        id: id.into(),
        kind: Kind::Exec,
        command: command.into(),
        exit_code: (!running).then_some(0),
        signal: None,
        running,
        started_at: began(),
        duration_ms: (!running).then_some(40),
        request: None,
    }
}
