//! `sgw policy test`: the rules' own examples, and a file of lines with what is expected of each.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::json;

use super::{Source, check::word};
use crate::{
    cli::{
        Context, Outcome,
        ui::{Table, exit::Exit},
    },
    domain::{
        escape::visible,
        guard::{
            Decision,
            corpus::{self, Line},
            policy::check,
        },
    },
    judge::{Judge, Question},
    protocol::error::{Code, Failure},
};

/// Bytes of a line that are told.
const SHOWN: usize = 160;
const MAX_CORPUS_BYTES: u64 = 256 << 20;

/// Try every rule's own examples, and the lines of a corpus
///
/// A corpus has a line each: what is expected (allow, approve, block), a tab, the command (with \\ \n \t
/// \r \0 as escapes), a tab, a class and a note. It fails (1) when an example does not hold, a line that
/// must be blocked is allowed, or a line is not judged as expected.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw policy test
  sgw policy test --policy policy.toml --corpus lines.tsv")]
pub struct Test {
    /// A file of lines with what is expected of each
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

/// How lines of one class were judged.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    right: usize,
    /// Let through, though a person was to look, or nobody.
    missed: usize,
    /// Stopped without need.
    alarms: usize,
    /// Stopped, as it should, but asked where it should be blocked, or the other way.
    other: usize,
}

impl Test {
    pub fn run(self, context: &Context) -> Outcome {
        let policy = self.source.load(context)?.policy;
        let ui = context.ui;
        let mismatches = check(&policy);
        for wrong in &mismatches {
            let says = if wrong.expected { "does not speak of" } else { "speaks of" };
            ui.note(&format!("{} {says} {}", wrong.rule, visible(&wrong.line, SHOWN)));
        }
        let lines = match &self.corpus {
            Some(path) => corpus::read(&super::text(path, MAX_CORPUS_BYTES)?).map_err(|error| {
                Failure::new(
                    Code::PolicyInvalid,
                    format!("{}: {error}", path.display()),
                    "sgw policy test --help",
                )
            })?,
            None => Vec::new(),
        };
        let judge = Judge::start().map_err(|error| {
            Failure::new(Code::UsageCommand, error.to_string(), "sgw policy test")
        })?;
        let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
        let mut wrong = Vec::new();
        for line in &lines {
            let question = Question {
                line: line.command.clone().into_bytes(),
                target: None,
                token: None,
                cwd: None,
                today: None,
                manner: crate::domain::judgement::Manner::default(),
                stdin: None,
                files: Default::default(),
                policy: policy.clone(),
            };
            let verdict = judge.wait(question).map_err(|error| {
                Failure::new(Code::UsageCommand, error.to_string(), "sgw policy test")
            })?;
            let score = scores.entry(line.class.as_str()).or_default();
            match (line.expected, verdict.decision) {
                (expected, said) if expected == said => score.right += 1,
                (_, Decision::Allow) => score.missed += 1,
                (Decision::Allow, _) => score.alarms += 1,
                _ => score.other += 1,
            }
            if line.expected != verdict.decision {
                wrong.push((line, verdict));
            }
        }
        for (line, verdict) in &wrong {
            ui.note(&told(line, verdict.decision, verdict.rule.as_deref()));
        }
        let summary = json!({
            "rules": policy.ids().count(),
            "examples_wrong": mismatches,
            "lines": lines.len(),
            "wrong": wrong.iter().map(|(line, verdict)| json!({
                "line": line.command, "class": line.class, "expected": line.expected,
                "verdict": verdict.decision, "rule": verdict.rule,
            })).collect::<Vec<_>>(),
        });
        ui.result(&summary, || table(&scores, policy.ids().count(), mismatches.len()));
        Ok(if mismatches.is_empty() && wrong.is_empty() { Exit::DONE } else { Exit::FAILED })
    }
}

fn told(line: &Line, said: Decision, rule: Option<&str>) -> String {
    let rule = rule.unwrap_or("no rule");
    let command = visible(&line.command, SHOWN);
    format!(
        "{} expected, {} said ({rule}): {command}  [{}]",
        word(line.expected),
        word(said),
        line.class
    )
}

fn table(scores: &BTreeMap<&str, Score>, rules: usize, wrong: usize) -> String {
    let mut all = Score::default();
    let mut table = Table::new(&["CLASS", "RIGHT", "MISSED", "ALARMS", "OTHER"]);
    let mut row = |class: &str, score: &Score| {
        let numbers =
            [score.right, score.missed, score.alarms, score.other].map(|number| number.to_string());
        let [right, missed, alarms, other] = numbers;
        table.row(vec![class.to_owned(), right, missed, alarms, other]);
    };
    for (class, score) in scores {
        row(class, score);
        all.right += score.right;
        all.missed += score.missed;
        all.alarms += score.alarms;
        all.other += score.other;
    }
    row("all", &all);
    match (scores.is_empty(), wrong) {
        (false, _) => table.text(),
        (true, 0) => format!("{rules} rules, and all their examples hold"),
        (true, wrong) => format!("{rules} rules, of whose examples {wrong} do not hold"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_corpus_the_examples_are_the_result() {
        let said = |wrong| table(&BTreeMap::new(), 3, wrong);
        assert_eq!(said(0), "3 rules, and all their examples hold");
        assert_eq!(said(2), "3 rules, of whose examples 2 do not hold");
    }
}
