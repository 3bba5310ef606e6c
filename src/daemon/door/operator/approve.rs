//! The operator's yes: from what was shown to a session with its connection.

use std::sync::Arc;

use super::{Operator, way::incomplete, whole};
use crate::{
    daemon::{
        Parts, audit,
        desk::{Permit, SessionShown},
        parts::{self, Opening},
        session::{self, Session},
        upstream::{self, Hosts},
    },
    domain::{
        action::Access, digest::Digest, grant::Grant, guard::policy::Allow, id::Id,
        record::Kind as RecordKind,
    },
    protocol::{
        error::{Code, Failure},
        operator::{Approve, Remember},
        view::{self, Decided, RequestStatus},
    },
};

impl Operator {
    pub(super) async fn approve(
        &self,
        number: u32,
        approve: Approve,
    ) -> Result<serde_json::Value, Failure> {
        let id = whole(&approve.id)?;
        let shown = self.parts.desk.show(id.as_str(), None, |id| self.parts.session_shown(id))?;
        let session = match shown.kind {
            view::Kind::Handoff => {
                let session = shown.session.unwrap_or_default();
                return Err(Failure::new(
                    Code::UsageArguments,
                    format!("{id} asks you to the keyboard; a yes alone does nothing"),
                    format!("sgw attach {session}"),
                )
                .about(id));
            }
            view::Kind::Command => {
                self.approve_command(&id, &approve.digest, approve.remember).await?;
                None
            }
            view::Kind::Plan => {
                self.approve_plan(&id, &approve.digest, approve.lines.as_deref()).await?;
                None
            }
            view::Kind::Forward => {
                self.approve_forward(&id, &approve.digest).await?;
                None
            }
            view::Kind::Login => Some(self.approve_login(number, &id, approve).await?),
            _ => Some(self.approve_access(number, &id, approve).await?),
        };
        crate::daemon::door::link::value(&Decided {
            id: id.to_string(),
            kind: shown.kind,
            status: RequestStatus::Approved,
            session: session.map(|id| id.to_string()),
            denied_rule: None,
            also: Vec::new(),
        })
    }

    async fn approve_command(
        &self,
        id: &Id,
        shown: &Digest,
        remember: Option<Remember>,
    ) -> Result<(), Failure> {
        let parts = &self.parts;
        parts.desk.check_shown(id, shown, self.number)?;
        // What the policy is now asked for it: else it would not run, whatever is said here.
        self.check_policy(id).await?;
        let part = match remember {
            Some(_) => Some(parts.desk.part_of(id, self.where_it_runs(id).mode)?),
            None => None,
        };
        let allows = match remember {
            Some(Remember::Rule { days }) => self.rules_of(id, days)?,
            _ => Vec::new(),
        };
        parts.desk.decides(id, self.told());
        let remembered = part.as_deref().zip(remember);
        audit::command_approved(&parts.evidence, id, shown, remembered).await?;
        for allow in &allows {
            parts.add_allow(allow).await?;
        }
        parts.desk.asked_by_policy_now(id);
        parts.desk.approved(id, shown, None)?;
        if let Some(Remember::Session { times }) = remember {
            parts.desk.keep(id, times);
        }
        Ok(())
    }

    /// A yes to a forward holds for its end until the session is over, but in a mode that asks each time.
    async fn approve_forward(&self, id: &Id, shown: &Digest) -> Result<(), Failure> {
        let parts = &self.parts;
        parts.desk.check_shown(id, shown, self.number)?;
        self.check_policy(id).await?;
        let part = parts.desk.part_of(id, self.where_it_runs(id).mode).ok();
        parts.desk.decides(id, self.told());
        audit::forward_approved(&parts.evidence, id, shown, part.as_deref()).await?;
        if part.is_some() {
            parts.desk.keep(id, None);
        }
        parts.desk.approved(id, shown, None)
    }

    /// What another policy asked is withdrawn, on record.
    async fn check_policy(&self, id: &Id) -> Result<(), Failure> {
        let changed = match self.parts.desk.check_policy(id) {
            Ok(()) => return Ok(()),
            Err(changed) => changed,
        };
        let why = Some("the policy has changed");
        let (evidence, kind) = (&self.parts.evidence, RecordKind::RequestClosed);
        audit::request_ended(evidence, kind, "sgw", id, why).await?;
        Err(changed)
    }

    async fn approve_plan(
        &self,
        id: &Id,
        shown: &Digest,
        numbers: Option<&[u32]>,
    ) -> Result<(), Failure> {
        let parts = &self.parts;
        parts.desk.check_shown(id, shown, self.number)?;
        self.check_policy(id).await?;
        let progress = parts.desk.check_lines(id, numbers)?;
        parts.desk.decides(id, self.told());
        let lines = parts.desk.numbers_of(id, &progress)?;
        audit::plan_approved(&parts.evidence, id, shown, &lines).await?;
        parts.desk.plan_approved(id, shown, progress)
    }

    /// The rules that a yes becomes, for whoever asked and where.
    fn rules_of(&self, id: &Id, days: u16) -> Result<Vec<Allow>, Failure> {
        let parts = &self.parts;
        let target = self.where_it_runs(id).target;
        let expires = parts.today().saturating_add(jiff::Span::new().days(days));
        parts.desk.allows_of(id, &target, expires)
    }

