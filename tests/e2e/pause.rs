//! The operator stops everything for a while, without a passphrase, and lets it go on with one.

use std::{fs, time::Duration};

use crate::support::{Sgw, Sshd, eventually};

#[test]
fn a_pause_stops_what_would_start_and_nothing_that_runs() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    let go = sshd.directory().join("go");
    let line = format!("echo on; until [ -e {} ]; do sleep 0.05; done; echo off", go.display());
    let mut runs = sgw.start(["exec", &s, "--", &line]);
    runs.prints("on\n");
    let paused = sgw.agent(["pause", "--json"]).ok().json();
    assert_eq!(paused["paused"], "everyone");
    // At once, whatever --wait says, with what to wait for.
    let proof = sshd.directory().join("ran");
    let touch = format!("touch {}", proof.display());
    let outcome = sgw.agent(["exec", &s, "--wait", "60s", "--", &touch]);
    assert!(outcome.took() < Duration::from_secs(20), "{outcome:?}");
    outcome.fails(75, "control.paused").says(&format!("sgw wait {s}"));
    let request = ["request", "other", "--reason", "a test", "--wait", "60s"];
    let outcome = sgw.agent(request).fails(75, "control.paused");
    assert!(outcome.took() < Duration::from_secs(20), "{outcome:?}");
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(queue["requests"].as_array().unwrap().len(), 0, "{queue}");
    assert!(!runs.has_ended(), "what ran was ended");
    fs::write(go, "").unwrap();
    runs.ends().ok().prints("on\noff\n");
    // A pause needs no proof; going on does.
    sgw.agent(["resume"]).fails(77, "operator.proof");
    sgw.agent(["exec", &s, "--", &touch]).fails(75, "control.paused");
    assert!(!proof.exists());
    sgw.operator(["resume"]).ok();
    sgw.agent(["exec", &s, "--", &touch]).ok();
    assert!(proof.exists());
}

#[test]
fn a_pause_holds_the_signals_that_end_nothing() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    let ends = ["INT", "TERM", "HUP", "QUIT", "KILL"];
    let mut all: Vec<_> = ends
        .iter()
        .map(|signal| {
            let mut runs = sgw.start(["exec", &s, "--", &format!("echo {signal}; sleep 1000")]);
            runs.prints(&format!("{signal}\n"));
            runs
        })
        .collect();
    let session = sgw.agent(["show", &s, "--json"]).ok().json();
    let ids: Vec<_> = session["running"].as_array().unwrap().clone();
    assert_eq!(ids.len(), ends.len(), "{session}");
    sgw.agent(["pause"]).ok();
    let x = ids[0].as_str().unwrap();
    for signal in ["USR1", "USR2", "TSTP", "CONT"] {
        sgw.agent(["signal", x, signal]).fails(75, "control.paused");
    }
    assert!(all.iter_mut().all(|runs| !runs.has_ended()));
    // What ends only takes away.
    for (id, signal) in ids.iter().zip(ends) {
        sgw.agent(["signal", id.as_str().unwrap(), signal]).ok();
    }
    all.into_iter().for_each(|runs| _ = runs.ends());
}

#[test]
fn a_pause_of_one_target_leaves_the_others() {
    let sgw = Sgw::unlocked();
    let (one, two) = (Sshd::start(), Sshd::start());
    let (first, second) = (sgw.session(&one), sgw.session(&two));
    sgw.agent(["pause", &one.destination()]).ok();
    sgw.agent(["exec", &first, "--", "true"]).fails(75, "control.paused");
    sgw.agent(["exec", &second, "--", "true"]).ok();
    sgw.operator(["resume", &two.destination()]).fails(2, "usage.arguments");
    sgw.operator(["resume", &one.destination()]).ok();
    sgw.agent(["exec", &first, "--", "true"]).ok();
    // An identity is everywhere.
    let me = sgw.agent(["whoami", "--json"]).ok().json()["identity"].as_str().unwrap().to_owned();
    sgw.agent(["pause", &me]).ok();
    for session in [&first, &second] {
        sgw.agent(["exec", session, "--", "true"]).fails(75, "control.paused");
    }
    sgw.operator(["resume", "--all"]).ok();
    sgw.agent(["exec", &second, "--", "true"]).ok();
}

#[test]
fn a_pause_names_what_is_there_shows_and_is_on_record() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    let me = sgw.agent(["whoami", "--json"]).ok().json()["identity"].as_str().unwrap().to_owned();
    // A slip is told, and is no pause.
    let slip = format!("{me}0");
    sgw.agent(["pause", &slip]).fails(2, "usage.arguments").says(&me);
    sgw.agent(["exec", &s, "--", "true"]).ok();
    sgw.agent(["pause", &s]).ok();
    let session = sgw.agent(["sessions", "--json"]).ok().json()["sessions"][0].clone();
    assert_eq!(session["paused"], true);
    assert!(sgw.agent(["status"]).ok().stdout().contains("paused"));
    sgw.operator(["resume", &s]).ok();
    assert_eq!(sgw.agent(["show", &s, "--json"]).ok().json()["paused"], false);
    let records = sgw.operator(["audit", "list", "--json"]).ok().json_lines();
    let of = |kind: &str| records.iter().find(|record| record["kind"] == kind).unwrap().clone();
    assert_eq!(of("pause.set")["action"]["what"], s.as_str());
    assert_eq!(of("pause.set")["identity"], "operator (unproven)");
    assert_eq!(of("pause.lifted")["identity"], "operator");
}

#[test]
fn wait_stays_until_a_paused_session_goes_on() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    sgw.agent(["wait", &s]).ok().prints(&format!("{s}\n"));
    sgw.agent(["pause"]).ok();
    let outcome = sgw.agent(["wait", &s, "--no-wait", "--json"]).fails(75, "control.paused");
    assert_eq!(outcome.waits_on(), s);
    sgw.agent(["wait", &s, "--wait", "1s"]).fails(75, "control.paused");
    let stays = sgw.start(["wait", &s, "--wait", "60s"]);
    let gives_up = sgw.start(["wait", &s, "--wait", "60s"]);
    sgw.operator(["resume"]).ok();
    for call in [stays, gives_up] {
        let outcome = call.ends().ok().prints(&format!("{s}\n"));
        assert!(outcome.took() < Duration::from_secs(40), "{outcome:?}");
    }
}

#[test]
fn a_yes_given_during_a_pause_is_kept() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session_with(&sshd, &["--mode", "each"]);
    let call = sgw.start(["exec", &s, "--json", "--", "echo", "yes"]);
    let mut request = String::new();
    eventually("it asks", || {
        let queue = sgw.agent(["requests", "--json"]).ok().json();
        request = queue["requests"][0]["id"].as_str().unwrap_or_default().to_owned();
        !request.is_empty()
    });
    sgw.agent(["pause"]).ok();
    sgw.operator(["approve", &request, "--yes", "--json"]).ok();
    // The call that stayed is told what to wait for, and the yes waits with it.
    let outcome = call.ends().fails(75, "control.paused");
    assert_eq!(outcome.waits_on(), request);
    let outcome = sgw.agent(["wait", &request, "--no-wait", "--json"]).fails(75, "control.paused");
    assert_eq!(outcome.waits_on(), request);
    let stays = sgw.start(["wait", &request]);
    sgw.operator(["resume"]).ok();
    stays.ends().ok().prints("yes\n");
}
