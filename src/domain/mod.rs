//! Vocabulary and decisions. Pure: no I/O, no clock, no environment, no tokio; time, randomness and
//! names are arguments.

pub mod bytes;
pub mod capability;
pub mod id;
pub mod identity;
pub mod passphrase;
pub mod record;
pub mod seal;
pub mod secret;
pub mod target;
