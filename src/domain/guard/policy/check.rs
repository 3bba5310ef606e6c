//! Whether each rule says what its own examples claim.

use super::{EXAMPLE_HOME, Example, FileRule, ForwardRule, Policy, Rule};
use crate::domain::{
    grant,
    guard::{
        Context, Decision, examine,
        files::{self, Canonical, Place},
        forward::{self, Way},
    },
};

/// An example that its rule does not bear out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mismatch {
    pub rule: String,
    pub line: String,
    /// Whether the rule was to speak of it.
    pub expected: bool,
}

/// Tries `match` and `no_match` of every rule.
pub fn check(policy: &Policy) -> Vec<Mismatch> {
    let commands = policy.rules().flat_map(|rule| check_rule(policy, rule));
    commands.chain(check_apart(policy)).collect()
}

/// Of the rules for paths and forwards alone.
pub fn check_apart(policy: &Policy) -> Vec<Mismatch> {
    let files = policy.file_rules().flat_map(|rule| check_file_rule(policy, rule));
    files.chain(policy.forward_rules().flat_map(|rule| check_forward_rule(policy, rule))).collect()
}

fn check_rule(policy: &Policy, rule: &Rule) -> Vec<Mismatch> {
    let context = Context {
        target: rule.target.first().map(String::as_str),
        token: rule.token.first().map(String::as_str),
        ..Context::default()
    };
    let speaks = |line: &str| {
        let findings = examine(line.as_bytes(), &context, policy);
        findings.all.iter().any(|finding| finding.rule == rule.id)
    };
    // Rules that allow find nothing: what they allow shows in the absence of all else.
    let context = Context { mode: rule.mode.unwrap_or_default(), ..context };
    if rule.decision == Decision::Allow {
        let passes = |line: &str| examine(line.as_bytes(), &context, policy).all.is_empty();
        return mismatches(&rule.id, &rule.matches, &rule.no_match, passes);
    }
    mismatches(&rule.id, &rule.matches, &rule.no_match, speaks)
}

fn check_file_rule(policy: &Policy, rule: &FileRule) -> Vec<Mismatch> {
    let context = Context {
        target: rule.target.first().map(String::as_str),
        token: rule.token.first().map(String::as_str),
        ..Context::default()
    };
    let Some(home) = Canonical::new(EXAMPLE_HOME.as_bytes()) else { return Vec::new() };
    let mode = rule.mode.unwrap_or(grant::Mode::Guarded);
    let place = Place { context, mode, home: &home };
    let found = |text: &str| {
        let example = Example::read(text)?;
        Some(files::judge(&example.act()?, &place, policy).findings)
    };
    let speaks = |text: &str| match rule.decision {
        Decision::Allow => found(text).is_some_and(|found| found.is_empty()),
        _ => found(text).is_some_and(|found| found.iter().any(|one| one.rule == rule.id)),
    };
    mismatches(&rule.id, &rule.matches, &rule.no_match, speaks)
}

fn check_forward_rule(policy: &Policy, rule: &ForwardRule) -> Vec<Mismatch> {
    let context = Context {
        target: rule.target.first().map(String::as_str),
        token: rule.token.first().map(String::as_str),
        ..Context::default()
    };
    let mode = rule.mode.unwrap_or(grant::Mode::Guarded);
    let speaks = |text: &str| {
        let Some(way) = Way::read(text) else { return false };
        let verdict = forward::judge(&way, &context, mode, policy);
        match rule.decision {
            Decision::Allow => verdict.decision == Decision::Allow,
            _ => verdict.findings.iter().any(|one| one.rule == rule.id),
        }
    };
    mismatches(&rule.id, &rule.matches, &rule.no_match, speaks)
}

fn mismatches(
    rule: &str,
    matches: &[String],
    no_match: &[String],
    speaks: impl Fn(&str) -> bool,
) -> Vec<Mismatch> {
    let mismatch =
        |line: &String, expected| Mismatch { rule: rule.to_owned(), line: line.clone(), expected };
    let missed = matches.iter().filter(|line| !speaks(line)).map(|line| mismatch(line, true));
    let wrong = no_match.iter().filter(|line| speaks(line)).map(|line| mismatch(line, false));
    missed.chain(wrong).collect()
}
