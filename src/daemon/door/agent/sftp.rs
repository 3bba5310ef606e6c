//! What an SFTP client of the bridge asks, call by call: mapped to the operations that `sgw files` has, and
//! walked as those are.

mod handles;
mod walk;

use std::{sync::Arc, time::Duration};

use self::{
    handles::{Handles, MOST, Open},
    walk::{EXTENSIONS, Walk, changing, resolved},
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
        capability::Capability,
        escape,
        files::{Files, Operation, Way},
        guard::{
            self,
            files::{Act, Canonical},
        },
        id::Id,
        sftp::{Call, Extended, OpenFlags, Pairs, Reply},
    },
    protocol::error::{Code, Failure},
};

/// One SFTP client's calls, on a session.
pub struct Mediator {
    caller: Caller,
    session: Arc<Session>,
    relay: Relay,
    open: Handles,
}

/// A yes for a call, and where it leads.
struct Leave {
    permit: Permit<Files>,
    request: Option<Id>,
    at: Vec<Vec<u8>>,
    home: Canonical,
    /// What was said holds for so many bytes.
    up_to: Option<u64>,
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
        Ok(Mediator { caller, session: session.clone(), relay, open: Handles::default() })
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
    /// What the server announced beside its version, as far as it is passed on.
    pub fn extensions(&self) -> Pairs {
        let known = |name: &Vec<u8>| EXTENSIONS.contains(&name.as_slice());
        self.relay.extensions().iter().filter(|(name, _)| known(name)).cloned().collect()
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
        match Walk::of(&call) {
            Walk::Refused(why) => Err(Failure::new(
                Code::FilesUnsupported,
                format!("{why} does not go through sgw"),
                "use a command for it: sgw exec SESSION -- …",
            )
            .sent(false)),
            Walk::Look => {
                self.caller.check_stopped(&self.session)?;
                self.relay.send(call).await
            }
            Walk::Opened(handles) => self.on_open(&handles, call).await,
            Walk::Of(handle, attrs) => {
                let open = self.open.get(&handle).ok_or_else(not_open)?;
                let operation = changing(open.path.as_bytes(), &attrs, true);
                self.walked(vec![operation], call, Some(&open)).await
            }
            Walk::As(operations) => self.walked(operations, call, None).await,
        }
    }

    /// On files that judged calls have opened, as far as those were judged for it.
    async fn on_open(&self, handles: &[Vec<u8>], call: Call) -> Result<Reply, Failure> {
        // One that is only being opened is nobody's yet.
        if !handles.iter().all(|handle| self.open.has(handle)) {
            return Err(not_open());
        }
        match &call {
            Call::Write { handle, offset, data } => {
                self.goes_on(handle, offset.saturating_add(data.len() as u64))?;
            }
            Call::Close { handle } => self.open.remove(handle),
            Call::Extended(Extended::CopyData { from, at, length, to, to_at }) => {
                let length = match length {
                    0 => self.rest(from, *at).await?,
                    length => *length,
                };
                self.goes_on(from, at.saturating_add(length))?;
                self.goes_on(to, to_at.saturating_add(length))?;
            }
            _ => {}
        }
        let read = match &call {
            Call::Read { handle, offset, .. } => Some((handle.clone(), *offset)),
            _ => None,
        };
        let reply = self.relay.send(call).await?;
        if let (Some((handle, offset)), Reply::Data(data)) = (read, &reply) {
            self.goes_on(&handle, offset.saturating_add(data.len() as u64))?;
        }
        Ok(reply)
    }

    /// How much of an open file there is from an offset on.
    async fn rest(&self, handle: &[u8], at: u64) -> Result<u64, Failure> {
        match self.relay.send(Call::Fstat { handle: handle.to_vec() }).await? {
            Reply::Attrs(attrs) => Ok(attrs.size.unwrap_or(u64::MAX).saturating_sub(at)),
            _ => Ok(u64::MAX),
        }
    }

    /// Where more of a file is read or written than its verdict was for, it is judged anew.
    fn goes_on(&self, handle: &[u8], extent: u64) -> Result<(), Failure> {
        let Some(open) = self.open.get(handle) else { return Ok(()) };
        if open.up_to.is_none_or(|up_to| extent <= up_to) {
            return Ok(());
        }
        let up_to = self.up_to(&open, extent)?;
        self.open.goes_on(handle, up_to);
        Ok(())
    }

