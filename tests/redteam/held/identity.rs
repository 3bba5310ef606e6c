//! Tokens and standing grants: none of this gets more than was given, to whom it was given.

use serde_json::json;

use crate::support::{
    Sgw, Sshd, Token, eventually,
    frames::{JSON, SECRET, Wire, code},
};

fn ready() -> (Sgw, Sshd, Token) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.target("web1", &sshd);
    let token = sgw.token("ci", &[]);
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    (sgw, sshd, token)
}

/// A connection that shows a token, and the first answer.
fn shows(sgw: &Sgw, secret: Option<&[u8]>, number: u32) -> (Wire, Option<String>) {
    let mut wire = Wire::connect(&sgw.find("agent.sock"));
    if let Some(text) = secret {
        let frame: Vec<u8> = 1u32.to_be_bytes().into_iter().chain(text.iter().copied()).collect();
        wire.send(SECRET, 0, &frame);
    }
    let hello =
        json!({"protocol": 1, "version": "0", "features": [], "token": number, "proof": false});
    wire.send(JSON, 0, hello.to_string().as_bytes());
    let answer = wire.receive().map(|(_, _, body)| code(&body));
    (wire, answer)
}

#[test]
fn within_one_uid_another_token_s_ids_are_unknown() {
    let (sgw, _sshd, token) = ready();
    let line = ["exec", "web1", "--json", "--", "echo secret-of-ci"];
    let ran = sgw.by(&token, line).ok().json();
    let text = |field: &str| ran[field].as_str().unwrap().to_owned();
    let (exec, session) = (text("id"), text("session"));
    let words = ["request", "web1", "--only", "sudo", "--reason", "a test", "--no-wait", "--json"];
    let request = sgw.by(&token, words).fails(75, "request.pending").waits_on();
    let other = sgw.token("other", &[]);
    for id in [&exec, &session, &request] {
        for words in [vec!["show", id], vec!["wait", id], vec!["output", id], vec!["close", id]] {
            for outcome in [sgw.by(&other, words.clone()), sgw.agent(words.clone())] {
                let code = outcome.error_code().unwrap_or_default();
                assert!(
                    code.ends_with(".unknown") || code.starts_with("usage."),
                    "{words:?} {code}"
                );
                assert!(!outcome.stdout().contains("secret-of-ci"), "{outcome:?}");
            }
        }
    }
    for words in [vec!["exec", &session, "--", "true"], vec!["input", &session, "x"]] {
        let code = sgw.by(&other, words).error_code();
        assert_eq!(code.as_deref(), Some("session.unknown"));
    }
    // The start of an id is no way around.
    let code = sgw.by(&other, ["show", &session[..4]]).error_code();
    assert_eq!(code.as_deref(), Some("session.unknown"));
    let mine = sgw.by(&other, ["sessions", "--json"]).ok().json();
    assert_eq!(mine["sessions"].as_array().map(Vec::len), Some(0), "{mine}");
    sgw.by(&token, ["output", &exec]).ok().prints("secret-of-ci\n");
}

