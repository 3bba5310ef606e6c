//! Everything with effects.
#![allow(dead_code)] // until the parts list uses them

pub mod upstream;
mod evidence;
mod store;
mod vault;
