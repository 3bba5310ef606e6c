//! What the operator says to the daemon of a service, whose home they can't read and which they don't
//! start: the passphrase stays with the client here too, the data key comes as a secret frame.

use serde::{Deserialize, Serialize};

use crate::domain::bytes::Bytes;

/// In a welcome: the daemon has no key yet.
pub const LOCKED: &str = "locked";
/// In a welcome: there is no vault yet.
pub const NEW: &str = "new";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The vault's header, which the passphrase opens. Answer: [`Header`].
    Header {},
    /// Makes the vault: its header, the data key of the secret frame `key`, a PIN. Answer: nothing.
    SetUp { header: Bytes, key: u32, pin: Option<u32> },
    /// Opens the vault with the data key of this secret frame. Answer: [`super::super::handover::Ready`].
    Unlock { key: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub header: Bytes,
}
