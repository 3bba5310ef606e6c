//! The agent gives the keyboard away, and hears what came of it.

use std::{fs, time::Duration};

use super::{control, hands_over, ready, records};
use crate::support::{Live, Sgw, Sshd, eventually};

/// Not a call that waited for anybody.
const AT_ONCE: Duration = Duration::from_secs(20);

#[test]
fn a_handoff_stops_the_agent_until_the_operator_returns_with_a_word() {
    let (sgw, sshd, s) = ready();
    let mut handoff = sgw.start(["handoff", &s, "log in to the database", "--json"]);
    handoff.says("waits for the operator");
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    let request = &queue["requests"][0];
    assert_eq!((&request["kind"], &request["session"]), (&"handoff".into(), &s.as_str().into()));
    assert_eq!(request["reason"], "log in to the database");
    let r = request["id"].as_str().unwrap();
    let session = sgw.agent(["sessions", "--json"]).ok().json()["sessions"][0].clone();
    assert_eq!(session["control"], "operator");
    assert_eq!(session["waiting"]["id"], r);
    assert!(sgw.agent(["status"]).ok().stdout().contains("the operator has the keyboard"));
    // At once, whatever --wait says, and with what to wait for.
    let proof = sshd.directory().join("ran");
    let touch = format!("touch {}", proof.display());
    let refused = sgw.agent(["exec", &s, "--wait", "60s", "--", &touch]);
    assert!(refused.took() < AT_ONCE, "{refused:?}");
    refused.fails(75, "control.operator").says(&format!("sgw wait {s}"));
    let refused = sgw.agent(["close", &s, "--json"]).fails(75, "control.operator");
    assert_eq!(refused.waits_on(), s);
    // A yes is not what a handoff asks for.
    let yes = sgw.operator(["approve", r, "--yes", "--json"]).fails(2, "usage.arguments");
    assert!(yes.stdout().contains(&format!("sgw attach {s}")), "{yes:?}");
    // Giving back needs proof.
    sgw.agent(["return", &s]).fails(77, "operator.proof");
    assert_eq!(control(&sgw, &s), "operator");
    let back = sgw.operator(["return", &s, "--message", "done; mind the replica", "--json"]).ok();
    assert_eq!((&back.json()["id"], &back.json()["control"]), (&r.into(), &"agent".into()));
    let word = handoff.ends().ok().json();
    assert_eq!((&word["id"], &word["kind"]), (&r.into(), &"handoff".into()));
    assert_eq!(
        (&word["word"], &word["private"]),
        (&"done; mind the replica".into(), &false.into())
    );
    assert!(word["changed"].is_object() && word["duration_ms"].is_u64(), "{word}");
    // Kept for whoever asks again.
    assert_eq!(sgw.agent(["wait", r, "--json"]).ok().json(), word);
    assert!(sgw.agent(["wait", r]).ok().stdout().contains("done; mind the replica"));
    assert!(!proof.exists(), "what was refused ran");
    sgw.agent(["exec", &s, "--", &touch]).ok();
    assert!(proof.exists());
    let taken = records(&sgw, "control.taken");
    assert_eq!((&taken[0]["session"], &taken[0]["action"]["how"]), (&s.into(), &"handoff".into()));
    let returned = &records(&sgw, "control.returned")[0];
    assert_eq!(
        (&returned["identity"], &returned["action"]["message"]),
        (&"operator".into(), &"done; mind the replica".into())
    );
    sgw.operator(["audit", "verify"]).ok();
}

#[test]
fn what_runs_goes_on_and_is_followed_again_without_a_loss() {
    let (sgw, sshd, s) = ready();
    let go = sshd.directory().join("go");
    let line = format!("echo one; until [ -e {} ]; do sleep 0.05; done; echo two", go.display());
    // An orphan would be ended at once.
    let mut runs = sgw.start(["exec", &s, "--orphan", "0", "--json", "--", &line]);
    let mut x = String::new();
    eventually("it runs", || {
        let session = sgw.agent(["show", &s, "--json"]).ok().json();
        x = session["running"][0].as_str().unwrap_or_default().to_owned();
        !x.is_empty()
    });
    let printed = || sgw.agent(["output", &x, "--json"]).ok().json();
    eventually("it has printed", || printed()["lines"][0] == "one");
    hands_over(&sgw, &s, "look at this");
    eventually("its caller is sent away", || runs.has_ended());
    assert_eq!(runs.ends().fails(75, "control.operator").waits_on(), x);
    sgw.agent(["signal", &x, "INT"]).fails(75, "control.operator");
    sgw.agent(["close", &x]).fails(75, "control.operator");
    sgw.agent(["wait", &x, "--no-wait"]).fails(75, "control.operator");
    assert_eq!(printed()["control"], "operator");
    let mut stays = sgw.start(["wait", &x, "--wait", "60s"]);
    assert!(!stays.has_ended());
    assert_eq!(printed()["status"], "running", "nothing is orphaned meanwhile");
    sgw.operator(["return", &s]).ok();
    fs::write(go, "").unwrap();
    // The first call wrote what it had to nobody: --json keeps, and it was cut off.
    let rest = stays.ends().ok().stdout();
    assert!(rest == "two\n" || rest == "one\ntwo\n", "{rest:?}");
    let whole = sgw.agent(["output", &x, "--json"]).ok().json();
    assert_eq!(whole["lines"], serde_json::json!(["one", "two"]));
}

