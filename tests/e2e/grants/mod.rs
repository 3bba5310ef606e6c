//! Standing grants: what the operator said ahead, and no more of it.

mod budget;
mod ends;
mod look;

use serde_json::Value;

use crate::support::{Sgw, Sshd, Token};

/// An instance with a target `web1`, and a token that has been given nothing.
fn ready() -> (Sgw, Sshd, Token) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.target("web1", &sshd);
    let token = sgw.token("ci", &[]);
    (sgw, sshd, token)
}

#[test]
fn under_a_standing_grant_a_command_needs_no_request() {
    let (sgw, _sshd, token) = ready();
    sgw.by(&token, ["exec", "web1", "--", "echo", "hi"]).fails(77, "grant.missing");
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    sgw.by(&token, ["exec", "web1", "--", "echo", "hi"]).ok().prints("hi\n");
    sgw.by(&token, ["exec", "web1", "--", "exit 3"]).exits(3);
    let mine = sgw.by(&token, ["sessions", "--json"]).ok().json();
    let sessions = mine["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1, "one session for both: {mine}");
    assert_eq!(sessions[0]["target"], "web1", "{mine}");
    let s = sessions[0]["id"].as_str().unwrap();
    sgw.by(&token, ["input", s, "echo typed", "--wait-for", "typed"]).ok();
    sgw.by(&token, ["output", "web1"]).ok();
    // It is the token's alone.
    sgw.agent(["exec", "web1", "--", "true"]).fails(77, "grant.missing");
    sgw.agent(["exec", s, "--", "true"]).fails(125, "session.unknown");

    let opening = sgw.recorded("session.opening").pop().unwrap();
    assert_eq!(opening["identity"], "token:ci", "{opening}");
    assert!(opening["action"]["grant"].as_str().unwrap().starts_with("g-"), "{opening}");
    let opened = sgw.recorded("session.opened").pop().unwrap();
    assert_eq!(opened["action"]["grant"], opening["action"]["grant"], "{opened}");
}

#[test]
fn a_glob_stands_for_the_names_it_matches_and_no_others() {
    let (sgw, sshd, token) = ready();
    sgw.target("db1", &sshd);
    sgw.grant(&["--token", "ci", "--target", "web*"]);
    sgw.by(&token, ["exec", "web1", "--", "echo", "hi"]).ok().prints("hi\n");
    sgw.by(&token, ["exec", "db1", "--", "echo", "hi"]).fails(77, "grant.missing");
    sgw.by(&token, ["exec", "web2", "--", "echo", "hi"]).exits(125);
    let me = sgw.by(&token, ["whoami", "--json"]).ok().json();
    let targets = me["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 1, "{me}");
    assert_eq!((&targets[0]["name"], &targets[0]["standing"]), (&"web1".into(), &true.into()));
}

#[test]
fn a_grant_gives_what_it_says_and_nothing_else() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--only", "exec"]);
    sgw.by(&token, ["input", "web1", "ls"]).fails(77, "grant.missing");
    sgw.by(&token, ["exec", "web1", "--", "echo", "hi"]).ok();
    sgw.by(&token, ["input", "web1", "ls"]).fails(77, "grant.missing");
    let words = ["request", "web1", "--only", "exec,pty", "--reason", "a test", "--no-wait"];
    sgw.by(&token, words).fails(75, "request.pending");
}

#[test]
fn a_request_may_ask_for_less_and_nobody_is_asked() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--only", "exec,pty"]);
    let words = ["request", "web1", "--only", "exec", "--mode", "each", "--for", "5m"];
    let more = ["--name", "careful", "--reason", "a test", "--json"];
    let session = sgw.by(&token, words.into_iter().chain(more)).ok().json();
    assert_eq!(session["granted"]["capabilities"], serde_json::json!(["exec"]), "{session}");
    assert_eq!((&session["mode"], &session["name"]), (&"each".into(), &"careful".into()));
    sgw.by(&token, ["exec", "careful", "--no-wait", "--", "true"]).fails(75, "approval.pending");
    assert!(sgw.recorded("request.created").iter().all(|one| one["request"].is_string()));
}

