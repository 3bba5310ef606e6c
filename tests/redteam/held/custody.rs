//! What the operator has under their hands: the same machine by other names and keys, what they typed in
//! private and left, and places at their door.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    Destination, Live, Sgw, Sshd, eventually,
    frames::{JSON, Wire, code, hello},
};

fn ready() -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

fn returns(seat: &mut Live, session: &str) -> Value {
    let answer = seat.says(&json!({"type": "return", "session": session, "message": null}));
    assert_eq!(answer["type"], "done", "{answer}");
    answer["result"].clone()
}

/// The same server at another of its addresses, where another of its keys is known.
struct Elsewhere<'s> {
    sshd: &'s Sshd,
    host: &'s str,
    key: PathBuf,
}

impl Destination for Elsewhere<'_> {
    fn destination(&self) -> String {
        self.sshd.destination().replace("127.0.0.1", self.host)
    }

    fn fingerprint(&self) -> String {
        let mut ask = Command::new("ssh-keygen");
        let told = ask.arg("-lf").arg(self.key.with_extension("pub")).output().unwrap();
        String::from_utf8(told.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    fn identity(&self) -> &Path {
        Destination::identity(self.sshd)
    }
}

#[test]
fn another_key_of_the_same_server_is_no_other_keyboard() {
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    let key = directory.path().join("other_key");
    let mut make = Command::new("ssh-keygen");
    make.args(["-q", "-t", "ecdsa", "-N", "", "-f"]).arg(&key);
    assert!(make.status().unwrap().success());
    let sshd = Sshd::with()
        .line(&format!("HostKey {}", key.display()))
        .line("ListenAddress 127.0.0.2")
        .start();
    let Some(sgw) = Sgw::of_someone_with_a_home() else { return };
    let first = sgw.session(&sshd);
    let mut planted = String::new();
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    let public: Vec<_> = public.split(' ').take(2).collect();
    for host in ["localhost", "127.0.0.2"] {
        planted += &format!("[{host}]:{} {}\n", sshd.port(), public.join(" "));
    }
    sgw.write_in_user_home(".ssh/known_hosts", &planted);
    // Another name for the same address; and another address.
    for host in ["localhost", "127.0.0.2"] {
        let elsewhere = Elsewhere { sshd: &sshd, host, key: key.clone() };
        let second = sgw.session_with(&elsewhere, &["--new"]);
        let shown = |s: &str| sgw.agent(["show", s, "--json"]).ok().json();
        assert_ne!(shown(&first)["id"], shown(&second)["id"]);
        let handoff = ["handoff", &first, "please log in", "--no-wait", "--json"];
        let request = sgw.agent(handoff).fails(75, "request.pending").waits_on();
        assert_eq!(shown(&second)["control"], "operator", "{host}");
        sgw.agent(["exec", &second, "--", "true"]).fails(75, "control.operator");
        sgw.agent(["input", &second, "true"]).fails(75, "control.operator");
        sgw.agent(["close", &request]).ok();
        sgw.agent(["close", &second]).ok();
    }
}

#[test]
fn what_was_typed_in_private_and_left_working_reaches_no_agent() {
    let (sgw, _sshd, s) = ready();
    let (printed, typed) = ("canary-70a1-printed-late", "canary-70a1-typed-ahead");
    sgw.plant(printed.as_bytes());
    sgw.plant(typed.as_bytes());
    sgw.agent(["input", &s, "echo before"]).ok();
    let mut seat = Live::attach(&sgw, &s, Some(true));
    seat.control_is("operator", true);
    seat.types(&format!("echo begun; sleep 3; echo {printed}\r"));
    seat.shows("(?m)^begun");
    seat.types(&format!("echo {typed}\r"));
    returns(&mut seat, &s);
    // Every answer is searched for both.
    let after = ["input", &s, "echo af''ter", "--wait-for", "(?m)^after"];
    let start = Instant::now();
    eventually("the agent types again", || sgw.agent(after).code() == 0);
    assert!(start.elapsed() > Duration::from_secs(2), "it was opened while it worked");
    let raw = sgw.agent(["output", &s, "--raw"]).ok().stdout();
    assert!(raw.contains("before") && raw.contains("after"), "{raw}");
}

#[test]
fn an_agents_keys_and_signals_bring_nothing_private_to_light() {
    let (sgw, sshd, s) = ready();
    let canary = "canary-91c2-of-a-stopped-program";
    sgw.plant(canary.as_bytes());
    let (file, pid) = (sshd.directory().join("loud"), sshd.directory().join("pid"));
    let line = format!("echo $$ > {}; while sleep 0.2; do echo {canary}; done", pid.display());
    fs::write(&file, line).unwrap();
    sgw.agent(["input", &s, "echo before"]).ok();
    let mut seat = Live::attach(&sgw, &s, Some(true));
    seat.control_is("operator", true);
    seat.types(&format!("sh {}\r", file.display()));
    seat.shows(canary);
    returns(&mut seat, &s);
    // Ctrl-S would make the silence that tells of an end.
    for key in ["ctrl-s", "ctrl-z", "ctrl-c"] {
        sgw.agent(["input", &s, "--key", key]).fails(75, "control.operator");
    }
    sgw.agent(["signal", &s, "TSTP"]).fails(75, "control.operator");
    // The account is the agent's: what it stops is stopped, and not at its end.
    let pid = fs::read_to_string(pid).unwrap();
    sgw.runs_after_a_yes(&["exec", &s, "--", &format!("kill -STOP {pid}")]).ok();
    sgw.agent(["input", &s, "--key", "enter"]).fails(75, "control.operator");
    sgw.runs_after_a_yes(&["exec", &s, "--", &format!("kill -CONT {pid}")]).ok();
    sgw.agent(["input", &s, "--key", "enter"]).fails(75, "control.operator");
    let raw = sgw.agent(["output", &s, "--raw"]).ok().stdout();
    assert!(raw.contains("before") && !raw.contains(canary), "{raw}");
    sgw.runs_after_a_yes(&["exec", &s, "--", &format!("kill -KILL {pid}")]).ok();
    eventually("it is over", || sgw.agent(["input", &s, "--key", "enter"]).code() == 0);
}

#[test]
fn a_line_that_was_left_at_the_prompt_is_not_the_agents_to_run() {
    let (sgw, _sshd, s) = ready();
    let canary = "canary-0d3e-half-typed";
    sgw.plant(canary.as_bytes());
    sgw.agent(["input", &s, "echo before"]).ok();
    let mut seat = Live::attach(&sgw, &s, Some(true));
    seat.control_is("operator", true);
    seat.types(canary);
    seat.shows(canary);
    let returned = returns(&mut seat, &s);
    assert_eq!(returned["line_left"], Value::Null, "{returned}");
    // Keys by which an agent would have it run ask for a yes; here they pass.
    sgw.agent(["input", &s, "--key", "ctrl-y", "--key", "enter", "--no-ask"])
        .fails(77, "approval.required");
    sgw.accepts_policy("[defaults]\nopaque = \"allow\"\n");
    // Enter would run it, Ctrl-Y give back what Ctrl-U takes.
    let typed = sgw.agent(["input", &s, "--key", "enter", "--key", "ctrl-y", "--key", "enter"]);
    typed.ok();
    assert!(sgw.agent(["input", &s, "echo af''ter"]).ok().stdout().contains("after"));
    // What is no shell keeps it, and the operator hears of it.
    sgw.agent(["input", &s, "cat"]).ok();
    let mut seat = Live::attach(&sgw, &s, Some(true));
    seat.control_is("operator", true);
    seat.types("half");
    seat.shows("half");
    assert_eq!(returns(&mut seat, &s)["line_left"], true);
}

#[test]
fn a_handoff_that_is_taken_back_makes_nothing_shared() {
    let (sgw, _sshd, s) = ready();
    let handoff = ["handoff", &s, "please log in", "--no-wait", "--json"];
    let request = sgw.agent(handoff).fails(75, "request.pending").waits_on();
    sgw.agent(["close", &request]).ok();
    eventually("the keyboard is the agent's", || {
        sgw.agent(["show", &s, "--json"]).ok().json()["control"] == "agent"
    });
    let mut seat = Live::attach(&sgw, &s, None);
    seat.control_is("operator", true);
    returns(&mut seat, &s);
    // Nobody asks any more.
    let mut seat = Live::attach(&sgw, &s, None);
    seat.control_is("operator", false);
}

#[test]
fn words_that_change_nothing_fill_no_record() {
    let (sgw, _sshd, s) = ready();
    let records = |kind: &str| {
        let all = sgw.operator(["audit", "list", "--json"]).ok().json_lines();
        all.iter().filter(|record| record["kind"] == kind).count()
    };
    let mut wire = unproven(&sgw);
    let mut says = |number: u32, words: Value| {
        assert!(wire.send(JSON, number, words.to_string().as_bytes()));
        assert_eq!(code(&wire.receive().expect("an answer").2), "");
    };
    (1..=50).for_each(|number| says(number, json!({"type": "pause", "what": null})));
    assert_eq!(records("pause.set"), 1);
    sgw.operator(["resume", "--all"]).ok();
    let flap = || {
        let handoff = sgw.agent(["handoff", &s, "please", "--no-wait", "--json"]);
        if handoff.error_code().as_deref() == Some("limit.requests") {
            return false;
        }
        sgw.agent(["close", &handoff.waits_on()]).ok();
        true
    };
    let most = (0..100).take_while(|_| flap()).count();
    assert_eq!(most, 60);
}

fn unproven(sgw: &Sgw) -> Wire {
    let mut wire = Wire::connect(&sgw.find("operator.sock"));
    wire.send(JSON, 0, &hello(1));
    wire.receive().expect("a welcome");
    wire
}

#[test]
fn a_crowd_at_the_operators_door_keeps_nobody_out() {
    let (sgw, sshd, s) = ready();
    let request = sgw.requests(&sshd, &["--new"]);
    let crowd: Vec<_> = (0..1100).map(|_| unproven(&sgw)).collect();
    sgw.operator(["daemon", "status"]).ok();
    sgw.agent(["pause", "--all"]).ok();
    sgw.operator(["resume", "--all"]).ok();
    sgw.approves(&request, &sshd);
    sgw.agent(["exec", &s, "--", "true"]).ok();
    // Who is sent away hears why; who says nothing has to go.
    let (mut first, mut last) = (crowd.into_iter(), unproven(&sgw));
    let mut first = first.next().unwrap();
    assert_eq!(code(&first.receive().expect("a word").2), "limit.connections");
    first.is_closed();
    assert_eq!(code(&last.receive().expect("a word").2), "limit.connections");
    last.is_closed();
    // Who has proven to be the operator stays, and a crowd that never stops coming stops no lock.
    let mut seat = Live::attach(&sgw, &s, Some(false));
    seat.control_is("operator", false);
    let socket = sgw.find("operator.sock");
    // It ends with the socket that the lock takes away.
    let crowd = std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok(stream) = std::os::unix::net::UnixStream::connect(&socket) {
            held.push(stream);
            held.drain(..held.len().saturating_sub(500));
        }
    });
    seat.says(&json!({"type": "private", "on": true}));
    seat.control_is("operator", true);
    drop(seat);
    sgw.agent(["sessions", "--all"]).ok();
    sgw.lock();
    crowd.join().unwrap();
}
