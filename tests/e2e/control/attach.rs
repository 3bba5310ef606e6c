//! The operator sits at the session's terminal.

use std::time::Duration;

use serde_json::json;

use super::{control, hands_over, ready, records};
use crate::support::{Live, eventually};

#[test]
fn the_operator_types_where_the_agent_typed_and_gives_it_back() {
    let (sgw, sshd, s) = ready();
    sgw.agent(["input", &s, "echo agent-was-here"]).ok();
    let mut seat = Live::attach(&sgw, &s, None);
    assert_eq!(seat.control_is("operator", false)["message"], json!(null));
    seat.shows("agent-was-here");
    assert_eq!(control(&sgw, &s), "operator");
    sgw.agent(["input", &s, "echo no"]).fails(75, "control.operator");
    sgw.agent(["signal", &s, "INT"]).fails(75, "control.operator");
    sgw.agent(["exec", &s, "--", "true"]).fails(75, "control.operator");
    // The terminal is as large as the person's.
    seat.types("stty size; cd /usr; sleep 0\r");
    seat.shows("20 90");
    let answer = seat.says(&json!({"type": "resize", "rows": 30, "columns": 100}));
    assert_eq!(answer["type"], "done");
    seat.types("stty size\r");
    seat.shows("30 100");
    let answer = seat.says(&json!({"type": "resize", "rows": 0, "columns": 100}));
    assert_eq!(answer["code"], "usage.arguments");
    // Shared: the agent reads along, and cannot type.
    let read = || sgw.agent(["output", &s, "--json"]).ok().json();
    eventually("the agent reads along", || read()["lines"].to_string().contains("30 100"));
    assert_eq!(read()["control"], "operator");
    let stays = sgw.start(["wait", &s, "--wait", "60s"]);
    let answer = seat.says(&json!({"type": "return", "session": s, "message": "moved to /usr"}));
    let returned = &answer["result"];
    assert_eq!(returned["control"], "agent");
    assert_eq!(returned["changed"]["cwd"], "/usr", "{returned}");
    assert_eq!(returned["changed"]["user"], json!(null));
    let last = seat.ends();
    assert_eq!(
        (&last["result"]["control"], &last["result"]["ended"]),
        (&json!("agent"), &json!(false))
    );
    stays.ends().ok().says("moved to /usr");
    // The agent's size, and the agent's turn.
    let typed = sgw.agent(["input", &s, "stty size; pwd"]).ok().stdout();
    assert!(typed.contains("48 160") && typed.contains("/usr"), "{typed}");
    let taken = &records(&sgw, "control.taken")[0];
    assert_eq!(
        (&taken["identity"], &taken["action"]["how"]),
        (&json!("operator"), &json!("attach"))
    );
    let typed = records(&sgw, "input.intent");
    let of = |who: &str| typed.iter().filter(|one| one["identity"] == who).count();
    assert!(of("operator") >= 2, "what the operator typed while shared is on record: {typed:?}");
    drop(sshd);
}

#[test]
fn nothing_of_what_is_private_is_kept_anywhere() {
    let (sgw, _sshd, s) = ready();
    sgw.agent(["input", &s, "echo before-it"]).ok();
    let r = hands_over(&sgw, &s, "please type the password");
    let mut watcher = Live::watch(&sgw, &s);
    watcher.shows("before-it");
    // A handoff asks for it: private from the start.
    let mut seat = Live::attach(&sgw, &s, None);
    let event = seat.control_is("operator", true);
    assert_eq!(event["message"], "please type the password");
    watcher.control_is("operator", true);
    // It must be nowhere: the whole instance is searched for it when the test ends, too.
    let canary = "canary-6a1f3c77d2-typed";
    sgw.plant(canary.as_bytes());
    seat.types(&format!("echo {canary}\r"));
    seat.shows(&format!("(?s){canary}.*{canary}"));
    let before = sgw.agent(["output", &s, "--json"]).ok().json();
    sgw.agent(["output", &s, "--screen"]).ok();
    sgw.agent(["output", &s, "--raw"]).ok();
    seat.types("clear\r");
    let answer = seat.says(&json!({"type": "private", "on": false}));
    assert_eq!(answer["type"], "done");
    seat.control_is("operator", false);
    // What was begun in private ends first.
    let screen = || sgw.agent(["output", &s, "--screen"]).ok().stdout();
    eventually("it is quiet", || !screen().contains("before-it"));
    seat.types("echo shared-again\r");
    seat.shows("shared-again");
    let after = || sgw.agent(["output", &s, "--json"]).ok().json();
    eventually("shared again", || after()["lines"].to_string().contains("shared-again"));
    assert!(!before["lines"].to_string().contains(canary));
    watcher.shows("shared-again");
    assert!(!String::from_utf8_lossy(&watcher.drawn).contains(canary), "a watcher saw it");
    let back = seat.says(&json!({"type": "return", "session": s, "message": null}));
    assert_eq!((&back["result"]["id"], &back["result"]["private"]), (&json!(r), &json!(true)));
    let word = sgw.agent(["wait", &r, "--json"]).ok().json();
    assert_eq!(word["private"], true);
    let audit = sgw.operator(["audit", "list", "--json"]).ok().stdout();
    assert!(!audit.contains(canary) && audit.contains("shared-again"), "{audit}");
    let private = records(&sgw, "control.private");
    let words: Vec<_> = private.iter().map(|one| one["action"]["private"].clone()).collect();
    assert_eq!(words, [json!(true), json!(false)]);
}

