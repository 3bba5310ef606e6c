//! A token tells one agent from another: made once, shown once, ended at once.

mod ends;
mod limits;
mod shown;

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Sgw, Sshd, Token};

/// An instance with a token and a server.
fn ready() -> (Sgw, Sshd, Token) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let token = sgw.token("ci", &[]);
    (sgw, sshd, token)
}

/// A session of the agent that shows this token, asked for and approved.
fn session(sgw: &Sgw, sshd: &Sshd, token: &Token) -> String {
    let destination = sshd.destination();
    let words = ["request", &destination, "--reason", "a test", "--no-wait", "--json"];
    let request = sgw.by(token, words).fails(75, "request.pending").waits_on();
    sgw.approves(&request, sshd);
    sgw.by(token, ["wait", &request]).ok().stdout().trim().to_owned()
}

#[test]
fn a_token_is_an_identity_wherever_one_is_told() {
    let (sgw, sshd, token) = ready();
    let me = sgw.by(&token, ["whoami", "--json"]).ok().json();
    assert_eq!((&me["identity"], &me["token"]), (&"token:ci".into(), &"ci".into()), "{me}");
    assert_eq!(sgw.agent(["whoami", "--json"]).ok().json()["token"], Value::Null);
    assert!(sgw.by(&token, ["status"]).ok().stdout().contains("you are token:ci"));

    let destination = sshd.destination();
    let words = ["request", &destination, "--reason", "a test", "--no-wait", "--json"];
    let request = sgw.by(&token, words).fails(75, "request.pending").waits_on();
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(queue["requests"][0]["identity"], "token:ci", "{queue}");
    sgw.approves(&request, &sshd);
    let s = sgw.by(&token, ["wait", &request]).ok().stdout().trim().to_owned();
    sgw.by(&token, ["exec", &s, "--", "echo", "hello"]).ok().prints("hello\n");

    let all = sgw.agent(["sessions", "--all", "--json"]).ok().json();
    assert_eq!(all["sessions"][0]["identity"], "token:ci", "{all}");
    for kind in ["request.created", "exec.intent", "exec.result"] {
        let records = sgw.recorded(kind);
        assert!(!records.is_empty() && records.iter().all(|one| one["identity"] == "token:ci"));
    }
}

#[test]
fn a_token_is_shown_once_and_kept_as_a_hash_alone() {
    let (sgw, _sshd, token) = ready();
    assert!(token.text.starts_with("sg_") && token.text.len() == 52, "{}", token.text.len());
    // What is printed from here on is searched for it, and so is all that the daemon leaves.
    for words in [vec!["token", "list"], vec!["token", "show", "ci"], vec!["audit", "list"]] {
        let json = words.iter().copied().chain(["--json"]);
        sgw.operator(json).ok();
        sgw.operator(words).ok();
    }
    let plain = sgw.operator(["token", "create", "plain"]).ok();
    assert_eq!(plain.stdout().trim().len(), 52, "the plain result alone");
    plain.says("shown this once");
}

#[test]
fn a_file_can_hold_the_token_and_its_newline() {
    let (sgw, _sshd, token) = ready();
    let file = sgw.path("operator/token");
    std::fs::write(&file, format!("{}\n", token.text)).unwrap();
    let with = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        sgw.run(sgw.command(["whoami"]).env("SGW_TOKEN_FILE", &file))
    };
    for mode in [0o644, 0o640, 0o602] {
        with(mode).fails(77, "token.invalid").says("others may read it");
    }
    with(0o600).ok();
    let me = sgw.run(sgw.command(["whoami", "--json"]).env("SGW_TOKEN_FILE", &file)).ok().json();
    assert_eq!(me["token"], "ci");
    let none = sgw.run(sgw.command(["whoami"]).env("SGW_TOKEN_FILE", "/nowhere"));
    none.fails(77, "token.invalid");
    // Not a token file: it never ends.
    let zero = sgw.run(sgw.command(["whoami"]).env("SGW_TOKEN_FILE", "/dev/zero"));
    zero.fails(77, "token.invalid");
}

