//! rsync's and git's server commands for who was given files and no commands: judged by where they read and
//! write, as `sgw files` is.

use std::{sync::Arc, time::Duration};

use super::{
    Caller,
    ahead::Input,
    exec::{Sent, Wishes},
};
use crate::{
    daemon::{
        desk::{Ground, JudgedFiles, Line},
        door::follow::Control,
        files::Resolved,
        session::Session,
    },
    domain::{
        action::{self, At, Stdin},
        bytes::Bytes,
        capability::Capability,
        files::Operation,
        guard::{self, Decision},
        judgement::Manner,
        served::{Served, recognise},
    },
    protocol::{agent, error::Failure},
};

/// The program that a line starts, where whoever asks was given files and no commands.
pub(super) fn serves(session: &Session, line: &[u8]) -> Option<Served> {
    let given = session.grant().capabilities;
    let files = given.contains(&Capability::FilesRead) || given.contains(&Capability::FilesWrite);
    match files && !given.contains(&Capability::Exec) {
        true => recognise(line),
        false => None,
    }
}

impl Caller {
    /// Runs such a program, as a command of its session.
    pub(super) async fn serve(
        &self,
        number: u32,
        asked: agent::Exec,
        served: Served,
        control: &Arc<Control>,
    ) -> Result<Sent, Failure> {
        let session = self.session(&asked.session, served.needs()).await?;
        session.collected();
        self.check_stopped(&session)?;
        let wishes = Wishes::of(&asked);
        // Where its paths lead is to be known before it is judged.
        self.logged_in(number, &session, served.needs(), wishes.no_ask, wishes.over).await?;
        let action = self.read_served(asked.timeout_ms, served, &session).await?;
        self.run_judged(number, &session, (action, Input::Open), wishes, control).await
    }

    async fn read_served(
        &self,
        timeout_ms: Option<u64>,
        served: Served,
        session: &Arc<Session>,
    ) -> Result<action::Exec, Failure> {
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let needs = served.needs();
        let look = self.parts.desk.may_look(self.identity(), &ground, &session.id, needs)?;
        let configures = grant.capabilities.contains(&Capability::FilesWrite);
        let operation = Operation::Served { served: served.clone(), configures };
        let files = &self.parts.files;
        let resolved = files.resolve_served(session, look, &operation, &served).await;
        let Resolved { mut at, home, .. } =
            resolved.map_err(|failure| failure.about(&session.id))?;
        let line = operation.command(&at);
        let (id, marker) = self.marked()?;
        let wire = session.surroundings.wire(&marker, Vec::new(), None, &line);
        let wire = wire.map_err(|error| super::exec::not_a_command(&error))?;
        let (target, identity) = (session.target(), self.identity());
        let shell = guard::Shell::Posix;
        let manner = Manner { shell, stdin: Stdin::Open, ..Manner::of(&grant) };
        let bytes = action::without_prefix(&wire, &marker).to_vec();
        let files = self.parts.sessions.scripts.of(&session.account());
        let (target, own) = (target.as_str(), None);
        let judging = Line { bytes, own, target, identity, manner, cwd: None, stdin: None, files };
        let guard = &self.parts.desk.guard;
        let JudgedFiles { judged, .. } =
            guard.judge_files(judging, &operation, (&at, &[]), &home).await?;
        // Those beneath were looked at for the verdict alone.
        at.truncate(served.paths().len());
        tracing::debug!(paths = at.len(), blocked = judged.decision == Decision::Block, "served");
        Ok(action::Exec {
            id,
            session: session.id.clone(),
            marker,
            line: Bytes(line),
            wire,
            stdin: Stdin::Open,
            timeout_ms,
            reason: None,
            judged,
            passed_by: Vec::new(),
            served: Some(Box::new(At { served, at })),
        })
    }
}

impl Wishes {
    fn of(asked: &agent::Exec) -> Self {
        Self::new(asked.orphan_ms, asked.wait_ms.map(Duration::from_millis), asked.no_ask)
    }
}
