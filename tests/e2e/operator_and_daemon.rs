//! The operator's passphrase, and the one daemon that lives by it.

use std::{fs, os::unix::fs::PermissionsExt, thread};

use rustix::process::Signal;

use crate::support::{Sgw, Sshd, eventually, is_alive, processes_with_files_under};

#[test]
fn init_asks_nothing_with_a_passphrase_file_and_refuses_to_run_again() {
    let sgw = Sgw::new();
    sgw.operator(["init"]).ok();
    sgw.operator(["init"]).fails(1, "operator.exists");
}

#[test]
fn a_mistyped_passphrase_is_asked_for_again_three_times_in_all() {
    let sgw = Sgw::new();
    sgw.init();
    let mut terminal = sgw.terminal(["unlock"]);
    for wrong in 0..3 {
        terminal.wait_for(&format!("(?s)^(.*Wrong){{{wrong}}}.*Passphrase: $"));
        terminal.settle();
        terminal.send("not this one\r");
    }
    let (code, screen) = terminal.ends();
    assert!(code == 77 && screen.contains("operator.proof"), "{code}: {screen}");
}

#[test]
fn a_weak_passphrase_is_refused_and_nothing_is_set_up() {
    let sgw = Sgw::new();
    for weak in ["password1", "aaaaaaaaaaaaaaaaaaaa", "qwertyuiop", ""] {
        let file = sgw.write_private("weak", weak).display().to_string();
        let init = ["init", "--passphrase-file", &file, "--i-am-the-operator"];
        sgw.agent(init).fails(2, "operator.passphrase");
    }
    sgw.agent(["request", "host", "--reason", "x"]).fails(69, "operator.none");
}

#[test]
fn a_passphrase_file_that_others_may_read_is_refused() {
    let sgw = Sgw::new();
    fs::set_permissions(sgw.passphrase_file(), fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = sgw.operator(["init"]);
    assert_ne!(outcome.code(), 0, "{outcome:?}");
    fs::set_permissions(sgw.passphrase_file(), fs::Permissions::from_mode(0o600)).unwrap();
    sgw.init();
}

#[test]
fn the_passphrase_can_come_from_stdin() {
    let sgw = Sgw::new();
    sgw.init();
    let mut unlock = sgw.start(["unlock", "--passphrase-file", "-", "--i-am-the-operator"]);
    unlock.write(crate::support::PASSPHRASE.as_bytes());
    unlock.ends().ok();
    assert!(sgw.daemon().is_some());
}

#[test]
fn init_on_a_terminal_offers_six_words() {
    let sgw = Sgw::new();
    let mut terminal = sgw.terminal(["init"]);
    terminal.wait_for("six words");
    terminal.send("\r");
    let drawn = r"(?m)^\s*((?:[a-z]{3,8} ){5}[a-z]{3,8})\s*$";
    terminal.wait_for("Type them once");
    let screen = terminal.screen();
    let words =
        regex::Regex::new(drawn).unwrap().captures(&screen).expect("six words")[1].to_owned();
    terminal.send("six other words than those above\r");
    terminal.wait_for("(?s)not the words.*Type them once");
    terminal.send(&format!("{words}\r"));
    terminal.wait_for(r"Set a PIN\?");
    terminal.send("n");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(screen.matches(&words).count(), 1, "what was typed was echoed\n{screen}");
    let file = sgw.write_private("words", &words).display().to_string();
    sgw.agent(["unlock", "--passphrase-file", &file, "--i-am-the-operator"]).ok();
    assert!(sgw.daemon().is_some());
}

#[test]
fn init_on_a_terminal_asks_twice_for_a_passphrase_of_ones_own() {
    let sgw = Sgw::new();
    let mut terminal = sgw.terminal(["init"]);
    terminal.wait_for("of my own");
    terminal.send("\x1b[B\r");
    terminal.wait_for("Passphrase:");
    terminal.send(&format!("{}\r", crate::support::PASSPHRASE));
    terminal.wait_for("Once more");
    terminal.send(&format!("{}\r", crate::support::PASSPHRASE));
    terminal.wait_for("Set a PIN");
    terminal.send("y");
    terminal.wait_for("PIN: ?$");
    terminal.send("1234\r");
    terminal.wait_for("(?s)counted up or down.*PIN: ?$");
    terminal.send("7314\r");
    terminal.wait_for("(?s)PIN:.*Once more: ?$");
    terminal.send("7314\r");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains(crate::support::PASSPHRASE), "the passphrase was echoed\n{screen}");
    assert!(screen.contains("sgw unlock"), "{screen}");
    sgw.unlock();
}

