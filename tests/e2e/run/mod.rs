//! `sgw run`: an agent with a token of its own, which ends with it.

mod sandbox;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use rustix::process::Signal;

use crate::support::{PASSPHRASE, Pty, Running, Sgw, Sshd, eventually, is_alive, signal};

/// A program that an agent could be.
fn program(sgw: &Sgw, name: &str, script: &str) -> String {
    let path: PathBuf = sgw.path(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn run(sgw: &Sgw, words: &[&str]) -> Command {
    sgw.operator_command(["run"].into_iter().chain(words.iter().copied()))
}

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_sgw")
}

fn tokens(sgw: &Sgw) -> Vec<(String, String)> {
    let list = sgw.operator(["token", "list", "--json"]).ok().json();
    let text = |one: &serde_json::Value, field: &str| one[field].as_str().unwrap().to_owned();
    let all = list["tokens"].as_array().unwrap();
    all.iter().map(|one| (text(one, "name"), text(one, "status"))).collect()
}

#[test]
fn a_program_works_under_its_own_name_and_nothing_of_it_stays() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.target("web1", &sshd);
    let script = format!("{0} whoami --json; {0} exec web1 -- echo hi; exit 7", binary());
    let agent = program(&sgw, "agent", &script);
    let outcome = sgw.run(&mut run(&sgw, &["--target", "web*", "--", &agent])).exits(7);
    let mut lines = outcome.stdout();
    assert!(lines.ends_with("hi\n"), "{lines}");
    lines.truncate(lines.find('\n').unwrap());
    let me: serde_json::Value = serde_json::from_str(&lines).unwrap();
    assert_eq!((&me["token"], &me["targets"][0]["standing"]), (&"agent".into(), &true.into()));
    assert_eq!(tokens(&sgw), [("agent".to_owned(), "revoked".to_owned())]);
    let list = sgw.operator(["token", "list"]).ok().stdout();
    assert!(list.contains("ended") && !list.contains("while its program runs"), "{list}");
    let open = sgw.agent(["sessions", "--all", "--json"]).ok().json();
    assert_eq!(open["sessions"].as_array().map(Vec::len), Some(0), "{open}");
    let grants = sgw.operator(["grant", "list", "--json"]).ok().json();
    assert_eq!(grants["grants"].as_array().map(Vec::len), Some(0), "{grants}");
    // Nothing of it was ever on the disk.
    sgw.lock();
    sgw.unlock();
    assert!(tokens(&sgw).is_empty());
}

#[test]
fn what_leads_past_sgw_is_not_in_its_environment() {
    let sgw = Sgw::unlocked();
    let agent = program(&sgw, "agent", "env");
    let mut command = run(&sgw, &["--", &agent]);
    let gone = ["SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSHPASS", "GIT_SSH_COMMAND", "SGW_SESSION"];
    gone.iter().for_each(|name| _ = command.env(name, "/planted"));
    command.env("GITHUB_TOKEN", "x").env("MINE", "kept");
    let outcome = sgw.run(&mut command).ok();
    let environment = outcome.stdout();
    let has = |name: &str| environment.lines().any(|line| line.starts_with(&format!("{name}=")));
    for name in gone {
        assert!(!has(name), "{name} in {environment}");
    }
    for name in ["SGW_TOKEN", "SGW_WAIT", "SGW_MAX_OUTPUT", "MINE", "GITHUB_TOKEN", "SGW_HOME"] {
        assert!(has(name), "no {name} in {environment}");
    }
    outcome.says("taken out of its environment: ").says("good without sgw: GITHUB_TOKEN");
}

#[test]
fn a_token_ends_with_a_program_that_is_killed_and_with_sgw_run_itself() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.target("web1", &sshd);
    let script = format!("echo pid $$; exec {} exec web1 -- 'echo on; sleep 600'", binary());
    let agent = program(&sgw, "agent", &script);
    let start = || {
        let mut running = Running::start(&mut run(&sgw, &["--target", "web1", "--", &agent]));
        running.prints("on\n");
        let printed = running.stdout();
        let pid = printed.lines().find_map(|line| line.strip_prefix("pid ")).unwrap();
        (running, pid.parse::<u32>().unwrap())
    };
    let gone = || {
        let open = sgw.agent(["sessions", "--all", "--json"]).ok().json();
        let none = open["sessions"].as_array().is_some_and(Vec::is_empty);
        none && tokens(&sgw).iter().all(|(_, status)| status == "revoked")
    };

    let (running, pid) = start();
    signal(pid, Signal::KILL);
    running.ends().exits(128 + 9);
    assert!(gone());

    let (running, pid) = start();
    signal(running.pid(), Signal::KILL);
    running.ends();
    eventually("the token is gone", gone);
    // The agent's own call was ended by it.
    eventually("the program ends", || !is_alive(pid));
}

