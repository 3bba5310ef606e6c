//! The guard's own files, and the few that it leans on, without the program around them.

#[path = "../../../src/domain/digest.rs"]
pub mod digest;
#[path = "../../../src/domain/escape.rs"]
pub mod escape;
#[allow(unused_imports, reason = "only the judge is called")]
#[path = "../../../src/domain/guard/mod.rs"]
pub mod guard;
#[path = "../../../src/domain/nearest.rs"]
pub mod nearest;
