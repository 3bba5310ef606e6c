//! Logging in again for a session whose connection was lost, and whose login needs a person.

use std::sync::Arc;

use super::{Operator, approve::BrokenOff, way::incomplete};
use crate::{
    daemon::{
        audit,
        desk::{Ground, Permit},
        session::Session,
        upstream::{Hosts, Vouched},
    },
    domain::{action::Login, id::Id, record::Kind as RecordKind, target::Hop},
    protocol::{
        error::{Code, Failure},
        operator::Approve,
    },
};

impl Operator {
    /// The operator's yes to a login: the session it is for goes on where it was.
    pub(super) async fn approve_login(
        &self,
        number: u32,
        id: &Id,
        approve: Approve,
    ) -> Result<Id, Failure> {
        let parts = &self.parts;
        let shown = approve.digest;
        let session = parts.desk.session_of(id).ok_or_else(|| incomplete("a session"))?;
        let session = parts.sessions.to_see(session.as_str(), None)?;
        let (grant, place) = (session.grant(), session.place());
        let ground =
            Ground { owner: &session.owner, grant: &grant, place: &place, under: session.under() };
        let permit = parts.desk.permit_login(id, &shown, &ground, self.number)?;
        let broken_off = BrokenOff::watch(parts, id);
        let outcome = self.log_in(number, id, permit, &session, approve).await;
        broken_off.no();
        match outcome {
            Ok(()) => {
                parts.desk.approved(id, &shown, Some(session.id.clone()))?;
                Ok(session.id.clone())
            }
            Err(failure) => {
                parts.desk.release(self.number);
                audit::approval_failed(&parts.evidence, id, &failure).await;
                Err(failure.about(id))
            }
        }
    }

    /// The machines of a named target that leads elsewhere by now: the session was given for their keys,
    /// which nothing else has to know.
    fn own_machines(&self, session: &Session) -> Vec<Vouched> {
        let Some(target) = self.parts.target_named(&session.asked) else { return Vec::new() };
        let hops = session.route.hops().iter().zip(&session.host_keys);
        let vouched = |(hop, key): (&Hop, &String)| Vouched {
            hop: hop.clone(),
            target: target.clone(),
            keys: vec![key.clone()],
            authorities: Vec::new(),
            bound: None,
        };
        hops.map(vouched).collect()
    }

    async fn log_in(
        &self,
        number: u32,
        id: &Id,
        permit: Permit<Login>,
        session: &Arc<Session>,
        approve: Approve,
    ) -> Result<(), Failure> {
        let parts = &self.parts;
        let Login { session: permitted } = permit.spend();
        if let Some(why) = session.over() {
            return Err(why);
        }
        let way = approve.way.ok_or_else(|| incomplete("where it leads"))?;
        if permitted != session.id || way.route != session.route {
            return Err(Failure::new(
                Code::RequestChanged,
                "the way is not the one that the session was given for",
                "refuse it, and have the agent ask for a new session: sgw deny ID",
            ));
        }
        let (plan, named, vouched) = match way.target {
            // What the vault holds for the target logs in again.
            Some(_) => {
                let going = self.going(&session.asked, &way).await?;
                (going.plan, going.credentials, going.vouched)
            }
            None => {
                let (mut plan, named) = self.plan(&way).await?;
                plan.proxy_command = session.proxy_command.clone();
                (plan, named, self.own_machines(session))
            }
        };
        let kind = RecordKind::LoginApproved;
        let route = Some(&session.route);
        audit::approved(&parts.evidence, kind, id, &approve.digest, route, &named, None).await?;
        let hops = session.route.hops();
        let keys = hops.iter().cloned().zip(session.host_keys.iter().cloned()).collect();
        let hosts = Arc::new(Hosts::exactly(parts.vault.clone(), keys).vouched(vouched));
        let asking = self.asking(number, id, approve.interactive);
        let first = self.connect(&plan, &hosts, asking.as_ref()).await?;
        let whose = session.owner.to_string();
        let (evidence, keys) = (&parts.evidence, &session.host_keys);
        let said =
            audit::session_resumed(evidence, id, &session.id, &whose, &session.route, keys).await;
        if let Err(failure) = said {
            first.close().await;
            return Err(failure);
        }
        match session.pool.renew(Arc::new(plan), first) {
            Ok(()) => Ok(()),
            Err(first) => {
                first.close().await;
                Err(session.over().unwrap_or_else(|| crate::daemon::session::closed(&session.id)))
            }
        }
    }
}