#[test]
fn keys_behind_the_word_private_are_private() {
    let (sgw, _sshd, s) = ready();
    let mut seat = Live::attach(&sgw, &s, Some(false));
    seat.control_is("operator", false);
    seat.types("echo ready\r");
    seat.shows("(?s)ready.*ready");
    sgw.plant(b"canary-0b7e-after-the-word");
    // Keys before the answer: nothing overtakes.
    for _ in 0..20 {
        seat.types("true\r");
    }
    let answered = seat.says(&json!({"type": "private", "on": true}));
    assert_eq!(answered["type"], "done");
    seat.types(" : canary-0b7e-after-the-word\r");
    seat.shows("canary-0b7e-after-the-word");
    let audit = sgw.operator(["audit", "list", "--json"]).ok().stdout();
    assert!(!audit.contains("canary-0b7e"));
}

#[test]
fn a_closed_window_keeps_control_and_another_goes_on() {
    let (sgw, _sshd, s) = ready();
    let r = hands_over(&sgw, &s, "please look");
    let mut seat = Live::attach(&sgw, &s, Some(false));
    seat.control_is("operator", false);
    // One at a time.
    let mut second = Live::attach(&sgw, &s, Some(false));
    let refused = second.ends();
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("control.operator")));
    seat.types("here=stays\r");
    seat.shows("here=stays");
    drop(seat);
    // Neither the agent nor a no without proof takes it back.
    sgw.agent(["close", &r]).ok();
    assert_eq!(control(&sgw, &s), "operator");
    sgw.agent(["exec", &s, "--", "true"]).fails(75, "control.operator");
    let mut seat = Live::begin(
        &sgw,
        &json!({"type": "attach", "session": s, "fresh": false, "rows": 20, "columns": 90, "private": null}),
    );
    eventually("the first window is gone", || {
        if seat.events.is_empty() && seat.read() && seat.events.is_empty() {
            seat = Live::attach(&sgw, &s, None);
        }
        !seat.events.is_empty()
    });
    seat.types("echo it-$here\r");
    seat.shows("it-stays");
    // Leaving on purpose keeps it too.
    seat.cancel();
    let left = seat.ends();
    assert_eq!(
        (&left["result"]["control"], &left["result"]["ended"]),
        (&json!("operator"), &json!(false))
    );
    assert_eq!(control(&sgw, &s), "operator");
    sgw.operator(["return", &s]).ok();
    sgw.agent(["exec", &s, "--", "true"]).ok();
}

#[test]
fn a_fresh_shell_is_clean_and_ends_with_the_attachment() {
    let (sgw, _sshd, s) = ready();
    sgw.agent(["input", &s, "export TAINTED=yes; echo set"]).ok();
    let mut seat = Live::attach_fresh(&sgw, &s, None);
    seat.control_is("operator", true);
    seat.types("echo \"<${TAINTED:-clean}>\" $$\r");
    seat.shows("<clean> [0-9]+");
    let screen = seat.screen();
    let pid = regex::Regex::new("<clean> ([0-9]+)").unwrap().captures(&screen).unwrap()[1]
        .parse::<u32>()
        .unwrap();
    let shown = sgw.agent(["output", &s, "--json"]).ok().json()["lines"].to_string();
    assert!(!shown.contains("<clean>"), "it is not the agent's terminal: {shown}");
    seat.cancel();
    seat.ends();
    eventually("the fresh shell has ended", || !crate::support::is_alive(pid));
    sgw.operator(["return", &s]).ok();
    let typed = sgw.agent(["input", &s, "echo $TAINTED"]).ok().stdout();
    assert!(typed.contains("yes"), "{typed}");
}

