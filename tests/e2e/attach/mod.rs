//! The operator takes a session's keyboard in a window of their own, and gives the window back.

mod asked;
mod ways_out;

use crate::support::{Pty, Sgw, Sshd, eventually};

/// A session whose terminal has a plain shell with a prompt of its own.
fn ready() -> (Sgw, Sshd, String) {
    let sshd = Sshd::start();
    let sgw = Sgw::unlocked();
    let session = sgw.session(&sshd);
    sgw.agent(["input", &session, "PS1='at-the-prompt '; cd /"]).ok();
    (sgw, sshd, session)
}

/// `sgw attach`, or `watch`, in a window.
fn window(sgw: &Sgw, arguments: &[&str]) -> Pty {
    let passphrase = sgw.passphrase_file().display().to_string();
    sgw.terminal(arguments.iter().copied().chain(["--passphrase-file", &passphrase]))
}

/// `sgw attach`, once the prompt is there.
#[track_caller]
fn attached(sgw: &Sgw, session: &str) -> Pty {
    let mut person = window(sgw, &["attach", session]);
    person.wait_for("(?s)at-the-prompt.*SHARED");
    person
}

fn control(sgw: &Sgw, session: &str) -> String {
    let shown = sgw.agent(["show", session, "--json"]).ok().json();
    shown["control"].as_str().unwrap().to_owned()
}

#[test]
fn the_operator_types_sees_and_hands_back_with_a_word() {
    let (sgw, _sshd, s) = ready();
    let waits = |me: &Sgw| me.start(["wait", &s, "--wait", "60s"]);
    let mut person = attached(&sgw, &s);
    let line = person.last_line();
    assert!(
        line.starts_with(" SHARED  ") && line.contains(&s) && line.contains("? help"),
        "{line}"
    );
    let agent = waits(&sgw);
    person.send("echo $((40+2)) ~.\r");
    person.wait_for("(?m)^42 ~\\.");
    person.send("~?");
    person.wait_for("Any key goes back");
    person.send(" ");
    person.wait_for("SHARED");
    person.send("~~x\r");
    person.wait_for("~x");
    person.send("~.");
    person.wait_for("h hand back");
    // Enter decides nothing, and nothing of it reaches the server.
    person.send("\r");
    person.send("h");
    person.wait_for("A word to the agent");
    person.send("all yours\r");
    let (code, screen) = person.ends();
    assert!(code == 0 && screen.contains("the agent has the keyboard again"), "{code}: {screen}");
    assert!(!screen.contains("at-the-prompt"), "the old screen is back: {screen}");
    agent.ends().ok().says("all yours");
    assert_eq!(control(&sgw, &s), "agent");
    let seen = sgw.agent(["output", &s]).ok().stdout();
    assert!(seen.contains("42 ~.") && !seen.contains("all yours"), "{seen}");
}

#[test]
fn private_is_shown_and_the_keyboard_can_be_kept() {
    let (sgw, _sshd, s) = ready();
    let mut person = attached(&sgw, &s);
    person.send("~p");
    person.wait_for("PRIVATE - the agent sees nothing");
    person.send("echo se''cret\r");
    person.wait_for("(?m)^secret");
    assert!(!sgw.agent(["output", &s]).ok().stdout().contains("secret"));
    person.send("~.");
    person.wait_for("(?s)sudo -k.*k keep");
    person.send("k");
    let (code, screen) = person.ends();
    assert_eq!(code, 0, "{screen}");
    for told in [format!("sgw attach {s}"), format!("sgw return {s}")] {
        assert!(screen.contains(&told), "{screen}");
    }
    assert_eq!(control(&sgw, &s), "operator");
    sgw.operator(["return", &s]).ok();
    assert_eq!(control(&sgw, &s), "agent");
}

