//! The operator's yes: from what was shown to a session with its connection.

use std::sync::Arc;

use russh::keys::HashAlg;

use super::{Operator, ask::HostKeyQuestion, whole};
use crate::{
    daemon::{
        Parts, audit,
        desk::Permit,
        door::link::to_its_end,
        session::{self, Session},
        upstream::{self, Agent, Credential, HopPlan, Hosts, Plan, Pool, PoolOptions, RemoteEnd},
    },
    domain::{
        action::Access,
        digest::Digest,
        grant::Grant,
        id::{Id, Kind as IdKind},
        key,
        record::Kind as RecordKind,
        target::Route,
    },
    protocol::{
        error::{Code, Failure},
        operator::{self, Approve, Way},
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
            view::Kind::Command => {
                self.approve_command(&id, &approve.digest).await?;
                None
            }
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
        parts.desk.decides(id, self.who());
        let kind = RecordKind::CommandApproved;
        audit::approved(&parts.evidence, kind, id, shown, None, &[], None).await?;
        parts.desk.approved(id, shown, None)
    }

    async fn approve_access(&self, number: u32, id: &Id, approve: Approve) -> Result<Id, Failure> {
        let shown = approve.digest;
        let terms = approve.terms.clone().ok_or_else(|| incomplete("what is given"))?;
        let permit = self.parts.desk.permit_access(id, &shown, &terms, self.number)?;
        self.parts.desk.decides(id, self.who());
        let broken_off = BrokenOff(Some((self.parts.clone(), id.clone())));
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
        let question =
            HostKeyQuestion { questions: self.questions.clone(), request: number, id: id.clone() };
        let ask = approve.interactive.then(|| Arc::new(question) as Arc<dyn upstream::AskOperator>);
        let how = format!("approved {id}");
        let hosts =
            Arc::new(Hosts::asking(parts.vault.clone(), known, approve.accept_host_keys, ask, how));
        let first = match upstream::connect(&plan, hosts.clone()).await {
            // The person took longer than the server waits for a login: the key is pinned now.
            Err(error) if error.hung_up_at_login() => upstream::connect(&plan, hosts.clone()).await,
            first => first,
        };
        let first = first.map_err(|error| upstream::failure(&error))?;
        let host_keys = hosts.fingerprints(&hops);
        let options = PoolOptions { reusable: true, ahead: AHEAD };
        let pinned = Arc::new(Hosts::pinned(parts.vault.clone()));
        let pool = Pool::new(Arc::new(plan), pinned, first, options);
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

    /// The plan to connect by, and the names of its credentials for the record.
    async fn plan(&self, way: &Way) -> Result<(Plan, Vec<Vec<String>>), Failure> {
        let hops = way.route.hops();
        if way.credentials.len() != hops.len() || way.known.len() != hops.len() {
            return Err(incomplete("what to log in with at each hop"));
        }
        let mut agents = Vec::new();
        for descriptor in self.passed.take() {
            let stream = std::os::unix::net::UnixStream::from(descriptor);
            let agent =
                Agent::from_std(stream).map_err(|_| incomplete("a usable ssh-agent socket"))?;
            agents.push(agent);
        }
        let mut plan = Plan { hops: Vec::new() };
        let mut named = Vec::new();
        for (hop, wanted) in hops.iter().zip(&way.credentials) {
            let mut credentials = Vec::new();
            let mut names = Vec::new();
            for one in wanted {
                let (credential, name) = self.credential(one, &agents).await?;
                credentials.push(Arc::new(credential));
                names.push(name);
            }
            plan.hops.push(HopPlan { hop: hop.clone(), credentials });
            named.push(names);
        }
        Ok((plan, named))
    }

    async fn credential(
        &self,
        wanted: &operator::Credential,
        agents: &[Agent],
    ) -> Result<(Credential, String), Failure> {
        match wanted {
            operator::Credential::Password { secret } => {
                let password = self
                    .take_secret(*secret)?
                    .into_text()
                    .ok_or_else(|| incomplete("a password in UTF-8"))?;
                Ok((Credential::Password(password), "password".into()))
            }
            operator::Credential::Key { secret, fingerprint } => {
                let key = key::parse(&self.take_secret(*secret)?)
                    .map_err(|error| incomplete(&format!("a usable key ({error})")))?;
                let is = key.public_key().fingerprint(HashAlg::Sha256).to_string();
                if is != *fingerprint {
                    return Err(incomplete("the key that was shown"));
                }
                Ok((Credential::Key(Arc::new(key)), format!("key {fingerprint}")))
            }
            operator::Credential::Agent { socket, fingerprint } => {
                let agent = usize::try_from(*socket).ok().and_then(|at| agents.get(at));
                let agent = agent.ok_or_else(|| incomplete("the ssh-agent's socket"))?;
                let keys = tokio::time::timeout(std::time::Duration::from_secs(5), agent.keys())
                    .await
                    .map_err(|_| incomplete("an ssh-agent that answers"))?
                    .map_err(|_| incomplete("an ssh-agent that answers"))?;
                let is = |key: &upstream::AgentKey| {
                    key.public_key().fingerprint(HashAlg::Sha256).to_string() == *fingerprint
                };
                let (key, _) = keys
                    .into_iter()
                    .find(|(key, _)| is(key))
                    .ok_or_else(|| incomplete("the ssh-agent's key that was shown"))?;
                Ok((Credential::Agent(key), format!("agent key {fingerprint}")))
            }
        }
    }
}

/// Records that the operator went away in the middle of giving access: the yes is on record
/// already, and nothing came of it.
struct BrokenOff(Option<(Arc<Parts>, Id)>);

impl BrokenOff {
    fn no(mut self) {
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

fn incomplete(what: &str) -> Failure {
    Failure::new(
        Code::RequestCredential,
        format!("the approval lacks {what}"),
        "give --identity FILE, --password-file FILE or --use-agent",
    )
}
