//! What an SFTP client of the bridge asks, call by call: mapped to the operations that `sgw files` has, and
//! walked as those are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Bridge, Caller, bridge::PATIENCE_MS};
use crate::{
    daemon::{
        desk::{Ground, Outcome, Permit, Verdict},
        door::link::Outbox,
        files::{Relay, Resolved},
        session::Session,
    },
    domain::{
        bytes::Bytes,
        capability::Capability,
        files::{Files, How, Operation, Write},
        id::Id,
        sftp::{Attrs, Call, Extended, OpenFlags, Pairs, Reply},
    },
    protocol::error::{Code, Failure},
};

/// The most files that one client has open at once.
const HANDLES: usize = 1024;

/// One SFTP client's calls, on a session.
pub struct Mediator {
    caller: Caller,
    session: Arc<Session>,
    relay: Relay,
    /// The paths that handles were opened by, as they were given.
    open: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

/// How a call is walked.
enum Walk {
    /// As these operations, all of them; the last is what is recorded with the call.
    As(Vec<Operation>),
    /// It names no path but asks where one leads, or what the server is.
    Look,
    /// What a judged call has opened.
    Opened,
    Refused(&'static str),
}

impl Bridge {
    /// The server's SFTP for one client.
    ///
    /// # Errors
    /// The session gives no files, or the server has no SFTP.
    pub async fn sftp(&self) -> Result<Mediator, Failure> {
        let (outbox, _nobody) = Outbox::within();
        let caller = self.caller(outbox);
        let session = self.session();
        caller.check_known()?;
        caller.check_stopped(session)?;
        caller.may_look(session)?;
        let relay = caller.parts.files.relay(session, self.lane()).await?;
        caller.parts.in_use.touch();
        Ok(Mediator { caller, session: session.clone(), relay, open: Mutex::default() })
    }
}

impl Caller {
    fn may_look(&self, session: &Session) -> Result<(), Failure> {
        let given = session.grant().capabilities;
        match given.contains(&Capability::FilesRead) || given.contains(&Capability::FilesWrite) {
            true => Ok(()),
            false => {
                Err(crate::domain::authorize::Denied::Capability(Capability::FilesRead).into())
            }
        }
    }
}

impl Mediator {
    pub fn extensions(&self) -> &Pairs {
        self.relay.extensions()
    }

    /// Whether a call can go on beside others: it works on what is open.
    pub fn is_opened(&self, call: &Call) -> bool {
        matches!(self.walk(call), Walk::Opened)
    }

    /// Judges a call and sends it.
    ///
    /// # Errors
    /// It may not, or not yet; nothing was sent then.
    pub async fn call(&self, call: Call) -> Result<Reply, Failure> {
        self.caller.check_known()?;
        if let Some(why) = self.session.over() {
            return Err(why.about(&self.session.id).sent(false));
        }
        match self.walk(&call) {
            Walk::Refused(why) => Err(Failure::new(
                Code::GrantMissing,
                format!("{why} does not go through sgw"),
                "use a command for it: sgw exec SESSION -- …",
            )
            .sent(false)),
            Walk::Look => {
                self.caller.check_stopped(&self.session)?;
                self.relay.send(call).await
            }
            Walk::Opened => {
                if let Call::Close { handle } = &call {
                    self.handles().remove(handle);
                }
                self.relay.send(call).await
            }
            Walk::As(operations) => self.walked(operations, call).await,
        }
    }

    async fn walked(&self, operations: Vec<Operation>, call: Call) -> Result<Reply, Failure> {
        self.caller.check_paused(&self.session)?;
        self.session.keyboard.agents().await;
        let mut permitted = None;
        for operation in operations {
            permitted = Some(self.permitted(operation).await?);
        }
        let Some((permit, request, at)) = permitted else {
            return self.relay.send(call).await;
        };
        let opens = match &call {
            Call::Open { path, .. } | Call::Opendir { path } => Some(path.clone()),
            _ => None,
        };
        if opens.is_some() && self.handles().len() >= HANDLES {
            let message = format!("{HANDLES} files are open at once");
            return Err(Failure::new(Code::LimitStreams, message, "close some").sent(false));
        }
        let reply = self.relay.perform(permit, request, resolved(call, &at)).await?;
        if let (Some(path), Reply::Handle(handle)) = (opens, &reply) {
            self.handles().insert(handle.clone(), path);
        }
        Ok(reply)
    }

