//! The desk on a person's terminal: decided by keys, read back from the screen.

mod ends;
mod keyboard;
mod pin;
mod plain;

use std::{fs, path::PathBuf};

use crate::support::{PASSPHRASE, Pty, Sgw, Sshd};

/// A desk that is open, and a session whose commands ask.
struct AtDesk {
    sgw: Sgw,
    sshd: Sshd,
    session: String,
    ran: PathBuf,
}

impl AtDesk {
    fn new() -> Self {
        let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
        let session = sgw.session_with(&sshd, &["--mode", "each"]);
        let ran = sshd.directory().join("ran");
        Self { sgw, sshd, session, ran }
    }

    /// A command that asks, and counts its runs.
    #[track_caller]
    fn asks(&self, word: &str) -> String {
        let line = format!("echo {word} >> {}", self.ran.display());
        let exec = ["exec", &self.session, "--no-wait", "--json", "--", &line];
        self.sgw.agent(exec).fails(75, "approval.pending").waits_on()
    }

    fn times_run(&self) -> usize {
        fs::read_to_string(&self.ran).unwrap_or_default().lines().count()
    }

    #[track_caller]
    fn waiting(&self) -> usize {
        let queue = self.sgw.agent(["requests", "--json"]).ok().json();
        queue["requests"].as_array().unwrap().len()
    }
}

/// A desk that has drawn itself.
#[track_caller]
fn open(sgw: &Sgw) -> Pty {
    open_with(sgw, &[])
}

#[track_caller]
fn open_with(sgw: &Sgw, flags: &[&str]) -> Pty {
    let mut desk = sgw.terminal([&["desk"], flags].concat());
    desk.wait_for("(?i)passphrase");
    desk.send(&format!("{PASSPHRASE}\r"));
    desk.wait_for("sgw desk: ");
    desk
}

/// Types a deciding key until it counts: the first 0.7 seconds drop it, and say so.
#[track_caller]
fn decides(desk: &mut Pty, key: &str, then: &str) -> String {
    const DROPPED: &str = "only just marked|not shown yet|faster than a person";
    let (regex, dropped) = (regex::Regex::new(then).unwrap(), regex::Regex::new(DROPPED).unwrap());
    let start = std::time::Instant::now();
    loop {
        desk.send(key);
        let seen = desk.wait_for(&format!("(?s)({DROPPED}|{then})"));
        if regex.is_match(&seen) {
            return seen;
        }
        assert!(start.elapsed() < crate::support::PATIENCE, "never decided\n{seen}");
        // Esc takes the word away, so that the next one is new.
        desk.send("\x1b");
        crate::support::eventually("the word is gone", || !dropped.is_match(&desk.screen()));
    }
}

#[test]
fn a_command_is_run_by_its_key_and_the_agent_gets_its_output() {
    let me = AtDesk::new();
    let request = me.asks("once");
    let mut desk = open(&me.sgw);
    let screen = desk.wait_for(&format!("(?s)> {request} +command.*runs +echo once"));
    assert!(screen.contains("host key SHA256:"), "{screen}");
    desk.send("\r\ryY \r");
    decides(&mut desk, "r", &format!("{request} approved"));
    assert_eq!(me.times_run(), 0);
    me.sgw.agent(["wait", &request]).ok();
    assert_eq!(me.times_run(), 1);
    desk.wait_for("nothing waits");
    desk.wait_for("(?s)live.*done: echo once");
    desk.send("q");
    assert_eq!(desk.ends().0, 0);
}

#[test]
fn a_no_carries_a_word_to_the_agent() {
    let me = AtDesk::new();
    let request = me.asks("never");
    let mut desk = open(&me.sgw);
    desk.wait_for(&format!("> {request}"));
    decides(&mut desk, "d", "no, with a word: _");
    desk.send("not before Friday\r");
    desk.wait_for(&format!("{request} denied"));
    me.sgw.agent(["wait", &request]).fails(77, "approval.denied").says("not before Friday");
    assert_eq!(me.times_run(), 0);
}

#[test]
fn access_is_given_on_the_way_out_of_the_screen_and_back() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let key = sgw.write_private("identity", fs::read(&sshd.key.path).unwrap());
    let mut desk = open(&sgw);
    desk.wait_for(&format!("(?s)> {request} +access.*leads to.*log in"));
    decides(&mut desk, "g", "Log in at");
    // Another key file, which is the last choice but one.
    desk.send("\x1b[A\x1b[A\r");
    desk.wait_for("Which file");
    desk.send(&format!("{}\r", key.display()));
    desk.wait_for("Is this the right machine");
    desk.send("yes\r");
    let screen = desk.wait_for(&format!("(?s)sgw desk: 0 waiting, 1 open.*{request} approved: s-"));
    assert!(screen.contains("nothing waits"), "{screen}");
    let session = sgw.agent(["wait", &request]).ok().stdout().trim().to_owned();
    sgw.agent(["exec", &session, "--", "echo", "in"]).ok().prints("in\n");
    desk.send("q");
    assert_eq!(desk.ends().0, 0);
}

