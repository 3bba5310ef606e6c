//! The operator's yes: from what was shown to a session with its connection.

use std::sync::Arc;

use super::{Operator, way::incomplete, whole};
use crate::{
    daemon::{
        Parts, audit,
        desk::Permit,
        door::link::to_its_end,
        session::{self, Session},
        upstream::{self, Hosts, Pool, PoolOptions, RemoteEnd},
    },
    domain::{
        action::Access,
        digest::Digest,
        grant::Grant,
        id::{Id, Kind as IdKind},
        record::Kind as RecordKind,
        target::Route,
    },
    protocol::{
        error::{Code, Failure},
        operator::Approve,
        view::{self, Decided, RequestStatus},
    },
};

/// Channels that are opened ahead on each warm connection.
const AHEAD: usize = 2;

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
                self.approve_command(&id, &approve.digest).await?;
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
        })
    }

    async fn approve_command(&self, id: &Id, shown: &Digest) -> Result<(), Failure> {
        let parts = &self.parts;
        parts.desk.check_shown(id, shown, self.number)?;
        parts.desk.decides(id, self.told());
        let kind = RecordKind::CommandApproved;
        audit::approved(&parts.evidence, kind, id, shown, None, &[], None).await?;
        parts.desk.approved(id, shown, None)
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
        parts.sessions.has_room()?;
        let route = way.route.clone();
        let (plan, named) = self.plan(&way).await?;
        let terms = Some(&access.terms);
        audit::approved(&parts.evidence, kind, id, &approve.digest, Some(&route), &named, terms)
            .await?;
        let hops = route.hops().to_vec();
        let known = hops.iter().cloned().zip(way.known).collect();
        let asking = self.asking(number, id, approve.interactive);
        let ask = asking.clone().map(|asking| asking as Arc<dyn upstream::AskOperator>);
        let how = format!("approved {id}");
        let hosts =
            Arc::new(Hosts::asking(parts.vault.clone(), known, approve.accept_host_keys, ask, how));
        let first = self.connect(&plan, &hosts, asking.as_ref()).await?;
        let host_keys = hosts.fingerprints(&hops);
        let machine = first.machine();
        let pinned = Arc::new(Hosts::pinned(parts.vault.clone()));
        let pool = Pool::new(Arc::new(plan), pinned, first, PoolOptions { ahead: AHEAD });
        self.end_what_was_left(&route, &pool).await;
        let session_id = parts.ids.next(IdKind::Session)?;
        let owner = parts.desk.owner(id)?;
        let (evidence, whose) = (&parts.evidence, owner.to_string());
        let said =
            audit::session_opened(evidence, id, &session_id, &whose, &route, &host_keys).await;
        if let Err(failure) = said {
            pool.close().await;
            return Err(failure);
        }
        let created_at = parts.now();
        let grant = Grant {
            capabilities: access.terms.capabilities.clone(),
            mode: access.terms.mode,
            expires_at: until.max(created_at),
            max_commands: access.terms.max_commands,
            used_commands: 0,
        };
        Ok(parts.sessions.add(session::Parts {
            id: session_id,
            name: access.name,
            owner,
            asked: access.destination,
            route,
            host_keys,
            machine,
            grant,
            pool,
            created_at,
        }))
    }

    /// Ends what a killed daemon left running on this target, before anything new runs there.
    async fn end_what_was_left(&self, route: &Route, pool: &Arc<Pool>) {
        let left = self.parts.left_running.take(route);
        if left.is_empty() {
            return;
        }
        let (parts, pool) = (self.parts.clone(), pool.clone());
        let target = route.target().to_string();
        // They are taken from the list: whoever breaks off now must not make them forgotten.
        let ending = to_its_end(async move {
            let markers: Vec<String> = left.iter().map(|one| one.marker.clone()).collect();
            let remote = match pool.end_processes(&markers).await {
                RemoteEnd::Ended => view::Remote::Ended,
                RemoteEnd::Unknown => view::Remote::Unknown,
            };
            tracing::info!(count = left.len(), ?remote, "ended what was left running");
            for one in &left {
                let (exec, session) = (&one.exec, one.session.as_ref());
                audit::left_running_ended(&parts.evidence, exec, session, &target, remote).await?;
            }
            Ok(())
        });
        if let Err(failure) = ending.await {
            tracing::error!(code = %failure.code, "an end was not recorded");
        }
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
