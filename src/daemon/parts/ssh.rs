//! What SSH clients are told: the daemon's own host key, and where their identity may go.

use std::collections::BTreeSet;

use russh::keys::PrivateKey;
use ssh_key::private::{Ed25519Keypair, KeypairData};

use super::Parts;
use crate::{
    domain::{
        identity::Identity,
        target::{Destination, named::Target},
    },
    protocol::{
        error::{Code, Failure},
        ssh::{Configuration, Host},
    },
};

impl Parts {
    /// The key that SSH clients know this daemon by: of this vault and its copies alone, and the same
    /// after a rotation.
    pub fn ssh_host_key(&self) -> Result<PrivateKey, Failure> {
        let pair = Ed25519Keypair::from_seed(self.vault.ssh_host_key().expose());
        PrivateKey::new(KeypairData::from(pair), "").map_err(|error| unmade(&error))
    }

    /// What an ssh_config for this identity is made of: the targets that it has now.
    pub fn ssh_config(&self, identity: &Identity) -> Result<Configuration, Failure> {
        let host_key = self.ssh_host_key()?.public_key().to_openssh().map_err(|e| unmade(&e))?;
        let mut hosts = BTreeSet::new();
        for session in self.sessions.everyone() {
            if session.owner != *identity || session.over().is_some() {
                continue;
            }
            let there = session.route.target();
            let named = self.target_named(&session.asked).is_some();
            let port = (!named).then_some(there.port);
            hosts.insert(Host { name: session.asked.host.clone(), user: there.user.clone(), port });
        }
        for reach in self.standing_for(identity).into_iter().filter(|reach| reach.standing) {
            if let Some(target) = self.vault.get::<Target>(&reach.name) {
                let user = target.record.user.clone();
                hosts.insert(Host { name: reach.name, user, port: None });
            }
        }
        let hosts = hosts.into_iter().collect();
        Ok(Configuration { identity: identity.to_string(), host_key, hosts })
    }

    /// The account that a named target is used by, and its port.
    pub fn account_of(&self, asked: &Destination) -> Option<(String, u16)> {
        let name = self.target_named(asked)?;
        let stored = self.vault.get::<Target>(name.as_str())?;
        Some((stored.record.user.clone(), stored.record.port))
    }
}

fn unmade(error: &ssh_key::Error) -> Failure {
    let message = format!("the daemon's host key can't be made: {error}");
    Failure::new(Code::DaemonFailed, message, "this is a bug in sgw")
}
