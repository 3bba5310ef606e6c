//! Whoever shares the operator's files tries to have a policy accepted that nobody saw, or to bring an old
//! one back.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;

use super::{BLOCKS, NOTHING, accept, file, propose, recorded, verdict};
use crate::support::{
    Pty, Sgw,
    frames::{JSON, Wire, agent_wire, code, hello},
};

/// `policy accept` on a terminal, at its question.
fn at_question(sgw: &Sgw) -> Pty {
    let mut command = sgw.command(["policy", "accept", "--i-am-the-operator", "--passphrase-file"]);
    let mut terminal = Pty::start(command.arg(sgw.passphrase_file()));
    terminal.wait_for("Put it into force\\?");
    terminal
}

#[test]
fn a_file_that_changes_after_it_was_shown_is_not_what_is_sealed() {
    let sgw = Sgw::unlocked();
    propose(&sgw, BLOCKS);
    let mut terminal = at_question(&sgw);
    propose(&sgw, "version = 1\n[defaults]\nopaque = \"allow\"\n");
    terminal.send("y");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("policy.toml differs from what is in force"), "{screen}");
    sgw.agent(["policy", "show"]).ok().prints(BLOCKS);
}

#[test]
fn what_came_into_force_meanwhile_is_not_overwritten_unseen() {
    let sgw = Sgw::unlocked();
    propose(&sgw, NOTHING);
    let mut terminal = at_question(&sgw);
    let own = sgw.write_private("own.toml", BLOCKS);
    sgw.operator(["policy", "accept", own.to_str().unwrap(), "--yes"]).ok();
    terminal.send("y");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 1, "{screen}");
    assert!(screen.contains("policy.changed"), "{screen}");
    assert_eq!(verdict(&sgw, "deploy"), "block");
    assert_eq!(recorded(&sgw).len(), 1);
}

#[test]
fn a_link_in_the_place_of_the_file_is_not_followed() {
    let sgw = Sgw::unlocked();
    let elsewhere = sgw.write_private("elsewhere.toml", BLOCKS);
    symlink(&elsewhere, file(&sgw)).unwrap();
    accept(&sgw).fails(1, "home.unsafe");
    assert!(sgw.agent(["status"]).ok().stdout().contains("is a symbolic link"));
    // Nor is what it leads to written through it.
    let own = sgw.write_private("own.toml", NOTHING);
    sgw.operator(["policy", "accept", own.to_str().unwrap(), "--yes"]).ok();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), BLOCKS);
    sgw.agent(["policy", "show"]).ok().prints(NOTHING);
}

#[test]
fn a_file_cannot_draw_on_the_prompt_that_shows_it() {
    let sgw = Sgw::unlocked();
    let hidden = "version = 1\n# \u{1b}[2K\u{1b}[1A \u{202e}\r\n[defaults]\nopaque = \"allow\" # \u{8}\u{8}\n";
    propose(&sgw, hidden.replace('\u{1b}', "\u{9b}").replace('\u{8}', "\u{a0}"));
    let told = accept(&sgw).ok();
    let shown = told.stderr();
    assert!(shown.contains("opaque: approve > allow"), "{shown}");
    let odd =
        |char: char| char.is_control() && char != '\n' || "\u{202e}\u{9b}\u{a0}".contains(char);
    assert!(!shown.contains(odd), "{shown:?}");
}

#[test]
fn no_socket_takes_a_policy_without_proof() {
    let sgw = Sgw::unlocked();
    let shown = sgw.agent(["policy", "show", "--json"]).ok().json();
    let accept = json!({
        "type": "policy", "do": "accept", "text": BLOCKS, "was": shown["revision"], "file": null,
    });
    let commands = json!({ "type": "policy", "do": "commands", "since": "2020-01-01T00:00:00Z" });
    let mut operator = Wire::connect(&sgw.find("operator.sock"));
    assert!(operator.send(JSON, 0, &hello(1)));
    operator.receive().expect("a welcome");
    for (number, request) in [(1, &accept), (2, &commands)] {
        assert!(operator.send(JSON, number, request.to_string().as_bytes()));
        let (_, _, body) = operator.receive().expect("an answer");
        assert_eq!(code(&body), "operator.proof");
    }
    let mut agent = agent_wire(&sgw);
    assert!(agent.send(JSON, 1, accept.to_string().as_bytes()));
    if let Some((_, _, body)) = agent.receive() {
        assert_eq!(code(&body), "usage.frame");
    }
    assert!(recorded(&sgw).is_empty());
    assert_eq!(verdict(&sgw, "deploy"), "allow");
}

#[test]
fn an_older_policy_that_is_put_back_shows_at_the_next_unlock() {
    let sgw = Sgw::unlocked();
    propose(&sgw, NOTHING);
    accept(&sgw).ok();
    sgw.lock();
    let old = fs::read(sgw.home().join("vault.db")).unwrap();
    sgw.unlock();
    propose(&sgw, BLOCKS);
    accept(&sgw).ok();
    sgw.lock();
    fs::write(sgw.home().join("vault.db"), old).unwrap();
    sgw.operator(["unlock"]).ok().says("the vault is older than the audit");
    sgw.daemon();
    let status = sgw.agent(["status"]).ok().stdout();
    assert!(status.contains("policy.toml differs from what is in force"), "{status}");
}
