//! What a PIN may be: short, because it opens nothing and has three tries. What is kept of it is a keyed
//! hash.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::seal::{DataKey, Key};

/// Fewer digits fall to three tries too often.
pub const MIN_BYTES: usize = 4;
pub const MAX_BYTES: usize = 64;

/// Why a PIN is refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Weak {
    #[error("a PIN has {MIN_BYTES} to {MAX_BYTES} characters")]
    Length,
    #[error("a PIN has no control characters")]
    Control,
    #[error("a PIN is more than one character repeated, or counted up or down")]
    Run,
}

/// Whether three tries at a PIN are few.
pub fn judge(pin: &[u8]) -> Result<(), Weak> {
    if !(MIN_BYTES..=MAX_BYTES).contains(&pin.len()) {
        return Err(Weak::Length);
    }
    if pin.iter().any(u8::is_ascii_control) {
        return Err(Weak::Control);
    }
    let steps: Vec<i16> = pin.windows(2).map(|two| i16::from(two[1]) - i16::from(two[0])).collect();
    let even = steps.iter().all(|step| Some(step) == steps.first());
    if even && steps.first().is_some_and(|step| step.abs() <= 1) {
        return Err(Weak::Run);
    }
    Ok(())
}

/// HMAC-SHA256 over a salt and the PIN, under a key derived from the data key: without that key no
/// guess can be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinCheck {
    salt: [u8; 16],
    mac: [u8; 32],
}

impl PinCheck {
    pub fn new(key: &Key, salt: [u8; 16], pin: &[u8]) -> Self {
        let mac = mac(key, &salt, pin).map(|mac| mac.finalize().into_bytes().into());
        Self { salt, mac: mac.unwrap_or_default() }
    }

    /// Whether this is the PIN. Compared in constant time.
    pub fn fits(&self, key: &Key, pin: &[u8]) -> bool {
        mac(key, &self.salt, pin).is_some_and(|mac| mac.verify_slice(&self.mac).is_ok())
    }
}

/// What the key that PINs are hashed under is derived for.
pub const PURPOSE: &str = "pin";

pub fn key(data_key: &DataKey) -> Key {
    data_key.derive(PURPOSE)
}

/// HMAC takes keys of any length, so it is always there.
fn mac(key: &Key, salt: &[u8], pin: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).ok()?;
    mac.update(salt);
    mac.update(pin);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_fits_its_own_check_under_its_own_key_alone() {
        let (key, other) = (Key::new([1; 32]), Key::new([2; 32]));
        let check = PinCheck::new(&key, [3; 16], b"7314");
        assert!(check.fits(&key, b"7314"));
        assert!(
            !check.fits(&key, b"7315") && !check.fits(&key, b"") && !check.fits(&other, b"7314")
        );
        assert_ne!(check, PinCheck::new(&key, [4; 16], b"7314"));
    }

    #[test]
    fn what_comes_to_mind_first_is_no_pin() {
        for (pin, why) in [
            ("", Weak::Length),
            ("731", Weak::Length),
            ("0000", Weak::Run),
            ("1234", Weak::Run),
            ("4321", Weak::Run),
            ("73\u{1b}1", Weak::Control),
        ] {
            assert_eq!(judge(pin.as_bytes()), Err(why), "{pin:?}");
        }
        assert_eq!(judge(&[b'1'; 65]), Err(Weak::Length));
        for pin in ["7314", "1224", "vier", "1357"] {
            assert_eq!(judge(pin.as_bytes()), Ok(()), "{pin}");
        }
    }
}
