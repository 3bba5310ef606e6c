//! What a yes says of the way: turned into a plan, and walked to the target's first connection.

use std::sync::Arc;

use russh::keys::HashAlg;

use super::{Operator, ask::Asking};
use crate::{
    daemon::upstream::{self, Agent, AskOperator, Connection, Credential, HopPlan, Hosts, Plan},
    domain::{id::Id, key},
    protocol::{
        error::{Code, Failure},
        operator::{self, Way},
    },
};

impl Operator {
    /// Who is asked while the approval of `id`, in the call `number`, connects.
    pub(super) fn asking(&self, number: u32, id: &Id, interactive: bool) -> Option<Arc<Asking>> {
        interactive.then(|| {
            Arc::new(Asking {
                questions: self.questions.clone(),
                request: number,
                id: id.clone(),
                quoted: false.into(),
            })
        })
    }

    /// Goes the whole way, asking where somebody can be asked.
    pub(super) async fn connect(
        &self,
        plan: &Plan,
        hosts: &Arc<Hosts>,
        asking: Option<&Arc<Asking>>,
    ) -> Result<Connection, Failure> {
        let ask = asking.map(|asking| &**asking as &dyn AskOperator);
        let first = match upstream::connect_asking(plan, hosts.clone(), ask).await {
            // The person took longer over a host key than the server waits for a login: it is pinned
            // now. What was typed for the server itself is not asked for twice.
            Err(error)
                if error.hung_up_at_login() && !asking.is_some_and(|one| one.has_quoted()) =>
            {
                upstream::connect_asking(plan, hosts.clone(), ask).await
            }
            first => first,
        };
        first.map_err(|error| upstream::failure(&error))
    }

    /// The plan to connect by, and the names of its credentials for the record.
    pub(super) async fn plan(&self, way: &Way) -> Result<(Plan, Vec<Vec<String>>), Failure> {
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

pub(super) fn incomplete(what: &str) -> Failure {
    Failure::new(
        Code::RequestCredential,
        format!("the approval lacks {what}"),
        "give --identity FILE, --password-file FILE or --use-agent",
    )
}
