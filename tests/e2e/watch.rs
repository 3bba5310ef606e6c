//! The operator watches: in a window, or as lines; nobody is held up by whoever watches.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Pty, Sgw, Sshd, eventually, signal};

fn ready() -> (Sgw, Sshd, String) {
    let sshd = Sshd::start();
    let sgw = Sgw::unlocked();
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

fn window(sgw: &Sgw, id: &str) -> Pty {
    let passphrase = sgw.passphrase_file().display().to_string();
    sgw.terminal(["watch", id, "--passphrase-file", &passphrase])
}

#[test]
fn two_watchers_see_the_terminal_and_the_commands_and_one_that_stops_holds_nobody_up() {
    let (sgw, _sshd, s) = ready();
    let (mut first, mut second) = (window(&sgw, &s), window(&sgw, &s));
    for watcher in [&mut first, &mut second] {
        watcher.wait_for("WATCHING");
    }
    sgw.agent(["exec", &s, "--", "echo out; printf '\\033[2Jerr\\n' >&2; exit 3"]).code();
    for watcher in [&mut first, &mut second] {
        let screen = watcher.wait_for("x-\\w+ = ended with 3");
        assert!(screen.contains("| out") && screen.contains("! \\x1b[2Jerr"), "{screen}");
    }
    let before = first.modes();
    signal(second.pid(), Signal::STOP);
    sgw.agent(["input", &s, "PS1='the-prompt '; seq 1 20000; echo do''ne", "--wait-for", "^done"])
        .ok();
    first.wait_for("(?m)^done");
    sgw.agent(["exec", &s, "--", "seq", "1", "300000"]).ok();
    first.wait_for("\\| 300000");
    // What is typed here goes nowhere.
    first.send("ls\r~.x");
    signal(second.pid(), Signal::CONT);
    second.wait_for("(?m)^done");
    sgw.agent(["input", &s, "clear; echo la''st"]).ok();
    let screen = first.wait_for("(?m)^last");
    assert!(!screen.contains("~.x") && first.last_line().contains("q leaves"), "{screen}");
    assert_eq!(first.modes(), before);
    first.send("q");
    second.send("\x03");
    for watcher in [first, second] {
        eventually("the old screen is back", || watcher.is_plain());
        assert!(watcher.modes().contains("ICANON"));
        assert_eq!(watcher.ends().0, 0);
    }
}

#[test]
fn a_pipe_gets_plain_lines_and_json_gets_events() {
    let (sgw, _sshd, s) = ready();
    let start = |more: &[&str]| {
        let arguments = ["watch", &s].into_iter().chain(more.iter().copied());
        crate::support::Running::start(&mut sgw.operator_command(arguments))
    };
    let (mut plain, mut json) = (start(&[]), start(&["--json"]));
    plain.says("watching");
    // Nothing says that the other one watches: what runs is repeated until both have seen it.
    eventually("both watch", || {
        sgw.agent(["exec", &s, "--", "printf 'a\\033[31mb\\n'"]).ok();
        plain.stdout().contains("= ended with 0") && json.stdout().contains("\"printed\"")
    });
    assert!(plain.stdout().contains("| a\\x1b[31mb"), "{}", plain.stdout());
    sgw.agent(["input", &s, "echo from-the-ter''minal"]).ok();
    plain.prints("from-the-terminal");
    json.prints("from-the-terminal");
    sgw.agent(["close", &s]).ok();
    let (plain, json) = (plain.ends(), json.ends());
    assert!(!plain.stdout().contains('\x1b'));
    for outcome in [&plain, &json] {
        assert_eq!(outcome.code(), 0, "{outcome:?}");
    }
    let events: Vec<Value> =
        json.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for kind in ["exec", "printed", "screen", "drawn"] {
        assert!(events.iter().any(|event| event["type"] == kind), "no {kind}");
    }
}

#[test]
fn a_single_command_is_watched_to_its_end() {
    let (sgw, _sshd, s) = ready();
    let mut runs = sgw.start(["exec", &s, "-i", "--json", "--", "cat"]);
    let running = || sgw.agent(["show", &s, "--json"]).ok().json()["running"][0].clone();
    eventually("it runs", || running().is_string());
    let id = running().as_str().unwrap().to_owned();
    let mut watch = crate::support::Running::start(&mut sgw.operator_command(["watch", &id]));
    watch.says("watching");
    eventually("it is watched", || {
        runs.write(b"a line\n");
        watch.stdout().contains("| a line")
    });
    runs.ends().ok();
    let watched = watch.ends().ok();
    assert!(watched.stdout().contains(&format!("{id} = ended with 0")), "{watched:?}");
    watched.says("has ended");
}

#[test]
fn a_reader_that_goes_away_ends_the_watch() {
    let (sgw, _sshd, s) = ready();
    let command = sgw.operator_command(["watch", &s]);
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "\"$@\" | head -n 1", "sh"]).arg(command.get_program());
    shell.args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut pipe = crate::support::Running::start(&mut shell);
    pipe.says("watching");
    eventually("the pipe ends", || {
        sgw.agent(["exec", &s, "--", "echo", "again"]).ok();
        pipe.has_ended()
    });
}
