//! Rules: what they look at, and how they come from the file.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;

use super::lists::{Paths, Texts, Verbs};
use crate::domain::guard::{Decision, Mode, code, sql};

/// One `[[rule]]`, as written. The predicates stand beside the rest: each is named in both structs, since
/// serde can't refuse unknown names behind `flatten`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulePart {
    pub id: Spanned<String>,
    decision: Decision,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    target: Vec<String>,
    #[serde(default)]
    token: Vec<String>,
    /// The mode in which alone it holds.
    mode: Option<Mode>,
    #[serde(default)]
    unless: Vec<When>,
    #[serde(default, rename = "match")]
    matches: Vec<String>,
    #[serde(default)]
    no_match: Vec<String>,
    #[serde(default)]
    program: Texts,
    #[serde(default)]
    verb: Verbs,
    #[serde(default)]
    flags: Flags,
    #[serde(default)]
    operand: Operand,
    #[serde(default)]
    env: Env,
    #[serde(default)]
    read: Paths,
    #[serde(default)]
    write: Paths,
    flow: Option<Flow>,
    #[serde(default)]
    sql: Vec<sql::Class>,
    #[serde(default)]
    code: Vec<code::Class>,
    #[serde(default)]
    context: Vec<String>,
    #[serde(default)]
    unknown: bool,
}

/// What must be so for a rule to speak; all that is given must hold, and of each list one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// The program's file name; `*` and `?` match.
    pub program: Texts,
    /// The first operands, a word each: `stop`, `system prune`, `* delete-*`.
    pub verb: Verbs,
    pub flags: Flags,
    pub operand: Operand,
    pub env: Env,
    /// Paths that are read, and written.
    pub read: Paths,
    pub write: Paths,
    pub flow: Option<Flow>,
    pub sql: Vec<sql::Class>,
    pub code: Vec<code::Class>,
    /// `sudo`, `ssh`, `container`: programs around the command.
    pub context: Vec<String>,
    /// The policy describes the program nowhere, and no other rule names it.
    pub unknown: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flags {
    pub any: Vec<String>,
    pub all: Vec<String>,
    pub none: Vec<String>,
    /// A flag with one of these values.
    pub value: BTreeMap<String, Texts>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operand {
    /// Texts; `*` and `?` match.
    pub any: Texts,
    /// Every operand is one of these (and there is one).
    pub all: Texts,
    pub none: Texts,
    pub any_path: Paths,
    pub all_path: Paths,
    pub none_path: Paths,
    /// `ancestor`: a directory above one of the paths counts too.
    pub also: Option<Also>,
    pub first: Texts,
    pub last: Texts,
    /// So many operands, at least or at most.
    pub min: Option<usize>,
    pub max: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Also {
    Ancestor,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Env {
    /// Names of variables that are set.
    pub any: Texts,
    /// Values that are harmless, the whole of them or each part between colons.
    pub unless_value: Texts,
    /// A value in which nothing is substituted, also where it is expanded again as a prompt is.
    pub unless_plain: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Programs whose output, or files that are read.
    pub from: Texts,
    pub to: Sink,
}

/// Where data runs: into a program that runs it, or into one of these programs.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Sink {
    Code(CodeSink),
    Programs(Texts),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodeSink {
    Code,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub id: String,
    pub decision: Decision,
    pub reason: String,
    pub target: Vec<String>,
    pub token: Vec<String>,
    pub mode: Option<Mode>,
    pub when: When,
    pub unless: Vec<When>,
    pub matches: Vec<String>,
    pub no_match: Vec<String>,
}

impl RulePart {
    fn split(self) -> Rule {
        let RulePart {
            id,
            decision,
            reason,
            target,
            token,
            mode,
            unless,
            matches,
            no_match,
            program,
            verb,
            flags,
            operand,
            env,
            read,
            write,
            flow,
            sql,
            code,
            context,
            unknown,
        } = self;
        let when = When {
            program,
            verb,
            flags,
            operand,
            env,
            read,
            write,
            flow,
            sql,
            code,
            context,
            unknown,
        };
        Rule {
            id: id.into_inner(),
            decision,
            reason,
            target,
            token,
            mode,
            when,
            unless,
            matches,
            no_match,
        }
    }

    /// Whether it has a decision, at most a reason, and nothing else.
    pub fn only_decides(&self) -> bool {
        let rule = self.clone().split();
        let lists = [&rule.target, &rule.token, &rule.matches, &rule.no_match];
        rule.when.is_empty()
            && rule.unless.is_empty()
            && rule.mode.is_none()
            && lists.iter().all(|list| list.is_empty())
    }

    /// Whether nothing at all must hold.
    pub fn says_nothing(&self) -> bool {
        self.clone().split().when.is_empty()
    }
}

impl Rule {
    pub fn new(part: RulePart) -> Self {
        part.split()
    }

    /// The same with another verdict, and reason where one is given.
    pub fn decided_anew(&self, part: RulePart) -> Self {
        let Self { decision, reason, .. } = part.split();
        let reason = if reason.is_empty() { self.reason.clone() } else { reason };
        Self { decision, reason, ..self.clone() }
    }

    fn lists(&mut self) -> impl Iterator<Item = &mut Paths> {
        let whens = std::iter::once(&mut self.when).chain(&mut self.unless);
        whens.flat_map(|When { read, write, operand, .. }| {
            let Operand { any_path, all_path, none_path, .. } = operand;
            [read, write, any_path, all_path, none_path]
        })
    }

    /// Whether it names paths at all.
    pub fn has_paths(&self) -> bool {
        self.clone().lists().any(|list| !list.is_empty())
    }

    /// Puts the lists in the place of their names; the first name that is none.
    pub fn resolve(&mut self, paths: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
        self.lists().try_for_each(|list| list.resolve(paths))
    }
}

impl When {
    pub fn is_empty(&self) -> bool {
        self.program.is_empty()
            && self.verb.is_empty()
            && self.flags.is_empty()
            && self.operand.is_empty()
            && self.env.any.is_empty()
            && self.read.is_empty()
            && self.write.is_empty()
            && self.flow.is_none()
            && self.sql.is_empty()
            && self.code.is_empty()
            && self.context.is_empty()
            && !self.unknown
    }
}

impl Flags {
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.all.is_empty() && self.none.is_empty() && self.value.is_empty()
    }
}

impl Operand {
    pub fn is_empty(&self) -> bool {
        let texts = [&self.any, &self.all, &self.none, &self.first, &self.last];
        let paths = [&self.any_path, &self.all_path, &self.none_path];
        texts.iter().all(|list| list.is_empty())
            && paths.iter().all(|list| list.is_empty())
            && self.min.is_none()
            && self.max.is_none()
    }
}

/// One `[[allow]]`: narrow and dated.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowPart {
    pub rule: Spanned<String>,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    token: Option<String>,
    argv: Vec<String>,
    expires: Date,
}

/// Lifts the approval that a rule asks for one command; never a block, nor what is opaque.
#[derive(Clone, Debug)]
pub struct Allow {
    pub rule: String,
    pub target: Option<String>,
    pub token: Option<String>,
    /// Each word of the command; `*` and `?` match.
    pub argv: Vec<String>,
    /// The first day on which it no longer holds.
    pub expires: Date,
}

impl Allow {
    pub fn new(part: AllowPart) -> Self {
        let AllowPart { rule, target, token, argv, expires } = part;
        Self { rule: rule.into_inner(), target, token, argv, expires }
    }
}
