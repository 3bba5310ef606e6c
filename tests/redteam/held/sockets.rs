//! At the sockets: saying what one may not, listening, meddling, flooding.

use std::rc::Rc;

use serde_json::{Value, json};
use sgw::demo::server::Oddness;

use super::{
    super::relay::{Meddling, Relay},
    pending,
};
use crate::support::{
    OddServer, PASSWORD, Person, Running, Sgw, Sshd, eventually,
    frames::{JSON, SECRET, Wire, agent_wire, code, hello},
    is_alive, is_root, still_serves,
};

/// Everything that only the operator may do, about a request.
fn operators_words(request: &str) -> Vec<Value> {
    vec![
        json!({"type": "approve", "id": request, "digest": "0".repeat(64), "terms": null,
               "way": null, "accept_host_keys": [], "interactive": false}),
        json!({"type": "claim", "id": request}),
        json!({"type": "answer", "question": 1, "reply": "yes"}),
        json!({"type": "resume", "what": null}),
        json!({"type": "audit_list", "since": null, "last": null}),
        json!({"type": "audit_verify"}),
        json!({"type": "settings"}),
        json!({"type": "set", "name": "notify", "value": ["touch", "/tmp/pwned"]}),
        json!({"type": "unset", "name": "notify"}),
        json!({"type": "subscribe"}),
        json!({"type": "watch", "id": "s-234"}),
        json!({"type": "attach", "session": "s-234", "fresh": false, "rows": 24, "columns": 80}),
        json!({"type": "return", "session": "s-234", "message": null}),
        json!({"type": "private", "on": true}),
        json!({"type": "deny", "id": request, "message": "a word"}),
    ]
}

#[test]
fn the_operators_words_cannot_be_said_on_the_agents_socket() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let narrowing = [
        json!({"type": "deny", "id": request, "message": null}),
        json!({"type": "pause", "what": null}),
        json!({"type": "lock"}),
        json!({"type": "question", "id": request}),
    ];
    for words in operators_words(&request).into_iter().chain(narrowing) {
        let mut wire = agent_wire(&sgw);
        wire.send(JSON, 1, words.to_string().as_bytes());
        if let Some((_, _, body)) = wire.receive() {
            assert_eq!(code(&body), "usage.frame", "{words}");
        }
        wire.is_closed();
    }
    assert_eq!(pending(&sgw), 1);
}

#[test]
fn without_proof_the_operators_socket_only_narrows() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    for words in operators_words(&request) {
        let mut wire = Wire::connect(&sgw.find("operator.sock"));
        wire.send(JSON, 0, &hello(1));
        wire.receive().expect("a welcome");
        wire.send(JSON, 1, words.to_string().as_bytes());
        let (_, _, body) = wire.receive().expect("an answer");
        assert_eq!(code(&body), "operator.proof", "{words}");
    }
    assert_eq!(pending(&sgw), 1);
    sgw.agent(["deny", &request]).ok();
}

#[test]
fn a_claimed_proof_that_is_none_gets_no_answer() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let claim =
        json!({"protocol": 1, "version": "0", "features": [], "token": null, "proof": true});
    let approve = operators_words(&request).remove(0).to_string();
    for garbage in [vec![0; 50], approve.into_bytes(), vec![0xff; 70_000]] {
        let mut wire = Wire::connect(&sgw.find("operator.sock"));
        wire.send(JSON, 0, claim.to_string().as_bytes());
        wire.receive().expect("a welcome");
        // A Noise message follows its u16 length; this one was made without the key.
        let length = u16::try_from(garbage.len()).unwrap_or(u16::MAX).to_be_bytes();
        wire.send_raw(&[length.as_slice(), &garbage].concat());
        wire.is_closed();
    }
    assert_eq!(pending(&sgw), 1);
}

#[test]
fn a_fake_daemon_learns_nothing() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Oddness::None));
    sgw.plant(PASSWORD.as_bytes());
    let request = sgw.requests(&server, &[]);
    let fake = Relay::on(&sgw.find("operator.sock"), Meddling::Silent);
    let file = server.password_file.display().to_string();
    let fingerprint = server.seen().fingerprint();
    let mut approve = vec!["approve", &request, "--yes", "--json", "--password-file", &file];
    approve.extend(["--accept-host-key", &fingerprint]);
    // Nobody answers it, so it would wait for ever, or give up: it is ended when it has spoken.
    let mut call = Running::start(&mut sgw.operator_command(approve));
    eventually("it speaks or gives up", || {
        call.has_ended() || fake.heard().iter().any(|heard| !heard.is_empty())
    });
    call.signal(rustix::process::Signal::KILL);
    sgw.searched(call.ends());
    for heard in fake.heard() {
        sgw.assert_clean(&heard, "what the operator's client told a fake daemon");
    }
    drop(fake);
    assert_eq!(server.seen().connections(), 0);
}

#[test]
fn who_listens_between_learns_nothing_and_cannot_say_it_again() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Oddness::None));
    sgw.plant(PASSWORD.as_bytes());
    let request = sgw.requests(&server, &[]);
    let relay = Relay::on(&sgw.find("operator.sock"), Meddling::Listens);
    let file = server.password_file.display().to_string();
    let fingerprint = server.seen().fingerprint();
    let mut approve = vec!["approve", &request, "--yes", "--json", "--password-file", &file];
    approve.extend(["--accept-host-key", &fingerprint]);
    let approved = sgw.operator(approve).code() == 0;
    let heard = relay.heard();
    drop(relay);
    let all = heard.concat();
    sgw.assert_clean(&all, "what went over the operator's socket");
    if approved {
        let key = b"password".as_slice();
        assert!(!all.windows(key.len()).any(|window| window == key), "it went in plain");
    }
    // The recorded conversations, said again, do nothing.
    let second = sgw.requests(&server, &["--new", "--for", "2h"]);
    let before = server.seen().connections();
    for recorded in heard {
        let mut wire = Wire::connect(&sgw.find("operator.sock"));
        wire.send_raw(&recorded);
        wire.finish();
        wire.is_closed();
    }
    assert_eq!(server.seen().connections(), before);
    sgw.agent(["wait", &second, "--no-wait"]).fails(75, "request.pending");
}

