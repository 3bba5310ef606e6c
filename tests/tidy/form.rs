//! Files that can be read: short, and each says why it exists.

use super::{
    none,
    source::{Source, rust},
};

/// At 400 lines a file asks to be two; here it must be.
const LINES: usize = 600;

const ALL: &[&str] = &["src", "tests", "benches"];

fn long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > LINES).then(|| format!("{}: {lines} lines", source.name))
}

fn silent(source: &Source) -> Option<String> {
    let says = source.text.lines().next().is_some_and(|line| line.starts_with("//! "));
    (!says).then(|| source.name.clone())
}

#[test]
fn no_file_is_too_long_to_read() {
    let offences: Vec<_> = rust(ALL).iter().filter_map(long).collect();
    none("make two of each:", &offences);
}

#[test]
fn the_first_line_of_a_file_says_why_it_exists() {
    let offences: Vec<_> = rust(ALL).iter().filter_map(silent).collect();
    none("no `//! …` in the first line of:", &offences);
}

#[test]
fn a_long_or_silent_file_is_seen() {
    let source = |text: String| Source { name: "x".into(), text, module: Vec::new() };
    assert!(long(&source("x\n".repeat(LINES))).is_none());
    assert!(long(&source("x\n".repeat(LINES + 1))).is_some());
    assert!(silent(&source("//! Why.\nfn main() {}".into())).is_none());
    assert!(
        silent(&source("\n//! Why.".into())).is_some() && silent(&source("// x".into())).is_some()
    );
}
