//! A session as its agent and the operator are shown it.

use super::Session;
use crate::{
    daemon::authority::Under,
    domain::{grant::Grant, id::Name},
    protocol::view::{self, Control, SessionStatus},
};

impl Session {
    pub fn shown(&self) -> view::Session {
        let state = self.lock();
        let target = self.route.target();
        let status = match &state.ended {
            Some(_) => SessionStatus::Closed,
            None if self.pool.is_lost() => SessionStatus::Lost,
            None => SessionStatus::Active,
        };
        let left = self.left(&state.grant);
        let running = state.execs.iter().filter(|exec| exec.is_running());
        view::Session {
            id: self.id.to_string(),
            kind: view::Kind::Session,
            name: self.name.as_ref().map(Name::to_string),
            target: self.target(),
            host: target.host.clone(),
            port: target.port,
            user: target.user.clone(),
            identity: self.owner.to_string(),
            status,
            control: match self.keyboard.control().is_agents() {
                true => Control::Agent,
                false => Control::Operator,
            },
            mode: state.grant.mode,
            granted: narrowed(&state.grant, left.0),
            left_commands: left.0,
            left_bytes: left.1,
            created_at: self.created_at,
            expires_at: state.grant.expires_at,
            running: running.map(|exec| exec.id.to_string()).collect(),
            waiting: None,
            paused: false,
            paused_by: None,
            denied_rules: Vec::new(),
            returned: self.keyboard.last().map(|held| view::HadKeyboard {
                word: held.word,
                private: held.how.was_private,
                duration_ms: u64::try_from(held.how.lasted.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    /// What was run and done in it, as it began.
    pub fn history(&self) -> view::History {
        let execs = self.execs();
        let execs = execs.iter().map(|exec| view::Happened::Exec(exec.shown()));
        let files = self.did.all().into_iter().map(view::Happened::Files);
        let mut history: Vec<_> = execs.chain(files).collect();
        history.sort_by_key(|one| match one {
            view::Happened::Exec(run) => run.started_at,
            view::Happened::Files(run) => run.started_at,
        });
        view::History { history }
    }

    /// Commands and bytes that are left, where they are limited, here or under its standing grant.
    fn left(&self, grant: &Grant) -> (Option<u64>, Option<u64>) {
        let (own, under) = (grant.commands_left(), self.under.as_deref().map(Under::left));
        let (commands, bytes) = under.unwrap_or_default();
        (own.into_iter().chain(commands).min(), bytes)
    }
}

/// A grant with the commands that there really are: it may live under one that has fewer.
fn narrowed(grant: &Grant, left: Option<u64>) -> Grant {
    let most = left.map(|left| u64::from(grant.used_commands).saturating_add(left));
    let max_commands = most.map(|most| u32::try_from(most).unwrap_or(u32::MAX));
    Grant { max_commands, ..grant.clone() }
}