#[test]
fn a_login_that_fails_is_told_and_the_request_waits_on() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let mut desk = open(&sgw);
    desk.wait_for(&format!("(?s)> {request}.*leads to"));
    decides(&mut desk, "g", "Log in at");
    // Ctrl-C breaks the question off, and the desk is back.
    desk.send("\x03");
    desk.wait_for(&format!("(?s)sgw desk: 1 waiting.*{request} still waits"));
    decides(&mut desk, "g", "(?s)Log in at.*Log in at|Log in at");
    desk.send("\x1b[A\x1b[A\r");
    desk.wait_for("Which file");
    desk.send("/nowhere\r");
    desk.wait_for("(?s)Which file.*nowhere.*Which file");
    desk.send("\x03");
    desk.wait_for("sgw desk: 1 waiting");
    desk.send("q");
    assert_eq!(desk.ends().0, 0);
}

#[test]
fn the_first_of_two_desks_decides_and_the_other_hears_who_did() {
    let me = AtDesk::new();
    let request = me.asks("once");
    let (mut first, mut second) = (open(&me.sgw), open(&me.sgw));
    for desk in [&mut first, &mut second] {
        desk.wait_for(&format!("(?s)> {request}.*runs +echo"));
    }
    decides(&mut first, "d", "no, with a word: _");
    decides(&mut second, "r", "another terminal decides");
    first.send("\x1b");
    first.wait_for("nothing was decided");
    decides(&mut second, "r", &format!("{request} approved"));
    first.wait_for(&format!(r"{request} was approved by operator \(pid \d+\)"));
    first.wait_for("nothing waits");
}

#[test]
fn a_new_request_rings_and_leaves_the_mark_where_it_is() {
    let me = AtDesk::new();
    let request = me.asks("one");
    let mut desk = open(&me.sgw);
    desk.wait_for(&format!("(?s)> {request}.*runs +echo one"));
    let bells = |desk: &Pty| desk.raw().iter().filter(|byte| **byte == 7).count();
    assert_eq!(bells(&desk), 0);
    let second = me.asks("two");
    desk.wait_for(&format!(r"(?s)> {request}.*\n  {second}"));
    crate::support::eventually("it rings", || bells(&desk) == 1);
    desk.send("s");
    desk.wait_for(&format!("(?s)> {second}.*runs +echo two"));
    me.sgw.agent(["close", &second]).ok();
    desk.wait_for(&format!("(?s)> {request}.*{second} was taken back by uid:"));
}

#[test]
fn all_bytes_of_a_long_command_are_seen_before_it_is_run() {
    let me = AtDesk::new();
    let line = format!("echo {} the-end", "x".repeat(9_000));
    let exec = ["exec", &me.session, "--no-wait", "--json", "--", &line];
    let request = me.sgw.agent(exec).fails(75, "approval.pending").waits_on();
    let mut desk = open(&me.sgw);
    desk.wait_for(&format!("(?s)> {request}.*more lines: b shows all"));
    decides(&mut desk, "r", "b shows all bytes, then decide");
    desk.send("b");
    desk.wait_for("command, all bytes");
    desk.send("\x1b[F");
    desk.wait_for("the-end");
    desk.send("r");
    desk.wait_for(&format!("{request} approved"));
}

#[test]
fn a_terminal_that_is_resized_is_drawn_anew() {
    let me = AtDesk::new();
    let request = me.asks("once");
    let mut desk = open(&me.sgw);
    desk.wait_for(&format!("> {request}"));
    desk.resize(24, 80);
    desk.wait_for(&format!("(?s)^sgw desk.*> {request}.*q quit"));
    desk.resize(5, 30);
    desk.wait_for("30x5 is too small");
    desk.resize(16, 60);
    desk.wait_for(&format!("(?s)^sgw desk.*> {request}.*q quit"));
    decides(&mut desk, "d", "no, with a word");
}

#[test]
fn approving_without_an_id_opens_the_desk() {
    let me = AtDesk::new();
    let request = me.asks("once");
    let mut desk = me.sgw.terminal(["approve"]);
    desk.wait_for("(?i)passphrase");
    desk.send(&format!("{PASSPHRASE}\r"));
    desk.wait_for(&format!("> {request}"));
    assert_eq!(me.waiting(), 1);
    assert!(!me.sshd.directory().join("ran").exists());
}

#[test]
fn without_a_terminal_the_desk_names_the_commands_that_do() {
    let me = AtDesk::new();
    for flags in [&["desk"][..], &["desk", "--plain"], &["approve"]] {
        me.sgw.operator(flags).fails(77, "operator.proof");
    }
}
