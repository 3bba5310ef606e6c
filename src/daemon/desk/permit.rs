//! A permit: what the desk hands out and an effect uses up. No effect on a target without one.

use crate::domain::{
    action::Exec,
    authorize::Allowed,
    files::{Files, Operation},
    id::Id,
};

/// Leave to perform `A`, once. Only the desk issues it.
#[must_use = "a permit that nobody spends was issued for nothing"]
#[derive(Debug)]
pub struct Permit<A>(A);

impl<A> Permit<A> {
    pub(super) fn issue(allowed: Allowed<A>) -> Self {
        Self(allowed.into_action())
    }

    /// Uses the permit up.
    pub fn spend(self) -> A {
        self.0
    }
}

impl Permit<Files> {
    /// It ends when its caller goes, and not by itself.
    pub fn follows(&self) -> bool {
        matches!(self.0.operation, Operation::Tail { follow: true, .. })
    }
}

impl Permit<Exec> {
    /// What it becomes.
    pub fn of(&self) -> Id {
        self.0.id.clone()
    }
}