#[test]
fn where_each_command_is_asked_for_each_is() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--each-command"]);
    let words = ["exec", "web1", "--no-wait", "--json", "--", "echo", "asked"];
    let request = sgw.by(&token, words).fails(75, "approval.pending").waits_on();
    sgw.operator(["approve", &request, "--yes", "--json"]).ok();
    sgw.by(&token, ["wait", &request]).ok().prints("asked\n");
}

#[test]
fn where_each_session_is_asked_for_it_lives_under_the_grant() {
    let (sgw, _sshd, token) = ready();
    let words = ["--token", "ci", "--target", "web1", "--only", "exec", "--each-session"];
    let grant = sgw.grant(&[&words[..], &["--max-commands", "2"]].concat());
    sgw.by(&token, ["exec", "web1", "--", "true"]).fails(77, "grant.missing");
    let words = ["request", "web1", "--only", "exec", "--reason", "a test", "--no-wait", "--json"];
    let request = sgw.by(&token, words).fails(75, "request.pending").waits_on();
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(queue["requests"][0]["rule"], "grant.each-session", "{queue}");
    sgw.operator(["approve", &request, "--yes", "--json"]).ok();
    let s = sgw.by(&token, ["wait", &request]).ok().stdout().trim().to_owned();
    for _ in 0..2 {
        sgw.by(&token, ["exec", &s, "--", "true"]).ok();
    }
    sgw.by(&token, ["exec", &s, "--", "true"]).fails(77, "grant.exhausted");
    sgw.operator(["grant", "rm", &grant]).ok();
    sgw.by(&token, ["exec", &s, "--", "true"]).fails(77, "grant.missing");
}

#[test]
fn a_uid_s_grant_is_everybodys_of_that_uid_and_says_so() {
    let (sgw, _sshd, token) = ready();
    let uid = rustix::process::getuid().as_raw().to_string();
    let given = sgw.operator(["grant", "add", "--uid", &uid, "--target", "web1"]).ok();
    given.says("every process");
    sgw.agent(["exec", "web1", "--", "echo", "hi"]).ok().prints("hi\n");
    sgw.by(&token, ["exec", "web1", "--", "echo", "hi"]).ok().prints("hi\n");
    let other = (rustix::process::getuid().as_raw() + 1).to_string();
    sgw.grant(&["--uid", &other, "--target", "*", "--mode", "each"]);
    sgw.agent(["exec", "web1", "--", "echo", "hi"]).ok().prints("hi\n");
}

#[test]
fn two_sessions_on_a_target_are_two_candidates() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    sgw.by(&token, ["exec", "web1", "--", "true"]).ok();
    let words = ["request", "web1", "--new", "--reason", "a test", "--name", "second"];
    sgw.by(&token, words).ok();
    sgw.by(&token, ["exec", "web1", "--", "true"]).fails(125, "session.ambiguous");
    sgw.by(&token, ["exec", "second", "--", "echo", "hi"]).ok().prints("hi\n");
}

#[test]
fn many_calls_at_once_open_one_session() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    let calls: Vec<_> =
        (0..8).map(|_| sgw.start_by(&token, ["exec", "web1", "--", "echo", "hi"])).collect();
    for call in calls {
        call.ends().ok().prints("hi\n");
    }
    let mine = sgw.by(&token, ["sessions", "--json"]).ok().json();
    assert_eq!(mine["sessions"].as_array().map(Vec::len), Some(1), "{mine}");
    assert_eq!(sgw.recorded("session.opening").len(), 1);
}

#[test]
fn what_the_vault_does_not_hold_opens_nothing_by_itself() {
    let (sgw, sshd, token) = ready();
    let (destination, fingerprint) = (sshd.destination(), sshd.host_key_fingerprint());
    let words = ["target", "add", "asked", &destination, "--accept-host-key", &fingerprint];
    sgw.operator(words).ok();
    sgw.grant(&["--token", "ci", "--target", "asked"]);
    sgw.by(&token, ["exec", "asked", "--", "true"]).fails(77, "target.borrowed");
}

