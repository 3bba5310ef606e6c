//! Sessions where commands ask: each is shown, and a yes runs it once.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::support::{Sgw, Sshd};

/// A session whose commands ask, and a file that counts what ran.
struct Asking {
    sgw: Sgw,
    session: String,
    ran: PathBuf,
    sshd: Sshd,
}

impl Asking {
    fn in_mode(mode: &str) -> Self {
        let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
        let session = sgw.session_with(&sshd, &["--mode", mode]);
        let ran = sshd.directory().join("ran");
        Self { sgw, session, ran, sshd }
    }

    /// Says that it ran, prints, and ends with 7.
    fn line(&self) -> String {
        format!("echo once >> {}; echo out; echo err >&2; exit 7", self.ran.display())
    }

    /// The request's id.
    #[track_caller]
    fn asks(&self) -> String {
        let line = self.line();
        let exec = ["exec", &self.session, "--no-wait", "--json", "--", &line];
        self.sgw.agent(exec).fails(75, "approval.pending").waits_on()
    }

    #[track_caller]
    fn approves(&self, request: &str) {
        let decided = self.sgw.operator(["approve", request, "--yes", "--json"]).ok().json();
        assert_eq!(decided["status"], "approved");
        assert_eq!(decided["kind"], "command");
    }

    fn times_run(&self) -> usize {
        fs::read_to_string(&self.ran).unwrap_or_default().lines().count()
    }

    #[track_caller]
    fn queue(&self) -> Vec<Value> {
        let json = self.sgw.agent(["requests", "--json"]).ok().json();
        json["requests"].as_array().unwrap().clone()
    }
}

#[test]
fn each_command_asks_and_a_yes_runs_it_once() {
    let me = Asking::in_mode("each");
    let request = me.asks();
    let queue = me.queue();
    let [shown] = queue.as_slice() else { panic!("{queue:?}") };
    assert_eq!(shown["id"], request.as_str());
    assert_eq!(shown["kind"], "command");
    assert_eq!(shown["command"], me.line().as_str());
    assert_eq!(shown["target"], me.sshd.destination().as_str());
    assert_eq!(shown["rule"], "mode.each");
    me.sgw.agent(["wait", &request, "--no-wait"]).fails(75, "approval.pending");
    me.approves(&request);
    // It runs when someone waits for it, never by itself.
    assert_eq!(me.times_run(), 0);
    let outcome = me.sgw.agent(["wait", &request]).exits(7).prints("out\n");
    outcome.says("err\n");
    assert_eq!(me.times_run(), 1);
    // A second wait gets the kept result, and a third.
    for _ in 0..2 {
        let kept = me.sgw.agent(["wait", &request, "--json"]).exits(7).json();
        assert_eq!((&kept["exit_code"], &kept["request"]), (&7.into(), &request.as_str().into()));
        assert_eq!((&kept["stdout_bytes"], &kept["running"]), (&4.into(), &false.into()));
        let exec = kept["id"].as_str().unwrap();
        me.sgw.agent(["output", exec]).ok().prints("out\nerr\n");
    }
    assert_eq!(me.times_run(), 1);
    // The yes was for one run: the same line asks again.
    let again = me.asks();
    assert_ne!(again, request);
    let history = me.sgw.agent(["history", &me.session, "--json"]).ok().json();
    assert_eq!(history["history"].as_array().unwrap().len(), 1, "{history}");
    assert_eq!(history["history"][0]["request"], request.as_str());
}

#[test]
fn mode_read_asks_for_what_is_not_known_to_read() {
    let me = Asking::in_mode("read");
    let request = me.asks();
    assert_eq!(me.queue()[0]["rule"], "read.unknown");
    assert_eq!(me.times_run(), 0);
    me.approves(&request);
    me.sgw.agent(["wait", &request]).exits(7);
    assert_eq!(me.times_run(), 1);
    // What reads passes unasked.
    me.sgw.agent(["exec", &me.session, "--no-ask", "--", "cat /dev/null; ls / | wc -l"]).ok();
}

#[test]
fn a_call_that_stays_runs_its_command_after_the_yes() {
    let me = Asking::in_mode("each");
    let line = me.line();
    let mut call = me.sgw.start(["exec", &me.session, "--", &line]);
    call.says("waits for the operator; if this call is cut off: sgw wait r-");
    let request = me.queue()[0]["id"].as_str().unwrap().to_owned();
    me.approves(&request);
    call.ends().exits(7).prints("out\n").says("err\n");
    me.sgw.agent(["wait", &request]).exits(7);
    assert_eq!(me.times_run(), 1);
}

