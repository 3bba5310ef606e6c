//! Everything with effects.

mod evidence;
mod store;
pub mod upstream;
mod vault;
