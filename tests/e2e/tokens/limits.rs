//! What a token may use up.

use crate::support::{Sgw, Sshd};

use super::session;

#[test]
fn a_token_asks_so_often_an_hour_and_asking_twice_is_asking_once() {
    let sgw = Sgw::unlocked();
    let token = sgw.token("ci", &["--requests-per-hour", "2"]);
    let ask = |host: &str| {
        let destination = format!("me@{host}");
        sgw.by(&token, ["request", &destination, "--reason", "a test", "--no-wait"])
    };
    ask("one.invalid").fails(75, "request.pending");
    ask("one.invalid").fails(75, "request.pending");
    ask("two.invalid").fails(75, "request.pending");
    ask("three.invalid").fails(75, "limit.requests");
    // Others are not held to it.
    let words = ["request", "me@three.invalid", "--reason", "a test", "--no-wait"];
    sgw.agent(words).fails(75, "request.pending");
}

#[test]
fn a_token_has_so_many_sessions_at_once() {
    let (sgw, sshd, second) = (Sgw::unlocked(), Sshd::start(), Sshd::start());
    let token = sgw.token("ci", &["--sessions", "1"]);
    let s = session(&sgw, &sshd, &token);
    let destination = second.destination();
    let ask = || sgw.by(&token, ["request", &destination, "--reason", "a test", "--no-wait"]);
    ask().fails(1, "limit.sessions");
    sgw.by(&token, ["close", &s]).ok();
    ask().fails(75, "request.pending");
}
