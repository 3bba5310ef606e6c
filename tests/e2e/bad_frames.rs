//! Frames that no client of ours would send: refused, and nobody else notices.

use serde_json::json;

use crate::support::{
    Sgw, Sshd,
    frames::{JSON, STDIN, Wire, agent_wire, code, frame, hello},
    still_serves,
};

fn ready() -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

#[test]
fn another_version_is_refused_with_what_to_do() {
    let (sgw, _sshd, s) = ready();
    for socket in ["agent.sock", "operator.sock"] {
        let mut wire = Wire::connect(&sgw.find(socket));
        wire.send(JSON, 0, &hello(99));
        let (_, _, body) = wire.receive().expect("an answer");
        assert_eq!(code(&body), "daemon.version", "{socket}");
        wire.is_closed();
    }
    still_serves(&sgw, &s);
}

#[test]
fn frames_that_break_the_rules_end_the_connection_and_nothing_else() {
    let (sgw, _sshd, s) = ready();
    let status = br#"{"type":"status"}"#;
    let over = (1024 * 1024 + 1_u32).to_be_bytes().to_vec();
    let too_short = vec![0, 0, 0, 4, 1, 0, 0, 0];
    let broken = [
        ("over the cap", over),
        ("far over the cap", u32::MAX.to_be_bytes().to_vec()),
        ("too short", too_short),
        ("of unknown kind", frame(99, 1, status)),
        ("no JSON", frame(JSON, 1, b"hello?")),
        ("deep JSON", frame(JSON, 1, "[".repeat(200_000).as_bytes())),
        ("an unknown type", frame(JSON, 1, br#"{"type":"fly"}"#)),
        ("an unknown field", frame(JSON, 1, br#"{"type":"status","extra":1}"#)),
        ("not UTF-8", frame(JSON, 1, b"{\"type\":\"\xff\"}")),
        ("output to the daemon", frame(3, 1, b"12345678out")),
        ("stdin without a command", frame(STDIN, 1, b"x")),
    ];
    for socket in ["agent.sock", "operator.sock"] {
        for (what, bytes) in &broken {
            let mut wire = Wire::connect(&sgw.find(socket));
            wire.send(JSON, 0, &hello(1));
            wire.receive().expect("a welcome");
            wire.send_raw(bytes);
            let answer = wire.receive();
            if let Some((_, _, body)) = answer {
                let code = code(&body);
                let right = ["usage.frame", "limit.frame", "usage.arguments"];
                assert!(right.contains(&code.as_str()), "{what} on {socket}: {code:?}");
            }
            wire.is_closed();
        }
    }
    still_serves(&sgw, &s);
}

#[test]
fn a_frame_before_hello_and_a_second_hello_are_refused() {
    let (sgw, _sshd, s) = ready();
    for socket in ["agent.sock", "operator.sock"] {
        let mut wire = Wire::connect(&sgw.find(socket));
        wire.send(JSON, 1, br#"{"type":"status"}"#);
        if let Some((_, _, body)) = wire.receive() {
            assert!(!code(&body).is_empty(), "answered without a hello on {socket}");
        }
        wire.is_closed();
    }
    let mut twice = agent_wire(&sgw);
    twice.send(JSON, 0, &hello(1));
    twice.is_closed();
    still_serves(&sgw, &s);
}

#[test]
fn unfinished_frames_hold_up_nobody() {
    let (sgw, _sshd, s) = ready();
    let mut silent: Vec<Wire> = (0..20).map(|_| Wire::connect(&sgw.find("agent.sock"))).collect();
    for (number, wire) in silent.iter_mut().enumerate() {
        if number % 2 == 0 {
            wire.send_raw(&[0, 0, 1]);
        }
    }
    let mut halves: Vec<Wire> = (0..20).map(|_| agent_wire(&sgw)).collect();
    let whole = frame(JSON, 1, br#"{"type":"status"}"#);
    for wire in &mut halves {
        wire.send_raw(&whole[..whole.len() / 2]);
    }
    still_serves(&sgw, &s);
    for wire in &mut halves {
        wire.send_raw(&whole[whole.len() / 2..]);
        let (_, request, body) = wire.receive().expect("an answer");
        assert_eq!(request, 1);
        assert!(String::from_utf8(body).unwrap().contains("\"done\""));
    }
}

#[test]
fn a_reason_of_ten_megabytes_in_a_frame_is_never_read() {
    let (sgw, _sshd, s) = ready();
    let mut wire = agent_wire(&sgw);
    let reason = "x".repeat(10_000_000);
    let body = access("host", &reason).to_string();
    wire.send_raw(&frame(JSON, 1, body.as_bytes()));
    wire.is_closed();

    let mut wire = agent_wire(&sgw);
    wire.send(JSON, 1, access("host", &"x".repeat(100_000)).to_string().as_bytes());
    let (_, _, body) = wire.receive().expect("an answer");
    assert_eq!(code(&body), "limit.reason");
    still_serves(&sgw, &s);
}

fn access(destination: &str, reason: &str) -> serde_json::Value {
    json!({
        "type": "request", "destination": destination, "reason": reason, "name": null,
        "duration_s": null, "only": null, "mode": null, "max_commands": null, "new": false,
        "expires_s": null, "wait_ms": 0, "no_ask": false
    })
}

fn exec(session: &str, line: &str) -> serde_json::Value {
    json!({
        "type": "exec", "session": session, "command": {"line": line}, "stdin": false, "env": [],
        "cwd": null, "timeout_ms": null, "orphan_ms": 0, "wait_ms": null, "no_ask": false,
        "reason": null
    })
}

#[test]
fn a_second_stream_on_a_connection_is_refused_and_the_first_goes_on() {
    let (sgw, _sshd, s) = ready();
    let mut wire = agent_wire(&sgw);
    wire.send(JSON, 1, exec(&s, "sleep 1; echo first").to_string().as_bytes());
    wire.send(JSON, 2, exec(&s, "echo second").to_string().as_bytes());
    let (mut refused, mut first) = (None, Vec::new());
    while let Some((kind, request, body)) = wire.receive() {
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        match (kind, request) {
            (JSON, 2) => refused = Some(code(&body)),
            (3, 1) => first.extend_from_slice(&body[8..]),
            (JSON, 1) if json["type"] == "done" => break,
            _ => {}
        }
    }
    assert_eq!(refused.as_deref(), Some("limit.streams"));
    assert_eq!(first, b"first\n");
}
