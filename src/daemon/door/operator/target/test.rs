//! Walks to a named target, step by step, and tells how far one gets.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    daemon::{
        door::{link::value, operator::Operator},
        parts::Lent,
        upstream::{self, ConnectError, ConnectFault, HostKeyRefusal, Hosts, Stage, probe},
    },
    domain::{
        id::Name,
        target::named::{Shell, Target},
    },
    protocol::{
        error::{Code, Failure},
        operator::target::{self, Kind, Step, Tested, Tried},
    },
};

impl Operator {
    /// Each step with its time; the first that fails is the last.
    pub(super) async fn test_target(
        &self,
        name: &str,
        lent: &[target::Lent],
    ) -> Result<Value, Failure> {
        let target = self.known_target(name)?.record.clone();
        let steps = self.walk(&target.name, lent, false).await?;
        let ok = steps.iter().all(|step| step.ok);
        value(&Tested { name: name.to_owned(), kind: Kind::Target, ok, steps })
    }

    /// Which key the machine shows: nothing beyond the key exchange goes there.
    pub(super) async fn look_at_key(
        &self,
        name: &Name,
        lent: &[target::Lent],
    ) -> Result<String, Failure> {
        let steps = self.walk(name, lent, true).await?;
        let last = steps.into_iter().last();
        let last = last.ok_or_else(|| self.parts.no_target(name.as_str()))?;
        match (last.step, last.found, last.error) {
            (Step::HostKey, Some(shown), _) => Ok(shown),
            (_, _, Some(failure)) => Err(failure),
            _ => Err(self.parts.no_target(name.as_str())),
        }
    }

    async fn walk(
        &self,
        name: &Name,
        lent: &[target::Lent],
        host_key_only: bool,
    ) -> Result<Vec<Tried>, Failure> {
        let (way, route) = self.parts.way_to(name)?;
        let agents = self.agents()?;
        let mut brought: Vec<Vec<Lent>> = Vec::new();
        for (at, target) in way.iter().enumerate() {
            let wanted = lent.iter().find(|one| one.target == target.name.as_str());
            let wanted = wanted.map(|one| one.credentials.as_slice()).unwrap_or_default();
            let mut these = self.lent_to(target, wanted, &agents).await?;
            if these.is_empty() && host_key_only && at + 1 == way.len() {
                // Nobody logs in there: what would is not needed.
                these.push((Arc::new(no_credential()), String::new()));
            }
            brought.push(these);
        }
        let reached = self.parts.reach_lent(name, brought)?;
        let hosts = Hosts::pinned(self.parts.vault.clone()).vouched(reached.vouched);
        let hosts = Arc::new(hosts);
        let with_shell = reached.surroundings.shell != Some(Shell::Other);
        let probed = probe(&reached.plan, hosts.clone(), host_key_only, with_shell).await;
        let keys = hosts.fingerprints(route.hops());
        let tried = probed.into_iter().map(|probed| {
            let (target, hop) = (&way[probed.hop], &route.hops()[probed.hop]);
            let key = Some(&keys[probed.hop]).filter(|key| !key.is_empty());
            let step = step(probed.stage);
            let (found, error) = match probed.outcome {
                Ok(found) => {
                    (found.or_else(|| key.filter(|_| step == Step::HostKey).cloned()), None)
                }
                Err(fault) => {
                    let shown = shown(&fault).filter(|_| host_key_only && step == Step::HostKey);
                    (shown, Some(told(target, ConnectError { hop: hop.clone(), cause: fault })))
                }
            };
            Tried {
                target: target.name.to_string(),
                step,
                ok: error.is_none(),
                duration_ms: u64::try_from(probed.took.as_millis()).unwrap_or(u64::MAX),
                found,
                error,
            }
        });
        Ok(tried.collect())
    }
}

/// Offered to nobody.
fn no_credential() -> upstream::Credential {
    upstream::Credential::Password(crate::domain::secret::Secret::new(String::new()))
}

fn step(stage: Stage) -> Step {
    match stage {
        Stage::Name => Step::Name,
        Stage::Tcp => Step::Tcp,
        Stage::Tunnel => Step::Tunnel,
        Stage::HostKey => Step::HostKey,
        Stage::Login => Step::Login,
        Stage::Shell => Step::Shell,
        Stage::Sftp => Step::Sftp,
    }
}

/// The key that was shown and not taken.
fn shown(fault: &ConnectFault) -> Option<String> {
    match fault {
        ConnectFault::HostKey(
            HostKeyRefusal::Changed { presented, .. }
            | HostKeyRefusal::Unknown { presented }
            | HostKeyRefusal::Bound { presented, .. },
        ) => Some(presented.clone()),
        _ => None,
    }
}

/// The failure, with what mends it here.
fn told(target: &Target, error: ConnectError) -> Failure {
    let failure = upstream::failure(&error);
    let name = &target.name;
    let hint = match (&failure.code, shown(&error.cause)) {
        (Code::HostkeyUnknown, Some(key)) => {
            format!("compare it with the server's own, then: sgw target accept-key {name} {key}")
        }
        (Code::HostkeyChanged, Some(key)) => format!(
            "somebody may be in between. If the server was really rebuilt: sgw target accept-key \
             {name} {key}"
        ),
        (Code::TargetAuth, _) => format!("give another: sgw target edit {name} --identity FILE"),
        _ => return failure,
    };
    Failure { hint, ..failure }
}
