//! Held: none of this gets an agent anything.

mod calls;
mod canary;
mod custody;
mod hardening;
mod identity;
mod keyboard;
mod machine;
mod peers;
mod prompts;
mod service;
mod sockets;
mod state;
mod typed;

use crate::support::Sgw;

/// How many requests wait.
fn pending(sgw: &Sgw) -> usize {
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    queue["requests"].as_array().unwrap().len()
}
