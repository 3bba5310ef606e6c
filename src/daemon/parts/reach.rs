//! How a named target is reached: its way, what logs in at each machine, and what vouches for each. By
//! what the vault holds alone, or with what the operator's client lends for one approval.

use std::sync::Arc;

use ssh_key::Certificate;

use super::Parts;
use crate::{
    daemon::{
        upstream::{self, HopPlan, Plan, Vouched},
        vault::VaultError,
    },
    domain::{
        capability::{Capabilities, Capability},
        grant::{Grant, Mode},
        hostkey::fingerprint,
        id::Name,
        key,
        nearest::{nearest, told},
        target::{
            Destination, Route,
            named::{self, Credential, NoWay, Surroundings, Taken, Target},
        },
    },
    protocol::{
        error::{Code, Failure},
        operator::target::{Way, WayHop},
    },
};

/// A credential that the operator's client lends, and what it is called in a record.
pub type Lent = (Arc<upstream::Credential>, String);

/// All that it takes to connect to a named target.
pub struct Reached {
    pub route: Route,
    pub taken: Taken,
    pub plan: Plan,
    pub vouched: Vec<Vouched>,
    /// For each hop: what logs in there, for the record.
    pub credentials: Vec<Vec<String>>,
    pub surroundings: Surroundings,
    pub pty: bool,
    /// The mode that sessions there have at least.
    pub mode: Option<Mode>,
}

impl Parts {
    /// The named target that a destination means: a name alone, and one that is there.
    pub fn target_named(&self, asked: &Destination) -> Option<Name> {
        if asked.user.is_some() || asked.port.is_some() {
            return None;
        }
        let name: Name = asked.host.parse().ok()?;
        self.vault.get::<Target>(name.as_str()).map(|stored| stored.record.name.clone())
    }

    /// The targets on the way to one, jump hosts first, itself last.
    pub fn way_to(&self, name: &Name) -> Result<(Vec<Target>, Route), Failure> {
        let find = |name: &Name| {
            self.vault.get::<Target>(name.as_str()).map(|stored| stored.record.clone())
        };
        named::chain(name, find).map_err(|error| match error {
            NoWay::Unknown(name) => self.no_target(name.as_str()),
            other => Failure::new(
                Code::TargetWay,
                other.to_string(),
                format!("the operator mends it: sgw target edit {name} --jump NAME, or --no-jump"),
            ),
        })
    }

    /// For the operator alone: it names the nearest.
    pub fn no_target(&self, name: &str) -> Failure {
        let names = self.vault.all::<Target>();
        let near = told(nearest(name, names.iter().map(|stored| stored.record.name.as_str())));
        let message = format!("there is no target {name}{near}");
        Failure::new(Code::TargetUnknown, message, "sgw target list; sgw target add NAME DEST")
    }

    /// Why no session opens by itself on a named target, whatever grant stands; in words that name no
    /// target besides.
    pub fn needs_operator(&self, name: &Name) -> Option<String> {
        match self.way_to(name) {
            Err(_) => Some("it leads nowhere as it is".to_owned()),
            Ok((way, _)) => {
                let borrowed = way.iter().find(|target| !target.credential.is_held());
                borrowed.map(|target| not_held(target).to_owned())
            }
        }
    }

    /// A named target with nobody there: every credential on its way must be held by the vault.
    pub fn reach(&self, name: &Name) -> Result<Reached, Failure> {
        self.reach_lent(name, Vec::new())
    }

    /// The same, with what is lent for each hop where the vault does not hold it.
    pub fn reach_lent(&self, name: &Name, lent: Vec<Vec<Lent>>) -> Result<Reached, Failure> {
        let (way, route) = self.way_to(name)?;
        let mut lent = lent.into_iter();
        let (mut plan, mut vouched, mut credentials) = (Plan::default(), Vec::new(), Vec::new());
        for (at, target) in way.iter().enumerate() {
            let lent = lent.next().unwrap_or_default();
            let (these, words) = match target.credential.is_held() {
                true => (vec![self.held(target)?], vec![target.credential.named()]),
                false if lent.is_empty() => return Err(borrowed(target, name)),
                false => lent.into_iter().unzip(),
            };
            if at == 0 {
                if target.proxy_command.is_some() {
                    self.may_run("a proxy command")?;
                }
                plan.proxy_command = target.proxy_command.clone();
            }
            plan.hops.push(HopPlan { hop: target.hop(), credentials: these });
            credentials.push(words);
            vouched.push(voucher(target));
        }
        let Some(last) = way.last() else { return Err(self.no_target(name.as_str())) };
        Ok(Reached {
            route,
            taken: Taken::of(&way),
            plan,
            vouched,
            credentials,
            surroundings: last.surroundings.clone(),
            pty: last.pty,
            mode: last.guard.mode,
        })
    }