#[test]
fn the_agents_commands_are_ended_from_within() {
    let (sgw, _sshd, s) = ready();
    let runs = sgw.start(["exec", &s, "--", "sh", "-c", "echo begun; exec sleep 1000"]);
    let running = || sgw.agent(["show", &s, "--json"]).ok().json()["running"].to_string();
    eventually("the command runs", || running().contains("x-"));
    let mut person = attached(&sgw, &s);
    person.send("~k");
    person.wait_for("1  x-.*sleep 1000");
    person.send("1");
    person.wait_for("End x-.*y yes");
    person.send("y");
    person.wait_for("x-\\w+ is ended");
    assert_ne!(runs.ends().code(), 0);
    person.send("~.");
    person.wait_for("c close");
    person.send("c");
    person.wait_for("Close s-.*y yes");
    person.send("y");
    let (code, screen) = person.ends();
    assert!(code == 0 && screen.contains(&format!("{s} is closed")), "{screen}");
}

#[test]
fn a_window_of_another_size_is_another_size_for_the_program() {
    let (sgw, sshd, s) = ready();
    let mut person = attached(&sgw, &s);
    person.send("stty size\r");
    person.wait_for("(?m)^59 120");
    let sizes = [((30, 90), "29 90"), ((0, 0), "29 90"), ((2, 10), "2 20"), ((24, 80), "23 80")];
    for (number, (window, told)) in sizes.into_iter().enumerate() {
        person.resize(window.0, window.1);
        // The size is told a moment later: the shell asks until it is so.
        let seen = sshd.directory().join(format!("size-{number}"));
        let until = format!("until test \"$(stty size)\" = '{told}'; do :; done");
        person.send(&format!("{until}; touch {}\r", seen.display()));
        eventually("the program has the size of the window", || seen.exists());
    }
    eventually("the status line is whole", || person.last_line().starts_with(" SHARED"));
}

#[test]
fn what_a_server_prints_stays_off_the_status_line_and_sets_nothing_unknown() {
    let (sgw, _sshd, s) = ready();
    let mut person = attached(&sgw, &s);
    let before = person.raw().len();
    for text in [
        r"\033]0;a title\007\033]52;c;aGVsbG8=\007\033P1$r0m\033\\\\\033_app\033\\\\",
        r"\033[999;1HPRIVATE\n\n\033[1;999r\033[999Bx\033[999;999Hover the edge",
        r"\033[?1049h\033[2J\033[60;1Hfake\033[61;1Hfake\033[?1049l\033[?1004h\033[?7h\033[?5h",
        r"\033[8;1;1t\033c\033[3J\033#8\033(0\016",
    ] {
        person.send(&format!("printf '{text}'; echo do''ne\r"));
        person.wait_for("done");
        let line = person.last_line();
        assert!(line.starts_with(" SHARED  ") && !line.contains("fake"), "{line}");
        person.send("printf '\\033[0m\\017'; clear; echo cle''ar\r");
        person.wait_for("(?m)^clear");
    }
    let written = person.raw()[before..].to_vec();
    let written = String::from_utf8_lossy(&written);
    for odd in
        ["\x1b]", "\x1bP", "\x1b_", "\x1b[?1004h", "\x1b[?7h", "\x1b#", "\x1bc", "\x1b[8;", "\x07"]
    {
        assert!(!written.contains(odd), "{odd:?} reached the operator's terminal");
    }
}

#[test]
fn without_a_terminal_nothing_is_attached() {
    let (sgw, _sshd, s) = ready();
    sgw.operator(["attach", &s]).fails(2, "usage.arguments").says("needs a terminal");
    let mut dumb = sgw.command(["attach", &s, "--i-am-the-operator"]);
    let mut dumb = Pty::start_with(dumb.env("TERM", "dumb"), (24, 80));
    let screen = dumb.wait_for("TERM=dumb");
    assert!(screen.contains("usage.arguments"), "{screen}");
    let small = sgw.command(["attach", &s, "--i-am-the-operator"]);
    Pty::start_with(&small, (2, 80)).wait_for("make the window larger");
    assert_eq!(control(&sgw, &s), "agent");
}
