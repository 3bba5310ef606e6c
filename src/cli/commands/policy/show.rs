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
        grant,
        guard::{
            self, Decision, Policy,
            policy::{BUILT_IN, Defaults, FileRule, ForwardRule, Rule, Unwritten, section},
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
            context.ui.result(&json!({ "rule": rule.value(), "toml": text }), || text.to_owned());
            return Ok(Exit::DONE);
        }
        let notes = in_force.iter().flat_map(|in_force| &in_force.notes);
        notes.for_each(|note| context.ui.note(&visible(note, 300)));
        let (target, token) = (self.target.as_deref(), self.token.as_deref());
        let one = target.is_some() || token.is_some();
        let place = guard::Context { target, token, ..guard::Context::default() };
        let defaults = policy.defaults_for(&place);
        let holds = |rule: &&Rule| !one || rule.is_for(&place, defaults.mode);
        // A session in another mode has more of them.
        let mode = match defaults.mode {
            guard::Mode::Guarded => grant::Mode::Guarded,
            guard::Mode::Read => grant::Mode::Read,
        };
        let holds_there = |rule: &&FileRule| !one || rule.is_for(&place, mode);
        let commands = policy.rules().filter(holds).map(Found::Command);
        let forwarded = |rule: &&ForwardRule| !one || rule.is_for(&place, mode);
        let forwards = policy.forward_rules().filter(forwarded).map(Found::Forward);
        let rules: Vec<Found<'_>> = commands
            .chain(policy.file_rules().filter(holds_there).map(Found::File))
            .chain(forwards)
            .collect();
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
            "rules": rules.iter().map(Found::value).collect::<Vec<_>>(),
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
        context.ui.result(&rule.value(), || {
            let (id, decision, reason) = rule.said();
            let (matches, no_match) = rule.examples();
            let mut text = format!("{id}  {}\n{reason}\n", word(decision));
            for line in matches {
                text.push_str(&format!("  yes  {}\n", line.replace('\n', "\\n")));
            }
            for line in no_match {
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

/// A rule of either kind.
enum Found<'a> {
    Command(&'a Rule),
    File(&'a FileRule),
    Forward(&'a ForwardRule),
}

impl<'a> Found<'a> {
    fn said(&self) -> (&'a str, Decision, &'a str) {
        match self {
            Self::Command(rule) => (&rule.id, rule.decision, &rule.reason),
            Self::File(rule) => (&rule.id, rule.decision, &rule.reason),
            Self::Forward(rule) => (&rule.id, rule.decision, &rule.reason),
        }
    }

    fn examples(&self) -> (&'a [String], &'a [String]) {
        match self {
            Self::Command(rule) => (&rule.matches, &rule.no_match),
            Self::File(rule) => (&rule.matches, &rule.no_match),
            Self::Forward(rule) => (&rule.matches, &rule.no_match),
        }
    }

    fn value(&self) -> Value {
        let (id, decision, reason) = self.said();
        let (matches, no_match) = self.examples();
        let mut value = json!({
            "id": id,
            "kind": match self {
                Self::Command(_) => "rule",
                Self::File(_) => "file",
                Self::Forward(_) => "forward",
            },
            "decision": decision,
            "reason": reason,
            "match": matches,
            "no_match": no_match,
        });
        match self {
            Self::Command(rule) => value["program"] = json!(rule.when.program),
            Self::File(rule) => value["path"] = json!(rule.path),
            Self::Forward(rule) => value["end"] = json!([&rule.host[..], &rule.socket].concat()),
        }
        value
    }
}

fn list(rules: &[Found<'_>]) -> String {
    let mut table = Table::new(&["RULE", "VERDICT", "REASON"]);
    for (id, decision, reason) in rules.iter().map(Found::said) {
        table.row(vec![id.to_owned(), word(decision).to_owned(), reason.to_owned()]);
    }
    table.text()
}

fn find<'a>(policy: &'a Policy, id: &str) -> Result<Found<'a>, Failure> {
    let command = policy.rule(id).map(Found::Command);
    let file = || policy.file_rule(id).map(Found::File);
    let forward = || policy.forward_rule(id).map(Found::Forward);
    command.or_else(file).or_else(forward).ok_or_else(|| {
        let near = nearest(id, policy.ids());
        let hint = near
            .map_or("sgw policy show --list".to_owned(), |id| format!("sgw policy explain {id}"));
        Failure::new(Code::PolicyRule, format!("no rule {id}"), hint)
    })
}
