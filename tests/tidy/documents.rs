//! What the documents name is there: files, and the tests that stand behind a claim.

use std::fs;

use super::{
    none,
    source::{root, rust},
};

const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benches/README.md",
    "docs/desk.md",
    "docs/glossary.md",
    "docs/policy.md",
    "docs/protocol.md",
    "docs/threat-model.md",
];

/// A document may leave these out of a path.
const WITHIN: &[&str] = &["", "src", "src/daemon", "tests", "docs"];

/// What stands between backticks on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// `a/b.rs` and `a/c.rs` of `a/{b,c}.rs`.
fn spelt_out(path: &str) -> Vec<String> {
    match (path.split_once('{'), path.split_once('}')) {
        (Some((before, _)), Some((inside, after))) => {
            let names = inside[before.len() + 1..].split(',');
            names.map(|name| format!("{before}{name}{after}")).collect()
        }
        _ => vec![path.to_owned()],
    }
}

fn is_path(word: &str) -> bool {
    !word.contains([' ', '~', '$', '*']) && (word.ends_with(".rs") || word.ends_with(".md"))
}

fn is_test(word: &str) -> bool {
    word.matches('_').count() > 2 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn every_file_and_test_that_is_named_exists() {
    let tests = rust(&["src", "tests"]);
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).unwrap_or_default();
        if text.is_empty() {
            missing.push(format!("{document} is not there"));
        }
        for word in quoted(&text) {
            let there =
                |path: &String| WITHIN.iter().any(|dir| root().join(dir).join(path).exists());
            if is_path(word) && !spelt_out(word).iter().all(there) {
                missing.push(format!("{document}: no file {word}"));
            }
            let test = format!("fn {word}(");
            if is_test(word) && !tests.iter().any(|source| source.text.contains(&test)) {
                missing.push(format!("{document}: no test {word}"));
            }
        }
    }
    none("documents name what is not there:", &missing);
}

#[test]
fn names_are_read_out_of_a_text() {
    let text = "see `door/{agent,operator}.rs` and `a_claim_that_holds`, `docs/a.md`\n`x y.rs`";
    let words: Vec<_> = quoted(text).collect();
    assert_eq!(words, ["door/{agent,operator}.rs", "a_claim_that_holds", "docs/a.md", "x y.rs"]);
    assert_eq!(spelt_out(words[0]), ["door/agent.rs", "door/operator.rs"]);
    assert!(is_path(words[0]) && !is_test(words[0]) && is_test(words[1]) && !is_path(words[3]));
}
