//! The doors: untrusted input becomes an action, walks to the desk, and its result goes back.

pub mod agent;
mod follow;
mod link;
pub mod locked;
pub mod operator;
mod peer;
mod places;
mod socket;
mod ssh;

pub use self::{
    agent::exec_shown,
    link::{Outbox, Room, to_its_end},
    places::Places,
    socket::{Admit, Listeners, accept},
    ssh::Budgets,
};
