//! From a way that was decided on to a session: the same for the operator's yes and for a standing grant.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Parts, reach::Reached};
use crate::{
    daemon::{
        audit,
        authority::Under,
        door::to_its_end,
        session::{self, Session},
        upstream::{self, Connection, Hosts, Plan, Pool, PoolOptions, RemoteEnd},
    },
    domain::{
        grant::Grant,
        id::{Id, Kind as IdKind, Name},
        identity::Identity,
        target::{
            Destination, Route,
            named::{Surroundings, Taken},
        },
    },
    protocol::{
        error::{Code, Failure},
        view,
    },
};

/// Channels that are opened ahead on each warm connection.
const AHEAD: usize = 2;

/// A session that was permitted.
pub struct Opening {
    /// The request that it comes of, if it comes of one.
    pub request: Option<Id>,
    pub owner: Identity,
    pub name: Option<Name>,
    pub asked: Destination,
    pub grant: Grant,
    /// The standing grant that it lives under, where it does.
    pub under: Option<Arc<Under>>,
    pub created_at: Timestamp,
}

/// A connection to a target that a session shall have.
pub struct Way {
    pub route: Route,
    /// Where it leads to a named target.
    pub taken: Option<Taken>,
    pub plan: Plan,
    /// Who judged the host keys of `first`, and judges those of every further connection.
    pub judged: Arc<Hosts>,
    pub further: Arc<Hosts>,
    pub first: Connection,
    pub surroundings: Surroundings,
}

impl Parts {
    /// Opens a session on a named target with nobody there: what the vault holds logs in, and the keys
    /// that it knows vouch.
    ///
    /// # Errors
    /// The target can't be reached so, or not at all; a host key is unknown or another than was known.
    pub async fn open_standing(
        &self,
        reached: Reached,
        mut opening: Opening,
    ) -> Result<Arc<Session>, Failure> {
        reached.narrow(&mut opening.grant);
        let hosts = Hosts::pinned(self.vault.clone()).vouched(reached.vouched);
        let judged = Arc::new(hosts);
        let first = upstream::connect(&reached.plan, judged.clone()).await;
        let first = first.map_err(|error| {
            let failure = upstream::failure(&error);
            let (name, last) = (reached.taken.target(), error.hop == *reached.route.target());
            match name.filter(|_| failure.code == Code::TargetAuth) {
                // Nobody approves here who could give another.
                Some(name) if last => {
                    let hint = format!(
                        "the operator gives another: sgw target edit {name} --identity FILE"
                    );
                    Failure { hint, ..failure }
                }
                Some(name) => {
                    let hint = format!("the operator sees where: sgw target test {name}");
                    Failure { hint, ..failure }
                }
                None => failure,
            }
        })?;
        let (route, plan, surroundings) = (reached.route, reached.plan, reached.surroundings);
        let (further, taken) = (judged.clone(), Some(reached.taken));
        self.open(opening, Way { route, taken, plan, judged, further, first, surroundings }).await
    }

    /// Makes a session of a connection: what an earlier daemon left running there is ended, and the
    /// session is on record before anybody can use it.
    pub async fn open(&self, opening: Opening, way: Way) -> Result<Arc<Session>, Failure> {
        let Way { route, taken, plan, judged, further, first, surroundings } = way;
        let host_keys = judged.fingerprints(route.hops());
        let machine = first.machine();
        let proxy_command = plan.proxy_command.clone();
        let pool = Pool::new(Arc::new(plan), further, first, PoolOptions { ahead: AHEAD });
        self.end_what_was_left(&route, &pool).await;
        let id = self.ids.next(IdKind::Session)?;
        let (evidence, whose) = (&self.evidence, opening.owner.to_string());
        let request = opening.request.as_ref();
        let grant = opening.under.as_ref().map(|under| &under.standing.id);
        let said =
            audit::session_opened(evidence, request, grant, &id, &whose, &route, &host_keys).await;
        if let Err(failure) = said {
            pool.close().await;
            return Err(failure);
        }
        let session = self.sessions.add(session::Parts {
            id,
            name: opening.name,
            owner: opening.owner,
            asked: opening.asked,
            route,
            taken,
            by_itself: opening.request.is_none(),
            proxy_command,
            host_keys,
            machine,
            surroundings,
            grant: opening.grant,
            under: opening.under,
            pool,
            created_at: opening.created_at,
        });
        // The target may have become stricter while it was opened.
        self.narrow(&session);
        Ok(session)
    }

    /// Ends what a killed daemon left running on this target, before anything new runs there.
    async fn end_what_was_left(&self, route: &Route, pool: &Arc<Pool>) {
        let left = self.left_running.take(route);
        if left.is_empty() {
            return;
        }
        let (evidence, pool) = (self.evidence.clone(), pool.clone());
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
                audit::left_running_ended(&evidence, exec, session, &target, remote).await?;
            }
            Ok(())
        });
        if let Err(failure) = ending.await {
            tracing::error!(code = %failure.code, "an end was not recorded");
        }
    }
}