#[test]
fn before_init_an_agent_is_told_what_its_person_types() {
    let sgw = Sgw::new();
    for command in [
        vec!["request", "host", "--reason", "x"],
        vec!["exec", "s-234", "--", "true"],
        vec!["wait", "r-234"],
        vec!["sessions"],
    ] {
        sgw.agent(&command).fails(69, "operator.none").says("sgw init");
    }
    sgw.agent(["status"]).ok();
    assert!(sgw.files().is_empty(), "an agent's command left files");
}

#[test]
fn no_daemon_is_69_at_once_and_an_agent_starts_none() {
    let sgw = Sgw::new();
    sgw.init();
    let commands = [
        vec!["request", "host", "--reason", "x", "--wait", "1h"],
        vec!["exec", "s-234", "--", "true"],
        vec!["wait", "r-234"],
        vec!["sessions"],
        vec!["history", "s-234"],
        vec!["close", "s-234"],
    ];
    for command in commands {
        let outcome = sgw.agent(&command).fails(69, "daemon.unreachable").says("sgw unlock");
        assert!(outcome.took().as_secs() < 5, "{outcome:?}");
    }
    sgw.agent(["status"]).ok();
    sgw.agent(["exec", "s-234", "--json", "--", "true"]).fails(69, "daemon.unreachable");
    assert_eq!(sgw.daemon(), None);
    assert_eq!(processes_with_files_under(&sgw.home()), Vec::<u32>::new());
}

#[test]
fn unlock_starts_the_daemon_once_and_is_content_when_it_runs() {
    let sgw = Sgw::new();
    sgw.init();
    let first = sgw.unlock();
    assert_eq!(sgw.unlock(), first);
    let status = sgw.agent(["daemon", "status", "--json"]).ok().json();
    assert_eq!(status["running"], true);
    assert_eq!(status["home"], sgw.home().to_str().unwrap());
    assert!(status["version"].is_string() && status["uptime_s"].is_u64());
    assert_eq!((status["sessions"].as_u64(), status["connections"].as_u64()), (Some(0), Some(0)));
}

#[test]
fn of_many_unlocks_at_once_one_daemon_comes() {
    let sgw = Sgw::new();
    sgw.init();
    let unlocks: Vec<_> = (0..4)
        .map(|_| crate::support::Running::start(&mut sgw.operator_command(["unlock"])))
        .collect();
    unlocks.into_iter().for_each(|unlock| drop(unlock.ends().ok()));
    let daemon = sgw.daemon().unwrap();
    eventually("one daemon alone is left", || processes_with_files_under(&sgw.home()) == [daemon]);
}

#[test]
fn a_wrong_passphrase_is_no_proof_and_starts_nothing() {
    let sgw = Sgw::new();
    sgw.init();
    let wrong = sgw.write_private("wrong", "correct-horse-battery-staple-17");
    let wrong = wrong.display().to_string();
    let unlock = ["unlock", "--passphrase-file", &wrong, "--i-am-the-operator"];
    sgw.agent(unlock).fails(77, "operator.proof");
    assert_eq!(sgw.daemon(), None);
}

#[test]
fn lock_needs_no_proof_and_ends_the_daemon() {
    let sgw = Sgw::unlocked();
    let pid = sgw.daemon().unwrap();
    sgw.lock();
    eventually("the daemon has ended", || !is_alive(pid));
    assert_eq!(sgw.daemon(), None);
    sgw.agent(["request", "host", "--reason", "x"]).fails(69, "daemon.unreachable");
    sgw.lock();
    assert_ne!(sgw.unlock(), pid);
}

#[test]
fn a_killed_daemon_leaves_sockets_that_do_not_stop_the_next() {
    let sgw = Sgw::unlocked();
    sgw.kill_daemon();
    assert!(sgw.find("agent.sock").exists());
    sgw.agent(["sessions"]).fails(69, "daemon.unreachable");
    sgw.unlock();
    sgw.agent(["sessions"]).ok();
}

