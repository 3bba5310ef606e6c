//! Looking at what is the caller's own, and closing it.

use std::{collections::BTreeMap, sync::Arc};

use super::Caller;
use crate::{
    daemon::{
        door::link::{Gone, Room, to_its_end, value},
        reading,
        session::{Session, keyboard, pty::Pty},
    },
    domain::{
        authorize::Denied,
        capability::Capability,
        id::{Kind, prefix_kind},
    },
    protocol::{
        agent,
        error::{Code, Failure},
        view::{self, ExecShown, Reach, Thing},
    },
};

impl Caller {
    pub(super) fn status(&self) -> view::Status {
        let sessions = self.sessions().sessions;
        let requests = self.requests().requests;
        let paused = self.parts.desk.pauses.check::<&str>(self.identity(), &[]).is_err();
        let mut standing = BTreeMap::new();
        let by_itself = self.parts.standing_for(self.identity()).into_iter();
        by_itself.filter(|one| one.standing).for_each(|one| add(&mut standing, one));
        let standing: Vec<Reach> = standing.into_values().collect();
        let runs = |reach: &&Reach| reach.capabilities.contains(&Capability::Exec);
        let hint = match (requests.first(), sessions.first()) {
            (Some(request), _) => format!("sgw wait {}", request.id),
            (None, Some(session))
                if paused || session.paused || session.control == view::Control::Operator =>
            {
                format!("sgw wait {}", session.id)
            }
            (None, Some(session)) => format!("sgw exec {} -- COMMAND", session.id),
            (None, None) => match standing.iter().find(runs) {
                Some(reach) => format!("sgw exec {} -- COMMAND", reach.name),
                None => "sgw request [USER@]HOST --reason 'what and why'".to_owned(),
            },
        };
        view::Status {
            unlocked: true,
            identity: Some(self.identity().to_string()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sessions,
            requests,
            standing,
            paused,
            notes: self.parts.policies.notes(self.parts.today()),
            mode: self.parts.mode(),
            hint,
        }
    }

    /// Open sessions.
    pub(super) fn sessions(&self) -> view::Sessions {
        self.parts.sessions_shown(Some(self.identity()))
    }

    pub(super) fn requests(&self) -> view::Requests {
        view::Requests {
            requests: self
                .parts
                .desk
                .pending(Some(self.identity()), |id| self.parts.session_shown(id)),
        }
    }

    pub(super) fn whoami(&self) -> view::Whoami {
        let identity = self.identity();
        // Two sessions on one target are one reach.
        let mut targets = BTreeMap::<String, Reach>::new();
        let mut left = BTreeMap::<String, Vec<(Option<u64>, Option<u64>)>>::new();
        for session in self.parts.sessions.everyone() {
            if session.owner == *identity && session.over().is_none() {
                let (name, capabilities) = (session.target(), session.grant().capabilities);
                let (standing, why, left_commands, left_bytes) = (false, None, None, None);
                let reach = Reach { name, capabilities, standing, why, left_commands, left_bytes };
                add(&mut targets, reach);
            }
        }
        for reach in self.parts.standing_for(identity) {
            left.entry(reach.name.clone())
                .or_default()
                .push((reach.left_commands, reach.left_bytes));
            add(&mut targets, reach);
        }
        for (name, reach) in &mut targets {
            (reach.left_commands, reach.left_bytes) = most(left.remove(name).unwrap_or_default());
        }
        view::Whoami {
            identity: identity.to_string(),
            uid: identity.uid,
            token: identity.token.as_ref().map(|token| token.name.to_string()),
            targets: targets.into_values().collect(),
        }
    }

    pub(super) fn history(&self, word: &str) -> Result<serde_json::Value, Failure> {
        value(&self.parts.sessions.to_see(word, Some(self.identity()))?.history())
    }

    pub(super) fn show(&self, word: &str) -> Result<serde_json::Value, Failure> {
        value(&self.parts.thing(word, Some(self.identity()))?)
    }

    pub(super) async fn close(&self, word: &str) -> Result<serde_json::Value, Failure> {
        let (parts, word, mine) = (self.parts.clone(), word.to_owned(), self.identity().clone());
        let closing = async move { parts.close(&word, Some(&mine)).await };
        value(&to_its_end(closing).await?)
    }

    pub(super) async fn output(&self, number: u32, asked: agent::Output) -> Result<(), Gone> {
        let answer = match prefix_kind(&asked.id) {
            Some(Kind::Exec) => self.output_of_exec(number, &asked).await,
            _ => self.output_of_session(number, &asked).await,
        };
        match answer {
            Ok((page, room)) => self.outbox.answer_in(room, number, value(&page)).await,
            Err(failure) => self.outbox.answer(number, Err(failure)).await,
        }
    }

    async fn output_of_exec(
        &self,
        number: u32,
        asked: &agent::Output,
    ) -> Result<(view::Output, Room), Failure> {
        let (session, exec) = self.parts.sessions.exec(&asked.id, Some(self.identity()))?;
        // What runs meanwhile may print what the operator does.
        tokio::select! {
            biased;
            () = session.keyboard.private() => Err(keyboard::taken(&session.id)),
            page = reading::read_exec(&exec, asked, &self.outbox, number) => page,
        }
    }

    async fn output_of_session(
        &self,
        number: u32,
        asked: &agent::Output,
    ) -> Result<(view::Output, Room), Failure> {
        let session = self.parts.sessions.to_see(&asked.id, Some(self.identity()))?;
        let pty = terminal(&session)?.ok_or_else(|| {
            let message = format!("nothing was typed into {} yet: it has no terminal", session.id);
            let hint = format!("sgw input {} TEXT opens it; sgw exec needs none", session.id);
            Failure::new(Code::OutputGone, message, hint).about(&session.id)
        })?;
        reading::read_pty(&session, &pty, asked, &self.outbox, number).await
    }
}

/// The session's terminal, for an agent that may use one: the operator may have opened it.
pub(super) fn terminal(session: &Session) -> Result<Option<Arc<Pty>>, Failure> {
    match session.grant().capabilities.contains(&Capability::Pty) {
        true => Ok(session.open_pty()),
        false => Err(Failure::from(Denied::Capability(Capability::Pty)).about(&session.id)),
    }
}

/// One more way to a target: what any of them gives, it has.
fn add(targets: &mut BTreeMap<String, Reach>, new: Reach) {
    let Some(reach) = targets.get_mut(&new.name) else {
        targets.insert(new.name.clone(), new);
        return;
    };
    reach.capabilities.extend(new.capabilities);
    reach.standing |= new.standing;
    reach.why = reach.why.take().or(new.why).filter(|_| !reach.standing);
}

/// A command as `show` has it.
pub fn exec_shown(exec: &crate::daemon::session::exec::Exec) -> Thing {
    let state = exec.state();
    Thing::Exec(Box::new(ExecShown {
        run: exec.shown(),
        session: exec.session.to_string(),
        stdout_bytes: state.stdout_bytes,
        stderr_bytes: state.stderr_bytes,
        remote: state.remote,
    }))
}

/// Of what several grants have left, the most of each: without a limit is more than any.
fn most(left: Vec<(Option<u64>, Option<u64>)>) -> (Option<u64>, Option<u64>) {
    let (commands, bytes): (Vec<_>, Vec<_>) = left.into_iter().unzip();
    let most = |each: Vec<Option<u64>>| {
        let all: Option<Vec<u64>> = each.into_iter().collect();
        all.and_then(|all| all.into_iter().max())
    };
    (most(commands), most(bytes))
}