    /// Up to what size it passes, as it passes with this one.
    fn up_to(&self, open: &Open, size: u64) -> Result<Option<u64>, Failure> {
        let Some(flags) = open.flags else { return Ok(None) };
        let (path, size) = (&open.path, Some(size));
        let guard = &self.caller.parts.desk.guard;
        let read = Act::Read { path, size };
        let write = Act::Write { path, size, mode: None };
        let acts = [
            (flags.has(OpenFlags::READ) || !flags.changes()).then_some(read),
            flags.changes().then_some(write),
        ];
        let mut least: Option<u64> = None;
        for act in acts.into_iter().flatten() {
            let (target, identity) = (self.session.target(), self.caller.identity());
            let said = guard.judge_act(target.as_str(), identity, &open.home, &act)?;
            if said.decision != guard::Decision::Allow {
                return Err(too_large(&open.path, &said));
            }
            least = [least, said.up_to].into_iter().flatten().min();
        }
        Ok(least)
    }

    /// `of` is the open file that it is about, which no name leads to.
    async fn walked(
        &self,
        operations: Vec<Operation>,
        call: Call,
        of: Option<&Open>,
    ) -> Result<Reply, Failure> {
        self.caller.check_paused(&self.session)?;
        self.session.keyboard.agents().await;
        let (mut permitted, mut least) = (None, None);
        for operation in operations {
            let leave = self.permitted(operation, of).await?;
            least = [least, leave.up_to].into_iter().flatten().min();
            permitted = Some(leave);
        }
        let Some(Leave { permit, request, at, home, .. }) = permitted else {
            return self.relay.send(call).await;
        };
        let opens = match &call {
            Call::Open { flags, .. } => Some(Some(*flags)),
            Call::Opendir { .. } => Some(None),
            _ => None,
        };
        if opens.is_some() && self.open.is_full() {
            let message = format!("{MOST} files are open at once");
            return Err(Failure::new(Code::LimitStreams, message, "close some").sent(false));
        }
        let path = at.first().and_then(|path| Canonical::new(path));
        let reply = self.relay.perform(permit, request, resolved(call, &at)).await?;
        if let (Some(flags), Some(path), Reply::Handle(handle)) = (opens, path, &reply) {
            self.open.insert(handle.clone(), Open { path, home, flags, up_to: least });
        }
        Ok(reply)
    }

    /// The walk of one operation: where it leads, what the policy says of it there, who is asked.
    async fn permitted(
        &self,
        mut operation: Operation,
        of: Option<&Open>,
    ) -> Result<Leave, Failure> {
        let (caller, session) = (&self.caller, &self.session);
        let desk = &caller.parts.desk;
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let needs = operation.needs();
        let look = desk.may_look(caller.identity(), &ground, &session.id, needs)?;
        let Resolved { at, home, leads, .. } = match of {
            Some(open) => {
                let at = vec![open.path.as_bytes().to_vec()];
                let home = open.home.clone();
                Resolved { at, seen: Vec::new(), home, leads: Vec::new() }
            }
            None => self.relay.resolve(look, &operation).await?,
        };
        operation.lead(leads);
        let mut said = caller.judge_files(session, &operation, (&at, &[]), &home).await?;
        if !said.sized && matches!(operation, Operation::Read { .. } | Operation::Move { .. }) {
            let look = desk.may_look(caller.identity(), &ground, &session.id, needs)?;
            let sizes = self.relay.sizes(look, &operation, &at).await?;
            said = caller.judge_files(session, &operation, (&at, &sizes), &home).await?;
        }
        let (judged, caps) = (said.judged, said.caps);
        let (id, leads) = (session.id.clone(), at.clone());
        let files = Files {
            session: id,
            operation,
            way: Way::Sftp,
            at,
            content: None,
            replaced: Vec::new(),
            caps,
            tells_sum: false,
            judged,
            passed_by: Vec::new(),
        };
        let up_to = files.cap(0);
        let id = match desk.judge_files(&caller.asker, &ground, files, false) {
            Ok(Verdict::Permit(permit)) => {
                return Ok(Leave { permit, request: None, at: leads, home, up_to });
            }
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
                Ok(Leave { permit, request: Some(id), at: leads, home, up_to })
            }
            _ => Err(Failure::new(
                Code::RequestClosed,
                format!("{id} was used by another call"),
                "try it again",
            )
            .about(&id)),
        }
    }
}

fn not_open() -> Failure {
    let message = "this handle is none of an open file";
    Failure::new(Code::UsageArguments, message, "open the file first").sent(false)
}

fn too_large(path: &Canonical, said: &guard::files::Verdict) -> Failure {
    let (rule, reason) = (said.rule.clone().unwrap_or_default(), said.reason.clone());
    let shown = escape::exact(path.as_bytes(), 300);
    let reason = reason.unwrap_or_default();
    Failure::new(
        Code::GuardBlocked,
        format!("{shown} is larger than passes: {rule}, {reason}"),
        "don't rephrase; change the plan or ask your user",
    )
    .by_rule(rule)
}
