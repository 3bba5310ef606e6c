//! In the middle of a call: vanishing, reading nothing, saying what is not so, hiding what is asked.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Sgw, Sshd, eventually,
    frames::{JSON, Wire, agent_wire, code},
    still_serves,
};

fn ready(more: &[&str]) -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session_with(&sshd, more);
    (sgw, sshd, session)
}

fn say(wire: &mut Wire, number: u32, message: &Value) {
    assert!(wire.send(JSON, number, message.to_string().as_bytes()));
}

fn exec(session: &str, line: &str) -> Value {
    json!({"type": "exec", "session": session, "command": {"line": line}, "stdin": false,
           "env": [], "cwd": null, "timeout_ms": null, "orphan_ms": 600_000, "wait_ms": null,
           "no_ask": false, "reason": null})
}

/// The id that the daemon gave the command.
fn started(wire: &mut Wire) -> String {
    let (_, _, body) = wire.receive().expect("a first word");
    let word: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(word["type"], "started", "{word}");
    word["id"].as_str().unwrap().to_owned()
}

fn recorded(sgw: &Sgw, kind: &str) -> usize {
    let list = sgw.operator(["audit", "list", "--json"]).ok();
    let of = |line: &&str| serde_json::from_str::<Value>(line).unwrap()["kind"] == kind;
    list.stdout().lines().filter(of).count()
}

#[test]
fn an_environment_and_a_directory_are_part_of_what_is_approved() {
    let (sgw, _sshd, s) = ready(&["--mode", "each"]);
    let hidden = ["--env", "LD_PRELOAD=/tmp/evil.so", "--cwd", "/tmp/planted"];
    let mut words = vec!["exec", s.as_str(), "--no-wait", "--json"];
    words.extend(hidden);
    words.extend(["--", "systemctl status"]);
    let request = sgw.agent(words).fails(75, "approval.pending").waits_on();
    let waiting = sgw.agent(["requests", "--json"]).ok().json();
    let command = waiting["requests"][0]["command"].as_str().unwrap().to_owned();
    for part in ["LD_PRELOAD=/tmp/evil.so", "/tmp/planted", "systemctl status"] {
        assert!(command.contains(part), "{part} is hidden: {command}");
    }
    let passphrase = sgw.passphrase_file().display().to_string();
    let mut terminal = sgw.terminal(["approve", &request, "--passphrase-file", &passphrase]);
    terminal.wait_for("evil\\.so");
    terminal.send("\x03");
    terminal.ends();
}

#[test]
fn more_time_is_given_on_the_terms_of_the_yes() {
    let (sgw, _sshd, s) = ready(&[]);
    let words = ["request", &s, "--reason", "more", "--for", "2h", "--no-wait", "--json"];
    let request = sgw.agent(words).fails(75, "request.pending").waits_on();
    sgw.operator(["approve", &request, "--yes", "--json", "--mode", "each"]).ok();
    let run = sgw.agent(["exec", &s, "--no-wait", "--json", "--", "true"]);
    run.fails(75, "approval.pending");
}

#[test]
fn a_no_that_comes_too_late_is_not_recorded() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    sgw.approves(&request, &sshd);
    sgw.agent(["deny", &request, "--json"]).fails(1, "request.closed");
    assert_eq!(recorded(&sgw, "request.denied"), 0);
}

#[test]
fn a_session_whose_closer_vanishes_is_closed_and_recorded_all_the_same() {
    let (sgw, _sshd, s) = ready(&[]);
    let mut runs = agent_wire(&sgw);
    say(&mut runs, 1, &exec(&s, "sleep 100"));
    started(&mut runs);
    let mut closer = agent_wire(&sgw);
    say(&mut closer, 1, &json!({"type": "close", "id": s}));
    eventually("the close has begun", || {
        let shown = sgw.agent(["show", &s, "--json"]).ok().json();
        shown["status"] == "closed"
    });
    drop(closer);
    eventually("its end is recorded", || recorded(&sgw, "session.closed") == 1);
    let status = sgw.agent(["daemon", "status", "--json"]).ok().json();
    assert_eq!(status["connections"], 0, "{status}");
}

