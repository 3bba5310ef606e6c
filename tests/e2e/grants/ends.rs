//! How a standing grant ends, and what ends with it.

use crate::support::{eventually, processes_naming};

use super::ready;

#[test]
fn taking_a_grant_back_ends_what_runs_under_it_at_once() {
    let (sgw, sshd, token) = ready();
    sgw.target("db1", &sshd);
    let grant = sgw.grant(&["--token", "ci", "--target", "web1"]);
    sgw.grant(&["--token", "ci", "--target", "db1"]);
    let mark = format!("mark-grant-rm-{}", std::process::id());
    let line = format!("MARK={mark}; export MARK; echo on; sleep 600");
    let mut call = sgw.start_by(&token, ["exec", "web1", "--", &line]);
    call.prints("on\n");
    let mut other = sgw.start_by(&token, ["exec", "db1", "--", "echo on; sleep 600"]);
    other.prints("on\n");
    sgw.operator(["grant", "rm", &grant]).ok();
    call.ends().fails(77, "grant.missing");
    eventually("the remote processes end", || processes_naming(&mark).is_empty());
    sgw.by(&token, ["exec", "web1", "--", "true"]).fails(77, "grant.missing");
    assert!(!other.has_ended(), "another grant's command goes on");
    let mine = sgw.by(&token, ["sessions", "--json"]).ok().json();
    assert_eq!(mine["sessions"][0]["target"], "db1", "{mine}");
    sgw.by(&token, ["close", "db1"]).ok();
    other.ends();
}

#[test]
fn time_ends_a_grant_and_what_runs_under_it() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--for", "12s"]);
    let mark = format!("mark-grant-expiry-{}", std::process::id());
    let line = format!("MARK={mark}; export MARK; echo on; sleep 600");
    let mut call = sgw.start_by(&token, ["exec", "web1", "--", &line]);
    call.prints("on\n");
    call.ends().fails(77, "grant.expired");
    eventually("the remote processes end", || processes_naming(&mark).is_empty());
    sgw.by(&token, ["exec", "web1", "--", "true"]).fails(77, "grant.expired");
}

#[test]
fn a_token_s_end_takes_its_grants() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    let mut call = sgw.start_by(&token, ["exec", "web1", "--", "echo on; sleep 600"]);
    call.prints("on\n");
    sgw.operator(["token", "revoke", "ci"]).ok();
    call.ends().fails(77, "token.invalid").says("was cut off: ");
    let listed = sgw.operator(["grant", "list", "--json"]).ok().json();
    assert_eq!(listed["grants"].as_array().map(Vec::len), Some(0), "{listed}");
    let second = sgw.token("ci", &[]);
    sgw.by(&second, ["exec", "web1", "--", "true"]).fails(77, "grant.missing");
}

#[test]
fn a_target_that_was_changed_gives_what_it_gives_now() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    sgw.by(&token, ["exec", "web1", "--", "true"]).ok();
    sgw.by(&token, ["close", "web1"]).ok();
    sgw.operator(["target", "rm", "web1"]).ok();
    sgw.by(&token, ["exec", "web1", "--", "true"]).fails(77, "grant.missing");
}
