//! The PIN: asked for where somebody else could type, and the passphrase behind it.

use super::{AtDesk, decides};
use crate::support::{PASSPHRASE, Pty};

/// A desk under a multiplexer, by its variable.
#[track_caller]
fn under_tmux(me: &AtDesk) -> Pty {
    let mut command = me.sgw.command(["desk", "--i-am-the-operator"]);
    let mut desk = Pty::start(command.env("TMUX", "/tmp/tmux-1000/default,1,0"));
    desk.wait_for("(?i)passphrase");
    desk.send(&format!("{PASSPHRASE}\r"));
    desk.wait_for("sgw desk: .*under tmux");
    desk
}

fn has_pin(me: &AtDesk) {
    let pin = me.sgw.write_private("pin", "7314\n");
    me.sgw.operator(["pin", "--pin-file", pin.to_str().unwrap()]).ok();
}

fn failures(me: &AtDesk) -> usize {
    me.sgw.operator(["audit", "list", "--json"]).ok().stdout().matches("pin.failed").count()
}

#[test]
fn under_a_multiplexer_a_yes_takes_the_pin() {
    let me = AtDesk::new();
    has_pin(&me);
    let request = me.asks("once");
    let mut desk = under_tmux(&me);
    desk.wait_for(&format!("(?s)> {request}.*runs"));
    decides(&mut desk, "r", "your PIN for r-[a-z0-9]+: _");
    desk.send("1111\r");
    desk.wait_for("that is not the PIN");
    assert_eq!((me.waiting(), failures(&me)), (1, 1));
    desk.send("7314\r");
    let screen = desk.wait_for(&format!("{request} approved"));
    assert!(!screen.contains("7314"));
    // A no takes none.
    let request = me.asks("twice");
    desk.wait_for(&format!("(?s)> {request}.*runs"));
    decides(&mut desk, "d", "no, with a word: _");
    desk.send("\r");
    desk.wait_for(&format!("{request} denied"));
}

#[test]
fn after_three_wrong_pins_the_passphrase_is_asked_for() {
    let me = AtDesk::new();
    has_pin(&me);
    let request = me.asks("once");
    let mut desk = under_tmux(&me);
    desk.wait_for(&format!("(?s)> {request}.*runs"));
    decides(&mut desk, "r", "your PIN for r-[a-z0-9]+: _");
    for count in 1..=3 {
        desk.send("1111\r");
        crate::support::eventually("it is on record", || failures(&me) == count);
        desk.wait_for("(?s)your (PIN|passphrase) for r-[a-z0-9]+: _.*that is not the PIN");
    }
    // The PIN helps no more.
    desk.wait_for("your passphrase for r-[a-z0-9]+: _");
    desk.send("7314\r");
    desk.wait_for("(?s)your passphrase for .*: _.*wrong passphrase");
    assert_eq!(me.waiting(), 1);
    desk.send(&format!("{PASSPHRASE}\r"));
    desk.wait_for(&format!("{request} approved"));
    // A new proof has three new tries.
    let request = me.asks("twice");
    desk.wait_for(&format!("(?s)> {request}.*runs"));
    decides(&mut desk, "r", "your PIN for r-[a-z0-9]+: _");
    desk.send("7314\r");
    desk.wait_for(&format!("{request} approved"));
}

#[test]
fn without_a_pin_the_passphrase_is_asked_for() {
    let me = AtDesk::new();
    let request = me.asks("once");
    let mut desk = under_tmux(&me);
    desk.wait_for(&format!("(?s)> {request}.*runs"));
    decides(&mut desk, "r", "your passphrase for r-[a-z0-9]+: _");
    desk.send(&format!("{PASSPHRASE}\r"));
    desk.wait_for(&format!("{request} approved"));
}

#[test]
fn a_pin_is_set_changed_and_cleared_by_whoever_has_the_passphrase() {
    let me = AtDesk::new();
    let set = |me: &AtDesk| {
        let settings = me.sgw.operator(["config", "list", "--json"]).ok().json();
        let all = settings["settings"].as_array().unwrap().clone();
        all.iter().find(|setting| setting["name"] == "pin").unwrap()["value"].clone()
    };
    assert_eq!(set(&me), "none");
    let weak = me.sgw.write_private("pin", "1234\n");
    let weak = weak.to_str().unwrap();
    me.sgw.operator(["pin", "--pin-file", weak]).fails(2, "operator.passphrase");
    has_pin(&me);
    assert_eq!(set(&me), "set");
    me.sgw.operator(["pin", "--clear"]).ok();
    assert_eq!(set(&me), "none");
    me.sgw.agent(["pin", "--clear"]).fails(77, "operator.proof");
    let records = me.sgw.operator(["audit", "list", "--json"]).ok();
    assert!(!records.stdout().contains("7314"));
}

#[test]
fn a_pin_of_init_is_the_desks() {
    let sgw = crate::support::Sgw::new();
    let pin = sgw.write_private("pin", "7314\n");
    sgw.operator(["init", "--pin-file", pin.to_str().unwrap()]).ok();
    sgw.unlock();
    let settings = sgw.operator(["config", "list"]).ok().stdout();
    assert!(settings.contains("pin") && settings.contains("set"), "{settings}");
}