#[test]
fn whatever_is_wrong_with_a_token_the_agent_hears_the_same_and_the_audit_tells() {
    let (sgw, _sshd, token) = ready();
    let short = sgw.token("short", &["--expires", "1s"]);
    let gone = sgw.token("gone", &[]);
    sgw.operator(["token", "revoke", "gone"]).ok();
    let unknown = Sgw::unlocked().token("elsewhere", &[]);
    sgw.plant(unknown.text.as_bytes());
    let mut cut = token.text.clone();
    cut.pop();
    crate::support::eventually("the token expires", || {
        sgw.by(&short, ["whoami"]).error_code().is_some()
    });
    let mut said = Vec::new();
    for text in [&cut, &unknown.text, &short.text, &gone.text, &"sg_".to_owned()] {
        let refused = sgw.by_text(text, ["whoami", "--json"]).fails(77, "token.invalid");
        said.push(refused.json().to_string());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "told apart: {said:?}");
    let records = sgw.recorded("token.refused");
    let told: Vec<(&str, &Value)> = records
        .iter()
        .map(|one| (one["outcome"].as_str().unwrap(), &one["action"]["token"]))
        .collect();
    for (why, name) in [
        ("malformed", Value::Null),
        ("unknown", Value::Null),
        ("expired", "short".into()),
        ("revoked", "gone".into()),
    ] {
        assert!(told.contains(&(why, &name)), "{why} is not told: {told:?}");
    }
}

#[test]
fn a_flood_of_wrong_tokens_fills_no_audit() {
    let (sgw, _sshd, _token) = ready();
    let before = sgw.operator(["audit", "list", "--json"]).ok().json_lines().len();
    for _ in 0..50 {
        sgw.by_text("sg_wrong", ["whoami"]).fails(77, "token.invalid");
    }
    let after = sgw.operator(["audit", "list", "--json"]).ok().json_lines().len();
    assert!(after - before <= 3, "{} records of 50 wrong tokens", after - before);
}

#[test]
fn where_a_token_is_required_a_uid_is_nobody() {
    let (sgw, sshd, token) = ready();
    let s = sgw.session(&sshd);
    sgw.operator(["config", "set", "require_token", "true"]).ok();
    sgw.agent(["exec", &s, "--", "true"]).fails(77, "token.invalid");
    sgw.agent(["whoami"]).fails(77, "token.invalid").says("a token is needed: SGW_TOKEN");
    let wrong = sgw.by_text("sg_wrong", ["whoami"]).fails(77, "token.invalid");
    assert!(!wrong.stderr().contains("needed"), "{wrong:?}");
    sgw.by(&token, ["whoami"]).ok();
    let records = sgw.recorded("token.refused");
    assert_eq!(records[0]["outcome"], "missing");
    sgw.operator(["config", "unset", "require_token"]).ok();
    sgw.agent(["exec", &s, "--", "true"]).ok();
}

#[test]
fn bad_names_and_limits_leave_nothing_behind() {
    let (sgw, _sshd, _token) = ready();
    let create =
        |words: &[&str]| sgw.operator(["token", "create"].into_iter().chain(words.iter().copied()));
    create(&["ci"]).fails(1, "token.exists");
    for name in ["t-web", "g-1", "s-x", "UPPER", "a b", "", &"x".repeat(64)] {
        create(&[name]).fails(2, "usage.name");
    }
    for wrong in [
        ["b", "--expires", "0s"],
        ["b", "--expires", "99999999999d"],
        ["b", "--sessions", "0"],
        ["b", "--requests-per-hour", "0"],
        ["b", "--requests-per-hour", "4294967296"],
    ] {
        create(&wrong).exits(2);
    }
    create(&["b", "--requests-per-hour", "4294967295"]).fails(2, "usage.arguments");
    for words in [["show", "nobody"], ["rotate", "nobody"], ["revoke", "nobody"]] {
        let refused = sgw.operator(["token"].into_iter().chain(words));
        refused.fails(1, "token.unknown");
    }
    sgw.operator(["token", "show", "cj"]).fails(1, "token.unknown").says("ci");
    let list = sgw.operator(["token", "list", "--json"]).ok().json();
    assert_eq!(list["tokens"].as_array().unwrap().len(), 1, "{list}");
}

#[test]
fn an_empty_token_is_a_mistake_and_no_other_identity() {
    let sgw = Sgw::unlocked();
    sgw.agent(["whoami"]).ok();
    for empty in ["", " ", "\n"] {
        sgw.by_text(empty, ["whoami"]).fails(77, "token.invalid").says("the token is empty");
    }
}

#[test]
fn no_grant_is_for_the_uid_that_is_nobody_s() {
    let sgw = Sgw::unlocked();
    let nobody = ["grant", "add", "--uid", "4294967295", "--target", "*"];
    sgw.operator(nobody).fails(2, "usage.arguments");
    sgw.grant(&["--uid", "4294967294", "--target", "*"]);
}
