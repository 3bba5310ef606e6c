//! How another policy comes into force: compared, on record, sealed.

use super::Parts;
use crate::{
    daemon::{audit, policy::InForce, vault::VaultError},
    domain::{
        digest::Digest,
        guard::{own, policy::Allow},
    },
    protocol::error::{Code, Failure},
};

impl Parts {
    /// The operator's word: this text in the place of what was in force as it was shown to them.
    /// `follows` is the digest of the policy.toml that becomes the same; none: where there is none.
    pub async fn accept_policy(
        &self,
        text: String,
        was: Digest,
        follows: Option<Digest>,
    ) -> Result<(), Failure> {
        let _alone = self.policies.changing.lock().await;
        let before = self.policies.in_force();
        if before.revision != was {
            return Err(changed());
        }
        own::check(&text).map_err(invalid)?;
        self.put_in_force(&before, text, follows).await
    }

    /// One `[[allow]]` more, on the operator's word: sealed, and in policy.toml too where that is what is in
    /// force. Anything else there stays as it is, and `status` tells that it differs.
    pub async fn add_allow(&self, allow: &Allow) -> Result<(), Failure> {
        let _alone = self.policies.changing.lock().await;
        let before = self.policies.in_force();
        before.policy()?;
        let own = before.own.as_ref().map(|own| own.record.text.as_str());
        let text = own::with_allow(own, allow).map_err(invalid)?;
        let follows = own.map(own::digest);
        self.put_in_force(&before, text, follows).await
    }

    async fn put_in_force(
        &self,
        before: &InForce,
        text: String,
        follows: Option<Digest>,
    ) -> Result<(), Failure> {
        let was = before.own.as_ref().map(|own| &own.record);
        audit::policy_changed(&self.evidence, was, &text).await?;
        let sealed = tokio::task::block_in_place(|| self.policies.seal(before, text, self.now()));
        sealed.map_err(|error| not_sealed(&error))?;
        tokio::task::block_in_place(|| self.policies.follow(follows.as_ref()));
        Ok(())
    }
}

fn invalid(why: String) -> Failure {
    Failure::new(Code::PolicyInvalid, why, "nothing was changed; sgw policy edit")
}

fn changed() -> Failure {
    Failure::new(
        Code::PolicyChanged,
        "another policy came into force meanwhile: what was shown is not what would change",
        "nothing was changed; look at the difference anew: sgw policy accept",
    )
}

fn not_sealed(error: &VaultError) -> Failure {
    match error {
        VaultError::Changed { .. } | VaultError::Exists { .. } | VaultError::Missing { .. } => {
            changed()
        }
        VaultError::Damaged { .. } => Failure::new(
            Code::VaultDamaged,
            error.to_string(),
            "nothing was changed; put back a copy of the file that you trust",
        ),
        VaultError::Limit(_) => {
            Failure::new(Code::LimitVault, error.to_string(), "nothing was changed")
        }
        _ => Failure::new(
            Code::DaemonFailed,
            error.to_string(),
            "nothing was changed; look at the disk that holds sgw's home",
        ),
    }
}
