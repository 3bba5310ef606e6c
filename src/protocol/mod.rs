//! What crosses a socket. `docs/protocol.md` is its text; the examples there are tested.

pub mod agent;
pub mod error;
pub mod files;
pub mod frame;
pub mod handover;
pub mod hello;
pub mod noise;
pub mod operator;
pub mod ssh;
pub mod view;

#[cfg(test)]
mod golden;
