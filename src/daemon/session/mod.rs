//! What runs on a target.

pub mod output;
pub mod spool;
