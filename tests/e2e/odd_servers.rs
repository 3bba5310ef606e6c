//! Servers that misbehave: given up in time, with the right word, and the question stays open.

use sgw::demo::server::Oddness;

use crate::support::{OddServer, Sgw, Sshd, still_serves};

/// What an odd server does to an approval, and the codes that are right.
#[track_caller]
fn refused(oddness: Oddness, exit: i32, codes: &[&str]) {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(oddness.clone()));
    let request = sgw.requests(&server, &[]);
    let outcome = sgw.try_approve(&request, &server);
    assert!(outcome.took().as_secs() < 55, "{oddness:?} {outcome:?}");
    outcome.fails_as(exit, codes);
    // The question stays open, and the daemon serves others.
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(queue["requests"][0]["id"], request.as_str());
    let sshd = Sshd::start();
    let s = sgw.session(&sshd);
    still_serves(&sgw, &s);
}

#[test]
fn a_server_that_hangs_after_accept_is_given_up() {
    refused(Oddness::HangsAfterAccept, 255, &["target.unreachable"]);
}

#[test]
fn a_server_that_hangs_after_its_version_is_given_up() {
    refused(Oddness::HangsAfterVersion, 255, &["target.unreachable"]);
}

#[test]
fn a_server_with_ten_megabytes_before_its_version_is_given_up() {
    refused(Oddness::LinesBeforeVersion(10_000_000), 255, &["target.unreachable"]);
}

#[test]
fn a_server_with_a_banner_of_ten_megabytes_is_given_up() {
    refused(Oddness::Banner(10_000_000), 255, &["target.unreachable", "session.lost"]);
}

#[test]
fn a_port_that_refuses_is_unreachable_at_once() {
    let (sgw, mut server) = (Sgw::unlocked(), OddServer::start(Oddness::None));
    let request = sgw.requests(&server, &[]);
    let (fingerprint, address) = (server.seen().fingerprint(), server.seen().address());
    server.stop();
    while std::net::TcpStream::connect(address).is_ok() {}
    let identity = server.key.path.display().to_string();
    let mut approve = vec!["approve", &request, "--yes", "--json", "--identity", &identity];
    approve.extend(["--accept-host-key", &fingerprint]);
    let outcome = sgw.operator(approve).fails(255, "target.unreachable");
    assert!(outcome.took().as_secs() < 20, "{outcome:?}");
}

#[test]
fn a_server_that_closes_after_the_login_is_a_lost_one() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Oddness::ClosesAfterAuth));
    let request = sgw.requests(&server, &[]);
    let outcome = sgw.try_approve(&request, &server);
    if outcome.code() == 0 {
        let s = sgw.agent(["wait", &request]).ok().stdout().trim().to_owned();
        sgw.agent(["exec", &s, "--", "true"]).exits(255);
    } else {
        outcome.exits(255);
    }
}

#[test]
fn a_long_banner_that_is_allowed_is_no_trouble() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Oddness::Banner(100_000)));
    let s = sgw.session(&server);
    still_serves(&sgw, &s);
}

#[test]
fn a_server_that_never_answers_a_command_does_not_hold_the_caller() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Oddness::NeverAnswersExec));
    let s = sgw.session(&server);
    let outcome = sgw.agent(["exec", &s, "--timeout", "2s", "--json", "--", "true"]);
    let outcome = outcome.exits(124);
    assert_eq!(outcome.json()["remote"], "unknown", "{outcome:?}");
    let mut call = sgw.start(["exec", &s, "--", "true"]);
    crate::support::eventually("it was asked", || server.seen().commands() >= 2);
    call.close_stdin();
    call.signal(rustix::process::Signal::INT);
    assert_ne!(call.ends().code(), 0);
}

#[test]
fn one_channel_at_a_time_is_enough() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Oddness::MaxSessions(1)));
    let s = sgw.session(&server);
    for n in 0..3 {
        sgw.agent(["exec", &s, "--", "echo", &n.to_string()]).ok().prints(&format!("{n}\n"));
    }
}