#[test]
fn signals_and_the_status_are_the_program_s() {
    let sgw = Sgw::unlocked();
    let script = "trap 'echo got TERM; exit 42' TERM\necho ready\nwhile :; do sleep 0.1; done";
    let agent = program(&sgw, "agent", script);
    let mut running = Running::start(&mut run(&sgw, &["--", &agent]));
    running.prints("ready\n");
    running.signal(Signal::TERM);
    let outcome = running.ends().exits(42);
    assert!(outcome.stdout().contains("got TERM"), "{outcome:?}");
    sgw.run(&mut run(&sgw, &["--", "/nowhere/agent"])).exits(127);
    sgw.run(&mut run(&sgw, &["--", "/etc/passwd"])).exits(126);
    assert!(tokens(&sgw).iter().all(|(_, status)| status == "revoked"));
}

#[test]
fn the_terminal_is_the_program_s_and_ctrl_c_comes_once() {
    let sgw = Sgw::unlocked();
    let script = "trap 'count=$((count + 1)); echo caught $count' INT\n\
                  echo ready\nread line\necho read $line, caught $count";
    let agent = program(&sgw, "agent", script);
    let command = sgw.command(["run", "--i-am-the-operator", "--", &agent]);
    let mut terminal = Pty::start(&command);
    terminal.wait_for("Passphrase");
    terminal.send(&format!("{PASSPHRASE}\r"));
    terminal.wait_for("ready");
    terminal.send("\x03");
    terminal.wait_for("caught 1");
    terminal.send("word\r");
    let screen = terminal.wait_for("read word|caught 1");
    assert!(!screen.contains("caught 2"), "{screen}");
    let (_, screen) = terminal.ends();
    assert!(!screen.contains("caught 2"), "{screen}");
}

#[test]
fn names_are_the_program_s_unless_they_are_taken() {
    let sgw = Sgw::unlocked();
    sgw.token("agent", &[]);
    let script = format!("{} whoami", binary());
    let agent = program(&sgw, "agent", &script);
    let outcome = sgw.run(&mut run(&sgw, &["--", &agent])).ok();
    assert!(outcome.stdout().starts_with("token:agent-2 "), "{outcome:?}");
    sgw.run(&mut run(&sgw, &["--name", "agent", "--", &agent])).fails(125, "token.exists");
    sgw.run(&mut run(&sgw, &["--name", "s-x", "--", &agent])).fails(125, "usage.name");
    sgw.run(&mut run(&sgw, &["--target", "[a]", "--", &agent])).fails(125, "usage.arguments");
    let named = sgw.run(&mut run(&sgw, &["--name", "deploy", "--", &agent])).ok();
    assert!(named.stdout().starts_with("token:deploy "), "{named:?}");
}

#[test]
fn limits_are_those_that_sgw_was_started_with() {
    let sgw = Sgw::unlocked();
    let inner = program(&sgw, "inner", "ulimit -c");
    let all = run(&sgw, &["--", &inner]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -S -c 4096 && ulimit -c && exec \"$@\"", "sh"]);
    shell.arg(all.get_program()).args(all.get_args());
    shell.env_clear().envs(all.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let told = sgw.run(&mut shell).ok().stdout();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert_eq!(lines[0], lines[1]);
}

#[test]
fn an_agent_can_run_nothing_so() {
    let sgw = Sgw::unlocked();
    let mut command = sgw.command(["run", "--", "true"]);
    sgw.run(command.env("CLAUDECODE", "1")).fails(125, "operator.proof");
}

#[test]
fn a_failure_of_sgw_is_no_status_that_a_program_gives() {
    let sgw = Sgw::unlocked();
    // Nobody to ask for the passphrase.
    sgw.run(&mut sgw.command(["run", "--i-am-the-operator", "--", "true"]))
        .fails(125, "operator.proof");
    sgw.lock();
    sgw.run(&mut run(&sgw, &["--", "true"])).fails(125, "daemon.unreachable");
}
