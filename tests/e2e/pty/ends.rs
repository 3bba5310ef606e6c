//! How a terminal ends, and what is left of it: nothing on the target, everything on record.

use std::fs;

use serde_json::Value;

use super::{Terminal, has_line, lines};
use crate::support::{eventually, processes_naming};

#[test]
fn a_shell_that_ends_is_told_and_the_next_input_opens_another() {
    let me = Terminal::open();
    let before = me.types_until("echo fi''rst", "^first$")["cursor"].as_u64().unwrap();
    let ended = me.types(&["exit 3"]);
    assert_eq!(ended["status"], "ended", "{ended}");
    let page = me.output(&[]);
    assert_eq!((&page["status"], &page["partial"]), (&"ended".into(), &false.into()));
    has_line(&page, "first");
    let outcome = me.input(&["echo la''st-$SHLVL", "--wait-for", "^last-"]).ok();
    outcome.says("this is a new one");
    // Cursors go on where the ended one's stopped.
    let page = me.output(&["--since", &before.to_string()]);
    assert_eq!((&page["missed"], &page["status"]), (&0.into(), &"running".into()));
    assert!(lines(&page).iter().any(|line| line.contains("exit 3")), "{page}");
    assert!(!lines(&page).contains(&"first"), "{page}");
    has_line(&me.output(&[]), "first");
}

#[test]
fn nothing_is_left_on_the_target() {
    for end in ["close", "lock"] {
        let me = Terminal::open();
        let mark = format!("sgw-pty-{}", me.sshd.port());
        let start = format!(
            "(setsid bash -c 'trap \"\" HUP TERM; exec -a {mark}-a sleep 600' &); \
             bash -c 'exec -a {mark}-b sleep 600'"
        );
        me.types(&[&start, "--settle", "0ms"]);
        let mine = || {
            let all = processes_naming(&mark).into_iter();
            all.filter(|pid| {
                fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n")
            })
            .count()
        };
        eventually("both run", || mine() == 2);
        match end {
            "close" => _ = me.sgw.agent(["close", &me.session]).ok(),
            _ => me.sgw.lock(),
        }
        eventually("nothing of it runs", || mine() == 0);
        if end == "close" {
            me.input(&["ls"]).fails(1, "session.unknown");
            assert_eq!(me.output(&[])["status"], "ended");
        }
    }
}

#[test]
fn what_was_typed_is_on_record_before_and_its_terminal_with_it() {
    let me = Terminal::open();
    me.types_until("echo a-wo''rd", "^a-word$");
    me.types(&["--key", "ctrl-l"]);
    me.sgw.agent(["signal", &me.session, "INT"]).ok();
    me.sgw.agent(["close", &me.session]).ok();
    let records = me.sgw.operator(["audit", "list", "--json"]).ok().json_lines();
    let kinds: Vec<&str> = records
        .iter()
        .filter(|record| record["session"] == me.session.as_str())
        .map(|record| record["kind"].as_str().unwrap())
        .collect();
    let terminal = kinds
        .iter()
        .copied()
        .filter(|kind| kind.starts_with("terminal.") || *kind == "input.intent");
    assert_eq!(
        terminal.collect::<Vec<_>>(),
        ["terminal.opened", "input.intent", "input.intent", "input.intent", "terminal.closed"]
    );
    let typed: Vec<&Value> =
        records.iter().filter(|record| record["kind"] == "input.intent").collect();
    assert_eq!(typed[0]["action"]["bytes"], "echo a-wo''rd\r");
    assert_eq!(typed[1]["action"]["bytes"], "\u{c}");
    assert_eq!(typed[2]["action"]["signal"], "INT");
    me.sgw.operator(["audit", "verify"]).ok();
}
