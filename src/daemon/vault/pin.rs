//! The operator's PIN in the sealed state. It opens nothing; it only tells the desk that the operator
//! still sits there.

use super::{Vault, VaultError};
use crate::{
    domain::{
        pin::{PURPOSE, PinCheck},
        secret::Secret,
    },
    home::random,
};

impl Vault {
    pub fn has_pin(&self) -> bool {
        self.memory().state.pin.is_some()
    }

    /// Whether this is the PIN; `None` where none is set.
    pub fn is_pin(&self, pin: &Secret<Vec<u8>>) -> Option<bool> {
        let check = self.memory().state.pin.clone()?;
        Some(check.fits(&self.lasting.get(PURPOSE), pin.expose()))
    }

    /// Sets the PIN, or takes it away.
    pub fn set_pin(&self, pin: Option<&Secret<Vec<u8>>>) -> Result<(), VaultError> {
        let check = match pin {
            None => None,
            Some(pin) => Some(PinCheck::new(&self.lasting.get(PURPOSE), random()?, pin.expose())),
        };
        self.change_state(|state| {
            state.pin = check;
            Ok(())
        })
    }
}
