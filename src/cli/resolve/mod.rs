//! What the operator's client works out before it asks: where a destination leads, which host keys ssh
//! knows for it, and which credentials could be used. It runs `ssh -G` and nothing else, and sends
//! nothing to any destination.

pub mod account;
pub mod file;
pub mod keys;
pub mod known_hosts;
mod look_through;
pub mod password;
mod pem;
pub mod route;
pub mod said;
pub mod ssh_agent;
pub mod ssh_config;
mod tokens;
