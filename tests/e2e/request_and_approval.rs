//! An agent asks, a person decides.

use std::time::Duration;

use rustix::process::Signal;
use sgw::demo::server::Oddness;

use crate::support::{OddServer, Sgw, Sshd, eventually};

#[test]
fn an_agent_asks_and_works_after_the_yes() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &["--name", "work"]);
    let decided = sgw.approves(&request, &sshd);
    assert_eq!(decided["id"], request.as_str());
    assert_eq!(decided["kind"], "access");
    assert_eq!(decided["status"], "approved");

    let session = sgw.agent(["wait", &request, "--json"]).ok().json();
    assert_eq!(session["kind"], "session");
    assert_eq!(session["name"], "work");
    assert_eq!(session["host"], "127.0.0.1");
    assert_eq!(session["port"], sshd.port());
    assert_eq!(session["user"], sshd.user.as_str());
    assert_eq!(session["status"], "active");
    assert!(session["granted"].is_object() && session["expires_at"].is_string());
    let id = session["id"].as_str().unwrap();
    assert!(id.starts_with("s-"));

    sgw.agent(["exec", id, "--", "echo", "by id"]).ok().prints("by id\n");
    sgw.agent(["exec", "work", "--", "echo", "by name"]).ok().prints("by name\n");
    let destination = sshd.destination();
    sgw.agent(["exec", &destination, "--", "echo", "by target"]).ok().prints("by target\n");
    // A second wait gives the same session and makes no other.
    sgw.agent(["wait", &request]).ok().prints(&format!("{id}\n"));
}

#[test]
fn nothing_goes_to_the_destination_before_the_yes() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Oddness::None));
    let request = sgw.requests(&server, &[]);
    sgw.agent(["requests"]).ok();
    sgw.agent(["show", &request]).ok();
    sgw.agent(["wait", &request, "--wait", "1s"]).fails(75, "request.pending");
    assert_eq!((server.seen().connections(), server.seen().bytes()), (0, 0));
    sgw.approves(&request, &server);
    assert!(server.seen().connections() > 0);
    sgw.agent(["wait", &request]).ok();
}

#[test]
fn a_call_that_stays_gets_the_session_when_the_person_answers() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let destination = sshd.destination();
    let mut call = sgw.start(["request", &destination, "--reason", "a test", "--wait", "60s"]);
    call.says("waits for the operator; if this call is cut off: sgw wait r-");
    let request = only_request(&sgw);
    sgw.approves(&request, &sshd);
    let session = call.ends().ok().stdout();
    assert!(session.starts_with("s-") && session.ends_with('\n'), "{session:?}");
}

#[test]
fn a_call_that_is_cut_off_withdraws_nothing() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let destination = sshd.destination();
    for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
        let mut call = sgw.start(["request", &destination, "--reason", "a test"]);
        call.says("waits for the operator");
        call.signal(signal);
        call.ends();
    }
    let request = only_request(&sgw);
    sgw.approves(&request, &sshd);
    sgw.agent(["wait", &request]).ok();
}

#[test]
fn waiting_ends_with_75_and_the_id_to_wait_for() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let destination = sshd.destination();
    let request = ["request", &destination, "--reason", "a test", "--wait", "1s"];
    let outcome = sgw.agent(request).fails(75, "request.pending");
    assert!(outcome.took() >= Duration::from_millis(900), "{outcome:?}");
    let id = only_request(&sgw);
    outcome.says(&format!("sgw wait {id}")).prints("");
    sgw.agent(["wait", &id, "--no-wait"]).fails(75, "request.pending");
}

#[test]
fn asking_twice_is_asking_once() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let first = sgw.requests(&sshd, &[]);
    assert_eq!(sgw.requests(&sshd, &[]), first);
    assert_eq!(sgw.requests(&sshd, &["--new"]), first);
    let other = sgw.requests(&sshd, &["--for", "2h"]);
    assert_ne!(other, first);
    sgw.approves(&first, &sshd);
    let session = sgw.agent(["wait", &first]).ok().stdout();
    let destination = sshd.destination();
    // Where I have a session, a request gives it back, and nobody is asked.
    sgw.agent(["request", &destination, "--reason", "a test"]).ok().prints(&session);
    let new = sgw.requests(&sshd, &["--new"]);
    assert!(new != first && new != other);
}

#[test]
fn a_no_is_77_and_repeating_does_not_help() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let denied = sgw.agent(["deny", &request, "--json"]).ok().json();
    assert_eq!((&denied["id"], &denied["status"]), (&request.as_str().into(), &"denied".into()));
    sgw.agent(["wait", &request]).fails(77, "request.denied");
    sgw.agent(["wait", &request]).fails(77, "request.denied");
    sgw.try_approve(&request, &sshd).exits(1);
}

