//! Vocabulary and decisions. Pure: no I/O, no clock, no environment, no tokio; time, randomness and
//! names are arguments.

pub mod bytes;
pub mod capability;
pub mod escape;
pub mod hostkey;
pub mod id;
pub mod identity;
pub mod key;
pub mod known_hosts;
pub mod secret;
pub mod target;
