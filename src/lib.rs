//! The map of the house: see ARCHITECTURE.md.
//!
//! `domain` decides, `protocol` is what crosses a socket, `client` speaks it, `cli` is what people
//! and agents type, `daemon` has every effect.

pub mod daemon;
pub mod domain;
