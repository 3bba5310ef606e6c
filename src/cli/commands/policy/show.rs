//! `sgw policy show` and `explain`: the policy's rules, and one of them with its examples.

use serde_json::{Value, json};

use super::{Loaded, Source, check::word};
use crate::{
    cli::{
        Context, Outcome,
        ui::{Table, exit::Exit},
    },
    domain::{
        escape::visible,
        guard::{
            self, Policy,
            policy::{BUILT_IN, Defaults, Rule, Unwritten, section},
        },
        nearest::nearest,
    },
    protocol::error::{Code, Failure},
};

/// Print the policy that is in force, or one rule of it, as TOML
///
/// What you accepted is laid over the policy that sgw comes with: without an id your own text is printed,
/// and where you accepted none, sgw's. With --list the rules of both.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw policy show
  sgw policy show fs.rm-critical
  sgw policy show --builtin
  sgw policy show --list
  sgw policy show --target prod-1 --token ci")]
pub struct Show {
    /// The rule's id
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    /// List the rules, a line each
    #[arg(long, conflicts_with = "rule")]
    list: bool,
    /// List what holds on this target
    #[arg(long, value_name = "TARGET", conflicts_with = "rule")]
    target: Option<String>,
    /// List what holds for this token's agent
    #[arg(long, value_name = "NAME", conflicts_with = "rule")]
    token: Option<String>,
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
        let Loaded { policy, own, in_force } = self.source.load(context)?;
        let text = own.as_deref().unwrap_or_default();
        if let Some(id) = &self.rule {
            let rule = find(&policy, id)?;
            let text = section(text, id).or_else(|| section(BUILT_IN, id)).unwrap_or_default();
            context.ui.result(&json!({ "rule": value(rule), "toml": text }), || text.to_owned());
            return Ok(Exit::DONE);
        }
        let notes = in_force.iter().flat_map(|in_force| &in_force.notes);
        notes.for_each(|note| context.ui.note(&visible(note, 300)));
        let (target, token) = (self.target.as_deref(), self.token.as_deref());
        let one = target.is_some() || token.is_some();
        let place = guard::Context { target, token, ..guard::Context::default() };
        let defaults = policy.defaults_for(&place);
        let holds = |rule: &&Rule| !one || rule.is_for(&place, defaults.mode);
        let rules: Vec<&Rule> = policy.rules().filter(holds).collect();
        let shown = json!({
            "kind": "policy",
            "revision": in_force.as_ref().map(|in_force| in_force.revision),
            "own": own,
            "accepted_at": in_force.as_ref().and_then(|in_force| Some(in_force.own.as_ref()?.accepted_at)),
            "defaults": {
                "unmatched": defaults.unmatched,
                "opaque": defaults.opaque,
                "parse_error": defaults.parse_error,
                "max_bytes": defaults.max_bytes,
                "mode": defaults.mode,
                "pty": defaults.terminal(),
            },
            "rules": rules.iter().map(|rule| value(rule)).collect::<Vec<_>>(),
        });
        context.ui.result(&shown, || match (self.list || one, &own) {
            (true, _) => format!("{}\n{}", said(&defaults), list(&rules)),
            (false, Some(own)) => own.clone(),
            (false, None) => BUILT_IN.to_owned(),
        });
        Ok(Exit::DONE)
    }
}

impl Explain {
    pub fn run(self, context: &Context) -> Outcome {
        let policy = self.source.load(context)?.policy;
        if let Some(found) = Unwritten::of(&self.rule).filter(|_| policy.rule(&self.rule).is_none())
        {
            let Unwritten { id, meaning, setting } = found;
            let shown =
                json!({ "id": id, "kind": "finding", "reason": meaning, "setting": setting });
            context.ui.result(&shown, || match setting {
                Some(setting) => format!("{id}  as [defaults] {setting} says\n{meaning}\n"),
                None => format!("{id}\n{meaning}\n"),
            });
            return Ok(Exit::DONE);
        }
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

/// What holds where no rule speaks.
fn said(defaults: &Defaults) -> String {
    let Defaults { unmatched, opaque, parse_error, max_bytes, mode, .. } = defaults;
    let words = [unmatched, opaque, parse_error].map(|decision| word(*decision));
    let mode = match mode {
        guard::Mode::Guarded => "guarded",
        guard::Mode::Read => "read",
    };
    format!(
        "unmatched {}, opaque {}, parse_error {}, max_bytes {max_bytes}, mode {mode}, pty {}",
        words[0],
        words[1],
        words[2],
        defaults.terminal().as_str(),
    )
}

fn list(rules: &[&Rule]) -> String {
    let mut table = Table::new(&["RULE", "VERDICT", "REASON"]);
    for rule in rules {
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
