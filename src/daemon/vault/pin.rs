//! The operator's PIN: a keyed hash in the sealed state. It opens nothing; it only tells the desk that
//! the operator still sits there.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Vault, VaultError};
use crate::{
    domain::{seal::Key, secret::Secret},
    home::random,
};

/// HMAC-SHA256 over a salt and the PIN, under a key derived from the data key: without that key no
/// guess can be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinCheck {
    salt: [u8; 16],
    mac: [u8; 32],
}

impl Vault {
    pub fn has_pin(&self) -> bool {
        self.lock().state.pin.is_some()
    }

    /// Whether this is the PIN. Compared in constant time; `None` where none is set.
    pub fn is_pin(&self, pin: &Secret<Vec<u8>>) -> Option<bool> {
        let check = self.lock().state.pin.clone()?;
        let mac = mac(&self.pin_key, &check.salt, pin);
        Some(mac.is_some_and(|mac| mac.verify_slice(&check.mac).is_ok()))
    }

    /// Sets the PIN, or takes it away.
    pub fn set_pin(&self, pin: Option<&Secret<Vec<u8>>>) -> Result<(), VaultError> {
        let check = match pin {
            None => None,
            Some(pin) => {
                let salt = random()?;
                let mac = mac(&self.pin_key, &salt, pin)
                    .ok_or(VaultError::Limit("the PIN could not be hashed"))?;
                Some(PinCheck { salt, mac: mac.finalize().into_bytes().into() })
            }
        };
        self.change(|state| {
            state.pin = check;
            Ok(())
        })
    }
}

fn mac(key: &Key, salt: &[u8], pin: &Secret<Vec<u8>>) -> Option<Hmac<Sha256>> {
    // Takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).ok()?;
    mac.update(salt);
    mac.update(pin.expose());
    Some(mac)
}
