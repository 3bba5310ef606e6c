//! What only some may touch: the world outside (never `domain`), the terminal (only `cli::ui`), the
//! process's end (only `main`), memory (only with a reason).

use super::{
    none,
    paths::{Path, paths},
    source::{Source, rust},
};

/// Time, randomness, names and the environment are arguments of `domain`.
const OUTSIDE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "rustix",
    "tokio",
    "SystemTime",
    "Instant",
    "time::SystemTime",
    "time::Instant",
    "Timestamp::now",
    "Zoned::now",
];

/// Ways to a person's eyes; macros are clippy's (`print_stdout`, `print_stderr`).
const EYES: &[&str] =
    &["io::stdout", "io::stderr", "stdio::stdout", "stdio::stderr", "Term::stdout", "Term::stderr"];

/// Where one of these is named, tests apart: a test may run the tool that it compares with.
fn uses(source: &Source, what: &[&str]) -> Vec<String> {
    let in_tests = |modules: &[String]| modules.iter().any(|module| module == "tests");
    let offends = |path: &&Path| {
        !in_tests(&source.module)
            && !in_tests(&path.within)
            && what.iter().any(|what| path.has(what))
    };
    let at = |path: &Path| format!("{}:{}: {}", source.name, path.line, path.text());
    paths(&source.text).iter().filter(offends).map(at).collect()
}

fn in_modules(source: &Source, start: &[&str]) -> bool {
    source.module.len() >= start.len() && source.module.iter().zip(start).all(|(a, b)| a == b)
}

#[test]
fn domain_knows_nothing_of_the_world() {
    let sources = rust(&["src"]);
    let domain = sources.iter().filter(|source| in_modules(source, &["domain"]));
    none(
        "domain takes these as arguments:",
        &domain.flat_map(|s| uses(s, OUTSIDE)).collect::<Vec<_>>(),
    );
}

#[test]
fn only_the_ui_prints() {
    let sources = rust(&["src"]);
    let others = sources.iter().filter(|source| !in_modules(source, &["cli", "ui"]));
    none("only cli::ui prints:", &others.flat_map(|s| uses(s, EYES)).collect::<Vec<_>>());
}

#[test]
fn only_main_ends_the_process() {
    let sources = rust(&["src"]);
    let others = sources.iter().filter(|source| source.name != "src/main.rs");
    let ends = ["process::exit", "process::abort"];
    none("only main ends the process:", &others.flat_map(|s| uses(s, &ends)).collect::<Vec<_>>());
}

/// The reason stands in the attribute, or in the line above or below.
fn unreasoned(source: &Source) -> Vec<String> {
    let lines: Vec<_> = source.text.lines().map(str::trim).collect();
    let offends = |at: &usize| {
        let near = [at.checked_sub(1), Some(*at), Some(at + 1)];
        let reason = |line: &&str| line.starts_with("//") || line.contains("reason =");
        lines[*at].contains("allow(unsafe_code")
            && !near.iter().flatten().filter_map(|line| lines.get(*line)).any(reason)
    };
    (0..lines.len()).filter(offends).map(|at| format!("{}:{}", source.name, at + 1)).collect()
}

#[test]
fn unsafe_code_says_why() {
    let offences: Vec<_> = rust(&["src"]).iter().flat_map(unreasoned).collect();
    none("say why this must be unsafe:", &offences);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { name: String::new(), text: text.into(), module: vec!["domain".into(), "x".into()] }
    }

    #[test]
    fn the_world_is_seen_in_a_tree_and_inline() {
        let world = |text| uses(&source(text), OUTSIDE).len();
        assert_eq!(world("use std::{collections::BTreeMap, time::Duration};"), 0);
        assert_eq!(world("use std::{fs, time::{Duration, SystemTime}};"), 2);
        assert_eq!(world("let now = jiff::Timestamp::now(); let then = SystemTime::now();"), 2);
        assert_eq!(world("fn f(now: Timestamp) { tokio::spawn(async {}) }"), 1);
        assert_eq!(world("mod tests { use std::fs; } mod other { use std::fs; }"), 1);
    }

    #[test]
    fn a_way_to_the_terminal_is_seen() {
        let eyes = |text| uses(&source(text), EYES).len();
        assert_eq!(eyes("std::io::stdout().lock(); use std::io::{self, stderr}; io::stdout()"), 3);
        assert_eq!(eyes("child.stdout(Stdio::piped()); Stream::Stdout"), 0);
    }

    #[test]
    fn an_attribute_without_a_reason_is_seen() {
        let found = |text| unreasoned(&source(text)).len();
        assert_eq!(found("x;\n#[allow(unsafe_code)]\nfn f() {}"), 1);
        assert_eq!(found("// SAFETY: it holds.\n#[allow(unsafe_code)]\nfn f() {}"), 0);
        assert_eq!(found("x;\n#[allow(unsafe_code, reason = \"a system call\")]\nfn f() {}"), 0);
    }

    #[test]
    fn a_module_is_not_its_namesake() {
        assert!(in_modules(&source(""), &["domain"]) && !in_modules(&source(""), &["x"]));
    }
}
