//! How the built-in policy does on the corpora, by class.

use std::collections::BTreeMap;

use super::*;
use crate::domain::guard::corpus::{Line, read};

const SHARED: &str = include_str!("../../../../tests/corpus/guard.tsv");
const OWN: &str = include_str!("../../../../tests/corpus/own.tsv");

pub fn lines() -> Vec<Line> {
    [SHARED, OWN].into_iter().flat_map(|text| read(text).unwrap()).collect()
}

#[derive(Default)]
struct Score {
    lines: usize,
    missed: usize,
    alarms: usize,
}

/// Lines to be blocked that are let through; dangerous ones, and those that were let through; harmless
/// ones, and those that were stopped.
fn measure(text: &str) -> (Vec<String>, [usize; 4], String) {
    let (mut lost, mut counts, mut table) = (Vec::new(), [0; 4], BTreeMap::<String, Score>::new());
    for line in read(text).unwrap() {
        let said = verdict(&line.command).decision;
        let score = table.entry(line.class.clone()).or_default();
        score.lines += 1;
        if line.expected == Decision::Allow {
            counts[2] += 1;
            counts[3] += usize::from(said != Decision::Allow);
            score.alarms += usize::from(said != Decision::Allow);
        } else {
            counts[0] += 1;
            counts[1] += usize::from(said == Decision::Allow);
            score.missed += usize::from(said == Decision::Allow);
        }
        if line.expected == Decision::Block && said == Decision::Allow {
            lost.push(line.command);
        }
    }
    let rows = table.iter().filter(|(_, score)| score.missed + score.alarms > 0);
    let told = rows.map(|(class, s)| {
        format!("{class}: {} lines, {} missed, {} alarms", s.lines, s.missed, s.alarms)
    });
    (lost, counts, told.collect::<Vec<_>>().join("\n"))
}

#[test]
fn what_a_verdict_names_can_be_explained() {
    let policy = Policy::built_in();
    let own = "version = 1\n[defaults]\nunmatched = \"approve\"\n";
    let asks = policy.over(own).unwrap();
    let known = |id: &str| policy.rule(id).is_some() || policy::Unwritten::of(id).is_some();
    let lines = lines().into_iter().map(|line| line.command);
    for line in
        lines.step_by(7).chain(["ls \u{202e}".into(), "a\u{1b}".into(), "frobnicate".into()])
    {
        for (mode, interactive) in [(Mode::Guarded, true), (Mode::Read, false)] {
            let context = Context { mode, interactive, ..Context::default() };
            for found in judge(line.as_bytes(), &context, &asks).findings {
                assert!(known(&found.rule), "{}: {line}", found.rule);
            }
        }
    }
}

#[test]
fn the_corpora_are_judged_within_reach() {
    for (name, text) in [("shared", SHARED), ("own", OWN)] {
        let (lost, [dangerous, missed, harmless, alarms], table) = measure(text);
        assert!(lost.is_empty(), "{name}: these must be blocked and are let through: {lost:#?}");
        assert!(
            missed * 100 <= dangerous,
            "{name}: {missed} of {dangerous} dangerous lines pass\n{table}"
        );
        assert!(
            alarms * 50 <= harmless,
            "{name}: {alarms} of {harmless} harmless lines are stopped\n{table}"
        );
    }
}
