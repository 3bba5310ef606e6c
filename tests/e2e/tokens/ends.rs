//! How a token ends, and what ends with it; how its secret changes.

use crate::support::{
    Sgw, eventually,
    frames::{JSON, Wire, code, token_wire},
    processes_naming,
};

use super::{ready, session};

#[test]
fn a_revoked_token_ends_what_runs_on_its_word_at_once() {
    let (sgw, sshd, token) = ready();
    let s = session(&sgw, &sshd, &token);
    let mark = format!("mark-revoked-{}", std::process::id());
    let line = format!("MARK={mark}; export MARK; echo on; sleep 600");
    let mut call = sgw.start_by(&token, ["exec", &s, "--", &line]);
    call.prints("on\n");
    let destination = format!("other@{}", sshd.destination().split_once('@').unwrap().1);
    let words = ["request", &destination, "--reason", "a test", "--no-wait"];
    sgw.by(&token, words).fails(75, "request.pending");

    let revoked = sgw.operator(["token", "revoke", "ci", "--json"]).ok().json();
    assert_eq!(revoked["status"], "revoked", "{revoked}");
    assert_eq!(revoked["sessions"].as_array().map(Vec::len), Some(0), "{revoked}");
    call.ends().fails(77, "token.invalid");
    eventually("the remote processes end", || processes_naming(&mark).is_empty());
    sgw.by(&token, ["sessions"]).fails(77, "token.invalid");
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(queue["requests"].as_array().map(Vec::len), Some(0), "{queue}");

    let record = sgw.recorded("token.revoked").pop().unwrap();
    assert_eq!(record["action"]["before"]["name"], "ci", "{record}");
    assert!(record["action"]["after"]["revoked_at"].is_string(), "{record}");
}

#[test]
fn time_ends_a_token_and_what_runs() {
    let (sgw, sshd, _) = ready();
    sgw.target("web1", &sshd);
    let uid = rustix::process::getuid().as_raw().to_string();
    sgw.grant(&["--uid", &uid, "--target", "web1"]);
    let token = sgw.token("short", &["--expires", "12s"]);
    let mark = format!("mark-token-expiry-{}", std::process::id());
    let line = format!("MARK={mark}; export MARK; echo on; sleep 600");
    let mut call = sgw.start_by(&token, ["exec", "web1", "--", &line]);
    call.prints("on\n");
    call.ends().fails(77, "token.invalid");
    eventually("the remote processes end", || processes_naming(&mark).is_empty());
}

#[test]
fn a_token_of_the_same_name_is_another_one() {
    let (sgw, sshd, first) = ready();
    let s = session(&sgw, &sshd, &first);
    sgw.by(&first, ["exec", &s, "--", "true"]).ok();
    sgw.operator(["token", "revoke", "ci"]).ok();
    let second = sgw.token("ci", &[]);
    assert_ne!(first.id, second.id);
    for words in [vec!["show", &s], vec!["history", &s], vec!["exec", &s, "--", "true"]] {
        let code = sgw.by(&second, words).error_code();
        assert_eq!(code.as_deref(), Some("session.unknown"));
    }
    let mine = sgw.by(&second, ["sessions", "--json"]).ok().json();
    assert_eq!(mine["sessions"].as_array().map(Vec::len), Some(0), "{mine}");
}

#[test]
fn a_new_secret_takes_over_and_the_old_one_lasts_its_overlap() {
    let (sgw, sshd, token) = ready();
    let s = session(&sgw, &sshd, &token);
    let rotate = |more: &[&str]| {
        let words = ["token", "rotate", "ci", "--json"].into_iter().chain(more.iter().copied());
        let made = sgw.operator(words).ok().json();
        assert_eq!(made["id"], token.id.as_str(), "{made}");
        made["token"].as_str().unwrap().to_owned()
    };
    let second = rotate(&["--overlap", "1h"]);
    for text in [&token.text, &second] {
        sgw.by_text(text, ["exec", &s, "--", "echo", "on"]).ok().prints("on\n");
    }
    let third = rotate(&[]);
    sgw.by_text(&second, ["whoami"]).fails(77, "token.invalid");
    sgw.by_text(&token.text, ["whoami"]).fails(77, "token.invalid");
    sgw.by_text(&third, ["exec", &s, "--", "echo", "on"]).ok().prints("on\n");
    sgw.operator(["token", "rotate", "ci", "--overlap", "8d"]).fails(2, "usage.arguments");
    let record = sgw.recorded("token.rotated").pop().unwrap();
    assert!(record["action"]["before"]["overlap_until"].is_string(), "{record}");
}

#[test]
fn tokens_outlive_the_daemon_and_so_does_their_end() {
    let (sgw, _sshd, token) = ready();
    let gone = sgw.token("gone", &[]);
    sgw.operator(["token", "revoke", "gone"]).ok();
    sgw.by(&token, ["whoami"]).ok();
    sgw.lock();
    sgw.unlock();
    sgw.by(&token, ["whoami"]).ok();
    sgw.by(&gone, ["whoami"]).fails(77, "token.invalid");
    let shown = sgw.operator(["token", "show", "ci", "--json"]).ok().json();
    assert!(shown["last_used_at"].is_string(), "{shown}");
    sgw.kill_daemon();
    sgw.unlock();
    sgw.by(&token, ["whoami"]).ok();
    sgw.by(&gone, ["whoami"]).fails(77, "token.invalid");
}

