//! Everything with effects.

pub mod upstream;
mod evidence;
mod store;
mod vault;
