//! At the prompt: answering for the person, twice, ahead of time, or by what is shown.

use super::pending;
use crate::support::{Destination, Running, Sgw, Sshd};

#[test]
fn answers_typed_ahead_do_not_count() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let passphrase = sgw.passphrase_file().display().to_string();
    let identity = sshd.key.path.display().to_string();
    let mut approve = vec!["approve", &request, "--passphrase-file", &passphrase];
    approve.extend(["--identity", &identity]);
    let mut terminal = sgw.terminal(approve);
    terminal.send("y\ry\ry\ry\r");
    terminal.wait_for("a test");
    terminal.settle();
    assert_eq!(pending(&sgw), 1, "typed-ahead answers were taken\n{}", terminal.screen());
    terminal.send("\x03");
    terminal.ends();
    assert_eq!(pending(&sgw), 1);
}

#[test]
fn an_agent_that_answers_the_prompt_without_the_passphrase_gets_nowhere() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let mut terminal = sgw.terminal(["approve", &request]);
    terminal.wait_for("(?i)passphrase");
    for _ in 0..6 {
        if terminal.has_ended() {
            break;
        }
        terminal.send("let-me-in-please\r");
        terminal.settle();
        terminal.send("y\r");
        terminal.settle();
    }
    terminal.send("\x03");
    let (code, screen) = terminal.ends();
    assert_ne!(code, 0, "{screen}");
    assert_eq!(pending(&sgw), 1);
}

#[test]
fn one_yes_makes_one_session_however_many_wait() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    let waiting: Vec<_> = (0..8).map(|_| sgw.start(["wait", &request])).collect();
    let approvals: Vec<_> = (0..3)
        .map(|_| {
            let identity = sshd.key.path.display().to_string();
            let fingerprint = sshd.fingerprint();
            let mut arguments = vec!["approve", &request, "--yes", "--json", "--identity"];
            arguments.extend([identity.as_str(), "--accept-host-key", &fingerprint]);
            Running::start(&mut sgw.operator_command(arguments))
        })
        .collect();
    let yes = approvals.into_iter().map(|call| call.ends().code());
    assert_eq!(yes.filter(|code| *code == 0).count(), 1, "more than one yes was taken");
    let mut sessions: Vec<_> = waiting.into_iter().map(|call| call.ends().ok().stdout()).collect();
    sessions.dedup();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(sgw.try_approve(&request, &sshd).code(), 1);
}

#[test]
fn what_an_agent_writes_is_shown_as_text_and_steers_no_terminal() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let evil =
        "read logs\x1b[2J\x1b[1;1H\x1b]0;title\x07\u{202e}evil\u{200b}\u{2066}\rApproved: yes";
    let destination = sshd.destination();
    let ask = ["request", &destination, "--no-wait", "--json", "--reason", evil];
    let request = sgw.agent(ask).fails(75, "request.pending").waits_on();
    let hostile = ["\x1b[2J", "\x1b]0;", "\u{202e}", "\u{200b}", "\u{2066}", "\rApproved"];

    let listed = sgw.agent(["requests"]).ok();
    let shown = sgw.agent(["show", &request]).ok();
    let passphrase = sgw.passphrase_file().display().to_string();
    let mut terminal = sgw.terminal(["approve", &request, "--passphrase-file", &passphrase]);
    terminal.wait_for("read logs");
    terminal.settle();
    let raw = String::from_utf8_lossy(&terminal.raw()).into_owned();
    terminal.send("\x03");
    for (what, text) in [
        ("requests", listed.stdout() + &listed.stderr()),
        ("show", shown.stdout() + &shown.stderr()),
        ("the prompt", raw),
    ] {
        for sequence in hostile {
            assert!(!text.contains(sequence), "{what} passes {sequence:?} on: {text:?}");
        }
        assert!(text.contains("read logs"), "{what} does not show the reason: {text:?}");
    }
}

#[test]
fn a_reason_of_many_lines_pushes_nothing_off_the_screen() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let destination = sshd.destination();
    let long = "line\n".repeat(300);
    let ask = ["request", &destination, "--no-wait", "--json", "--reason", &long];
    let outcome = sgw.agent(ask);
    if outcome.code() == 2 {
        return drop(outcome.fails_as(2, &["limit.reason", "usage.reason"]));
    }
    let request = outcome.fails(75, "request.pending").waits_on();
    let passphrase = sgw.passphrase_file().display().to_string();
    let mut terminal = sgw.terminal(["approve", &request, "--passphrase-file", &passphrase]);
    let screen = terminal.wait_for(&sshd.port().to_string());
    assert!(screen.matches("line").count() < 200, "{screen}");
    terminal.send("\x03");
}