    /// The walk of one operation: where it leads, what the policy says of it there, who is asked.
    async fn permitted(
        &self,
        operation: Operation,
    ) -> Result<(Permit<Files>, Option<Id>, Vec<Vec<u8>>), Failure> {
        let (caller, session) = (&self.caller, &self.session);
        let desk = &caller.parts.desk;
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let needs = operation.needs();
        let look = desk.may_look(caller.identity(), &ground, &session.id, needs)?;
        let Resolved { at, home } = self.relay.resolve(look, &operation).await?;
        let (judged, _none_of_many) = caller.judge_files(session, &operation, &at, &home).await?;
        let (id, leads) = (session.id.clone(), at.clone());
        let files =
            Files { session: id, operation, at, content: None, judged, passed_by: Vec::new() };
        let id = match desk.judge_files(&caller.asker, &ground, files, false) {
            Ok(Verdict::Permit(permit)) => return Ok((permit, None, leads)),
            Ok(Verdict::Asked { id, new }) => {
                if new {
                    caller.announce(&id).await?;
                }
                id
            }
            Err(refused) => return Err(caller.files_refused(session, refused).await),
        };
        let patience = Some(Duration::from_millis(PATIENCE_MS));
        match desk.wait(caller.identity(), &id, patience).await? {
            Outcome::Approved => {
                let permit = desk.permit_approved_files(&id, caller.identity(), &ground)?;
                Ok((permit, Some(id), leads))
            }
            _ => Err(Failure::new(
                Code::RequestClosed,
                format!("{id} was used by another call"),
                "try it again",
            )
            .about(&id)),
        }
    }

    fn walk(&self, call: &Call) -> Walk {
        let one = |operation| Walk::As(vec![operation]);
        match call {
            Call::Open { path, flags, attrs } => opening(path, *flags, attrs),
            Call::Opendir { path } => one(Operation::List { path: Bytes(path.clone()), depth: 1 }),
            Call::Lstat { path } | Call::Readlink { path } => {
                let follow = !has_a_name(path);
                one(Operation::Stat { path: Bytes(path.clone()), follow })
            }
            Call::Stat { path } => one(Operation::Stat { path: Bytes(path.clone()), follow: true }),
            Call::Setstat { path, attrs } => changing(path, attrs),
            Call::Fsetstat { handle, attrs } => match self.handles().get(handle) {
                Some(path) => changing(path, attrs),
                None => Walk::Opened,
            },
            Call::Remove { path } | Call::Rmdir { path } => {
                one(Operation::Remove { path: Bytes(path.clone()), recursive: false })
            }
            Call::Mkdir { path, attrs } => one(Operation::MakeDirectory {
                path: Bytes(path.clone()),
                parents: false,
                mode: attrs.mode(),
            }),
            Call::Rename { from, to } => one(moving(from, to, false)),
            Call::Symlink { holds, link } => {
                one(Operation::Link { target: Bytes(holds.clone()), path: Bytes(link.clone()) })
            }
            Call::Realpath { .. } => Walk::Look,
            Call::Close { .. }
            | Call::Read { .. }
            | Call::Write { .. }
            | Call::Fstat { .. }
            | Call::Readdir { .. } => Walk::Opened,
            Call::Extended(extended) => match extended {
                Extended::PosixRename { from, to } => one(moving(from, to, true)),
                Extended::Statvfs { path } => one(Operation::Space { path: Bytes(path.clone()) }),
                Extended::Limits
                | Extended::ExpandPath { .. }
                | Extended::HomeDirectory { .. }
                | Extended::UsersGroupsById { .. } => Walk::Look,
                Extended::Fstatvfs { .. } | Extended::Fsync { .. } | Extended::CopyData { .. } => {
                    Walk::Opened
                }
                Extended::Lsetstat { path, attrs } => changing(path, attrs),
                Extended::Hardlink { .. } => Walk::Refused("a hard link"),
                Extended::Other { .. } => Walk::Refused("an extension that sgw does not know"),
            },
            Call::Other { .. } => Walk::Refused("a call that version 3 does not have"),
        }
    }

