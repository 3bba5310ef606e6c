//! The guard's own files, without the program around them.

#[allow(unused_imports, reason = "only the judge is called")]
#[path = "../../../src/domain/guard/mod.rs"]
pub mod guard;
