//! The claim table of SECURITY.md, tried: what is said to hold is attacked in vain, what is said to
//! show is seen, and what is not claimed is done, so that the table can't drift from the truth.

mod held;
mod not_claimed;
mod relay;
mod shown;

use std::{path::Path, process::Command, rc::Rc};

use crate::support::{Person, Sgw};

/// An unlocked instance of someone whom permissions hold for.
fn ordinary() -> Sgw {
    let sgw = Sgw::of(&Rc::new(Person::ordinary()));
    sgw.init();
    sgw.unlock();
    sgw
}

/// A copy with owners, modes and times, as an agent keeps one for later.
fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}