    fn handles(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<u8>, Vec<u8>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the last of it names an entry of a directory, which can be a link.
fn has_a_name(path: &[u8]) -> bool {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    !matches!(last, b"" | b"." | b"..")
}

fn opening(path: &[u8], flags: OpenFlags, attrs: &Attrs) -> Walk {
    let path = Bytes(path.to_vec());
    let mut operations = Vec::new();
    if flags.has(OpenFlags::READ) || !flags.changes() {
        operations.push(Operation::Read { path: path.clone(), offset: 0, limit: None });
    }
    if flags.changes() {
        let how = match () {
            () if flags.has(OpenFlags::EXCLUSIVE) => How::Create,
            () if flags.has(OpenFlags::APPEND) => How::Append,
            () => How::Replace,
        };
        let (mode, parents, if_sum) = (attrs.mode(), false, None);
        operations.push(Operation::Write(Write { path, how, mode, parents, if_sum }));
    }
    Walk::As(operations)
}

/// Rights and size as what they are; times alone as a change of the file.
fn changing(path: &[u8], attrs: &Attrs) -> Walk {
    let path = Bytes(path.to_vec());
    if attrs.owner.is_some() {
        return Walk::Refused("another owner");
    }
    let mut operations = Vec::new();
    if attrs.size.is_some() || attrs.mode().is_none() {
        let (mode, parents, if_sum) = (None, false, None);
        let path = path.clone();
        operations.push(Operation::Write(Write { path, how: How::Replace, mode, parents, if_sum }));
    }
    if let Some(mode) = attrs.mode() {
        operations.push(Operation::SetMode { path, mode });
    }
    Walk::As(operations)
}

fn moving(from: &[u8], to: &[u8], replace: bool) -> Operation {
    Operation::Move { from: Bytes(from.to_vec()), to: Bytes(to.to_vec()), replace }
}

/// The call with the paths that were judged, in place of those that were given: a name can come to lead
/// elsewhere.
fn resolved(call: Call, at: &[Vec<u8>]) -> Call {
    let path = |number: usize| at.get(number).cloned().unwrap_or_default();
    match call {
        Call::Open { flags, attrs, .. } => Call::Open { path: path(0), flags, attrs },
        Call::Opendir { .. } => Call::Opendir { path: path(0) },
        Call::Lstat { .. } => Call::Lstat { path: path(0) },
        Call::Stat { .. } => Call::Stat { path: path(0) },
        Call::Readlink { .. } => Call::Readlink { path: path(0) },
        Call::Setstat { attrs, .. } => Call::Setstat { path: path(0), attrs },
        Call::Remove { .. } => Call::Remove { path: path(0) },
        Call::Rmdir { .. } => Call::Rmdir { path: path(0) },
        Call::Mkdir { attrs, .. } => Call::Mkdir { path: path(0), attrs },
        Call::Rename { .. } => Call::Rename { from: path(0), to: path(1) },
        Call::Symlink { holds, .. } => Call::Symlink { holds, link: path(0) },
        Call::Extended(Extended::PosixRename { .. }) => {
            Call::Extended(Extended::PosixRename { from: path(0), to: path(1) })
        }
        Call::Extended(Extended::Statvfs { .. }) => {
            Call::Extended(Extended::Statvfs { path: path(0) })
        }
        // Of a link itself, which is not followed: its own name.
        other => other,
    }
}
