//! The operator's PIN: asked for inside a proven connection, where a desk was left alone or others
//! can type into it.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::Operator;
use crate::{
    daemon::audit,
    domain::pin,
    protocol::error::{Code, Failure},
};

/// How often a connection may be wrong. After that only a new proof, by the passphrase, helps.
const TRIES: u32 = 3;

/// The wrong PINs of one connection.
#[derive(Default)]
pub struct Tries(AtomicU32);

impl Operator {
    pub(super) async fn check_pin(&self, secret: u32) -> Result<Value, Failure> {
        let pin = self.take_secret(secret)?;
        let tries = &self.pin_tries.0;
        // Counted before it is looked at, so that many at once are no more than three.
        if tries.fetch_add(1, Ordering::Relaxed) >= TRIES {
            tries.store(TRIES, Ordering::Relaxed);
            return Err(wrong("there were three wrong PINs", "prove it with the passphrase"));
        }
        match self.parts.vault.is_pin(&pin) {
            Some(true) => {
                tries.store(0, Ordering::Relaxed);
                Ok(Value::Null)
            }
            Some(false) => {
                audit::pin_failed(&self.parts.evidence, &self.told()).await?;
                Err(wrong("that is not the PIN", "try again"))
            }
            None => Err(wrong("no PIN is set", "prove it with the passphrase, or: sgw pin")),
        }
    }

    pub(super) async fn set_pin(&self, secret: Option<u32>) -> Result<Value, Failure> {
        let pin = secret.map(|number| self.take_secret(number)).transpose()?;
        if let Some(pin) = &pin {
            pin::judge(pin.expose()).map_err(|weak| {
                Failure::new(Code::OperatorPassphrase, weak.to_string(), "sgw pin --help")
            })?;
        }
        let vault = &self.parts.vault;
        let set = |set: bool| Value::from(if set { "set" } else { "none" });
        let (before, after) = (set(vault.has_pin()), set(pin.is_some()));
        audit::settings_changed(&self.parts.evidence, "pin", &before, &after).await?;
        tokio::task::block_in_place(|| vault.set_pin(pin.as_ref()))
            .map_err(|error| super::settings::refused(&error))?;
        Ok(json!({ "pin": after }))
    }
}

fn wrong(message: &str, hint: &str) -> Failure {
    Failure::new(Code::OperatorProof, message, hint)
}
