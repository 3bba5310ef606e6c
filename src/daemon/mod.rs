//! Everything with effects.

mod evidence;
mod store;
mod vault;
