//! A server's SFTP for a client of the SSH door: on a channel of its own, each call judged before it comes
//! here. What the server answers is the client's, word for word.

mod open;

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Files, Resolved, begun,
    brought::Brought,
    client::{Sftp, changes},
    compare::{Eyes, sizes},
    fault::Fault,
    intent, leads,
    names::{self, Holds},
    record,
    resolve::{resolved, split},
    write,
};
use crate::{
    daemon::{
        desk::Permit,
        evidence::Evidence,
        session::{Lane, Session, fields},
    },
    domain::{
        authorize::Denied,
        bytes,
        files::{self, Look, Operation},
        id::Id,
        record::Kind,
        sftp::{Attrs, Call, Extended, OpenFlags, Pairs, Reply, Status},
    },
    protocol::error::{Code, Failure},
};

/// One client's.
pub struct Relay {
    sftp: Sftp,
    session: Arc<Session>,
    names: Arc<names::All>,
    brought: Brought,
    evidence: Arc<Evidence>,
}

impl Files {
    /// Opens the server's SFTP for one client, over connections of its own.
    ///
    /// # Errors
    /// The session is over, there is no channel, or the server has no SFTP.
    pub async fn relay(&self, session: &Arc<Session>, lane: &Lane) -> Result<Relay, Failure> {
        if let Some(why) = session.over() {
            return Err(why.about(&session.id).sent(false));
        }
        let sftp =
            Sftp::open_by(session, lane).await.map_err(|fault| fault.at("opening", b"SFTP"))?;
        let (names, evidence) = (self.names.clone(), self.evidence.clone());
        let brought = Brought { scripts: self.scripts.clone(), account: session.account() };
        Ok(Relay { sftp, session: session.clone(), names, brought, evidence })
    }
}

impl Relay {
    /// What the server announced beside its version.
    pub fn extensions(&self) -> &Pairs {
        &self.sftp.announced
    }

    /// Where the paths of an operation lead. It is on record that somebody looked.
    pub async fn resolve(
        &self,
        permit: Permit<Look>,
        operation: &Operation,
    ) -> Result<Resolved, Failure> {
        let _look = permit.spend();
        let paths = operation.paths().into_iter().map(|(path, _)| bytes::Bytes(path.to_vec()));
        let mut looked = record(Kind::FilesLook, &self.session);
        looked.action = fields([("paths", serde_json::to_value(paths.collect::<Vec<_>>()))]);
        write(&self.evidence, looked).await?;
        leads(&self.sftp, operation).await
    }

    /// As [`Files::sizes`].
    pub async fn sizes(
        &self,
        permit: Permit<Look>,
        operation: &Operation,
        at: &[Vec<u8>],
    ) -> Result<Vec<Option<u64>>, Failure> {
        let _look = permit.spend();
        sizes(&Eyes::Sftp(&self.sftp), operation, at, None).await
    }

    /// What is permitted: counted, on record, then sent.
    pub async fn perform(
        &self,
        permit: Permit<files::Files>,
        request: Option<Id>,
        call: Call,
    ) -> Result<Reply, Failure> {
        let files = permit.spend();
        if let Operation::Stat { .. } | Operation::List { .. } | Operation::Space { .. } =
            files.operation
        {
            // That it was looked at is on record.
            return self.send_judged(call).await;
        }
        self.session.count_operation(0)?;
        let intent = intent(&self.session, &files, request);
        let (request, action) = (intent.request.clone(), intent.action.clone());
        write(&self.evidence, intent).await?;
        let number = self.session.files_begin(begun(&files, request.as_ref()));
        // What comes is not looked into: the guard knows that it does not know.
        let before = self.brought.begins(&files);
        let reply = self.send_judged(call).await;
        let mut result = record(Kind::FilesResult, &self.session);
        (result.request, result.action) = (request, action);
        result.outcome = match &reply {
            Err(failure) => Some(failure.code.as_str().to_owned()),
            Ok(Reply::Status(Status { code, .. })) if code.number() != 0 => {
                Some(format!("sftp.{}", code.number()))
            }
            Ok(_) => None,
        };
        if result.outcome.is_none()
            && matches!(files.operation, Operation::Move { .. } | Operation::Remove { .. })
        {
            self.brought.ended(&files, before, None);
        }
        self.session.files_end(number, None, result.outcome.clone(), Timestamp::now());
        if let Err(failure) = write(&self.evidence, result).await {
            tracing::error!(session = %self.session.id, code = %failure.code, "a result was not recorded");
        }
        reply
    }

    /// A call by names that were judged: they lead where they led, and what is opened by one is what has it. Names
    /// are not held while the operator has the keyboard.
    async fn send_judged(&self, call: Call) -> Result<Reply, Failure> {
        loop {
            self.session.gate.opens().await;
            match self.send_held(call.clone()).await {
                // Taken a moment ago: nothing of it was sent.
                Err(taken) if is_control(&taken) => {}
                sent => return sent,
            }
        }
    }

