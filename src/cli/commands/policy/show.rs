//! `sgw policy show` and `explain`: the policy's rules, and one of them with its examples.

use serde_json::{Value, json};

use super::{Source, check::word};
use crate::{
    cli::{
        Context, Outcome,
        ui::{Table, exit::Exit},
    },
    domain::{
        guard::{
            Policy,
            policy::{BUILT_IN, Rule, section},
        },
        nearest::nearest,
    },
    protocol::error::{Code, Failure},
};

/// Print the policy that sgw comes with, or one rule of it, as TOML
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw policy show > policy.toml
  sgw policy show fs.rm-critical
  sgw policy show --list")]
pub struct Show {
    /// The rule's id
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    /// List the rules, a line each
    #[arg(long, conflicts_with = "rule")]
    list: bool,
    #[command(flatten)]
    source: Source,
}

/// Say what a rule is for, with lines that it speaks of and lines that it does not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw policy explain fs.rm-critical")]
pub struct Explain {
    /// The rule's id
    #[arg(value_name = "RULE")]
    rule: String,
    #[command(flatten)]
    source: Source,
}

impl Show {
    pub fn run(self, context: &Context) -> Outcome {
        let policy = self.source.load()?;
        let own = match &self.source.policy {
            Some(path) => super::text(path, super::MAX_POLICY_BYTES)?,
            None => String::new(),
        };
        if let Some(id) = &self.rule {
            let rule = find(&policy, id)?;
            let text = section(&own, id).or_else(|| section(BUILT_IN, id)).unwrap_or_default();
            context.ui.result(&json!({ "rule": value(rule), "toml": text }), || text.to_owned());
            return Ok(Exit::DONE);
        }
        let rules: Vec<Value> = policy.rules().map(value).collect();
        context.ui.result(&json!({ "rules": rules }), || match self.list || !own.is_empty() {
            true => list(&policy),
            false => BUILT_IN.to_owned(),
        });
        Ok(Exit::DONE)
    }
}

impl Explain {
    pub fn run(self, context: &Context) -> Outcome {
        let policy = self.source.load()?;
        let rule = find(&policy, &self.rule)?;
        context.ui.result(&value(rule), || {
            let mut text = format!("{}  {}\n{}\n", rule.id, word(rule.decision), rule.reason);
            for line in &rule.matches {
                text.push_str(&format!("  yes  {}\n", line.replace('\n', "\\n")));
            }
            for line in &rule.no_match {
                text.push_str(&format!("  no   {}\n", line.replace('\n', "\\n")));
            }
            text
        });
        Ok(Exit::DONE)
    }
}

fn list(policy: &Policy) -> String {
    let mut table = Table::new(&["RULE", "VERDICT", "REASON"]);
    for rule in policy.rules() {
        table.row(vec![rule.id.clone(), word(rule.decision).to_owned(), rule.reason.clone()]);
    }
    table.text()
}

fn find<'a>(policy: &'a Policy, id: &str) -> Result<&'a Rule, Failure> {
    policy.rule(id).ok_or_else(|| {
        let near = nearest(id, policy.rules().map(|rule| rule.id.as_str()));
        let hint = near
            .map_or("sgw policy show --list".to_owned(), |id| format!("sgw policy explain {id}"));
        Failure::new(Code::PolicyRule, format!("no rule {id}"), hint)
    })
}

fn value(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "kind": "rule",
        "decision": rule.decision,
        "reason": rule.reason,
        "program": rule.when.program,
        "match": rule.matches,
        "no_match": rule.no_match,
    })
}