#[test]
fn a_no_can_carry_a_word_for_the_agent_which_takes_proof() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let word = "use the staging host instead";
    sgw.agent(["deny", &request, "--message", word]).fails(77, "operator.proof");
    sgw.operator(["deny", &request, "--message", word]).ok();
    sgw.agent(["wait", &request]).fails(77, "request.denied").says(word);
}

#[test]
fn the_agent_can_withdraw() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    sgw.agent(["close", &request]).ok();
    assert!(requests(&sgw).is_empty());
    sgw.try_approve(&request, &sshd).fails_as(1, &["request.closed", "request.unknown"]);
}

#[test]
fn the_queue_shows_who_asks_what_and_why() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let id = sgw.requests(&sshd, &["--only", "exec,files:read"]);
    let queue = requests(&sgw);
    let [request] = queue.as_slice() else { panic!("{queue:?}") };
    assert_eq!(request["id"], id.as_str());
    assert_eq!(request["kind"], "access");
    assert_eq!(request["target"], sshd.destination().as_str());
    assert_eq!(request["host"], "127.0.0.1");
    assert_eq!(request["port"], sshd.port());
    assert_eq!(request["user"], sshd.user.as_str());
    assert_eq!(request["reason"], "a test");
    assert_eq!(request["only"], serde_json::json!(["exec", "files:read"]));
    assert!(request["command"].is_null() && request["identity"].is_string());
    for time in ["created_at", "expires_at"] {
        assert!(request[time].as_str().unwrap().ends_with('Z'), "{request}");
    }
}

#[test]
fn a_request_expires() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &["--expires", "1s"]);
    sgw.agent(["wait", &request, "--wait", "30s"]).fails(77, "request.expired");
    eventually("it leaves the queue", || requests(&sgw).is_empty());
    assert_ne!(sgw.try_approve(&request, &sshd).code(), 0);
}

#[test]
fn no_ask_fails_at_once_and_leaves_nothing_in_the_queue() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let destination = sshd.destination();
    let request = ["request", &destination, "--reason", "a test", "--no-ask"];
    sgw.agent(request).fails(77, "approval.required");
    let request = ["request", &destination, "--reason", "a test"];
    let mut command = sgw.command(request);
    sgw.run(command.env("SGW_ASK", "never")).fails(77, "approval.required");
    assert!(requests(&sgw).is_empty());
}

#[test]
fn approving_takes_proof() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let identity = sshd.key.path.display().to_string();
    let fingerprint = sshd.host_key_fingerprint();
    let mut approve = vec!["approve", &request, "--yes", "--json", "--i-am-the-operator"];
    approve.extend(["--identity", &identity, "--accept-host-key", &fingerprint]);
    sgw.agent(&approve).fails(77, "operator.proof");
    let wrong = sgw.write_private("wrong", "correct-horse-battery-staple-17");
    let wrong = wrong.display().to_string();
    approve.extend(["--passphrase-file", &wrong]);
    sgw.agent(&approve).fails(77, "operator.proof");
    assert_eq!(only_request(&sgw), request);
}

#[test]
fn an_approval_takes_the_whole_id() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let prefix = &request[..request.len() - 1];
    sgw.agent(["show", prefix]).ok();
    assert_ne!(sgw.try_approve(prefix, &sshd).code(), 0);
    assert_eq!(only_request(&sgw), request);
    sgw.agent(["deny", prefix]).ok();
}

#[test]
fn an_unknown_host_key_is_shown_and_not_trusted() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Oddness::None));
    let request = sgw.requests(&server, &[]);
    let identity = server.key.path.display().to_string();
    let approve = ["approve", &request, "--yes", "--json", "--identity", &identity];
    let outcome = sgw.operator(approve).fails(77, "hostkey.unknown");
    let hint = outcome.json()["error"]["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains(&server.seen().fingerprint()), "{hint}");
    assert_eq!(server.seen().credentials(), 0, "no credential left before the key was accepted");
    // The question stays open, and the answer that the hint names is enough.
    sgw.approves(&request, &server);
    sgw.agent(["wait", &request]).ok();
}

#[test]
fn a_wrong_credential_is_a_no_that_leaves_the_request_open() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let other = crate::support::Key::ed25519(&sgw.path("other"));
    let identity = other.path.display().to_string();
    let fingerprint = sshd.host_key_fingerprint();
    let mut approve = vec!["approve", &request, "--yes", "--json", "--identity", &identity];
    approve.extend(["--accept-host-key", &fingerprint]);
    sgw.operator(approve).fails(77, "target.auth");
    assert_eq!(only_request(&sgw), request);
    sgw.approves(&request, &sshd);
}