    /// Whether a destination may have a terminal, as far as is known ahead.
    pub fn gives_terminals(&self, asked: &Destination) -> bool {
        let way = self.target_named(asked).and_then(|name| self.way_to(&name).ok());
        way.and_then(|(way, _)| way.last().map(|target| target.pty)).unwrap_or(true)
    }

    /// As an approval shows it.
    pub fn way_shown(&self, name: &Name) -> Result<Way, Failure> {
        let (way, _) = self.way_to(name)?;
        let digest = named::digest(&way);
        let last = way.last();
        let (prod, pty) = (last.is_some_and(|one| one.prod), last.is_none_or(|one| one.pty));
        let hops = way.into_iter().map(|target| WayHop {
            hop: target.hop(),
            host_keys: self.keys_of(&target),
            target,
        });
        Ok(Way { digest, hops: hops.collect(), prod, pty })
    }

    /// Fingerprints of the keys that are taken there: its own, or those of its address.
    pub fn keys_of(&self, target: &Target) -> Vec<String> {
        if !target.host_keys.is_empty() {
            return target.host_keys.clone();
        }
        self.pinned(target)
    }

    /// Fingerprints of the keys that are pinned for its address.
    pub fn pinned(&self, target: &Target) -> Vec<String> {
        let pins = self.vault.pins(&target.hop().address());
        let keys = pins.iter().filter_map(|pin| ssh_key::PublicKey::from_openssh(&pin.key).ok());
        keys.map(|key| fingerprint(&key)).collect()
    }

    /// Opens what the vault holds for a target.
    fn held(&self, target: &Target) -> Result<Arc<upstream::Credential>, Failure> {
        let broken = |why: String| {
            let message = format!("the credential of {} can't be used: {why}", target.name);
            let name = &target.name;
            let hint =
                format!("the operator gives it again: sgw target edit {name} --identity FILE");
            Failure::new(Code::TargetCredential, message, hint)
        };
        let value = self.vault.open_secret(&target.secret_id()).map_err(|error| match error {
            VaultError::Missing { .. } => broken("the vault has no value for it".to_owned()),
            other => broken(other.to_string()),
        })?;
        let private =
            || key::parse(&value).map(Arc::new).map_err(|error| broken(error.to_string()));
        let credential = match &target.credential {
            Credential::Key { .. } => upstream::Credential::Key(private()?),
            Credential::Certificate { certificate, .. } => {
                let certificate = Certificate::from_openssh(certificate)
                    .map_err(|error| broken(error.to_string()))?;
                upstream::Credential::Certified(private()?, Box::new(certificate))
            }
            _ => upstream::Credential::Password(
                value.into_text().ok_or_else(|| broken("it is not text".to_owned()))?,
            ),
        };
        Ok(Arc::new(credential))
    }
}

fn voucher(target: &Target) -> Vouched {
    Vouched {
        hop: target.hop(),
        target: target.name.clone(),
        keys: target.host_keys.clone(),
        authorities: target.host_ca.iter().map(|authority| authority.0.clone()).collect(),
        bound: match &target.credential {
            Credential::Password { bound } => Some(bound.clone()),
            _ => None,
        },
    }
}

fn not_held(target: &Target) -> &'static str {
    match &target.credential {
        Credential::Asked => "what logs in there is chosen at each approval",
        _ => "what logs in there is borrowed from the operator, who has to be there",
    }
}

/// It names no target that the asker did not name: a jump host's name is the operator's.
fn borrowed(target: &Target, asked: &Name) -> Failure {
    let mended = match target.name == *asked {
        true => format!("puts a key into the vault: sgw target edit {asked} --identity FILE"),
        false => format!("puts keys into the vault for the whole way: sgw target show {asked}"),
    };
    let hint =
        format!("ask for a session: sgw request {asked} --reason …; or the operator {mended}");
    Failure::new(Code::TargetBorrowed, not_held(target), hint)
}

impl Reached {
    /// Takes from a grant what this target does not give.
    pub fn narrow(&self, grant: &mut Grant) {
        self.narrow_terms(&mut grant.capabilities, &mut grant.mode);
    }

    pub fn narrow_terms(&self, capabilities: &mut Capabilities, mode: &mut Mode) {
        if !self.pty {
            capabilities.remove(&Capability::Pty);
        }
        *mode = mode.at_least(self.mode);
    }
}
