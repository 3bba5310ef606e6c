//! Everything with effects.

pub mod upstream;