#[test]
fn a_connection_that_is_open_ends_with_its_token() {
    let sgw = Sgw::unlocked();
    let token = sgw.token("ci", &[]);
    let destination = "nobody@127.0.0.1:9";
    let words = ["request", destination, "--reason", "a test", "--wait", "10m"];
    let mut call = sgw.start_by(&token, words);
    call.says("waits for the operator");
    sgw.operator(["token", "revoke", "ci"]).ok();
    call.ends().fails(77, "token.invalid");
}

/// A connection that was let in with this secret, and does nothing.
fn idle(sgw: &Sgw, text: &str) -> Wire {
    let mut wire = token_wire(sgw, text);
    assert!(wire.send(JSON, 1, br#"{"type":"whoami"}"#));
    let (_, _, body) = wire.receive().expect("who I am");
    assert!(String::from_utf8_lossy(&body).contains("token:ci"), "{body:?}");
    wire
}

#[test]
fn an_open_connection_ends_with_the_secret_that_it_showed() {
    let sgw = Sgw::unlocked();
    let token = sgw.token("ci", &[]);
    let mut wire = idle(&sgw, &token.text);
    let words = ["request", "nobody@127.0.0.1:9", "--reason", "a test", "--wait", "10m"];
    let mut call = sgw.start_by(&token, words);
    call.says("waits for the operator");
    let rotate = |more: &[&str]| {
        let words = ["token", "rotate", "ci", "--json"].into_iter().chain(more.iter().copied());
        sgw.operator(words).ok().json()["token"].as_str().unwrap().to_owned()
    };
    let second = rotate(&[]);
    let (_, _, said) = wire.receive().expect("why it ends");
    assert_eq!(code(&said), "token.invalid");
    wire.is_closed();
    call.ends().fails(77, "token.invalid");

    let (mut old, third) = (idle(&sgw, &second), rotate(&["--overlap", "2s"]));
    let mut new = idle(&sgw, &third);
    assert!(old.send(JSON, 2, br#"{"type":"whoami"}"#));
    let (_, _, said) = old.receive().expect("it is taken in its overlap");
    assert_eq!(code(&said), "", "{said:?}");
    let (_, _, said) = old.receive().expect("why it ends");
    assert_eq!(code(&said), "token.invalid");
    old.is_closed();
    assert!(new.send(JSON, 2, br#"{"type":"whoami"}"#) && new.receive().is_some());
}

#[test]
fn a_command_outlives_the_secret_that_began_it_and_the_new_one_comes_back_for_it() {
    let (sgw, sshd, token) = ready();
    let s = session(&sgw, &sshd, &token);
    let go = sshd.directory().join("go");
    let line = format!("echo up; until [ -e {} ]; do sleep 0.05; done; echo done", go.display());
    let mut call = sgw.start_by(&token, ["exec", &s, "--", "sh", "-c", &line]);
    call.prints("up");
    let rotated = sgw.operator(["token", "rotate", "ci", "--json"]).ok().json();
    let over = call.ends().fails(77, "token.invalid");
    let sessions = sgw.by_text(rotated["token"].as_str().unwrap(), ["sessions", "--json"]);
    let exec = sessions.ok().json()["sessions"][0]["running"][0].as_str().unwrap().to_owned();
    over.says(&format!("{exec} goes on")).says(&format!("sgw wait {exec} with the new token"));
    std::fs::write(go, "").unwrap();
    let back = sgw.by_text(rotated["token"].as_str().unwrap(), ["wait", &exec]).ok();
    assert!(back.stdout().ends_with("done\n"), "{back:?}");
}

#[test]
fn a_revoked_token_is_found_by_its_name_until_another_has_it() {
    let sgw = Sgw::unlocked();
    let first = sgw.token("ci", &[]);
    let first_revoked = sgw.operator(["token", "revoke", "ci"]).ok();
    assert!(!first_revoked.stderr().contains("already"), "{first_revoked:?}");
    let shown = sgw.operator(["token", "show", "ci", "--json"]).ok().json();
    assert_eq!((&shown["id"], &shown["status"]), (&first.id.as_str().into(), &"revoked".into()));
    sgw.operator(["token", "revoke", "ci"]).ok().says("token ci was revoked already");
    sgw.operator(["token", "rotate", "ci"]).fails(2, "usage.arguments");
    assert_eq!(sgw.recorded("token.revoked").len(), 1);
    let second = sgw.token("ci", &[]);
    let shown = sgw.operator(["token", "show", "ci", "--json"]).ok().json();
    assert_eq!(shown["id"], second.id.as_str());
    for nothing in ["0", "0s", "500ms"] {
        let rotate = ["token", "rotate", "ci", "--overlap", nothing];
        assert_eq!(sgw.operator(rotate).code(), 2, "{nothing}");
    }
    sgw.by(&second, ["whoami"]).ok();
}
