//! Vocabulary and decisions. Pure: no I/O, no clock, no environment, no tokio; time, randomness and
//! names are arguments.

pub mod bytes;
pub mod capability;
pub mod cut;
pub mod id;
pub mod identity;
pub mod secret;
pub mod shell;
pub mod target;
pub mod transcript;
