//! Keys that outlive the data key: those of the audit and of the PIN, and the host key for SSH clients. They are derived from the first
//! data key; a rotation seals them in the vault, so that what they made keeps holding.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{
    Vault,
    records::{Rows, Value, open_row},
    tables::KEYS,
};
use crate::{
    daemon::memory,
    domain::{
        pin,
        record::Keys,
        seal::{DataKey, Key},
    },
};

/// Whose 32 bytes are the seed of the daemon's own host key (RFC 8032, 5.1.5).
const SSH_HOST_KEY: &str = "ssh-host-key";

pub struct Lasting(BTreeMap<&'static str, Key>);

impl Lasting {
    pub const PURPOSES: [&str; 4] =
        [Keys::PURPOSES[0], Keys::PURPOSES[1], pin::PURPOSE, SSH_HOST_KEY];

    /// Those that the vault has, and the others from the data key.
    pub fn of(data_key: &DataKey, vault_key: &Key, rows: &Rows) -> Self {
        let kept = |purpose: &str| {
            let row = rows.get(KEYS)?.get(purpose)?;
            let Value::Sealed(sealed) = &row.value else { return None };
            let opened = open_row(vault_key, KEYS, purpose, row.version, sealed).ok()?;
            opened.expose().as_slice().try_into().ok().map(Key::new)
        };
        let of = |purpose| {
            let key = kept(purpose).unwrap_or_else(|| data_key.derive(purpose));
            memory::keep(&key);
            key
        };
        Self(Self::PURPOSES.into_iter().map(|purpose| (purpose, of(purpose))).collect())
    }

    /// One of `PURPOSES`.
    pub fn get(&self, purpose: &str) -> Key {
        // Each is there; without one nothing that it made would hold.
        Key::new(self.0.get(purpose).map(|key| *key.expose()).unwrap_or_default())
    }
}

impl Vault {
    /// Of this vault and its copies alone, also after a rotation; tells nothing of a key.
    pub fn name(&self) -> String {
        let key = self.lasting.get(Keys::PURPOSES[1]);
        hex::encode(
            Sha256::new().chain_update(b"sgw vault 1").chain_update(key.expose()).finalize(),
        )
    }

    /// The seed of the Ed25519 key that SSH clients know this daemon by.
    pub fn ssh_host_key(&self) -> Key {
        self.lasting.get(SSH_HOST_KEY)
    }

    /// What the audit is chained and sealed with.
    pub fn audit_keys(&self) -> Keys {
        let [text, chain] = Keys::PURPOSES.map(|purpose| self.lasting.get(purpose));
        Keys::new(text, &chain)
    }
}