#[test]
fn bad_grants_leave_nothing_behind() {
    let (sgw, _sshd, _token) = ready();
    let add =
        |words: &[&str]| sgw.operator(["grant", "add"].into_iter().chain(words.iter().copied()));
    add(&["--token", "nobody", "--target", "web1"]).fails(1, "token.unknown");
    for wrong in [
        &["--target", "web1"][..],
        &["--token", "ci", "--uid", "1", "--target", "web1"],
        &["--token", "ci"],
        &["--token", "ci", "--target", "UPPER"],
        &["--token", "ci", "--target", "[ab]"],
        &["--token", "ci", "--target", ""],
        &["--token", "ci", "--target", "s-4fk"],
        &["--token", "ci", "--target", "g-*"],
        &["--token", "ci", "--target", "web1", "--for", "0s"],
        &["--token", "ci", "--target", "web1", "--for", "99999999999d"],
        &["--token", "ci", "--target", "web1", "--max-commands", "0"],
        &["--token", "ci", "--target", "web1", "--max-commands", "18446744073709551615"],
        &["--token", "ci", "--target", "web1", "--max-bytes", "0"],
        &["--token", "ci", "--target", "web1", "--max-bytes", "9999999999G"],
        &["--token", "ci", "--target", "web1", "--only", "root"],
        &["--token", "ci", "--target", "web1", "--mode", "none"],
        &["--token", "ci", "--target", "web1", "--standing", "--each-session"],
    ] {
        let outcome = add(wrong).exits(2);
        assert!(outcome.error_code().is_some(), "{outcome:?}");
    }
    let none = sgw.operator(["grant", "list", "--json"]).ok().json();
    assert_eq!(none["grants"].as_array().map(Vec::len), Some(0), "{none}");
    add(&["--token", "ci", "--target", "nothing-*"]).ok().says("no target matches");
    sgw.operator(["grant", "rm", "g-zzz"]).fails(1, "grant.unknown");
    sgw.operator(["grant", "rm", "web1"]).fails(1, "grant.unknown");
}

#[test]
fn giving_and_taking_back_are_on_record_with_what_was_and_what_is() {
    let (sgw, _sshd, _token) = ready();
    let grant = sgw.grant(&["--token", "ci", "--target", "web*", "--max-commands", "5"]);
    let listed = sgw.operator(["grant", "list", "--json"]).ok().json();
    let one = &listed["grants"][0];
    assert_eq!((&one["id"], &one["token"]), (&grant.as_str().into(), &"ci".into()), "{listed}");
    sgw.operator(["grant", "list"]).ok();
    sgw.operator(["grant", "rm", &grant]).ok();
    let record = |kind: &str| -> Value { sgw.recorded(kind).pop().unwrap()["action"].clone() };
    let (added, removed) = (record("grant.added"), record("grant.removed"));
    assert_eq!((&added["before"], &added["after"]["target"]), (&Value::Null, &"web*".into()));
    assert_eq!((&removed["before"]["target"], &removed["after"]), (&"web*".into(), &Value::Null));
}

#[test]
fn a_request_for_a_target_without_terminals_finds_the_session_that_is_there() {
    let (sgw, _sshd, token) = ready();
    sgw.operator(["target", "edit", "web1", "--no-pty"]).ok();
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    let request = || {
        let words = ["request", "web1", "--reason", "a test", "--json"];
        sgw.by(&token, words).ok().json()["id"].clone()
    };
    assert_eq!(request(), request());
}

#[test]
fn a_session_that_opens_by_itself_lives_a_day_at_most() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    let words = ["request", "web1", "--for", "30d", "--reason", "a test", "--json"];
    let session = sgw.by(&token, words).ok().json();
    let at = |field: &str| session[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let lives = at("expires_at").duration_since(at("created_at"));
    assert!(lives <= jiff::SignedDuration::from_hours(24), "{session}");
}
