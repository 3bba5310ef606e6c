//! The operator looks on.

use std::{fs, time::Instant};

use serde_json::json;

use super::{hands_over, ready};
use crate::support::{Live, eventually, still_serves};

#[test]
fn several_watch_the_terminal_the_commands_and_who_has_the_keyboard() {
    let (sgw, sshd, s) = ready();
    let mut watchers = [Live::watch(&sgw, &s), Live::watch(&sgw, &s)];
    for watcher in &mut watchers {
        watcher.control_is("agent", false);
    }
    // A terminal that is opened while they watch.
    sgw.agent(["input", &s, "echo to-be-seen"]).ok();
    let go = sshd.directory().join("go");
    let line = format!("echo printed; until [ -e {} ]; do sleep 0.05; done; exit 7", go.display());
    let runs = sgw.start(["exec", &s, "--", &line]);
    let mut x = String::new();
    for watcher in &mut watchers {
        watcher.shows("to-be-seen");
        let started = watcher.hears("a start", |event| event["exec"]["running"] == true);
        assert_eq!(started["exec"]["command"], line.as_str());
        x = started["exec"]["id"].as_str().unwrap().to_owned();
        let printed = watcher.hears("its output", |event| event["type"] == "printed");
        assert_eq!((&printed["exec"], &printed["stream"]), (&json!(x), &json!("stdout")));
        assert_eq!((&printed["bytes"], &printed["missed"]), (&json!("printed\n"), &json!(0)));
    }
    let mut one = Live::watch(&sgw, &x);
    one.hears("the command", |event| event["exec"]["id"] == x.as_str());
    fs::write(go, "").unwrap();
    runs.ends().exits(7);
    for watcher in &mut watchers {
        let ended = watcher.hears("an end", |event| event["exec"]["running"] == false);
        assert_eq!((&ended["exec"]["id"], &ended["exec"]["exit_code"]), (&json!(x), &json!(7)));
    }
    one.hears("its end", |event| event["exec"]["exit_code"] == 7);
    assert_eq!(one.ends()["type"], "done");
    assert_eq!(Live::watch(&sgw, &x).ends()["type"], "done", "it has ended already");
    hands_over(&sgw, &s, "please look");
    for watcher in &mut watchers {
        assert_eq!(watcher.control_is("operator", false)["message"], "please look");
    }
    sgw.operator(["return", &s]).ok();
    let [mut first, mut second] = watchers;
    first.control_is("agent", false);
    first.cancel();
    assert_eq!(first.ends()["type"], "done");
    sgw.agent(["close", &s]).ok();
    assert_eq!(second.ends()["type"], "done");
}

#[test]
fn a_watcher_that_stops_reading_holds_nobody_up_and_is_told_what_it_missed() {
    let (sgw, _sshd, s) = ready();
    let mut stopped = Live::watch(&sgw, &s);
    stopped.control_is("agent", false);
    let start = Instant::now();
    let flood = ["exec", &s, "--max-output", "10", "--", "seq 1 3000000"];
    sgw.agent(flood).ok();
    let beside = start.elapsed();
    assert!(beside.as_secs() < 60, "the watcher held it up: {beside:?}");
    sgw.agent(["input", &s, "seq 1 200000", "--wait-for", "200000", "--timeout", "60s"]).ok();
    still_serves(&sgw, &s);
    // It reads on: fewer events, and told so.
    stopped.hears("a gap", |event| event["missed"].as_u64().is_some_and(|missed| missed > 0));
    stopped.shows("200000");
    eventually("it is up to date", || {
        stopped.read();
        let mut ends = stopped.events.iter().filter(|event| event["exec"]["running"] == false);
        ends.any(|event| {
            event["exec"]["command"] == "echo 'still here'" || event["exec"]["exit_code"] == 0
        })
    });
}

#[test]
fn nothing_is_watched_while_the_operator_is_private() {
    let (sgw, sshd, s) = ready();
    let go = sshd.directory().join("go");
    let line = format!("until [ -e {} ]; do sleep 0.05; done; echo in-private", go.display());
    let runs = sgw.start(["exec", &s, "--orphan", "10m", "--", &line]);
    let mut watcher = Live::watch(&sgw, &s);
    watcher.hears("it runs", |event| event["exec"]["running"] == true);
    let mut seat = Live::attach(&sgw, &s, Some(true));
    seat.control_is("operator", true);
    watcher.control_is("operator", true);
    runs.ends().fails(75, "control.operator");
    fs::write(go, "").unwrap();
    watcher.hears("its end", |event| event["exec"]["running"] == false);
    let told = watcher.events.iter().any(|event| event["type"] == "printed");
    assert!(!told, "{:?}", watcher.events);
}