#[test]
fn it_ends_gracefully_when_its_machine_shuts_down() {
    let sgw = Sgw::unlocked();
    let pid = sgw.daemon().unwrap();
    crate::support::signal(pid, Signal::TERM);
    eventually("the daemon has ended", || !is_alive(pid));
    let left = sgw.path("s");
    let sockets = std::process::Command::new("find").arg(left).args(["-type", "s"]).output();
    assert_eq!(String::from_utf8(sockets.unwrap().stdout).unwrap(), "", "sockets were left");
}

#[test]
fn only_the_owner_may_look_at_what_is_on_disk() {
    let sgw = Sgw::unlocked();
    let sshd = Sshd::start();
    let session = sgw.session(&sshd);
    sgw.agent(["exec", &session, "--", "true"]).ok();
    let found = std::process::Command::new("find").arg(sgw.home()).output().unwrap();
    for path in String::from_utf8(found.stdout).unwrap().lines() {
        let meta = fs::symlink_metadata(path).unwrap();
        let mode = meta.permissions().mode() & 0o777;
        let right = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode & !right, 0, "{path} has {mode:o}");
    }
    assert!(sgw.find("operator.sock").exists() && sgw.find("agent.sock").exists());
}

#[test]
fn a_daemon_starts_fresh() {
    let sgw = Sgw::new();
    sgw.init();
    let mut unlock = sgw.operator_command(["unlock"]);
    unlock.env("CANARY_VARIABLE", "x").env("LD_LIBRARY_PATH", "/nowhere");
    sgw.run(&mut unlock).ok();
    let pid = sgw.daemon().unwrap();
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let environment = String::from_utf8_lossy(&read("environ")).into_owned();
    assert!(!environment.contains("CANARY_VARIABLE"), "{environment}");
    assert!(!environment.contains("LD_LIBRARY_PATH"), "{environment}");
    if let Ok(directory) = fs::read_link(format!("/proc/{pid}/cwd")) {
        assert_eq!(directory.to_str(), Some("/"));
    }
    let stat = String::from_utf8(read("stat")).unwrap();
    let session = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3).unwrap();
    assert_eq!(session, pid.to_string(), "not the leader of a session of its own");
    let limits = String::from_utf8_lossy(&read("limits")).into_owned();
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    assert!(core.is_none_or(|line| line.split_whitespace().nth(4) == Some("0")), "{core:?}");
}

#[test]
fn it_survives_the_crash_of_its_clients() {
    let sgw = Sgw::unlocked();
    let sshd = Sshd::start();
    let session = sgw.session(&sshd);
    let pid = sgw.daemon();
    thread::scope(|_| {
        for _ in 0..5 {
            let mut client = sgw.start([
                "exec",
                &session,
                "--orphan",
                "1s",
                "--",
                "sh",
                "-c",
                "echo on; sleep 600",
            ]);
            client.prints("on\n");
            client.signal(Signal::KILL);
            client.ends();
        }
    });
    sgw.agent(["exec", &session, "--", "echo", "still here"]).ok().prints("still here\n");
    assert_eq!(sgw.daemon(), pid);
}

#[test]
fn under_a_known_agent_the_operators_commands_refuse() {
    let sgw = Sgw::unlocked();
    let passphrase = sgw.passphrase_file().display().to_string();
    for variable in ["CLAUDECODE", "CODEX_SANDBOX", "CURSOR_AGENT", "GEMINI_CLI", "SGW_TOKEN"] {
        let mut approve =
            sgw.command(["approve", "r-234", "--yes", "--passphrase-file", &passphrase]);
        sgw.run(approve.env(variable, "1")).fails(77, "operator.proof");
        sgw.run(sgw.command(["daemon", "status"]).env(variable, "1")).ok();
    }
    let fresh = Sgw::new();
    let passphrase = fresh.passphrase_file().display().to_string();
    let mut init = fresh.command(["init", "--passphrase-file", &passphrase]);
    fresh.run(init.env("CLAUDECODE", "1")).fails(77, "operator.proof");
    fresh.run(fresh.operator_command(["init"]).env("CLAUDECODE", "1")).ok();
}
