//! At the keyboard: typing behind a takeover, and taking control back by words that are not the
//! agent's.

use std::fs;

use serde_json::json;

use crate::support::{
    Live, Sgw, Sshd,
    frames::{JSON, Wire, agent_wire, code, hello},
};

fn ready() -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

#[test]
fn a_thousand_inputs_that_race_a_takeover_slip_nothing_behind_it() {
    let (sgw, sshd, s) = ready();
    // Whose keys mean something else: nothing that is typed behind it is known.
    sgw.accepts_policy("[defaults]\nopaque = \"allow\"\n");
    let typed = sshd.directory().join("typed");
    let cat = format!("stty -echo -icanon; cat > {}", typed.display());
    sgw.agent(["input", &s, &cat]).ok();
    let input = json!({"type": "input", "session": s, "text": "agent\n", "keys": [], "enter": false,
                       "wait_for": null, "settle_ms": 0, "timeout_ms": 0, "secret": null,
                       "wait_ms": 0, "no_ask": true});
    let exec = json!({"type": "exec", "session": s, "command": {"line": format!("echo exec >> {}", typed.display())},
                      "stdin": false, "env": [], "cwd": null, "timeout_ms": null, "orphan_ms": null,
                      "wait_ms": 0, "no_ask": true, "reason": null});
    let mut agents: Vec<_> = (0..8)
        .map(|number| {
            let (input, exec) = (input.to_string(), exec.to_string());
            let mut wire = agent_wire(&sgw);
            std::thread::spawn(move || {
                let mut refused = 0;
                // A hundred each at least, and on until the takeover is noticed, however late it comes.
                for request in 1..=100_000 {
                    if request > 100 && refused >= 25 {
                        break;
                    }
                    let words = if number == 0 { &exec } else { &input };
                    wire.send(JSON, request, words.as_bytes());
                    loop {
                        let (kind, _, body) = wire.receive().expect("an answer");
                        let body = String::from_utf8_lossy(&body).into_owned();
                        if kind == JSON && body.contains("\"type\":\"error\"") {
                            refused += usize::from(code(body.as_bytes()) == "control.operator");
                            break;
                        }
                        if kind == JSON && body.contains("\"type\":\"done\"") {
                            break;
                        }
                    }
                }
                refused
            })
        })
        .collect();
    let mut seat = Live::attach(&sgw, &s, Some(false));
    seat.control_is("operator", false);
    // Behind everything that was sent before: the same way, and in order.
    let mark = "operator-was-here";
    seat.types(&format!("{mark}\n"));
    let read = || fs::read_to_string(&typed).unwrap_or_default();
    crate::support::eventually("the mark is through", || read().contains(mark));
    let refused: usize = agents.drain(..).map(|agent| agent.join().unwrap()).sum();
    assert!(refused >= 8 * 25, "not every agent met the takeover: {refused}");
    seat.types("last\n");
    crate::support::eventually("the last word is through", || read().contains("last\n"));
    let (_, behind) = read().split_once(mark).map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(!behind.contains("agent"), "an agent's byte behind the takeover: {behind:?}");
}

#[test]
fn an_agent_cannot_give_itself_control_by_the_operators_words() {
    let (sgw, _sshd, s) = ready();
    let mut seat = Live::attach(&sgw, &s, Some(false));
    seat.control_is("operator", false);
    // Another handoff, taken back and denied without proof: what was taken stays taken.
    let handoff = ["handoff", &s, "give it to me", "--no-wait", "--json"];
    let first = sgw.agent(handoff).fails(75, "request.pending").waits_on();
    sgw.agent(["close", &first]).ok();
    let other = ["handoff", &s, "please", "--no-wait", "--json"];
    let second = sgw.agent(other).fails(75, "request.pending").waits_on();
    let unproven = [
        json!({"type": "return", "session": s, "message": null}),
        json!({"type": "deny", "id": second, "message": "a word"}),
        json!({"type": "attach", "session": s, "fresh": false, "rows": 9, "columns": 9, "private": null}),
        json!({"type": "private", "on": false}),
        json!({"type": "resize", "rows": 9, "columns": 9}),
        json!({"type": "watch", "id": s}),
        json!({"type": "deny", "id": second, "message": null}),
    ];
    for words in unproven {
        let mut wire = Wire::connect(&sgw.find("operator.sock"));
        wire.send(JSON, 0, &hello(1));
        wire.receive().expect("a welcome");
        wire.send(JSON, 1, words.to_string().as_bytes());
        let (_, _, body) = wire.receive().expect("an answer");
        if words["type"] != "deny" || !words["message"].is_null() {
            assert_eq!(code(&body), "operator.proof", "{words}");
        }
    }
    // Keys without proof are no keys.
    let mut wire = Wire::connect(&sgw.find("operator.sock"));
    wire.send(JSON, 0, &hello(1));
    wire.receive().expect("a welcome");
    wire.send(5, 1, b"echo typed-without-proof\r");
    wire.is_closed();
    // On its own socket they are not even words.
    for words in [
        json!({"type": "return", "session": s, "message": null}),
        json!({"type": "private", "on": false}),
        json!({"type": "attach", "session": s, "fresh": false, "rows": 9, "columns": 9, "private": null}),
    ] {
        let mut wire = agent_wire(&sgw);
        wire.send(JSON, 1, words.to_string().as_bytes());
        let (_, _, body) = wire.receive().expect("an answer");
        assert_eq!(code(&body), "usage.frame", "{words}");
        wire.is_closed();
    }
    for call in [
        vec!["exec", &s, "--", "true"],
        vec!["input", &s, "true"],
        vec!["signal", &s, "INT"],
        vec!["close", &s],
    ] {
        sgw.agent(call).fails(75, "control.operator");
    }
    drop(seat);
    // The window is gone, and so is none of it.
    let handoff = ["handoff", &s, "once more", "--no-wait", "--json"];
    let third = sgw.agent(handoff).fails(75, "request.pending").waits_on();
    sgw.agent(["close", &third]).ok();
    sgw.agent(["exec", &s, "--", "true"]).fails(75, "control.operator");
    sgw.agent(["return", &s]).fails(77, "operator.proof");
    assert_eq!(sgw.agent(["show", &s, "--json"]).ok().json()["control"], "operator");
    sgw.operator(["return", &s]).ok();
    sgw.agent(["exec", &s, "--", "true"]).ok();
}
