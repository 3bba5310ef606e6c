//! The keyboard changes hands: what an agent hears meanwhile, what the operator does with it, who gives
//! it back.

mod attach;
mod handoff;
mod private;
mod watch;

use serde_json::Value;

use crate::support::{Sgw, Sshd};

fn ready() -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

/// Hands over and does not stay; the request's id.
#[track_caller]
fn hands_over(sgw: &Sgw, session: &str, message: &str) -> String {
    let call = sgw.agent(["handoff", session, message, "--no-wait", "--json"]);
    call.fails(75, "request.pending").waits_on()
}

fn control(sgw: &Sgw, session: &str) -> Value {
    sgw.agent(["show", session, "--json"]).ok().json()["control"].clone()
}

/// The audit's records of a kind, oldest first.
fn records(sgw: &Sgw, kind: &str) -> Vec<Value> {
    let all = sgw.operator(["audit", "list", "--json"]).ok().json_lines();
    all.into_iter().filter(|record| record["kind"] == kind).collect()
}