#[test]
fn who_reads_nothing_can_still_cancel() {
    let (sgw, _sshd, s) = ready(&[]);
    let mut wire = agent_wire(&sgw);
    say(&mut wire, 1, &exec(&s, "while :; do echo out; echo err >&2; done"));
    let id = started(&mut wire);
    let printed = || {
        let shown = sgw.agent(["show", &id, "--json"]).ok().json();
        shown["stdout_bytes"].as_u64().unwrap()
    };
    eventually("more is printed than fits on the way", || printed() > 512 * 1024);
    say(&mut wire, 1, &json!({"type": "cancel"}));
    eventually("it has ended", || {
        sgw.agent(["history", &s, "--json"]).ok().json()["history"][0]["running"] == false
    });
}

#[test]
fn who_acknowledges_what_was_never_sent_is_told() {
    let (sgw, _sshd, s) = ready(&[]);
    let mut wire = agent_wire(&sgw);
    say(&mut wire, 1, &exec(&s, "sleep 1; echo kept"));
    let id = started(&mut wire);
    say(&mut wire, 1, &json!({"type": "ack", "stdout": 1_u64 << 60, "stderr": 0}));
    let (kind, _, body) = wire.receive().expect("an answer");
    assert_eq!((kind, code(&body).as_str()), (JSON, "usage.frame"));
    sgw.agent(["wait", &id]).ok().prints("kept\n");
}

#[test]
fn hundreds_of_readers_of_old_output_hold_nobody_up() {
    let (sgw, _sshd, s) = ready(&[]);
    let most = "9000000";
    let line = format!("head -c {most} /dev/zero | tr '\\0' a; sleep 100");
    let words = ["exec", &s, "--wait", "3s", "--json", "--max-output", "10", "--", &line];
    let left = sgw.agent(words).exits(75).json();
    let id = left["id"].as_str().unwrap().to_owned();
    eventually("all is printed", || {
        sgw.agent(["show", &id, "--json"]).ok().json()["stdout_bytes"] == 9_000_000
    });
    let follow = json!({"type": "output", "id": id, "since": 9_000_000, "new": false, "limit": 1,
                        "tail": null, "grep": null, "raw": false, "screen": false,
                        "follow": true});
    let mut wires: Vec<_> = (0..4).map(|_| agent_wire(&sgw)).collect();
    for wire in &mut wires {
        (1..=60).for_each(|number| say(wire, number, &follow));
    }
    let start = Instant::now();
    (0..3).for_each(|_| still_serves(&sgw, &s));
    assert!(start.elapsed() < Duration::from_secs(10), "it took {:?}", start.elapsed());
}

/// In MiB (proc_pid_status(5)).
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn pages_that_nobody_reads_take_no_memory_and_hold_nobody_up() {
    let (sgw, _sshd, s) = ready(&[]);
    sgw.agent(["input", &s, "seq 1 200000", "--wait-for", "^200000$", "--timeout", "60s"]).ok();
    let pid = sgw.daemon().unwrap();
    let before = resident(pid);
    let mut unread = Vec::new();
    for number in 0..60 {
        let mut wire = agent_wire(&sgw);
        let page = json!({"type": "output", "id": s, "new": false, "since": 0, "limit": null, "tail": null,
                          "grep": null, "raw": number % 2 == 0, "screen": false, "follow": false});
        for request in 1..=20 {
            say(&mut wire, request, &page);
        }
        unread.push(wire);
    }
    // Those who read theirs have it before long, and the memory is bounded all the while.
    let start = Instant::now();
    sgw.agent(["output", &s, "--tail", "1"]).ok();
    sgw.agent(["input", &s, "echo still-th''ere", "--wait-for", "^still-there$"]).ok();
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
    let grown = resident(pid).saturating_sub(before);
    assert!(grown < 192, "unread pages took {grown} MiB");
    still_serves(&sgw, &s);
    drop(unread);
}
