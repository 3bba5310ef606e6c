//! What is wrong, hostile or broken: a clear error, at once, and nothing lost.

use std::{fs, path::PathBuf};

use serde_json::json;
use sgw::demo::server::Oddness;

use crate::support::{
    OddServer, Sgw, Sshd,
    frames::{JSON, STDIN, Wire, frame},
};

fn ready() -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

/// Whatever was tried, the daemon still serves.
#[track_caller]
fn still_serves(sgw: &Sgw, session: &str) {
    sgw.agent(["exec", session, "--", "echo", "still here"]).ok().prints("still here\n");
}

#[test]
fn an_unknown_session_and_another_identitys_are_the_same_error() {
    let (sgw, _sshd, s) = ready();
    let unknown = sgw.agent(["exec", "s-zzz", "--json", "--", "true"]);
    let unknown = unknown.fails(125, "session.unknown");
    for command in [vec!["history", "s-zzz"], vec!["close", "s-zzz"]] {
        sgw.agent(&command).fails(1, "session.unknown");
    }
    sgw.agent(["wait", "r-zzz"]).fails_as(1, &["request.unknown"]);
    sgw.agent(["output", "x-zzz"]).fails_as(1, &["exec.unknown"]);
    assert!(!unknown.stdout().contains(&s), "another session is named: {unknown:?}");
}

#[test]
fn a_near_miss_names_the_nearest_of_my_own() {
    let (sgw, sshd, _s) = ready();
    sgw.session_with(&sshd, &["--new", "--name", "staging"]);
    let outcome = sgw.agent(["exec", "stagin", "--", "true"]);
    outcome.fails_as(125, &["session.unknown", "usage.destination"]).says("staging");
}

#[test]
fn an_empty_command_is_a_usage_error() {
    let (sgw, _sshd, s) = ready();
    for words in [vec!["exec", &s], vec!["exec", &s, "--"], vec!["exec", &s, "--", ""]] {
        let outcome = sgw.agent(&words).exits(125);
        let code = outcome.error_code().unwrap_or_default();
        assert!(code.starts_with("usage."), "{outcome:?}");
    }
}

#[test]
fn a_command_over_the_kernels_limit_is_refused_before_sending() {
    let (sgw, _sshd, s) = ready();
    let fits = format!("true {}", "x".repeat(127_000));
    sgw.agent(["exec", &s, "--", &fits]).ok();
    let over = "x".repeat(128_001);
    let outcome = sgw.agent(["exec", &s, "--json", "--", "echo", &over]);
    assert_eq!(outcome.fails(125, "limit.command").json()["error"]["sent"], false);
    still_serves(&sgw, &s);
}

#[test]
fn a_reason_is_a_line_and_not_a_book() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let destination = sshd.destination();
    let book = "x".repeat(100_000);
    let outcome = sgw.agent(["request", &destination, "--reason", &book, "--no-wait"]);
    outcome.fails(2, "limit.reason");
    let none = sgw.agent(["request", &destination, "--no-wait"]);
    assert_eq!(none.code(), 2, "{none:?}");
    let empty = sgw.agent(["request", &destination, "--reason", "", "--no-wait"]);
    assert_eq!(empty.code(), 2, "{empty:?}");
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(queue["requests"], json!([]));
}

#[test]
fn a_name_that_could_be_something_else_is_refused() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let destination = sshd.destination();
    for name in ["a/b", "../x", "s-abc", "r-1", "x-y", "UPPER", "", "a b", "é", "a\nb"] {
        let name = format!("--name={name}");
        let outcome = sgw.agent(["request", &destination, "--reason", "x", &name, "--no-wait"]);
        assert_eq!(outcome.code(), 2, "{name:?} {outcome:?}");
    }
    let leading = ["request", &destination, "--reason", "x", "--name=-rf", "--no-wait"];
    sgw.agent(leading).exits(2);
}

#[test]
fn a_destination_that_could_be_an_option_or_a_path_is_refused() {
    let sgw = Sgw::unlocked();
    for destination in
        ["-oProxyCommand=x", "a b", "host:0", "host:99999", "user@", "@host", "h/../x", "h\n", ""]
    {
        let outcome = sgw.agent(["request", "--reason", "x", "--no-wait", "--", destination]);
        assert_eq!(outcome.code(), 2, "{destination:?} {outcome:?}");
    }
}

