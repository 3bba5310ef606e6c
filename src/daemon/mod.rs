//! Everything with effects.

pub mod session;
