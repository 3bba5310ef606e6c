//! Vocabulary and decisions. Pure: no I/O, no clock, no environment, no tokio; time, randomness and
//! names are arguments.

pub mod action;
pub mod authorize;
pub mod bytes;
pub mod capability;
pub mod digest;
pub mod grant;
pub mod id;
pub mod identity;
pub mod known_hosts;
pub mod request;
pub mod secret;
pub mod target;
