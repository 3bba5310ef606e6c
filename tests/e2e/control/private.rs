//! What the operator has under their hands stays theirs: other names of the machine, ends without
//! proof, passwords, and what was begun in private.

use std::{fs, path::Path};

use serde_json::json;

use super::{control, ready, records};
use crate::support::{
    Destination, Live, Sshd, eventually,
    frames::{JSON, Wire, code, hello},
};

/// The same server by another name.
struct Localhost<'s>(&'s Sshd);

impl Destination for Localhost<'_> {
    fn destination(&self) -> String {
        self.0.destination().replace("127.0.0.1", "localhost")
    }

    fn fingerprint(&self) -> String {
        self.0.host_key_fingerprint()
    }

    fn identity(&self) -> &Path {
        Destination::identity(self.0)
    }
}

#[test]
fn a_machine_by_another_name_has_the_same_keyboard() {
    let (sgw, sshd, s) = ready();
    let other = sgw.session(&Localhost(&sshd));
    assert_ne!(s, other);
    let mut seat = Live::attach(&sgw, &s, Some(false));
    seat.control_is("operator", false);
    assert_eq!(control(&sgw, &other), "operator");
    sgw.agent(["exec", &other, "--", "true"]).fails(75, "control.operator");
    sgw.agent(["input", &other, "true"]).fails(75, "control.operator");
    seat.says(&json!({"type": "return", "session": s, "message": null}));
    sgw.agent(["exec", &other, "--", "true"]).ok();
}

#[test]
fn what_the_operator_sits_at_is_ended_with_proof_alone() {
    let (sgw, _sshd, s) = ready();
    let mut seat = Live::attach(&sgw, &s, Some(true));
    seat.control_is("operator", true);
    let mut wire = Wire::connect(&sgw.find("operator.sock"));
    assert!(wire.send(JSON, 0, &hello(1)));
    wire.receive().expect("a welcome");
    let close = json!({"type": "close", "id": s}).to_string();
    assert!(wire.send(JSON, 1, close.as_bytes()));
    assert_eq!(code(&wire.receive().unwrap().2), "operator.proof");
    sgw.agent(["close", &s]).fails(75, "control.operator");
    seat.types("echo still-he''re\r");
    seat.shows("still-here");
    seat.says(&json!({"type": "return", "session": s, "message": null}));
    // What nobody sits at is ended without.
    assert!(wire.send(JSON, 2, close.as_bytes()));
    assert_eq!(code(&wire.receive().unwrap().2), "");
    sgw.agent(["exec", &s, "--", "true"]).fails(125, "session.unknown");
}

#[test]
fn what_was_begun_in_private_is_not_shown_when_it_goes_on() {
    let (sgw, sshd, s) = ready();
    let canary = "canary-41d0c7-begun-in-private";
    sgw.plant(canary.as_bytes());
    let file = sshd.directory().join("much");
    fs::write(&file, format!("{canary}\n").repeat(100_000)).unwrap();
    sgw.agent(["input", &s, "echo before"]).ok();
    let mut seat = Live::attach(&sgw, &s, Some(true));
    seat.control_is("operator", true);
    seat.types(&format!("cat {}\r", file.display()));
    seat.shows(&format!("(?m)^{canary}"));
    seat.says(&json!({"type": "private", "on": false}));
    seat.control_is("operator", false);
    seat.says(&json!({"type": "return", "session": s, "message": null}));
    // What is typed next waits until it is quiet; every answer is searched for the canary.
    let typed = sgw.agent(["input", &s, "echo af''ter", "--wait-for", "(?m)^after"]);
    assert!(typed.ok().stdout().contains("after"));
    let raw = sgw.agent(["output", &s, "--raw"]).ok().stdout();
    assert!(raw.contains("before") && raw.contains("after") && !raw.contains(canary), "{raw}");
}

#[test]
fn a_password_that_is_asked_for_while_shared_is_kept_nowhere() {
    let (sgw, _sshd, s) = ready();
    let mut seat = Live::attach(&sgw, &s, Some(false));
    seat.control_is("operator", false);
    seat.types("read -rp '[sudo] password'' for me: ' x; echo \"<$x>\"\r");
    seat.shows(r"(?m)^\[sudo\] password for me:");
    let canary = "canary-5be2-MySudoPw77";
    sgw.plant(canary.as_bytes());
    seat.types(&format!("{canary}\r"));
    seat.control_is("operator", true);
    seat.shows(&format!("<{canary}>"));
    let audit = sgw.operator(["audit", "list", "--json"]).ok().stdout();
    assert!(!audit.contains(canary));
    assert_eq!(records(&sgw, "control.private")[0]["action"]["private"], true);
}

#[test]
fn what_runs_beside_a_private_operator_is_read_afterwards() {
    let (sgw, sshd, s) = ready();
    let go = sshd.directory().join("go");
    let line = format!("echo one; until [ -e {} ]; do sleep 0.05; done", go.display());
    let runs = sgw.start(["exec", &s, "--orphan", "10m", "--json", "--", &line]);
    let mut x = String::new();
    eventually("it runs", || {
        let session = sgw.agent(["show", &s, "--json"]).ok().json();
        x = session["running"][0].as_str().unwrap_or_default().to_owned();
        !x.is_empty()
    });
    eventually("it has printed", || {
        sgw.agent(["output", &x, "--json"]).ok().json()["lines"][0] == "one"
    });
    let follows = sgw.start(["output", &x, "--follow"]);
    let mut seat = Live::attach(&sgw, &s, Some(true));
    seat.control_is("operator", true);
    sgw.agent(["output", &x]).fails(75, "control.operator");
    follows.ends().fails(75, "control.operator");
    seat.says(&json!({"type": "return", "session": s, "message": null}));
    assert!(sgw.agent(["output", &x]).ok().stdout().contains("one"));
    fs::write(go, "").unwrap();
    drop(runs);
}