    fn where_it_runs(&self, id: &Id) -> SessionShown {
        let parts = &self.parts;
        let shown = parts.desk.session_of(id).and_then(|session| parts.session_shown(&session));
        shown.unwrap_or_default()
    }

    async fn approve_access(&self, number: u32, id: &Id, approve: Approve) -> Result<Id, Failure> {
        let shown = approve.digest;
        let terms = approve.terms.clone().ok_or_else(|| incomplete("what is given"))?;
        let permit = self.parts.desk.permit_access(id, &shown, &terms, self.number)?;
        self.parts.desk.decides(id, self.told());
        let broken_off = BrokenOff::watch(&self.parts, id);
        let outcome = self.give(number, id, permit, approve).await;
        broken_off.no();
        match outcome {
            Ok(session) => {
                let given = self.parts.desk.approved(id, &shown, Some(session.id.clone()));
                if let Err(failure) = given {
                    // It expired or was taken back meanwhile: nobody has a use for the session.
                    let why = session::closed(&session.id);
                    self.parts.sessions.close(&session, why, "not_collected").await;
                    return Err(failure);
                }
                Ok(session.id.clone())
            }
            Err(failure) => {
                self.parts.desk.release(self.number);
                audit::approval_failed(&self.parts.evidence, id, &failure).await;
                Err(failure.about(id))
            }
        }
    }

    /// Performs a permitted access: more time, or a new connection with its session.
    async fn give(
        &self,
        number: u32,
        id: &Id,
        permit: Permit<Access>,
        approve: Approve,
    ) -> Result<Arc<Session>, Failure> {
        let parts = &self.parts;
        let access = permit.spend();
        let kind = RecordKind::AccessApproved;
        let until = parts.now()
            + jiff::SignedDuration::from_secs(
                i64::try_from(access.terms.duration_s).unwrap_or(i64::MAX),
            );
        if let Some(prolonged) = &access.prolongs {
            let session = parts.sessions.to_see(prolonged.as_str(), None)?;
            if let Some(why) = session.over() {
                return Err(why);
            }
            let (route, terms) = (Some(&session.route), Some(&access.terms));
            audit::approved(&parts.evidence, kind, id, &approve.digest, route, &[], terms).await?;
            session.prolong(&access.terms, until);
            return Ok(session);
        }
        let way = approve.way.ok_or_else(|| incomplete("where it leads"))?;
        let owner = parts.desk.owner(id)?;
        let _room = parts.room(&owner)?;
        let route = way.route.clone();
        let going = self.going(&access.destination, &way).await?;
        let mut terms = access.terms.clone();
        if let Some(narrow) = &going.narrow {
            narrow(&mut terms);
        }
        let (named, given) = (&going.credentials, Some(&terms));
        let route_said = Some(&route);
        audit::approved(&parts.evidence, kind, id, &approve.digest, route_said, named, given)
            .await?;
        let known = route.hops().iter().cloned().zip(way.known).collect();
        let asking = self.asking(number, id, approve.interactive);
        let ask = asking.clone().map(|asking| asking as Arc<dyn upstream::AskOperator>);
        let (how, vault) = (format!("approved {id}"), &parts.vault);
        let accepted = approve.accept_host_keys;
        let judged = Hosts::asking(vault.clone(), known, accepted, ask, how);
        let judged = Arc::new(judged.vouched(going.vouched.clone()));
        let first = self.connect(&going.plan, &judged, asking.as_ref()).await?;
        let created_at = parts.now();
        let grant = Grant {
            capabilities: terms.capabilities,
            mode: terms.mode,
            expires_at: until.max(created_at),
            max_commands: terms.max_commands,
            used_commands: 0,
            opaque: terms.opaque,
        };
        let under = parts.each_session(&owner, &access.destination, &grant.capabilities);
        let opening = Opening {
            request: Some(id.clone()),
            owner,
            name: access.name,
            asked: access.destination,
            grant,
            under,
            created_at,
        };
        let further = Arc::new(Hosts::pinned(vault.clone()).vouched(going.vouched));
        let (taken, plan, surroundings) = (going.taken, going.plan, going.surroundings);
        let way = parts::Way { route, taken, plan, judged, further, first, surroundings };
        parts.founded(parts.open(opening, way).await?).await
    }
}

/// Records that the operator went away in the middle of giving access: the yes is on record
/// already, and nothing came of it.
pub(super) struct BrokenOff(Option<(Arc<Parts>, Id)>);

impl BrokenOff {
    pub fn watch(parts: &Arc<Parts>, id: &Id) -> Self {
        Self(Some((parts.clone(), id.clone())))
    }

    pub fn no(mut self) {
        self.0 = None;
    }
}

impl Drop for BrokenOff {
    fn drop(&mut self) {
        let Some((parts, id)) = self.0.take() else { return };
        tokio::spawn(async move {
            let failure = Failure::new(Code::RequestClosed, "the operator broke it off", "");
            audit::approval_failed(&parts.evidence, &id, &failure).await;
        });
    }
}
