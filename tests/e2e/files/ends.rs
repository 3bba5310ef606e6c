//! What ends an operation: the operator's hand, a pause, the session, the connection, a server without SFTP.

use std::fs;

use serde_json::json;

use super::There;
use crate::support::{Live, Sgw, Sshd, eventually};

#[test]
fn nothing_is_done_while_the_operator_has_the_keyboard() {
    let there = There::new();
    let path = there.has("file", "x");
    there.files("read", &[&path]).ok();
    let mut follows = there.sgw.start(there.words("tail", &["-f", path.to_str().unwrap()]));
    follows.prints("x");
    let mut seat = Live::attach(&there.sgw, &there.session, None);
    seat.control_is("operator", false);
    // What reads on its own ends, too.
    follows.ends().fails(75, "control.operator");
    there.files("read", &[&path]).fails(75, "control.operator");
    there.fed("write", &[&path], b"y").fails(75, "control.operator");
    assert_eq!(fs::read(&path).unwrap(), b"x");
    seat.says(&json!({"type": "return", "session": there.session, "message": "done"}));
    seat.ends();
    there.fed("write", &[&path], b"y").ok();
}

#[test]
fn a_pause_and_the_end_of_a_session_stop_it() {
    let there = There::new();
    let path = there.has("file", "x");
    there.sgw.operator(["pause", "--all"]).ok();
    there.files("read", &[&path]).fails(75, "control.paused");
    there.sgw.operator(["resume", "--all"]).ok();
    let mut follows = there.sgw.start(there.words("tail", &["-f", path.to_str().unwrap()]));
    follows.prints("x");
    there.sgw.agent(["close", &there.session]).ok();
    follows.ends().fails(1, "session.unknown");
    there.files("read", &[&path]).fails(1, "session.unknown");
}

#[test]
fn a_lost_connection_is_told_and_the_next_call_connects_again() {
    let mut there = There::new();
    let path = there.has("file", "x");
    let mut follows = there.sgw.start(there.words("tail", &["-f", path.to_str().unwrap()]));
    follows.prints("x");
    there.sshd.stop();
    follows.ends().fails(255, "session.lost");
    there.sshd.start_again();
    eventually("it is read again", || there.files("read", &[&path]).code() == 0);
}

#[test]
fn one_connection_serves_all_operations_of_a_session() {
    let there = There::new();
    let path = there.has("file", "x");
    there.files("read", &[&path]).ok();
    let logins = there.sshd.logins();
    for _ in 0..5 {
        there.files("read", &[&path]).ok();
    }
    there.sgw.agent(["exec", &there.session, "--", "true"]).ok();
    assert!(there.sshd.logins() <= logins + 1, "one for commands beside it, at most");
}

#[test]
fn a_server_without_sftp_says_so() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::with().line("Subsystem sftp /bin/false").start());
    let s = sgw.session(&sshd);
    sgw.agent(["files", "ls", &s]).fails(1, "files.unsupported").says("--via exec");
    let none = Sshd::with().no_sftp().start();
    let s = sgw.session(&none);
    sgw.agent(["files", "read", &s, "/etc/hosts"]).fails(1, "files.unsupported");
    let chatty = Sshd::with().line("Subsystem sftp /bin/echo hello from your shell").start();
    let s = sgw.session(&chatty);
    sgw.agent(["files", "ls", &s]).fails(1, "files.failed").says("no SFTP");
}

#[test]
fn a_read_only_server_refuses_and_says_so() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::with().read_only().start());
    let s = sgw.session(&sshd);
    let path = sshd.directory().join("file");
    fs::write(&path, "x").unwrap();
    let text = path.to_str().unwrap();
    sgw.agent(["files", "read", &s, text]).ok().prints("x");
    sgw.agent(["files", "rm", &s, text]).fails(1, "files.denied");
    sgw.agent(["files", "chmod", &s, "600", text]).fails(1, "files.denied");
    assert_eq!(fs::read(&path).unwrap(), b"x");
}
