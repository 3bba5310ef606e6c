//! Help, man pages and completions: complete, with examples, and not older than the program.

use std::{fs, path::Path, process::Command};

use crate::support::{Sgw, tool};

/// The words listed in a help text's sections of commands.
fn subcommands(help: &str) -> Vec<String> {
    let mut listed = false;
    let mut names = Vec::new();
    for line in help.lines() {
        if !line.is_empty() && !line.starts_with(' ') {
            listed =
                line.ends_with("ommands:") || line.ends_with(" run:") || line.ends_with(" runs:");
        } else if listed && line.starts_with("  ") && !line.starts_with("   ") {
            names.extend(line.split_whitespace().next().map(str::to_owned));
        }
    }
    names.retain(|name| name != "help");
    names
}

/// Every command and its commands: `["request"]`, `["audit", "list"]`, …
fn all_commands(sgw: &Sgw) -> Vec<Vec<String>> {
    let mut commands: Vec<Vec<String>> = vec![vec![]];
    let mut next = 0;
    while let Some(command) = commands.get(next).cloned() {
        let help = sgw.agent(command.iter().map(String::as_str).chain(["--help"])).ok().stdout();
        let longer = |name| [command.clone(), vec![name]].concat();
        commands.extend(subcommands(&help).into_iter().map(longer));
        next += 1;
    }
    commands.split_off(1)
}

#[test]
fn every_command_has_a_help_text_with_an_example() {
    let sgw = Sgw::new();
    let commands = all_commands(&sgw);
    for expected in [
        "request",
        "exec",
        "wait",
        "output",
        "signal",
        "history",
        "sessions",
        "close",
        "whoami",
        "instructions",
        "show",
        "status",
        "init",
        "approve",
        "deny",
        "return",
        "handoff",
        "requests",
        "unlock",
        "lock",
        "pause",
        "resume",
        "daemon",
        "audit",
        "config",
        "completions",
        "man",
        "demo",
    ] {
        assert!(commands.contains(&vec![expected.to_owned()]), "no command {expected}");
    }
    for command in commands {
        let words = command.iter().map(String::as_str);
        let help = sgw.agent(words.chain(["--help"])).ok().stdout();
        assert!(help.contains("Usage: sgw"), "{command:?}\n{help}");
        if subcommands(&help).is_empty() {
            let example = format!("sgw {}", command.join(" "));
            let examples = help.split_once("xample").map_or("", |(_, after)| after);
            assert!(examples.contains(&example), "no example of {example:?}\n{help}");
        }
    }
}

#[test]
fn what_is_not_there_yet_is_not_offered() {
    let sgw = Sgw::new();
    let help = sgw.agent(["exec", "--help"]).ok().stdout();
    assert!(help.contains("--timeout"), "{help}");
    for later in ["--detach", "--sudo"] {
        assert!(!help.contains(later), "{later} is offered");
    }
}

#[test]
fn defaults_stand_in_the_help() {
    let sgw = Sgw::new();
    for (command, words) in [
        ("request", vec!["1h", "24h", "45s"]),
        ("exec", vec!["60s", "--timeout", "--max-output"]),
        ("wait", vec!["45s"]),
    ] {
        let help = sgw.agent([command, "--help"]).ok().stdout();
        for word in words {
            assert!(help.contains(word), "no {word} in the help of {command}\n{help}");
        }
    }
}

#[test]
fn an_unknown_word_names_the_nearest() {
    let sgw = Sgw::new();
    sgw.agent(["reqest"]).exits(2).says("request");
    sgw.agent(["request", "host", "--reazon", "x"]).exits(2).says("--reason");
    let outcome = sgw.agent(["exec", "s-234", "--timeot", "1s", "--", "true"]);
    outcome.exits(125).says("--timeout");
}

#[test]
fn the_version_says_who_it_is() {
    let sgw = Sgw::new();
    let expected = format!("sgw {}\n", env!("CARGO_PKG_VERSION"));
    sgw.agent(["--version"]).ok().prints(&expected);
}

/// The names and contents of a directory's files.
fn contents(directory: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(directory).unwrap_or_else(|e| panic!("{directory:?}: {e}"));
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read_to_string(entry.path()).unwrap())
    };
    let mut all: Vec<_> = entries.flatten().map(read).collect();
    all.sort();
    all
}

#[test]
fn the_man_pages_are_those_of_this_program() {
    let sgw = Sgw::new();
    let fresh = sgw.path("man");
    sgw.agent(["man", "--dir", fresh.to_str().unwrap()]).ok();
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let (fresh, kept) = (contents(&fresh), contents(&checked_in));
    let names = |all: &[(String, String)]| all.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    assert_eq!(names(&fresh), names(&kept), "run: sgw man --dir man");
    for ((name, fresh), (_, kept)) in fresh.iter().zip(&kept) {
        assert!(fresh == kept, "{name} is out of date; run: sgw man --dir man");
    }
    assert!(names(&kept).contains(&"sgw.1".to_owned()));
    assert!(names(&kept).contains(&"sgw-exec.1".to_owned()));
}

#[test]
fn the_completions_are_those_of_this_program_and_load() {
    let sgw = Sgw::new();
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    let kept: Vec<String> = contents(&checked_in).into_iter().map(|(_, text)| text).collect();
    for shell in ["bash", "zsh", "fish"] {
        let fresh = sgw.agent(["completions", shell]).ok().stdout();
        assert!(
            kept.contains(&fresh),
            "completions/ has not what `sgw completions {shell}` prints"
        );
        let file = sgw.path(&format!("complete.{shell}"));
        fs::write(&file, fresh).unwrap();
        tool(Command::new(shell).arg("-n").arg(&file));
    }
}