#[test]
fn input_of_a_running_command_is_held_while_the_operator_has_the_keyboard() {
    let (sgw, sshd, s) = ready();
    let file = sshd.directory().join("in");
    let mut feeds = sgw.start(["exec", &s, "-i", "--", &format!("cat > {}", file.display())]);
    feeds.write(b"before\n");
    let read = || fs::read_to_string(&file).unwrap_or_default();
    eventually("input arrives", || read() == "before\n");
    let r = hands_over(&sgw, &s, "now you");
    // Whatever the client still manages to send stays in the daemon.
    let _sent_away = feeds.ends().fails(75, "control.operator");
    sgw.agent(["close", &r]).ok();
    assert_eq!(control(&sgw, &s), "agent", "nobody had come: it is the agent's to take back");
    assert_eq!(read(), "before\n");
}

#[test]
fn wait_stays_until_the_session_is_mine_again() {
    let (sgw, _sshd, s) = ready();
    hands_over(&sgw, &s, "please look");
    let refused = sgw.agent(["wait", &s, "--no-wait", "--json"]).fails(75, "control.operator");
    assert_eq!(refused.waits_on(), s);
    sgw.agent(["wait", &s, "--wait", "1s"]).fails(75, "control.operator");
    let mut stays = sgw.start(["wait", &s, "--wait", "60s"]);
    assert!(!stays.has_ended());
    sgw.operator(["return", &s, "--message", "all yours"]).ok();
    let outcome = stays.ends().ok().prints(&format!("{s}\n"));
    assert!(outcome.took() < AT_ONCE, "{outcome:?}");
    sgw.agent(["exec", &s, "--", "true"]).ok();
    sgw.operator(["return", &s]).fails(2, "usage.arguments");
}

#[test]
fn a_denied_handoff_gives_the_keyboard_back_with_a_word() {
    let (sgw, _sshd, s) = ready();
    let mut handoff = sgw.start(["handoff", &s, "type my password", "--wait", "60s"]);
    handoff.says("waits for the operator");
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    let r = queue["requests"][0]["id"].as_str().unwrap().to_owned();
    sgw.operator(["deny", &r, "--message", "use the read-only account"]).ok();
    handoff.ends().fails(77, "request.denied").says("use the read-only account");
    sgw.agent(["wait", &r]).fails(77, "request.denied");
    assert_eq!(control(&sgw, &s), "agent");
    sgw.agent(["exec", &s, "--", "true"]).ok();
    // The same again gets the same answer, and takes nothing.
    sgw.agent(["handoff", &s, "type my password"]).fails(77, "request.denied");
    assert_eq!(control(&sgw, &s), "agent");
    sgw.agent(["handoff", &s, "   "]).fails(2, "usage.reason");
    sgw.agent(["handoff", &s, &"x".repeat(5000)]).fails(2, "limit.reason");
    assert_eq!(control(&sgw, &s), "agent");
}

#[test]
fn a_handoff_is_joined_by_its_like_and_one_return_answers_all() {
    let (sgw, _sshd, s) = ready();
    let first = hands_over(&sgw, &s, "please look");
    assert_eq!(hands_over(&sgw, &s, "please look"), first);
    let other = hands_over(&sgw, &s, "and at this");
    assert_ne!(other, first);
    // Taking one back leaves the other's.
    sgw.agent(["close", &first]).ok();
    assert_eq!(control(&sgw, &s), "operator");
    let third = hands_over(&sgw, &s, "once more");
    sgw.operator(["return", &s, "--message", "seen"]).ok();
    for id in [&other, &third] {
        assert_eq!(sgw.agent(["wait", id, "--json"]).ok().json()["word"], "seen");
    }
    sgw.agent(["wait", &first]).fails(1, "request.closed");
}

