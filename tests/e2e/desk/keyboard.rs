//! The desk is left for a session, and comes back.

use super::{AtDesk, decides, open};
use crate::support::{Sgw, Sshd};

#[test]
fn a_handoff_is_taken_at_the_desk_and_given_back_to_the_agent() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    let handoff = ["handoff", &session, "please log in to the database", "--no-wait", "--json"];
    let request = sgw.agent(handoff).exits(75).waits_on();
    let mut desk = open(&sgw);
    desk.wait_for(&format!("(?s)> {request} +handoff.*please log in to the database"));
    desk.wait_for("YOU HAVE THE KEYBOARD");
    decides(&mut desk, "t", "PRIVATE");
    desk.send("echo seen-by-$((40+2))\r");
    desk.wait_for("seen-by-42");
    desk.send("\r~.");
    desk.wait_for("h hand back");
    desk.send("h");
    desk.send("it is done\r");
    desk.wait_for("(?s)sgw desk: 0 waiting.*(agent's again|was given back)");
    assert_eq!(sgw.agent(["wait", &request, "--json"]).ok().json()["word"], "it is done");
    desk.send("q");
    assert_eq!(desk.ends().0, 0);
}

#[test]
fn a_session_is_watched_from_the_strip() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    let mut desk = open(&sgw);
    desk.wait_for(&session);
    desk.send("\t");
    desk.wait_for(&format!("> {session}"));
    desk.send("w");
    // What ran before is not watched.
    desk.wait_for("WATCHING");
    sgw.agent(["exec", &session, "--", "echo", "while-you-look"]).ok();
    desk.wait_for("while-you-look");
    desk.send("q");
    desk.wait_for("sgw desk: 0 waiting, 1 open");
    // What runs shows in the strip, too.
    desk.wait_for("done: echo while-you-look");
    desk.send("q");
    assert_eq!(desk.ends().0, 0);
}

#[test]
fn a_pause_at_the_desk_stops_agents_until_everything_goes_on() {
    let me = AtDesk::new();
    let mut desk = open(&me.sgw);
    desk.send("p");
    desk.wait_for("everything goes on again");
    desk.send("a");
    desk.wait_for("everyone is paused");
    let exec = ["exec", &me.session, "--no-wait", "--", "true"];
    me.sgw.agent(exec).fails(75, "control.paused");
    desk.wait_for("(?s)live.* paused ");
    desk.send("p");
    desk.wait_for("everything goes on again");
    desk.send("o");
    desk.wait_for("let everyone go on");
    desk.send("y");
    desk.wait_for("resumed: everything goes on");
    me.sgw.agent(exec).fails(75, "approval.pending");
}

#[test]
fn what_is_pasted_for_a_shell_decides_nothing() {
    let me = AtDesk::new();
    let request = me.asks("once");
    let mut desk = open(&me.sgw);
    desk.wait_for(&format!("(?s)> {request}.*runs"));
    for pasted in ["clear; sgw watch\r", "r\r", "poy", "pa"] {
        desk.send(pasted);
        desk.wait_for("faster than a person types");
        desk.send("\x1b");
        crate::support::eventually("the word is gone", || !desk.screen().contains("faster than"));
    }
    assert_eq!((me.waiting(), me.times_run()), (1, 0));
    assert!(!desk.screen().contains("paused"), "{}", desk.screen());
    decides(&mut desk, "r", &format!("{request} approved"));
}

#[test]
fn a_keyboard_that_was_kept_is_handed_back_at_the_desk() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    let handoff = ["handoff", &session, "please look", "--no-wait", "--json"];
    let request = sgw.agent(handoff).exits(75).waits_on();
    let mut desk = open(&sgw);
    desk.wait_for("YOU HAVE THE KEYBOARD");
    desk.send("\t");
    desk.wait_for("h hand it back");
    desk.send("h");
    desk.wait_for("back to the agent, with a word: _");
    desk.send("looked at it\r");
    desk.wait_for("(?s)sgw desk: 0 waiting.*(agent's again|was given back)");
    assert_eq!(sgw.agent(["wait", &request, "--json"]).ok().json()["word"], "looked at it");
}
