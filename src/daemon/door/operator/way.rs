//! What a yes says of the way: turned into a plan, and walked to the target's first connection.

use std::sync::Arc;

use russh::keys::HashAlg;

use super::{Operator, ask::Asking};
use crate::{
    daemon::{
        parts::Lent,
        upstream::{
            self, Agent, AskOperator, Connection, Credential, HopPlan, Hosts, Plan, Vouched,
        },
    },
    domain::{
        grant::Terms,
        id::Id,
        key,
        target::{
            Destination,
            named::{self, Surroundings, Taken, Target},
        },
    },
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

    /// Where an approved access leads: to the named target that was asked for, as it was shown, or over
    /// the way that the operator's client resolved.
    pub(super) async fn going(&self, asked: &Destination, way: &Way) -> Result<Going, Failure> {
        let Some(name) = self.parts.target_named(asked) else {
            if way.target.is_some() {
                return Err(changed());
            }
            let (plan, credentials) = self.plan(way).await?;
            let (vouched, surroundings) = (Vec::new(), Surroundings::default());
            let (taken, narrow) = (None, None);
            return Ok(Going { plan, credentials, taken, vouched, surroundings, narrow });
        };
        let (targets, route) = self.parts.way_to(&name)?;
        if way.target != Some(named::digest(&targets)) || way.route != route {
            return Err(changed());
        }
        if way.credentials.len() != targets.len() || way.known.len() != targets.len() {
            return Err(incomplete("what to log in with at each hop"));
        }
        let agents = self.agents()?;
        let mut lent = Vec::new();
        for (target, wanted) in targets.iter().zip(&way.credentials) {
            lent.push(self.lent_to(target, wanted, &agents).await?);
        }
        let mut reached = self.parts.reach_lent(&name, lent)?;
        let plan = std::mem::take(&mut reached.plan);
        let credentials = std::mem::take(&mut reached.credentials);
        let vouched = std::mem::take(&mut reached.vouched);
        let surroundings = reached.surroundings.clone();
        let taken = Some(reached.taken.clone());
        let narrow = move |terms: &mut Terms| {
            reached.narrow_terms(&mut terms.capabilities, &mut terms.mode);
        };
        let narrow: Option<Narrow> = Some(Box::new(narrow));
        Ok(Going { plan, credentials, taken, vouched, surroundings, narrow })
    }

    /// What the operator's client lends for one target, where that is what the target says.
    pub(super) async fn lent_to(
        &self,
        target: &Target,
        wanted: &[operator::Credential],
        agents: &[Agent],
    ) -> Result<Vec<Lent>, Failure> {
        let mut lent = Vec::new();
        if target.credential.is_held() {
            return Ok(lent);
        }
        for one in wanted {
            if !fits(&target.credential, one) {
                return Err(incomplete(&format!("the credential that {} names", target.name)));
            }
            let (credential, name) = self.credential(one, agents).await?;
            lent.push((Arc::new(credential), name));
        }
        Ok(lent)
    }

    /// The ssh-agent sockets that were passed.
    pub(super) fn agents(&self) -> Result<Vec<Agent>, Failure> {
        let usable = |descriptor| {
            let stream = std::os::unix::net::UnixStream::from(descriptor);
            Agent::from_std(stream).map_err(|_| incomplete("a usable ssh-agent socket"))
        };
        self.passed.take().into_iter().map(usable).collect()
    }

    /// The plan to connect by, and the names of its credentials for the record.
    pub(super) async fn plan(&self, way: &Way) -> Result<(Plan, Vec<Vec<String>>), Failure> {
        let hops = way.route.hops();
        if way.credentials.len() != hops.len() || way.known.len() != hops.len() {
            return Err(incomplete("what to log in with at each hop"));
        }
        let agents = self.agents()?;
        let mut plan = Plan::default();
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

type Narrow = Box<dyn Fn(&mut Terms) + Send + Sync>;

/// Where an approved access leads, ready to go.
pub(super) struct Going {
    pub plan: Plan,
    /// For each hop: what logs in there, for the record.
    pub credentials: Vec<Vec<String>>,
    pub taken: Option<Taken>,
    pub vouched: Vec<Vouched>,
    pub surroundings: Surroundings,
    /// Takes from what is given what the target does not give.
    pub narrow: Option<Narrow>,
}

/// Whether this is what a target says that logs in there.
fn fits(says: &named::Credential, lent: &operator::Credential) -> bool {
    use named::Credential as Says;
    use operator::Credential::{Agent, Key};
    match (says, lent) {
        (Says::Asked, _) => true,
        (Says::KeyFile { fingerprint: wanted, .. }, Key { fingerprint, .. })
        | (Says::Agent { fingerprint: wanted }, Agent { fingerprint, .. }) => {
            wanted.as_ref().is_none_or(|wanted| wanted == fingerprint)
        }
        _ => false,
    }
}

fn changed() -> Failure {
    Failure::new(
        Code::RequestChanged,
        "the target is another than was shown",
        "look at it again: sgw approve ID",
    )
}

pub(super) fn incomplete(what: &str) -> Failure {
    Failure::new(
        Code::RequestCredential,
        format!("the approval lacks {what}"),
        "give --identity FILE, --password-file FILE or --use-agent",
    )
}
