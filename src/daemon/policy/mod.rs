//! The policy in force: what sgw comes with, and over it what the operator accepted, from the vault. A
//! file changes nothing here until it is accepted.

use std::sync::{Arc, PoisonError, RwLock};

use crate::{
    daemon::vault::{Stored, Vault},
    domain::{
        digest::Digest,
        guard::{
            Policy,
            own::{self, Own},
            policy::PolicyError,
        },
    },
    protocol::error::{Code, Failure},
};

/// What commands are judged by now, and its digest; read once for each change of it.
pub struct Policies {
    vault: Arc<Vault>,
    read: RwLock<Arc<InForce>>,
}

/// One state of it.
pub struct InForce {
    /// The vault's revision that it was read at.
    at: u64,
    /// What the operator accepted; none: what sgw comes with holds alone.
    pub own: Option<Arc<Stored<Own>>>,
    compiled: Result<Arc<Policy>, PolicyError>,
    /// Binds approvals: another policy is another revision.
    pub revision: Digest,
}

impl Policies {
    pub fn new(vault: Arc<Vault>) -> Self {
        let read = RwLock::new(Arc::new(InForce::read(&vault)));
        Self { vault, read }
    }

    /// What a command is judged by; target and token go into the guard's context, whose parts of the
    /// policy it picks. Where what was accepted can't be read by this sgw, nothing is judged, and nothing
    /// may run.
    pub fn current(&self) -> Result<Arc<Policy>, Failure> {
        self.in_force().policy()
    }

    /// Binds an approval to all that its command was judged by.
    pub fn revision(&self) -> Digest {
        self.in_force().revision
    }

    pub fn in_force(&self) -> Arc<InForce> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner).clone();
        if read.at == self.vault.changed::<Own>() {
            return read;
        }
        let read = Arc::new(InForce::read(&self.vault));
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = read.clone();
        read
    }
}

impl InForce {
    fn read(vault: &Vault) -> Self {
        // Before the record: what is newer than that is read again.
        let at = vault.changed::<Own>();
        let own = vault.get::<Own>(Own::ID);
        let compiled = match &own {
            Some(own) => own.record.compiled(),
            None => Ok(Policy::built_in()),
        };
        let revision = own::revision(own.as_ref().map(|own| own.record.text.as_str()));
        Self { at, own, compiled, revision }
    }

    pub fn policy(&self) -> Result<Arc<Policy>, Failure> {
        self.compiled.clone().map_err(|_| {
            Failure::new(
                Code::PolicySealed,
                "the operator's policy can't be read by this sgw, so nothing passes",
                "ask your user: sgw policy edit mends it",
            )
        })
    }

    /// Why it can't be judged by, in the operator's words.
    pub fn problem(&self) -> Option<&PolicyError> {
        self.compiled.as_ref().err()
    }
}
