//! Everything with effects.
#![allow(dead_code)] // until the parts list uses them

mod evidence;
mod store;
pub mod upstream;
mod vault;