#[test]
fn a_token_that_did_not_come_or_is_none_leads_nowhere() {
    let (sgw, _sshd, token) = ready();
    let text = token.text.as_bytes();
    let huge = vec![b'x'; 60_000];
    let odd: [(Option<&[u8]>, u32); 6] = [
        (None, 1),
        (Some(b""), 1),
        (Some(text), 2),
        (Some(&text[..51]), 1),
        (Some(&huge), 1),
        (Some(b"sg_\xff\xfe\0"), 1),
    ];
    for (secret, number) in odd {
        let (mut wire, answer) = shows(&sgw, secret, number);
        assert_eq!(answer.as_deref(), Some("token.invalid"), "{number}");
        wire.send(JSON, 1, br#"{"type":"whoami"}"#);
        wire.is_closed();
    }
    let (mut wire, answer) = shows(&sgw, Some(text), 1);
    assert_eq!(answer.as_deref(), Some(""), "a welcome has no code");
    // A second token later is out of place.
    wire.send(SECRET, 0, &[0, 0, 0, 1, b'x']);
    wire.is_closed();
}

#[test]
fn a_connection_that_stays_open_outlives_no_revocation() {
    let (sgw, _sshd, token) = ready();
    let (mut wire, _) = shows(&sgw, Some(token.text.as_bytes()), 1);
    wire.send(JSON, 1, br#"{"type":"whoami"}"#);
    wire.receive().expect("an answer");
    sgw.operator(["token", "revoke", "ci"]).ok();
    let last = wire.receive().map(|(_, _, body)| code(&body));
    assert_eq!(last.as_deref(), Some("token.invalid"));
    wire.send(JSON, 2, br#"{"type":"exec","session":"web1","command":{"line":"true"},"stdin":false,"env":[],"cwd":null,"timeout_ms":null,"orphan_ms":null,"wait_ms":null,"no_ask":false,"reason":null}"#);
    wire.is_closed();
    assert!(sgw.recorded("exec.intent").is_empty());
}

#[test]
fn a_revocation_that_races_commands_lets_none_start_after_it() {
    let (sgw, _sshd, token) = ready();
    sgw.by(&token, ["exec", "web1", "--", "true"]).ok();
    let calls: Vec<_> =
        (0..10).map(|_| sgw.start_by(&token, ["exec", "web1", "--", "true"])).collect();
    sgw.operator(["token", "revoke", "ci"]).ok();
    let late = sgw.by(&token, ["exec", "web1", "--", "true"]);
    late.fails(77, "token.invalid");
    calls.into_iter().for_each(|call| _ = call.ends());
    eventually("its end is on record", || !sgw.recorded("session.closed").is_empty());
    let all = sgw.operator(["audit", "list", "--json"]).ok().json_lines();
    let at = |kind: &str| all.iter().rposition(|record| record["kind"] == kind).unwrap();
    let (closed, intent) = (at("session.closed"), at("exec.intent"));
    assert!(intent < closed, "a command was begun after the session's end");
}

#[test]
fn a_yes_to_a_dead_token_opens_nothing() {
    let (sgw, sshd, token) = ready();
    let destination = sshd.destination();
    let words = ["request", &destination, "--reason", "a test", "--no-wait", "--json"];
    let request = sgw.by(&token, words).fails(75, "request.pending").waits_on();
    sgw.operator(["token", "revoke", "ci"]).ok();
    sgw.try_approve(&request, &sshd).fails(1, "request.closed");
    let open = sgw.agent(["sessions", "--all", "--json"]).ok().json();
    assert_eq!(open["sessions"].as_array().map(Vec::len), Some(0), "{open}");
}

#[test]
fn a_budget_that_everyone_races_for_is_spent_once() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.target("web1", &sshd);
    let token = sgw.token("ci", &[]);
    sgw.grant(&["--token", "ci", "--target", "web1", "--max-commands", "1"]);
    let calls: Vec<_> =
        (0..10).map(|_| sgw.start_by(&token, ["exec", "web1", "--", "echo", "ran"])).collect();
    let outcomes: Vec<_> = calls.into_iter().map(|call| call.ends()).collect();
    let ran = outcomes.iter().filter(|one| one.stdout() == "ran\n").count();
    assert_eq!(ran, 1, "{outcomes:?}");
    assert_eq!(sgw.recorded("exec.intent").len(), 1);
}

#[test]
fn tokens_and_grants_cannot_be_given_on_the_agents_socket_nor_without_proof() {
    let (sgw, _sshd, token) = ready();
    let hash = "0".repeat(64);
    let give = json!({"target": "*", "only": null, "for_s": null, "mode": "guarded",
                      "budget": {"max_commands": null, "max_bytes": null}, "approval": "standing"});
    let words = [
        json!({"type": "token", "do": "create", "name": "mine", "hash": hash, "expires_s": null,
               "limits": {"requests_per_hour": null, "sessions": null}}),
        json!({"type": "token", "do": "list"}),
        json!({"type": "token", "do": "rotate", "token": "ci", "hash": hash, "overlap_s": 0}),
        json!({"type": "grant", "do": "add", "to": {"uid": 0}, "give": give}),
        json!({"type": "grant", "do": "list", "after": null}),
    ];
    for word in &words {
        let (mut wire, _) = shows(&sgw, Some(token.text.as_bytes()), 1);
        wire.send(JSON, 1, word.to_string().as_bytes());
        let answer = wire.receive().map(|(_, _, body)| code(&body));
        assert_eq!(answer.as_deref(), Some("usage.frame"), "{word}");
        wire.is_closed();
        let mut wire = Wire::connect(&sgw.find("operator.sock"));
        wire.send(JSON, 0, &crate::support::frames::hello(1));
        wire.receive().expect("a welcome");
        wire.send(JSON, 1, word.to_string().as_bytes());
        let (_, _, body) = wire.receive().expect("an answer");
        assert_eq!(code(&body), "operator.proof", "{word}");
    }
}
