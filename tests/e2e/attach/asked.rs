//! What the agent asks of whoever is attached, and that it asks no more; a seat that moves to another
//! window.

use super::{attached, control, ready, window};
use crate::support::{Pty, Sgw, eventually};

const ASKS: &str = "please log in to the database on the replica with your own account: it asks for \
                    your password and for a code, and tell me when that is done";

/// In a window as most are.
fn usual(sgw: &Sgw, arguments: &[&str]) -> Pty {
    let mut command = sgw.command(arguments);
    command.arg("--i-am-the-operator").arg("--passphrase-file").arg(sgw.passphrase_file());
    Pty::start_with(&command, (24, 80))
}

/// Without what wraps it.
fn words(screen: &str) -> String {
    screen.split_whitespace().collect()
}

#[track_caller]
fn shows(person: &Pty, text: &str) {
    eventually(text, || words(&person.screen()).contains(&words(text)));
}

#[track_caller]
fn hands_over(sgw: &Sgw, session: &str, message: &str) -> String {
    sgw.agent(["handoff", session, message, "--no-wait", "--json"]).exits(75).waits_on()
}

#[test]
fn what_the_agent_asks_is_shown_whole_and_its_end_is_told() {
    let (sgw, _sshd, s) = ready();
    let request = hands_over(&sgw, &s, ASKS);
    let mut person = usual(&sgw, &["attach", &s]);
    shows(&person, ASKS);
    // A key takes it away when there was time to read it, and goes on to the server.
    eventually("a key takes it away", || {
        person.send("\r");
        !person.screen().contains("The agent asks:")
    });
    person.send("~?");
    person.wait_for("Any key goes back");
    shows(&person, ASKS);
    shows(&person, "leave: hand it back with a word, keep it, or close the session");
    person.send(" ");
    let another = hands_over(&sgw, &s, "and look at the log");
    shows(&person, &format!("{ASKS}; and: and look at the log"));
    for request in [&request, &another] {
        sgw.agent(["close", request]).ok();
    }
    person.wait_for("The agent has taken back what it asked");
    eventually("a key takes it away", || {
        person.send("\r");
        !person.screen().contains("taken back")
    });
    assert!(!person.screen().contains("asks"), "{}", person.screen());
    assert_eq!(control(&sgw, &s), "operator");
}

#[test]
fn without_an_escape_the_window_says_how_to_leave() {
    let (sgw, _sshd, s) = ready();
    let mut person = usual(&sgw, &["attach", &s, "--escape", "none"]);
    person.wait_for("No key leaves");
    shows(&person, &format!("sgw return {s} makes it the agent's again"));
    assert!(person.last_line().contains("leave: close the window"), "{}", person.last_line());
    sgw.operator(["return", &s]).ok();
    let (code, screen) = person.ends();
    assert!(code == 0 && screen.contains("the agent has the keyboard"), "{screen}");
}

#[test]
fn the_seat_is_taken_from_a_window_of_ones_own_that_is_out_of_reach() {
    let (sgw, _sshd, s) = ready();
    let first = attached(&sgw, &s);
    let (code, screen) = window(&sgw, &["attach", &s]).ends();
    assert!(code == 75 && screen.contains(&format!("sgw attach {s} --take")), "{screen}");
    assert!(!screen.contains("sgw return"), "{screen}");
    let mut second = window(&sgw, &["attach", &s, "--take"]);
    second.wait_for("(?s)at-the-prompt.*SHARED");
    let (code, screen) = first.ends();
    assert!(code == 75 && screen.contains("taken this seat"), "{screen}");
    second.send("echo $((40+2))\r");
    second.wait_for("(?m)^42");
    assert_eq!(control(&sgw, &s), "operator");
    let audit = sgw.operator(["audit", "list", "--json"]).ok().stdout();
    assert!(audit.contains("another terminal"), "{audit}");
}