    async fn send_held(&self, call: Call) -> Result<Reply, Failure> {
        let names = self.names.of(&self.session.account());
        let held = match turns(&call) {
            true => Holds::Alone(names.turning().await?),
            false => Holds::Still(names.still().await?),
        };
        if let Call::Open { path, flags, attrs } = call {
            return self.open_held(&held, (path, flags, attrs)).await;
        }
        let by_name = named(&call);
        for (path, followed) in &by_name {
            self.leads_to_itself(path, *followed).await?;
        }
        let opened = matches!(call, Call::Opendir { .. });
        if changes(&call) {
            let _sent = held.sends(self.sftp.settles())?;
            return self.send_now(call).await;
        }
        held.lasts()?;
        let reply = self.send_now(call).await?;
        if let (true, Reply::Handle(handle), Some((path, _))) = (opened, &reply, by_name.first())
            && let Err(elsewhere) = self.leads_to_itself(path, true).await.and(held.lasts())
        {
            let _closed = self.sftp.close(handle.clone()).await;
            // The client waits for an answer about what it may have by now.
            return Err(elsewhere.sent(true));
        }
        // What was said is of what was judged.
        held.lasts().map(|()| reply)
    }

    /// It may come to be something that is waited for: others wait for it no longer than for anybody.
    async fn open_held(
        &self,
        held: &Holds,
        (path, flags, attrs): (Vec<u8>, OpenFlags, Attrs),
    ) -> Result<Reply, Failure> {
        let opened = self.open(held, &path, flags, attrs).await?;
        match &opened {
            Reply::Handle(handle) if held.lasts().is_err() => {
                let _closed = self.sftp.close(handle.clone()).await;
                Err(super::leads_elsewhere(&path))
            }
            _ => Ok(opened),
        }
    }

    /// `followed`: itself; else its directory. One that is not there yet leads nowhere else.
    async fn leads_to_itself(&self, path: &[u8], followed: bool) -> Result<(), Failure> {
        let at = match followed {
            true => path,
            false => split(path).map_or(path, |(directory, _)| directory),
        };
        match resolved(&self.sftp, at).await {
            Ok(leads) if leads == at => Ok(()),
            Err(fault) if followed && fault.is_not_found() => Ok(()),
            Ok(_) => Err(super::leads_elsewhere(path)),
            Err(fault) => Err(told(fault)),
        }
    }

    /// A call that names no path, or what a permitted one has opened. Waits while the operator has the
    /// keyboard or has paused it; what only closes waits for the keyboard alone.
    pub async fn send(&self, call: Call) -> Result<Reply, Failure> {
        match call {
            Call::Close { .. } => self.session.keyboard.agents().await,
            _ => self.session.gate.opens().await,
        }
        if let Call::Write { data, .. } = &call {
            self.count(data.len())?;
        }
        self.send_now(call).await
    }

    /// … and does not wait: refused, and not sent, while the operator has the keyboard.
    async fn send_now(&self, call: Call) -> Result<Reply, Failure> {
        let reply = self.sftp.call(call).await.map_err(told)?;
        if let Reply::Data(data) = &reply {
            self.count(data.len())?;
        }
        Ok(reply)
    }

    /// Counts bytes of content.
    fn count(&self, bytes: usize) -> Result<(), Failure> {
        let Some(under) = self.session.under() else { return Ok(()) };
        match under.take_bytes(bytes) {
            all if all == bytes => Ok(()),
            _ => Err(Failure::from(Denied::StandingExhausted).sent(true)),
        }
    }
}

/// Refused since the operator has the keyboard, and not sent.
fn is_control(failure: &Failure) -> bool {
    failure.code == Code::ControlOperator && failure.sent == Some(false)
}

/// The paths that a call goes by, and whether a link there would be followed.
fn named(call: &Call) -> Vec<(Vec<u8>, bool)> {
    match call {
        Call::Opendir { path }
        | Call::Stat { path }
        | Call::Setstat { path, .. }
        | Call::Extended(Extended::Statvfs { path }) => vec![(path.clone(), true)],
        Call::Lstat { path }
        | Call::Readlink { path }
        | Call::Remove { path }
        | Call::Rmdir { path }
        | Call::Mkdir { path, .. }
        | Call::Symlink { link: path, .. }
        | Call::Extended(Extended::Lsetstat { path, .. }) => vec![(path.clone(), false)],
        Call::Extended(Extended::Hardlink { from, to }) => {
            vec![(from.clone(), true), (to.clone(), false)]
        }
        Call::Rename { from, to } | Call::Extended(Extended::PosixRename { from, to }) => {
            vec![(from.clone(), false), (to.clone(), false)]
        }
        _ => Vec::new(),
    }
}

/// Whether it may make a name lead elsewhere.
fn turns(call: &Call) -> bool {
    matches!(
        call,
        Call::Rename { .. }
            | Call::Symlink { .. }
            | Call::Extended(Extended::PosixRename { .. } | Extended::Hardlink { .. })
    )
}

fn told(fault: Fault) -> Failure {
    fault.at("carrying", b"SFTP")
}