#[test]
fn who_meddles_between_breaks_the_conversation_and_decides_nothing() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    // Places in the handshake, in the first words and in the approval itself.
    for place in [130, 200, 400, 700] {
        let relay = Relay::on(&sgw.find("operator.sock"), Meddling::FlipsBit(place));
        let mut call = Running::start(&mut sgw.approval(&request, &sshd));
        let reached = || relay.heard().iter().any(|heard| heard.len() > place);
        eventually("it gets that far or ends", || reached() || call.has_ended());
        // In a length the bit makes both sides wait for the rest: time to go wrong, then its end.
        let start = std::time::Instant::now();
        while !call.has_ended() && start.elapsed().as_secs() < 2 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        call.signal(rustix::process::Signal::KILL);
        let (reached, outcome) = (reached(), call.ends());
        drop(relay);
        if !reached {
            outcome.ok();
            return;
        }
        assert_ne!(outcome.code(), 0, "a flipped bit at {place} was taken: {outcome:?}");
        assert_eq!(pending(&sgw), 1);
    }
}

#[test]
fn thousands_of_requests_fill_a_queue_that_has_an_end() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    let pid = sgw.daemon().unwrap();
    let mut wire = agent_wire(&sgw);
    let mut refused = 0;
    for number in 1..=3000_u32 {
        let ask = json!({
            "type": "request", "destination": format!("host{number}"), "reason": "x", "name": null,
            "duration_s": null, "only": null, "mode": null, "max_commands": null, "new": false,
            "expires_s": null, "wait_ms": 0, "no_ask": false
        });
        assert!(wire.send(JSON, number, ask.to_string().as_bytes()));
        let answer = loop {
            let (_, _, body) = wire.receive().expect("an answer");
            let json: Value = serde_json::from_slice(&body).unwrap();
            if json["type"] != "waiting" {
                break json;
            }
        };
        refused += u32::from(answer["code"] == "limit.requests");
    }
    assert!(refused > 1000, "only {refused} of 3000 requests were refused");
    assert!(pending(&sgw) < 2000);
    still_serves(&sgw, &session);
    assert!(is_alive(pid));
}

#[test]
fn thousands_of_connections_do_not_lock_out_the_operator() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let socket = sgw.find("agent.sock");
    let mut held = Vec::new();
    for _ in 0..900 {
        let Ok(stream) = std::os::unix::net::UnixStream::connect(&socket) else { break };
        held.push(stream);
    }
    sgw.approves(&request, &sshd);
    drop(held);
    sgw.agent(["wait", &request]).ok();
}

#[test]
fn another_identitys_ids_are_unknown_ids() {
    if !is_root() {
        return eprintln!("left out: a second identity takes root");
    }
    let person = Rc::new(Person::ordinary());
    let sgw = Sgw::of(&person);
    sgw.init();
    sgw.unlock();
    let sshd = Sshd::start();
    let session = sgw.session(&sshd);
    let id = sgw.agent(["exec", &session, "--json", "--", "echo", "secret"]).ok().json();
    let id = id["id"].as_str().unwrap().to_owned();
    // Root gets through the directory's permissions, and is somebody else all the same.
    let mut wire = Wire::connect(&sgw.find("agent.sock"));
    wire.send(JSON, 0, &hello(1));
    let Some((_, _, body)) = wire.receive() else { return };
    let welcome: Value = serde_json::from_slice(&body).unwrap();
    if welcome["identity"].is_null() {
        return;
    }
    let asks = |id: &str, session: &str| {
        let page = json!({"type": "output", "id": id, "since": 0, "new": false, "limit": null,
            "tail": null, "grep": null, "raw": false, "screen": false, "follow": false});
        vec![
            json!({"type": "show", "id": session}),
            json!({"type": "history", "session": session}),
            json!({"type": "close", "id": session}),
            json!({"type": "wait", "id": id, "wait_ms": 0}),
            json!({"type": "signal", "id": id, "signal": "TERM"}),
            page,
        ]
    };
    let mut answer = |number: u32, ask: &Value| {
        wire.send(JSON, number, ask.to_string().as_bytes());
        let (_, _, body) = wire.receive().expect("an answer");
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let pairs = asks(&id, &session).into_iter().zip(asks("x-zzzz", "s-zzzz"));
    for (number, (theirs, unknown)) in (1..).step_by(2).zip(pairs) {
        let (one, two) = (answer(number, &theirs), answer(number + 1, &unknown));
        assert_eq!(one["code"], two["code"], "{theirs} tells that it exists");
        assert_ne!(one["type"], "done", "{theirs} was answered");
    }
    still_serves(&sgw, &session);
}

#[test]
fn a_secret_frame_on_the_agents_socket_is_only_a_token() {
    let sgw = Sgw::unlocked();
    let mut wire = Wire::connect(&sgw.find("agent.sock"));
    wire.send(SECRET, 0, b"\0\0\0\x01not-a-token");
    let claim = json!({"protocol": 1, "version": "0", "features": [], "token": 1, "proof": false});
    wire.send(JSON, 0, claim.to_string().as_bytes());
    if let Some((_, _, body)) = wire.receive() {
        assert_eq!(code(&body), "token.invalid");
    }
    wire.is_closed();
}
