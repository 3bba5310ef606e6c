//! The operator over what runs through a bridge: who sees it, who has the keyboard, who ends it; and what
//! one client does not read, which is nobody else's trouble.

use std::process::Stdio;

use rustix::process::Signal;

use super::{Both, ran, stderr};
use crate::support::{Running, eventually, signal};

#[test]
fn a_watcher_sees_the_screen_of_a_clients_terminal() {
    let both = Both::new();
    let mut pty = both.prompt();
    let passphrase = both.sgw.passphrase_file().display().to_string();
    let session = both.sgw.by(&both.token, ["sessions", "--json"]).ok().json();
    let session = session["sessions"][0]["id"].as_str().unwrap().to_owned();
    let words = ["watch", &session, "--passphrase-file", &passphrase];
    let mut watcher = both.sgw.terminal(words);
    watcher.wait_for("WATCHING");
    watcher.wait_for("ready> ");
    pty.send("printf '\\033[2J\\033[3;5Hin the mid''dle'; read x\r");
    watcher.wait_for("\n    in the middle");
    pty.send("\r");
    pty.send("exit 4\r");
    assert_eq!(pty.waits_for_end(), 4);
    watcher.wait_for(r"x-\w+ = ended with 4");
    watcher.send("q");
    watcher.waits_for_end();
}

#[test]
fn while_the_operator_has_the_keyboard_what_is_typed_waits() {
    let both = Both::new();
    let mut pty = both.prompt();
    both.sgw.by(&both.token, ["handoff", "web1", "please look", "--no-wait"]).exits(75);
    pty.send("echo the''re\r");
    let output = ran(&mut both.ssh(&both.through, &["-tt", "web1"]), b"");
    assert!(stderr(&output).contains("control.operator"), "{}", stderr(&output));
    assert!(!pty.screen().contains("there"), "{}", pty.screen());
    both.sgw.operator(["return", "web1"]).ok();
    pty.wait_for("\nthere\nready> $");
}

#[test]
fn a_shell_ends_with_its_session_its_token_and_the_daemon() {
    for end in ["session", "token", "daemon"] {
        let both = Both::new();
        let mut pty = both.prompt();
        match end {
            "session" => _ = both.sgw.by(&both.token, ["close", "web1"]).ok(),
            "token" => _ = both.sgw.operator(["token", "revoke", "ci"]).ok(),
            _ => both.sgw.lock(),
        }
        // What ends it may be told as the command's end or as the connection's.
        assert!([77, 125, 255].contains(&pty.waits_for_end()), "{end}\n{}", pty.screen());
        let said = match end {
            "session" => "the session is over|was ended",
            "token" => "the token is not valid any more|was ended",
            // Its sessions end with it.
            _ => "sgw is locked|the session is over|was ended",
        };
        pty.wait_for(said);
    }
}

#[test]
fn what_is_typed_while_the_agent_is_paused_is_refused_and_the_shell_stays() {
    let both = Both::new();
    let mut pty = both.prompt();
    both.sgw.operator(["pause"]).ok();
    pty.send("x");
    pty.wait_for(r"sgw: error\[control.paused\]");
    both.sgw.operator(["resume"]).ok();
    pty.send("clear; echo go''es on\r");
    pty.wait_for("goes on\nready> $");
}

#[test]
fn what_was_typed_is_on_record_with_its_shell() {
    let both = Both::new();
    let mut pty = both.prompt();
    pty.send("true of-the-record\r");
    pty.send("exit\r");
    assert_eq!(pty.waits_for_end(), 0);
    let records = both.sgw.operator(["audit", "list", "--json"]).ok().stdout();
    let typed = records.lines().find(|line| line.contains("true of-the-record"));
    let typed = typed.unwrap_or_else(|| panic!("{records}"));
    assert!(typed.contains("input.intent") && typed.contains("\"x-"), "{typed}");
}

#[test]
fn a_client_that_reads_nothing_holds_up_nobody() {
    let both = Both::new();
    let mut stopped = Vec::new();
    for words in [&["web1", "yes"][..], &["-tt", "web1", "yes"]] {
        let mut runs = both.ssh(&both.through, words);
        runs.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut runs = runs.spawn().unwrap();
        let mut some = [0; 4096];
        std::io::Read::read_exact(runs.stdout.as_mut().unwrap(), &mut some).unwrap();
        signal(runs.id(), Signal::STOP);
        stopped.push(runs);
    }
    for round in 0..12 {
        let output = ran(&mut both.ssh(&both.through, &["web1", "echo", "fine"]), b"");
        assert_eq!(output.stdout, b"fine\n", "{round}: {}", stderr(&output));
    }
    both.sgw.by(&both.token, ["exec", "web1", "--", "echo", "fine"]).ok().prints("fine\n");
    for mut runs in stopped {
        runs.kill().unwrap();
        runs.wait().unwrap();
    }
    eventually("nothing runs any more", || {
        let told = both.sgw.by(&both.token, ["sessions", "--json"]).ok().json();
        told["sessions"][0]["running"].as_array().is_some_and(Vec::is_empty)
    });
}

/// Each has its own, and gives it back.
#[test]
fn a_bridge_has_a_connection_of_its_own_while_it_is_there() {
    let both = Both::new();
    let start = || {
        let mut runs = both.ssh(&both.through, &["web1", "echo begun; cat"]);
        let mut runs = both.sgw.watched(Running::start(&mut runs));
        runs.prints("begun");
        runs
    };
    let connections = || {
        let status = both.sgw.agent(["daemon", "status", "--json"]).ok().json();
        status["connections"].as_u64().unwrap_or(0)
    };
    let mut all: Vec<_> = (0..3).map(|_| start()).collect();
    eventually("there is one more than bridges", || connections() >= 4);
    for runs in &mut all {
        runs.close_stdin();
    }
    all.into_iter().for_each(|runs| _ = runs.ends().ok());
    both.same(&["web1", "echo still here"], b"");
}
