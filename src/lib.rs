//! The map of the house: see ARCHITECTURE.md.
//!
//! `domain` decides, `protocol` is what crosses a socket, `client` speaks it, `cli` is what people
//! and agents type, `daemon` has every effect.

pub mod cli;
pub mod client;
pub mod daemon;
pub mod demo;
pub mod domain;
pub mod home;
pub mod judge;
pub mod protocol;
