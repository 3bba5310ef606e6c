//! The desk as lines, for screen readers and dumb terminals.

use super::AtDesk;
use crate::support::{PASSPHRASE, Pty};

#[track_caller]
fn plain(me: &AtDesk) -> Pty {
    let mut desk = me.sgw.terminal(["desk", "--plain"]);
    desk.wait_for("(?i)passphrase");
    desk.send(&format!("{PASSPHRASE}\r"));
    desk.wait_for("desk> ");
    desk
}

#[test]
fn requests_come_as_lines_and_are_decided_by_typed_ones() {
    let me = AtDesk::new();
    let first = me.asks("one");
    let mut desk = plain(&me);
    desk.wait_for(&format!("{first} command by uid:"));
    let second = me.asks("two");
    desk.wait_for(&format!("{second} command by uid:"));
    desk.send(&format!("yes {first}\r"));
    desk.wait_for("(?s)runs +echo one.*Type yes to run it");
    desk.send("yes\r");
    desk.wait_for(&format!("{first} approved"));
    me.sgw.agent(["wait", &first]).ok();
    assert_eq!(me.times_run(), 1);
    desk.send(&format!("no {second} not today\r"));
    desk.wait_for(&format!("{second} denied"));
    me.sgw.agent(["wait", &second]).fails(77, "approval.denied").says("not today");
    desk.send("quit\r");
    let (code, screen) = desk.ends();
    assert_eq!(code, 0, "{screen}");
}

#[test]
fn nothing_but_the_whole_word_is_a_yes() {
    let me = AtDesk::new();
    let request = me.asks("one");
    let mut desk = plain(&me);
    desk.wait_for(&format!("{request} command"));
    desk.send(&format!("yes {request}\r"));
    desk.wait_for("Type yes to run it");
    desk.send("\r");
    desk.wait_for(&format!("{request} still waits"));
    desk.wait_for("(?s)still waits.*desk> $");
    desk.send("yes\r");
    desk.wait_for("(?s)whole id.*desk> $");
    desk.send(&format!("yes {}\r", &request[..request.len() - 1]));
    desk.wait_for("(?s)whole id.*whole id.*desk> $");
    desk.send("sudo\r");
    desk.wait_for("not a word of the desk");
    assert_eq!((me.waiting(), me.times_run()), (1, 0));
    me.sgw.agent(["close", &request]).ok();
    desk.wait_for(&format!("{request} was taken back by uid:"));
    desk.send("\x04");
    assert_eq!(desk.ends().0, 0);
}

#[test]
fn a_dumb_terminal_gets_lines_and_no_escape_sequence() {
    let me = AtDesk::new();
    let request = me.asks("one");
    let mut desk = me.sgw.terminal_named("dumb", ["desk"]);
    desk.wait_for("(?i)passphrase");
    desk.send(&format!("{PASSPHRASE}\r"));
    desk.wait_for(&format!("{request} command by uid:"));
    assert!(!desk.raw().contains(&0x1b), "{:?}", String::from_utf8_lossy(&desk.raw()));
    me.sgw.lock();
    assert_eq!(desk.ends().0, 69);
}

#[test]
fn a_handoff_is_taken_from_the_lines_and_they_come_back() {
    let me = AtDesk::new();
    let handoff = ["handoff", &me.session, "please look", "--no-wait", "--json"];
    let request = me.sgw.agent(handoff).exits(75).waits_on();
    let mut desk = plain(&me);
    desk.wait_for(&format!("{request} handoff"));
    desk.send(&format!("yes {request}\r"));
    desk.wait_for("PRIVATE - the agent sees nothing");
    desk.send("\r~.");
    desk.wait_for("k keep");
    desk.send("k");
    desk.wait_for("(?s)you have the keyboard of s-.*desk> $");
    desk.send(&format!("return {} it is fine\r", me.session));
    desk.wait_for("(?s)the agent has the keyboard again.*desk> $");
    assert_eq!(me.sgw.agent(["wait", &request, "--json"]).ok().json()["word"], "it is fine");
    // A person reads sentences.
    desk.send("yes r-zzzz\r");
    desk.wait_for("r-zzzz does not wait; `list` shows what waits");
    assert!(!desk.screen().contains("error["), "{}", desk.screen());
}