#[test]
fn the_operator_can_give_less_than_was_asked() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &["--for", "2h"]);
    let identity = sshd.key.path.display().to_string();
    let fingerprint = sshd.host_key_fingerprint();
    let mut approve = vec!["approve", &request, "--yes", "--json", "--identity", &identity];
    approve.extend(["--accept-host-key", &fingerprint, "--only", "files:read", "--for", "10m"]);
    sgw.operator(approve).ok();
    let session = sgw.agent(["wait", &request, "--json"]).ok().json();
    let id = session["id"].as_str().unwrap();
    sgw.agent(["exec", id, "--", "true"]).fails(77, "grant.missing");
}

#[test]
fn what_was_not_asked_for_is_not_granted() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session_with(&sshd, &["--only", "files:read"]);
    sgw.agent(["exec", &session, "--", "true"]).fails(77, "grant.missing");
}

#[test]
fn a_target_without_a_session_says_so() {
    let sgw = Sgw::unlocked();
    let outcome = sgw.agent(["exec", "nobody@127.0.0.1:22", "--", "true"]);
    outcome.fails(77, "grant.missing").says("sgw request");
}

#[test]
fn a_session_can_be_prolonged_and_that_takes_a_yes() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session_with(&sshd, &["--for", "5m"]);
    let before = expiry(&sgw, &session);
    let more = ["request", &session, "--for", "2h", "--reason", "more", "--no-wait", "--json"];
    let request = sgw.agent(more).fails(75, "request.pending").waits_on();
    sgw.operator(["approve", &request, "--yes", "--json"]).ok();
    sgw.agent(["wait", &request]).ok().prints(&format!("{session}\n"));
    assert!(expiry(&sgw, &session) > before);
}

#[test]
fn several_destinations_are_asked_for_at_once() {
    let sgw = Sgw::unlocked();
    let (one, two) = (Sshd::start(), Sshd::start());
    let both = format!("{},{}", one.destination(), two.destination());
    let mut call = sgw.start(["request", &both, "--reason", "compare", "--wait", "60s"]);
    let mut queue = Vec::new();
    eventually("both wait", || {
        queue = requests(&sgw);
        queue.len() == 2
    });
    let id_for = |target: &Sshd| {
        let mine = queue.iter().find(|request| request["target"] == target.destination().as_str());
        mine.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (id_for(&one), id_for(&two));
    for id in [&first, &second] {
        call.says(&format!("sgw wait {id}"));
    }
    // One yes does not do for both.
    sgw.approves(&first, &one);
    let outcome = sgw.agent(["request", &both, "--reason", "compare", "--no-wait", "--json"]);
    let json = outcome.exits(75).json();
    assert_eq!(json["sessions"].as_array().unwrap().len(), 1, "{json}");
    assert_eq!(json["errors"][0]["id"], second.as_str(), "{json}");
    assert!(!call.has_ended());
    sgw.agent(["deny", &second]).ok();
    // What was given is printed, what was not decides the status.
    let outcome = call.ends().fails(77, "request.denied");
    let session = sgw.agent(["wait", &first]).ok().stdout();
    outcome.prints(&session);
    sgw.agent(["exec", session.trim(), "--", "true"]).ok();
}

#[test]
fn a_person_decides_in_a_terminal_and_sees_what_matters() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &["--for", "20m"]);
    let key = sshd.key.path.display().to_string();
    let mut terminal = sgw.terminal(["approve", &request, "--identity", &key]);
    terminal.wait_for("(?i)passphrase");
    terminal.send(&format!("{}\r", crate::support::PASSPHRASE));
    let screen = terminal.wait_for("Give it");
    for seen in ["a test", "127.0.0.1", &sshd.port().to_string(), &sshd.user] {
        assert!(screen.contains(seen), "no {seen} in\n{screen}");
    }
    terminal.send("y");
    let screen = terminal.wait_for("right machine");
    assert!(screen.contains(&sshd.host_key_fingerprint()), "{screen}");
    // A key that is new to sgw takes a whole word.
    terminal.send("y\r");
    terminal.wait_for("(?s)right machine.*right machine");
    terminal.send("yes\r");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains(crate::support::PASSPHRASE), "{screen}");
    sgw.agent(["wait", &request]).ok();
}

fn requests(sgw: &Sgw) -> Vec<serde_json::Value> {
    let json = sgw.agent(["requests", "--json"]).ok().json();
    json["requests"].as_array().unwrap().clone()
}

#[track_caller]
fn only_request(sgw: &Sgw) -> String {
    let queue = requests(sgw);
    assert_eq!(queue.len(), 1, "{queue:?}");
    queue[0]["id"].as_str().unwrap().to_owned()
}

fn expiry(sgw: &Sgw, session: &str) -> String {
    let json = sgw.agent(["show", session, "--json"]).ok().json();
    json["expires_at"].as_str().unwrap().to_owned()
}
