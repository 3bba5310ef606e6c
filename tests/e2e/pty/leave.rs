//! Who may type: with the capability, within the budget, and where commands ask, after a yes.

use serde_json::Value;

use super::{Terminal, has_line};

fn queue(me: &Terminal) -> Vec<Value> {
    let json = me.sgw.agent(["requests", "--json"]).ok().json();
    json["requests"].as_array().unwrap().clone()
}

#[test]
fn typing_needs_the_capability_and_counts_as_a_command() {
    let me = Terminal::with(&["--only", "exec"]);
    me.input(&["ls"]).fails(77, "grant.missing");
    me.sgw.agent(["output", &me.session]).fails(77, "grant.missing");
    me.sgw.agent(["signal", &me.session, "INT"]).fails(77, "grant.missing");
    let me = Terminal::with(&["--max-commands", "2"]);
    me.types(&["echo one"]);
    me.sgw.agent(["exec", &me.session, "--", "true"]).ok();
    me.input(&["echo three"]).fails(77, "grant.exhausted");
    me.sgw.agent(["exec", &me.session, "--", "true"]).fails(77, "grant.exhausted");
}

#[test]
fn a_pause_holds_for_typing_too() {
    let me = Terminal::open();
    me.types(&["echo one"]);
    me.sgw.agent(["pause"]).ok();
    me.input(&["echo two"]).fails(75, "control.paused").says(&format!("sgw wait {}", me.session));
    me.sgw.agent(["signal", &me.session, "INT"]).fails(75, "control.paused");
    me.sgw.operator(["resume"]).ok();
    me.types_until("echo th''ree", "^three$");
    assert!(!me.output(&[]).to_string().contains("two"));
}

#[test]
fn where_typing_asks_a_signal_is_refused() {
    for mode in ["each", "read"] {
        let me = Terminal::with(&["--mode", mode]);
        for signal in ["INT", "KILL"] {
            let refused = me.sgw.agent(["signal", &me.session, signal]);
            refused.fails(77, "approval.required").says("--key ctrl-c");
        }
    }
}

#[test]
fn where_commands_ask_each_input_does_and_a_yes_types_it_once() {
    let me = Terminal::with(&["--mode", "each"]);
    let count = me.sshd.directory().join("count");
    let line = format!("echo x >> {}; echo do''ne", count.display());
    let asks = ["input", &me.session, &line, "--wait-for", "^done$", "--no-wait", "--json"];
    let request = me.sgw.agent(asks).fails(75, "approval.pending").waits_on();
    me.sgw.agent(["input", &me.session, &line, "--no-ask"]).fails(77, "approval.required");
    // The same asked again is the same request, and it shows just what would be typed.
    assert_eq!(me.sgw.agent(asks).fails(75, "approval.pending").waits_on(), request);
    let [shown] = queue(&me).try_into().unwrap();
    assert_eq!((&shown["kind"], &shown["rule"]), (&"command".into(), &"mode.each".into()));
    assert_eq!(shown["command"], format!("{line}\r"));
    let typed = || std::fs::read_to_string(&count).unwrap_or_default().lines().count();
    me.sgw.operator(["approve", &request, "--yes", "--json"]).ok();
    assert_eq!(typed(), 0, "it was typed by itself");
    let answer = me.sgw.agent(["wait", &request, "--json"]).ok().json();
    // It is read as the call that asked would have read it, and a second time as well.
    has_line(&answer, "done");
    assert_eq!((&answer["matched"], typed()), (&true.into(), 1));
    let again = me.sgw.agent(["wait", &request, "--json"]).ok().json();
    has_line(&again, "done");
    assert_eq!((&again["matched"], typed()), (&true.into(), 1));
    // A call that stays types it when the yes comes.
    let mut stays = me.sgw.start(["input", &me.session, &line, "--wait-for", "^done$"]);
    stays.says("waits for the operator");
    let [shown] = queue(&me).try_into().unwrap();
    me.sgw.operator(["approve", shown["id"].as_str().unwrap(), "--yes"]).ok();
    stays.ends().ok();
    assert_eq!(typed(), 2);
    // A no is a no, for the same asking again too.
    let other = ["input", &me.session, "rm -f /srv/none-of-sgw", "--no-wait", "--json"];
    let request = me.sgw.agent(other).fails(75, "approval.pending").waits_on();
    me.sgw.agent(["deny", &request]).ok();
    me.sgw.agent(["wait", &request]).fails(77, "approval.denied");
    me.sgw.agent(other).fails(77, "approval.denied");
}
