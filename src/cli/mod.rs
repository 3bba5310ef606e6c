//! What people and agents type.

pub mod resolve;