#[test]
fn all_of_an_identity_on_a_target_is_taken_and_nothing_else() {
    let (sgw, one, s) = ready();
    let two = Sshd::start();
    let again = sgw.session_with(&one, &["--new"]);
    let elsewhere = sgw.session(&two);
    hands_over(&sgw, &s, "please look");
    sgw.agent(["exec", &again, "--", "true"]).fails(75, "control.operator");
    sgw.agent(["exec", &elsewhere, "--", "true"]).ok();
    // A session that comes meanwhile is the operator's too.
    let third = sgw.session_with(&one, &["--new"]);
    sgw.agent(["exec", &third, "--", "true"]).fails(75, "control.operator");
    // Any of them gives back all.
    sgw.operator(["return", &again]).ok();
    for session in [&s, &again, &third] {
        sgw.agent(["exec", session, "--", "true"]).ok();
    }
}

#[test]
fn a_command_that_waits_for_a_yes_is_sent_away_and_its_yes_is_kept() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session_with(&sshd, &["--mode", "each"]);
    let mut call = sgw.start(["exec", &s, "--json", "--", "echo", "yes"]);
    call.says("waits for the operator");
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    let r = queue["requests"][0]["id"].as_str().unwrap().to_owned();
    hands_over(&sgw, &s, "please look");
    assert_eq!(call.ends().fails(75, "control.operator").waits_on(), r);
    sgw.operator(["approve", &r, "--yes", "--json"]).ok();
    sgw.agent(["wait", &r, "--no-wait"]).fails(75, "control.operator");
    let stays = sgw.start(["wait", &r, "--wait", "60s"]);
    sgw.operator(["return", &s]).ok();
    stays.ends().ok().prints("yes\n");
}

#[test]
fn a_refused_command_is_not_counted() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session_with(&sshd, &["--max-commands", "1"]);
    let r = hands_over(&sgw, &s, "please look");
    sgw.agent(["exec", &s, "--", "true"]).fails(75, "control.operator");
    sgw.agent(["close", &r]).ok();
    sgw.agent(["exec", &s, "--", "true"]).ok();
    sgw.agent(["exec", &s, "--", "true"]).fails(77, "grant.exhausted");
}

#[test]
fn a_takeover_between_two_calls_is_told_once_by_the_next() {
    let (sgw, _sshd, s) = ready();
    sgw.agent(["exec", &s, "--", "true"]).ok();
    let mut seat = Live::attach(&sgw, &s, Some(true));
    seat.control_is("operator", true);
    drop(seat);
    sgw.operator(["return", &s, "--message", "look at the disk"]).ok();
    let shown = sgw.agent(["show", &s, "--json"]).ok().json();
    assert_eq!(shown["returned"]["word"], "look at the disk", "{shown}");
    assert_eq!(shown["returned"]["private"], true, "{shown}");
    let next = sgw.agent(["exec", &s, "--", "true"]).ok();
    next.says("in private, and says: look at the disk; look before you go on");
    assert!(!sgw.agent(["exec", &s, "--", "true"]).ok().stderr().contains("look at the disk"));
}

#[test]
fn what_ended_while_the_operator_had_the_keyboard_is_had_afterwards() {
    let (sgw, sshd, s) = ready();
    let go = sshd.directory().join("go");
    let line = format!("until [ -e {} ]; do sleep 0.05; done; echo done; exit 3", go.display());
    let x = sgw.agent(["exec", &s, "--wait", "0", "--json", "--", &line]).exits(75).json();
    let x = x["id"].as_str().unwrap().to_owned();
    let mut seat = Live::attach(&sgw, &s, Some(false));
    seat.control_is("operator", false);
    fs::write(go, "").unwrap();
    eventually("it has ended", || {
        sgw.agent(["show", &x, "--json"]).ok().json()["running"] == false
    });
    // It waits for the keyboard, however short the command was.
    let waits = sgw.start(["wait", &x, "--wait", "1m"]);
    // The operator closes the session under their hands: its results stay its owner's.
    let closed = seat.says(&serde_json::json!({"type": "close", "id": s}));
    assert_eq!(closed["type"], "done", "{closed}");
    drop(seat);
    let outcome = waits.ends().exits(3);
    assert_eq!(outcome.stdout(), "done\n");
}
