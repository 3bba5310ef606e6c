//! How sessions end: on time, by count, by word, or because the server went away.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;
use sgw::demo::server::Oddness;

use crate::support::{OddServer, Sgw, Sshd, eventually, processes_naming};

fn ready() -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

#[test]
fn a_grant_ends_on_time_and_with_it_what_runs() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session_with(&sshd, &["--for", "5s"]);
    let mark = format!("mark-expiry-{}", std::process::id());
    let line = format!("MARK={mark}; export MARK; echo on; sleep 600");
    let mut call = sgw.start(["exec", &s, "--", &line]);
    call.prints("on\n");
    let outcome = call.ends();
    outcome.fails(77, "grant.expired");
    eventually("the remote processes end", || processes_naming(&mark).is_empty());
    let late = sgw.agent(["exec", &s, "--", "true"]);
    late.fails_as(77, &["grant.expired"]);
}

#[test]
fn a_grant_ends_by_count_and_what_failed_to_start_does_not_count() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session_with(&sshd, &["--max-commands", "2"]);
    let too_long = "x".repeat(130_000);
    sgw.agent(["exec", &s, "--", &too_long]).fails(125, "limit.command");
    sgw.agent(["exec", &s, "--", "echo", "one"]).ok();
    sgw.agent(["exec", &s, "--", "exit 3"]).exits(3);
    sgw.agent(["exec", &s, "--", "echo", "three"]).fails(77, "grant.exhausted").prints("");
}

#[test]
fn a_closed_session_is_closed_for_good() {
    let (sgw, _sshd, s) = ready();
    sgw.agent(["close", &s]).ok();
    let outcome = sgw.agent(["exec", &s, "--", "true"]);
    outcome.fails_as(125, &["session.closed", "session.unknown"]);
    let json = sgw.agent(["sessions", "--json"]).ok().json();
    let open = json["sessions"].as_array().unwrap().iter().filter(|s| s["status"] == "active");
    assert_eq!(open.count(), 0);
    // What was run there can still be read.
    sgw.agent(["history", &s]).ok();
}

#[test]
fn the_operator_can_end_anyones_session_without_proof() {
    let (sgw, _sshd, s) = ready();
    let mut call = sgw.start(["exec", &s, "--", "echo on; sleep 600"]);
    call.prints("on\n");
    sgw.agent(["pause", "--all"]).ok();
    sgw.agent(["exec", &s, "--", "true"]).fails(75, "control.paused");
    sgw.agent(["resume", "--all"]).fails(77, "operator.proof");
    sgw.operator(["resume", "--all"]).ok();
    sgw.agent(["exec", &s, "--", "true"]).ok();
    drop(call);
}

#[test]
fn a_lost_server_is_told_with_whether_the_command_may_have_run() {
    let (sgw, mut sshd, s) = ready();
    let mut call = sgw.start(["exec", &s, "--json", "--", "echo on; sleep 600"]);
    eventually("it runs", || sgw.agent(["history", &s]).stdout().contains("sleep 600"));
    eventually("it has printed", || {
        let json = sgw.agent(["sessions", "--json"]).ok().json();
        let id = json["sessions"][0]["running"][0].as_str().unwrap_or("x-none").to_owned();
        sgw.agent(["output", &id]).stdout() == "on\n"
    });
    sshd.stop();
    call.close_stdin();
    let outcome = call.ends().exits(255);
    let error = outcome.error_code();
    assert_eq!(error.as_deref(), Some("session.lost"), "{outcome:?}");
    assert_eq!(outcome.json()["error"]["sent"], true);
    eventually("the session is lost", || {
        let json = sgw.agent(["sessions", "--json"]).ok().json();
        json["sessions"][0]["status"] == "lost"
    });
    let outcome = sgw.agent(["exec", &s, "--json", "--", "true"]).exits(255);
    assert_eq!(outcome.json()["error"]["sent"], json!(false));

    // It comes back, and so does the session: nobody is asked again.
    sshd.start_again();
    sgw.agent(["exec", &s, "--", "echo", "back"]).ok().prints("back\n");
    let json = sgw.agent(["sessions", "--json"]).ok().json();
    assert_eq!(json["sessions"][0]["status"], "active");
}

#[test]
fn a_command_is_never_repeated() {
    let (sgw, mut sshd, s) = ready();
    let file = sshd.directory().join("count");
    fs::write(&file, "").unwrap();
    let line = format!("echo run >> {}; sleep 600", file.display());
    let call = sgw.start(["exec", &s, "--", &line]);
    let runs = || fs::read_to_string(&file).unwrap().lines().count();
    eventually("it runs", || runs() == 1);
    sshd.stop();
    call.ends().exits(255);
    sshd.start_again();
    sgw.agent(["exec", &s, "--", "true"]).ok();
    assert_eq!(runs(), 1);
}

#[test]
fn a_connection_dropped_in_the_middle_keeps_what_came() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Oddness::DropsDuringExec));
    let request = sgw.requests(&server, &[]);
    // Ending what an earlier daemon left behind is a command too: the login itself may be cut.
    let outcome = sgw.try_approve(&request, &server);
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    let s = sgw.agent(["wait", &request]).ok().stdout().trim().to_owned();
    let outcome = sgw.agent(["exec", &s, "--", "echo first; sleep 600; echo second"]);
    outcome.exits(255).prints("first\n");
}

#[test]
fn a_dead_network_is_noticed_within_a_minute() {
    let (sgw, sshd, s) = ready();
    let mut call = sgw.start(["exec", &s, "--", "echo on; sleep 600"]);
    call.prints("on\n");
    sshd.freeze();
    let frozen = Instant::now();
    let outcome = call.ends_within(Duration::from_secs(90));
    let took = frozen.elapsed();
    sshd.thaw();
    outcome.fails(255, "session.lost");
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn a_server_that_cannot_be_reached_is_255_and_nothing_was_sent() {
    let (sgw, mut sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    sshd.stop();
    sgw.try_approve(&request, &sshd).fails(255, "target.unreachable");
    sshd.start_again();
    sgw.try_approve(&request, &sshd).ok();
}
