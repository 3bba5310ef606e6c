//! Every way out of the desk puts the terminal back.

use rustix::process::Signal;

use super::{AtDesk, decides, open};
use crate::support::{PASSPHRASE, Pty, Sgw, Sshd, signal};

/// The alternate screen was left, the cursor is there, and lines are lines again.
#[track_caller]
fn is_put_back(desk: &Pty) {
    let last_of =
        |raw: &[u8], bytes: &[u8]| raw.windows(bytes.len()).rposition(|window| window == bytes);
    // Its last bytes may be on their way when it has ended already.
    for (what, on, off) in [
        ("the alternate screen is left", &b"\x1b[?1049h"[..], &b"\x1b[?1049l"[..]),
        ("the cursor shows", b"\x1b[?25l", b"\x1b[?25h"),
        ("pastes are marked no more", b"\x1b[?2004h", b"\x1b[?2004l"),
    ] {
        let is_off = || {
            let raw = desk.raw();
            last_of(&raw, off) > last_of(&raw, on)
        };
        crate::support::eventually(what, is_off);
    }
    crate::support::eventually("lines are lines again", || desk.is_cooked());
}

#[test]
fn quitting_puts_the_terminal_back() {
    let sgw = Sgw::unlocked();
    for (keys, status) in [("q", 0), ("\x03", 0)] {
        let mut desk = open(&sgw);
        desk.wait_for("nothing waits");
        desk.send(keys);
        assert_eq!(desk.waits_for_end(), status);
        is_put_back(&desk);
    }
}

#[test]
fn a_signal_puts_the_terminal_back() {
    let sgw = Sgw::unlocked();
    for (which, status) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut desk = open(&sgw);
        desk.wait_for("nothing waits");
        signal(desk.pid(), which);
        assert_eq!(desk.waits_for_end(), status);
        is_put_back(&desk);
    }
}

#[test]
fn the_daemons_end_is_told_with_its_status() {
    let sgw = Sgw::unlocked();
    let mut desk = open(&sgw);
    desk.wait_for("nothing waits");
    sgw.lock();
    assert_eq!(desk.waits_for_end(), 69);
    is_put_back(&desk);
    desk.wait_for("daemon.unreachable");
}

#[test]
fn a_suspended_desk_gives_the_terminal_back_and_takes_it_again() {
    let me = AtDesk::new();
    let request = me.asks("once");
    let mut desk = open(&me.sgw);
    desk.wait_for(&format!("> {request}"));
    for by_key in [true, false] {
        if by_key {
            desk.send("\x1a")
        } else {
            signal(desk.pid(), Signal::TSTP)
        }
        let pid = desk.pid();
        crate::support::eventually("it is stopped", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('T')
        });
        is_put_back(&desk);
        // Typed at the shell meanwhile.
        desk.send("rrr\r");
        signal(desk.pid(), Signal::CONT);
        desk.wait_for(&format!("(?s)^sgw desk: 1 waiting.*> {request}"));
    }
    assert_eq!(me.waiting(), 1);
    decides(&mut desk, "r", &format!("{request} approved"));
}

#[test]
fn a_killed_desk_lets_go_of_what_it_was_deciding() {
    let me = AtDesk::new();
    let request = me.asks("once");
    let mut desk = open(&me.sgw);
    desk.wait_for(&format!("(?s)> {request}.*runs"));
    decides(&mut desk, "d", "no, with a word: _");
    signal(desk.pid(), Signal::KILL);
    desk.waits_for_end();
    let approved = || me.sgw.operator(["approve", &request, "--yes", "--json"]).code() == 0;
    crate::support::eventually("another decides", approved);
}

#[test]
fn a_request_that_expires_closes_its_open_question() {
    let sgw = Sgw::unlocked();
    let mut desk = open(&sgw);
    let ask = ["request", "me@127.0.0.1:9", "--reason", "r", "--no-wait", "--expires", "8s"];
    sgw.agent(ask).fails(75, "request.pending");
    desk.wait_for("(?s)> r-.*access.*leads to");
    decides(&mut desk, "d", "no, with a word: _");
    desk.send("too la");
    desk.wait_for("(?s)nothing waits.*has expired: nothing was decided");
    desk.send("te\r");
    desk.wait_for("(?s)sgw desk: 0 waiting.*faster than a person");
    // No burst keeps it open.
    desk.send("\x03");
    assert_eq!(desk.waits_for_end(), 0);
}

#[test]
fn the_desk_starts_the_daemon_after_the_passphrase() {
    let sgw = Sgw::new();
    sgw.init();
    let mut desk = sgw.terminal(["desk"]);
    desk.wait_for("(?i)passphrase");
    assert!(sgw.daemon().is_none());
    desk.send("wrong-passphrase\r");
    desk.wait_for("Once more");
    desk.send(&format!("{PASSPHRASE}\r"));
    desk.wait_for("(?s)sgw desk: 0 waiting.*unlocked: state revision");
    assert!(sgw.daemon().is_some());
}

#[test]
fn a_request_that_is_taken_back_closes_the_question_on_the_way_to_a_yes() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    for (question, keys) in [("Log in at", ""), ("Which file", "\x1b[A\x1b[A\r")] {
        let request = sgw.requests(&sshd, &["--new"]);
        let mut desk = open(&sgw);
        desk.wait_for(&format!("(?s)> {request}.*leads to"));
        decides(&mut desk, "g", "Log in at");
        desk.send(keys);
        desk.wait_for(question);
        sgw.agent(["close", &request]).ok();
        desk.wait_for(&format!("(?s)^sgw desk: 0 waiting.*{request} was taken back"));
        // Nothing reads keys but the desk.
        desk.send("?");
        desk.wait_for("Any key goes back");
        desk.send("q");
        desk.wait_for("(?s)^sgw desk: 0 waiting");
        desk.send("q");
        assert_eq!(desk.waits_for_end(), 0);
        is_put_back(&desk);
    }
}

#[test]
fn a_desk_that_only_starts_ends_by_ctrl_c() {
    let sgw = Sgw::unlocked();
    let passphrase = sgw.passphrase_file().display().to_string();
    // Whenever it comes.
    for after in [40, 150, 300, 500, 700, 1000] {
        let mut desk = sgw.terminal(["desk", "--passphrase-file", &passphrase]);
        std::thread::sleep(std::time::Duration::from_millis(after));
        signal(desk.pid(), Signal::INT);
        assert_eq!(desk.waits_for_end(), 130, "{after} ms: {}", desk.screen());
    }
}