#[test]
fn arguments_that_are_no_text_are_an_error_where_text_is_needed() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let sgw = Sgw::unlocked();
    let raw = OsStr::from_bytes(b"\xff\xfe");
    let words = [OsStr::new("request"), raw, OsStr::new("--reason"), OsStr::new("x")];
    sgw.agent(words).exits(2);
    let words = ["request", "host", "--no-wait", "--reason"].map(OsStr::new);
    sgw.agent(words.into_iter().chain([raw])).exits(2);
}

#[test]
fn a_home_too_deep_for_a_socket_is_a_clear_error() {
    let sgw = Sgw::new();
    let deep: PathBuf = sgw.path("home").join("d".repeat(110));
    let passphrase = sgw.passphrase_file().display().to_string();
    let proof = ["--passphrase-file", &passphrase, "--i-am-the-operator"];
    let mut refused = 0;
    for command in ["init", "unlock"] {
        let mut command = sgw.command([command].into_iter().chain(proof));
        let outcome = sgw.run(command.env("SGW_HOME", &deep));
        if outcome.code() != 0 {
            assert!(outcome.stderr().contains("107"), "the limit is not named: {outcome:?}");
            refused += 1;
        }
    }
    assert!(refused > 0, "a daemon listens where no socket can be");
}

#[test]
fn bad_durations_and_sizes_are_usage_errors() {
    let (sgw, _sshd, s) = ready();
    for flag in ["--timeout=x", "--timeout=-1s", "--timeout=1", "--max-output=lots", "--wait=1y"] {
        let outcome = sgw.agent(["exec", &s, flag, "--", "true"]);
        assert_eq!(outcome.code(), 125, "{flag} {outcome:?}");
    }
    sgw.agent(["request", "host", "--reason", "x", "--for", "soon"]).exits(2);
    sgw.agent(["request", "host", "--reason", "x", "--only", "exec,fly"]).exits(2);
}

/// A connection to the agent's socket that has said hello.
fn agent_wire(sgw: &Sgw) -> Wire {
    let mut wire = Wire::connect(&sgw.find("agent.sock"));
    assert!(wire.send(JSON, 0, &hello(1)));
    let (kind, request, body) = wire.receive().expect("a welcome");
    assert_eq!((kind, request), (JSON, 0));
    let welcome: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(welcome["protocol"], 1);
    wire
}

fn hello(protocol: u16) -> Vec<u8> {
    json!({"protocol": protocol, "version": "0.0.0", "features": [], "token": null, "proof": false})
        .to_string()
        .into_bytes()
}

fn code(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap();
    json["code"].as_str().unwrap_or_default().to_owned()
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

#[test]
fn a_daemon_killed_during_a_command_is_told_and_the_next_one_serves() {
    let (sgw, sshd, s) = ready();
    let mut call = sgw.start(["exec", &s, "--", "echo on; sleep 600"]);
    call.prints("on\n");
    sgw.kill_daemon();
    let outcome = call.ends();
    outcome.fails_as(125, &["daemon.lost"]);
    sgw.agent(["exec", &s, "--", "true"]).fails(69, "daemon.unreachable");
    sgw.unlock();
    sgw.operator(["audit", "verify"]).ok();
    let s = sgw.session(&sshd);
    still_serves(&sgw, &s);
}

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

#[test]
fn garbage_where_the_state_should_be_is_refused_by_name() {
    let sgw = Sgw::unlocked();
    sgw.lock();
    for file in sgw.files() {
        if file.extension().is_some_and(|extension| extension == "log" || extension == "lock") {
            continue;
        }
        let clean = fs::read(&file).unwrap();
        if clean.len() < 16 {
            continue;
        }
        fs::write(&file, vec![0xaa; clean.len()]).unwrap();
        let outcome = sgw.operator(["unlock"]);
        let codes = ["vault.damaged", "evidence.failed", "operator.none", "daemon.failed"];
        let code = outcome.error_code().unwrap_or_default();
        if outcome.code() == 0 {
            let verified = sgw.operator(["audit", "verify"]);
            assert_eq!(verified.code(), 1, "{} was garbage and taken: {outcome:?}", file.display());
            sgw.daemon();
            sgw.lock();
        } else {
            assert!(codes.contains(&code.as_str()), "{}: {outcome:?}", file.display());
        }
        fs::write(&file, clean).unwrap();
    }
    sgw.unlock();
}
