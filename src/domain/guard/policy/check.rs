//! Whether each rule says what its own examples claim.

use super::{Policy, Rule};
use crate::domain::guard::{Context, Decision, examine};

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
    policy.rules().flat_map(|rule| check_rule(policy, rule)).collect()
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
        return mismatches(rule, passes);
    }
    mismatches(rule, speaks)
}

fn mismatches(rule: &Rule, speaks: impl Fn(&str) -> bool) -> Vec<Mismatch> {
    let mismatch =
        |line: &String, expected| Mismatch { rule: rule.id.clone(), line: line.clone(), expected };
    let missed = rule.matches.iter().filter(|line| !speaks(line)).map(|line| mismatch(line, true));
    let wrong = rule.no_match.iter().filter(|line| speaks(line)).map(|line| mismatch(line, false));
    missed.chain(wrong).collect()
}