#[test]
fn a_denied_command_does_not_run_and_repeating_does_not_help() {
    let me = Asking::in_mode("each");
    let request = me.asks();
    me.sgw.operator(["deny", &request, "--message", "not on this one"]).ok();
    let wait = || me.sgw.agent(["wait", &request]).fails(77, "approval.denied");
    wait().says("not on this one");
    wait();
    let line = me.line();
    let exec = ["exec", &me.session, "--no-wait", "--", &line];
    me.sgw.agent(exec).fails(77, "approval.denied");
    me.sgw.operator(["approve", &request, "--yes", "--json"]).exits(1);
    assert_eq!((me.times_run(), me.queue().len()), (0, 0));
}

#[test]
fn asking_twice_is_asking_once_and_other_bytes_are_another_command() {
    let me = Asking::in_mode("each");
    let request = me.asks();
    assert_eq!(me.asks(), request);
    let line = me.line() + " ";
    let exec = ["exec", &me.session, "--no-wait", "--json", "--", &line];
    let other = me.sgw.agent(exec).fails(75, "approval.pending").waits_on();
    assert_ne!(other, request);
    // A yes to one is none to the other.
    me.approves(&request);
    me.sgw.agent(["wait", &other, "--no-wait"]).fails(75, "approval.pending");
    // However many wait, it runs once.
    let waits: Vec<_> = (0..5).map(|_| me.sgw.start(["wait", &request])).collect();
    for wait in waits {
        wait.ends().exits(7);
    }
    assert_eq!(me.times_run(), 1);
}

#[test]
fn what_would_ask_fails_at_once_with_no_ask() {
    let me = Asking::in_mode("each");
    let line = me.line();
    let exec = ["exec", &me.session, "--no-ask", "--", &line];
    me.sgw.agent(exec).fails(77, "approval.required");
    assert_eq!((me.times_run(), me.queue().len()), (0, 0));
}

#[test]
fn an_agent_cannot_say_yes_to_its_own_command() {
    let me = Asking::in_mode("each");
    let request = me.asks();
    let approve = ["approve", &request, "--yes", "--json", "--i-am-the-operator"];
    me.sgw.agent(approve).fails(77, "operator.proof");
    me.sgw.agent(["wait", &request, "--no-wait"]).fails(75, "approval.pending");
    assert_eq!(me.times_run(), 0);
}

#[test]
fn commands_that_wait_end_with_their_session() {
    let me = Asking::in_mode("each");
    let request = me.asks();
    let approved = {
        let exec = ["exec", &me.session, "--no-wait", "--json", "--", "true"];
        me.sgw.agent(exec).fails(75, "approval.pending").waits_on()
    };
    me.approves(&approved);
    me.sgw.agent(["close", &me.session]).ok();
    assert_eq!(me.queue().len(), 0);
    for id in [&request, &approved] {
        assert_ne!(me.sgw.agent(["wait", id]).code(), 0);
    }
    me.sgw.operator(["approve", &request, "--yes", "--json"]).exits(1);
    assert_eq!(me.times_run(), 0);
}

#[test]
fn the_person_sees_the_command_and_that_its_input_is_open() {
    let me = Asking::in_mode("each");
    let look = |line: &str, flags: &[&str], seen: &str| {
        let mut exec = vec!["exec", &me.session];
        exec.extend(flags);
        exec.extend(["--", line]);
        let mut call = me.sgw.start(exec);
        call.says("waits for the operator");
        let request = me.queue()[0]["id"].as_str().unwrap().to_owned();
        let mut terminal = me.sgw.looks_at(&request);
        let screen = terminal.wait_for(r"Give it\?");
        assert!(screen.contains(line) && screen.contains(seen), "{screen}");
        terminal.send("y");
        let (code, screen) = terminal.ends();
        assert_eq!(code, 0, "{screen}");
        call
    };
    look("echo plain", &[], "empty").ends().ok().prints("plain\n");
    let mut call = look("cat; exit 3", &["-i"], "open");
    call.write(b"typed later\n");
    call.prints("typed later\n");
    call.close_stdin();
    call.ends().exits(3).prints("typed later\n");
}

#[test]
fn a_command_whose_input_went_away_does_not_run() {
    let me = Asking::in_mode("each");
    let line = me.line();
    let mut call = me.sgw.start(["exec", &me.session, "-i", "--", &line]);
    call.says("waits for the operator");
    let request = me.queue()[0]["id"].as_str().unwrap().to_owned();
    call.signal(rustix::process::Signal::KILL);
    call.ends();
    me.approves(&request);
    me.sgw.agent(["wait", &request]).fails(1, "request.closed");
    assert_eq!(me.times_run(), 0);
}
