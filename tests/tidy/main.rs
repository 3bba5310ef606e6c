//! The house keeps its own rules: who may name whom, who prints, what `domain` may touch. These are
//! the rules of ARCHITECTURE.md that the compiler does not hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and says why"
)]

mod documents;
mod edges;
mod form;
mod machine;
mod paths;
mod purity;
mod source;

/// Fails with every offence, not only the first.
#[track_caller]
fn none(what: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{what}\n{}\n", offences.join("\n"));
}
