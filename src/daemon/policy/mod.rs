//! The policy in force: what sgw comes with, and over it what the operator accepted, from the vault. A
//! file changes nothing here until it is accepted.

mod proposal;

use std::sync::{Arc, PoisonError, RwLock};

use jiff::{Timestamp, civil::Date};

use proposal::Proposal;

use crate::{
    daemon::vault::{Stored, Vault, VaultError},
    domain::{
        digest::Digest,
        escape::visible,
        guard::{
            Policy,
            own::{self, Own},
            policy::PolicyError,
        },
    },
    home::Home,
    protocol::error::{Code, Failure},
};

/// Of what is wrong with it, in columns.
const SHOWN: usize = 400;

/// What commands are judged by now, and its digest; read once for each change of it.
pub struct Policies {
    vault: Arc<Vault>,
    /// Where the operator writes what they propose; none: a service's home is not theirs.
    home: Option<Arc<Home>>,
    read: RwLock<Arc<InForce>>,
    /// Held by whoever compares, records and seals.
    pub changing: tokio::sync::Mutex<()>,
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
    /// `home`: where a `policy.toml` may lie; none in a service's home, where no operator writes.
    pub fn new(vault: Arc<Vault>, home: Option<Arc<Home>>) -> Self {
        let read = RwLock::new(Arc::new(InForce::read(&vault)));
        Self { vault, home, read, changing: tokio::sync::Mutex::default() }
    }

    /// What a command is judged by. Target and token go into the guard's context, whose parts of the
    /// policy it picks.
    pub fn in_force(&self) -> Arc<InForce> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner).clone();
        if read.at == self.vault.changed::<Own>() {
            return read;
        }
        let read = Arc::new(InForce::read(&self.vault));
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = read.clone();
        read
    }

    /// Seals a text in the place of what was in force, and judges by it from now on. Writes to the disk;
    /// `Changed` or `Exists` where something else came into force meanwhile.
    pub fn seal(
        &self,
        before: &InForce,
        text: String,
        accepted_at: Timestamp,
    ) -> Result<Arc<InForce>, VaultError> {
        let own = Own { text, accepted_at };
        match &before.own {
            Some(known) => self.vault.edit(known.version, own)?,
            None => self.vault.add(own)?,
        }
        Ok(self.in_force())
    }

    /// Lets the file follow what was just sealed, where it still is what that was made of. It changes
    /// nothing that holds; where it can't be written `status` tells that it differs.
    pub fn follow(&self, made_of: Option<&Digest>) {
        let (own, home) = (self.in_force().own.clone(), self.home.as_ref());
        let (Some(own), Some(home)) = (own, home) else { return };
        let proposal = Proposal::read(home);
        if proposal.is(made_of)
            && !proposal.is(Some(&own::digest(&own.record.text)))
            && let Err(error) = proposal::write(home, &own.record.text)
        {
            tracing::warn!(%error, "policy.toml was not written");
        }
    }

    /// What the operator should know of it, a sentence each.
    pub fn notes(&self, today: Date) -> Vec<String> {
        let in_force = self.in_force();
        let own = in_force.own.as_ref().map(|own| own.record.text.as_str());
        let mut notes = Vec::new();
        if let Some(problem) = in_force.problem() {
            notes.push(format!(
                "the policy that was accepted can't be read by this sgw, and nothing passes ({problem}): \
                 sgw policy edit"
            ));
        }
        notes.extend(self.home.as_ref().and_then(|home| Proposal::read(home).note(own)));
        let over = match &in_force.compiled {
            Ok(policy) => policy.allows().iter().filter(|allow| allow.expires <= today).count(),
            Err(_) => 0,
        };
        if over > 0 {
            notes.push(match over {
                1 => "1 [[allow]] rule is over, and lifts nothing any more: sgw policy edit"
                    .to_owned(),
                over => format!(
                    "{over} [[allow]] rules are over, and lift nothing any more: sgw policy edit"
                ),
            });
        }
        notes
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

    /// Where what was accepted can't be read by this sgw nothing is judged, and nothing may run.
    pub fn policy(&self) -> Result<Arc<Policy>, Failure> {
        self.compiled.clone().map_err(|_| {
            Failure::new(
                Code::PolicySealed,
                "the operator's policy can't be read by this sgw, so nothing passes",
                "ask your user: sgw policy edit mends it",
            )
        })
    }

    /// Why it can't be judged by.
    pub fn problem(&self) -> Option<String> {
        self.compiled.as_ref().err().map(|error| visible(&error.to_string(), SHOWN))
    }
}

#[cfg(test)]
mod tests;