#[test]
fn an_attachment_ends_with_its_terminal_and_with_its_session() {
    let (sgw, _sshd, s) = ready();
    let mut seat = Live::attach(&sgw, &s, None);
    seat.control_is("operator", false);
    seat.types("exit\r");
    let ended = seat.ends();
    assert_eq!(
        (&ended["result"]["ended"], &ended["result"]["control"]),
        (&json!(true), &json!("operator"))
    );
    // A new terminal takes its place.
    let mut seat = Live::attach(&sgw, &s, None);
    seat.types("echo again\r");
    seat.shows("(?s)again.*again");
    let answer = seat.says(&json!({"type": "close", "id": s}));
    assert_eq!(answer["type"], "done");
    assert_eq!(seat.ends()["result"]["ended"], true);
    // There is nothing left to give back.
    let refused = Live::attach(&sgw, &s, None).ends();
    assert_eq!(refused["type"], "error");
}

#[test]
fn a_lock_ends_what_is_attached_and_watched() {
    let (sgw, _sshd, s) = ready();
    let mut seat = Live::attach(&sgw, &s, None);
    let mut watcher = Live::watch(&sgw, &s);
    seat.control_is("operator", false);
    watcher.control_is("operator", false);
    seat.types("echo on\r");
    seat.shows("(?s)on.*on");
    let lock = sgw.agent(["lock"]).ok();
    assert!(lock.took() < Duration::from_secs(30), "{lock:?}");
    for live in [&mut seat, &mut watcher] {
        eventually("its connection ends", || !live.read());
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (sgw, _sshd, s) = ready();
    let attach = |rows: u16, columns: u16| {
        let request = json!({"type": "attach", "session": s, "fresh": false, "rows": rows,
                             "columns": columns, "private": null});
        Live::begin(&sgw, &request).ends()
    };
    for (rows, columns) in [(0, 80), (24, 0), (0, 0), (65535, 65535)] {
        assert_eq!(attach(rows, columns)["code"], "usage.arguments", "{rows}x{columns}");
    }
    assert_eq!(control(&sgw, &s), "agent");
    assert_eq!(Live::attach(&sgw, "s-zzzz", None).ends()["code"], "session.unknown");
    let mut idle = Live::begin(&sgw, &json!({"type": "sessions"}));
    idle.types("typed at nothing");
    for word in
        [json!({"type": "private", "on": true}), json!({"type": "resize", "rows": 9, "columns": 9})]
    {
        assert_eq!(idle.says(&word)["code"], "usage.arguments");
    }
    // A connection carries one stream.
    let mut seat = Live::attach(&sgw, &s, None);
    seat.control_is("operator", false);
    assert_eq!(seat.says(&json!({"type": "watch", "id": s}))["code"], "limit.streams");
    seat.types("echo fine\r");
    seat.shows("(?s)fine.*fine");
}

#[test]
fn a_takeover_ends_what_waits_for_an_answer() {
    let (sgw, _sshd, s) = ready();
    sgw.agent(["input", &s, "echo ready"]).ok();
    let waits = ["input", &s, "sleep 300", "--wait-for", "never-comes", "--timeout", "5m"];
    let call = sgw.start(waits);
    let follows = sgw.start(["output", &s, "--follow", "--new"]);
    let read = || sgw.agent(["output", &s, "--json"]).ok().json();
    eventually("it was typed", || read()["lines"].to_string().contains("sleep 300"));
    let mut seat = Live::attach(&sgw, &s, None);
    seat.control_is("operator", false);
    let sent_away = call.ends().fails(75, "control.operator");
    assert!(sent_away.took() < Duration::from_secs(60));
    drop(follows);
    seat.types("\x03");
    seat.types("echo $((40+2))\r");
    seat.shows("42");
}
