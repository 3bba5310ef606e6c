//! The guard's own files, without the program around them.

#[path = "../../../src/domain/guard/mod.rs"]
pub mod guard;
