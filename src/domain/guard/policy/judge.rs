//! What the rules say of one command.

use std::borrow::Cow;

use super::{
    Defaults, Policy, Rule, UNMATCHED,
    rule::{Also, Env, Flags, Flow, Operand, Sink, When},
};
use crate::domain::guard::{
    Context, Decision, Mode, code,
    field::{Field, Origins, UNKNOWN},
    finding::Finding,
    paths::{above, glob, normal, overlap, overlap_known, without_gaps},
    resolve::{Arguments, Call},
    sql,
};

/// How far a predicate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    No,
    /// It depends on what only the server knows.
    Perhaps,
    Yes,
}

impl Holds {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl Policy {
    /// Findings of all rules that speak of the command.
    pub fn judge(
        &self,
        call: &Call<'_>,
        context: &Context<'_>,
        defaults: &Defaults,
    ) -> Vec<Finding> {
        let named = self.by_program.get(call.program).map(Vec::as_slice).unwrap_or_default();
        let mut found = Vec::new();
        let mut known = false;
        let trusted = is_the_systems(call);
        let general = self.general.iter().filter(|(at, globs)| {
            (globs.is_empty() || any_glob(globs, call.program)) && !named.contains(at)
        });
        for at in named.iter().chain(general.map(|(at, _)| at)) {
            let Some(rule) = self.rules.get(*at) else { continue };
            if !rule.is_for(context, defaults.mode) {
                continue;
            }
            let holds = rule.holds(call);
            if holds == Holds::No
                || rule.decision == Decision::Allow && (holds == Holds::Perhaps || !trusted)
            {
                continue;
            }
            if rule.decision == Decision::Allow {
                known = true;
                continue;
            }
            if rule.decision == Decision::Approve && self.lifted(&rule.id, call, context) {
                // It says that nobody need be asked, not that it only reads.
                known |= defaults.mode == Mode::Guarded;
                continue;
            }
            found.push(finding(defaults, rule, holds, call));
        }
        if found.is_empty() {
            let unmatched = self.unmatched(call, known, defaults).filter(|finding| {
                finding.rule != UNMATCHED
                    || finding.decision != Decision::Approve
                    || !self.lifted(UNMATCHED, call, context)
            });
            found.extend(unmatched);
        }
        found
    }

    /// No rule speaks of it.
    fn unmatched(&self, call: &Call<'_>, known: bool, defaults: &Defaults) -> Option<Finding> {
        // Redirections and assignments alone are no command, and what a wrapper runs is judged by itself.
        let (rule, reason, known) = match defaults.mode {
            Mode::Guarded => {
                let passes = call.program.is_empty() || self.program(call.program).inner.is_some();
                (UNMATCHED, "no rule allows this command", known || passes)
            }
            Mode::Read => {
                let known = known
                    || call.program.is_empty()
                    || is_the_systems(call)
                        && self.knows(call.program)
                        && asks_for_help(&call.arguments);
                let passes = known && self.writes_nothing(call);
                ("read.unknown", "it is not known to read and to do nothing else", passes)
            }
        };
        let finding = Finding::new(defaults.unmatched, rule, reason, call.span);
        (!known).then(|| Finding { argv: shown(call.argv), ..finding })
    }

    /// Whether all that a command writes goes nowhere, or to whoever runs it.
    fn writes_nothing(&self, call: &Call<'_>) -> bool {
        let nowhere = self.paths.get("nowhere").map(Vec::as_slice).unwrap_or_default();
        call.writes.iter().all(|field| {
            field.is_known() && nowhere.iter().any(|pattern| overlap(&field.text, pattern))
        })
    }

    /// Whether an `[[allow]]` lifts what a rule asks for this command.
    fn lifted(&self, rule: &str, call: &Call<'_>, context: &Context<'_>) -> bool {
        if self.allows.is_empty() || call.argv.iter().any(|field| !field.is_known()) {
            return false;
        }
        // A glob of the line is matched as it was typed.
        let argv: Vec<Cow<'_, str>> = call.argv.iter().map(|field| field.shown().into()).collect();
        self.lifts(rule, &argv, context)
    }

    /// Whether an `[[allow]]` lifts what a rule asks for these words, all of which are known.
    pub fn lifts(&self, rule: &str, words: &[Cow<'_, str>], context: &Context<'_>) -> bool {
        self.allows.iter().any(|allow| {
            let fits = |pattern: &Option<String>, name: Option<&str>| {
                pattern
                    .as_deref()
                    .is_none_or(|pattern| name.is_some_and(|name| glob(pattern, name)))
            };
            allow.rule == rule
                && fits(&allow.target, context.target)
                && fits(&allow.token, context.token)
                && context.today.is_some_and(|today| today < allow.expires)
                && allow.argv.len() == words.len()
                && allow.argv.iter().zip(words).all(|(pattern, word)| lifts(pattern, word))
        })
    }
}

/// Whether the program is looked for along the path, or stands in a directory of the system: `./ls` is not `ls`.
fn is_the_systems(call: &Call<'_>) -> bool {
    let Some(first) = call.argv.first() else { return true };
    match first.text.rsplit_once('/') {
        None => true,
        Some((directory, _)) => matches!(
            directory,
            "/bin" | "/sbin" | "/usr/bin" | "/usr/sbin" | "/usr/local/bin" | "/usr/local/sbin"
        ),
    }
}

/// A pattern of an `[[allow]]` against a word: what a path climbs out of does not count.
fn lifts(pattern: &str, shown: &str) -> bool {
    glob(pattern, shown)
        && (!shown.contains("..") || pattern == shown)
        && (pattern == shown || !shown.contains('\n'))
}

fn finding(defaults: &Defaults, rule: &Rule, holds: Holds, call: &Call<'_>) -> Finding {
    let finding = match holds {
        Holds::Perhaps if rule.decision == Decision::Block => {
            Finding::opaque(defaults, "opaque.target", call.span)
        }
        _ => Finding::new(rule.decision, &rule.id, &rule.reason, call.span),
    };
    Finding { argv: shown(call.argv), ..finding }
}

fn shown(argv: &[Field]) -> Vec<String> {
    argv.iter().map(Field::shown).collect()
}

impl Rule {
    /// Whether it holds there, for them, and in this mode.
    pub fn is_for(&self, context: &Context<'_>, mode: Mode) -> bool {
        if self.mode.is_some_and(|only| only != mode) {
            return false;
        }
        let fits = |patterns: &[String], name: Option<&str>| {
            patterns.is_empty()
                || name.is_some_and(|name| patterns.iter().any(|pattern| glob(pattern, name)))
        };
        fits(&self.target, context.target) && fits(&self.token, context.token)
    }

    fn holds(&self, call: &Call<'_>) -> Holds {
        let holds = self.when.holds(call);
        if holds == Holds::No {
            return holds;
        }
        if self.decision != Decision::Allow
            && !self.when.program.is_empty()
            && asks_for_help(&call.arguments)
        {
            return Holds::No;
        }
        // An exception must be certain.
        match self.unless.iter().any(|unless| unless.holds(call) == Holds::Yes) {
            true => Holds::No,
            false => holds,
        }
    }
}

/// `--help` or `--version` with nothing beside it but verbs: the program prints and ends.
fn asks_for_help(arguments: &Arguments) -> bool {
    let help = |name: &str| matches!(name, "help" | "version" | "usage");
    let word =
        |field: &Field| field.text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
    !arguments.flags.is_empty()
        && arguments.flags.iter().all(|flag| flag.long && flag.value.is_none() && help(&flag.name))
        && arguments.operands.iter().all(word)
        && arguments.operands.len() <= 2
}

impl When {
    fn holds(&self, call: &Call<'_>) -> Holds {
        if !self.program.is_empty() && !any_glob(&self.program, call.program) {
            return Holds::No;
        }
        if self.unknown && (call.known || call.program.is_empty()) {
            return Holds::No;
        }
        if !self.context.is_empty() && !self.context.iter().any(|name| call.contexts.contains(name))
        {
            return Holds::No;
        }
        if !self.verb.is_empty()
            && !self.verb.iter().any(|verb| verb_is(verb, &call.arguments.operands))
        {
            return Holds::No;
        }
        if !self.flags.hold(&call.arguments) || !self.env.hold(call.env) {
            return Holds::No;
        }
        // A word that may be anything may be the flag that must not be there.
        let flags = match !self.flags.none.is_empty() && call.arguments.opaque {
            true => Holds::Perhaps,
            false => Holds::Yes,
        };
        if !self.sql.is_empty() && !self.sql.iter().any(|class| sql_is(call, *class)) {
            return Holds::No;
        }
        if !self.code.is_empty() && !self.code.iter().any(|class| code_is(call, *class)) {
            return Holds::No;
        }
        if let Some(flow) = &self.flow
            && !flow.holds(call)
        {
            return Holds::No;
        }
        let paths = [
            flags,
            self.operand.hold(call),
            files(&self.read, &call.reads, false),
            files(&self.write, &call.writes, true),
        ];
        paths.into_iter().min().unwrap_or(Holds::Yes)
    }
}

fn any_glob(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| glob(pattern, text))
}

/// Whether the first operands are a verb's words.
fn verb_is(verb: &str, operands: &[Field]) -> bool {
    let mut operands = operands.iter();
    verb.split(' ').all(|word| {
        operands.next().is_some_and(|operand| {
            glob(word, &operand.text.to_ascii_lowercase()) || operand.text == UNKNOWN.to_string()
        })
    })
}

impl Flags {
    fn hold(&self, arguments: &Arguments) -> bool {
        if self.is_empty() {
            return true;
        }
        let has = |name: &String| arguments.has(name);
        (self.any.is_empty() || self.any.iter().any(has))
            && self.all.iter().all(has)
            && !self
                .none
                .iter()
                .any(|name| arguments.flags.iter().any(|flag| flag.is_exactly(name)))
            && (self.value.is_empty()
                || self.value.iter().any(|(name, patterns)| {
                    let given = arguments.flags.iter().filter(|flag| flag.is(name));
                    let mut values = given.filter_map(|flag| flag.value.as_ref());
                    values.any(|value| any_glob(patterns, &value.text) || !value.is_known())
                }))
    }
}

impl Env {
    fn hold(&self, env: &[(String, Field)]) -> bool {
        self.any.is_empty()
            || env.iter().any(|(name, value)| any_glob(&self.any, name) && !self.is_harmless(value))
    }

    fn is_harmless(&self, value: &Field) -> bool {
        if value.text.is_empty() {
            return !self.unless_value.is_empty();
        }
        let fits = |part: &str| {
            self.unless_value.iter().any(|pattern| glob(&pattern.replace('~', "\u{fdd4}"), part))
        };
        fits(&value.text) || value.text.split(':').all(fits)
    }
}

impl Operand {
    fn hold(&self, call: &Call<'_>) -> Holds {
        if self.is_empty() {
            return Holds::Yes;
        }
        let operands = &call.arguments.operands;
        let is = |patterns: &[String], field: &Field| any_glob(patterns, &field.shown());
        let texts = (self.any.is_empty() || operands.iter().any(|field| is(&self.any, field)))
            && (self.all.is_empty()
                || !operands.is_empty() && operands.iter().all(|field| is(&self.all, field)))
            && (self.first.is_empty()
                || operands.first().is_some_and(|field| is(&self.first, field)))
            && (self.last.is_empty() || operands.last().is_some_and(|field| is(&self.last, field)))
            && !operands.iter().any(|field| is(&self.none, field))
            && self.min.is_none_or(|min| operands.len() >= min)
            && self.max.is_none_or(|max| operands.len() <= max);
        if !texts {
            return Holds::No;
        }
        let path = |field: &Field| normal(&field.text, call.cwd.as_deref());
        let within = |patterns: &[String], field: &Field| {
            let path = path(field);
            hits(patterns, field, |pattern| overlap(&path, pattern))
        };
        if !self.all_path.is_empty() {
            let all = !operands.is_empty()
                && operands.iter().all(|field| certain(field) && within(&self.all_path, field));
            return Holds::from(all);
        }
        if operands.iter().any(|field| within(&self.none_path, field)) {
            return Holds::No;
        }
        if self.any_path.is_empty() {
            return Holds::Yes;
        }
        let each = operands.iter().map(|field| {
            let path = path(field);
            let hit = hits(&self.any_path, field, |pattern| {
                overlap(&path, pattern)
                    || self.also == Some(Also::Ancestor) && above(&path, pattern)
            });
            match (field.is_known(), hit) {
                (true, hit) => Holds::from(hit),
                (false, _) => Holds::Perhaps,
            }
        });
        each.max().unwrap_or(Holds::No)
    }
}

/// A path of which nothing is left to the server: no glob can lead it elsewhere, since a glob stays below
/// what stands before it.
fn certain(field: &Field) -> bool {
    field.is_known() && !field.text.contains("..")
}

/// Files that are read or written, against a rule's paths. An unknown file to write may be any.
fn files(patterns: &[String], files: &[Field], writing: bool) -> Holds {
    if patterns.is_empty() {
        return Holds::Yes;
    }
    let each = files.iter().map(|field| {
        let text = field.text.as_str();
        let gapless = (!field.is_known()).then(|| without_gaps(text)).flatten();
        if gapless.is_some_and(|path| hits(patterns, field, |pattern| overlap(&path, pattern))) {
            return Holds::Yes;
        }
        let known = field.is_known();
        let hit = |pattern: &String| match known {
            true => overlap(text, pattern),
            false => overlap_known(text, pattern),
        };
        match (hits(patterns, field, hit), known) {
            (true, true) => Holds::Yes,
            (true, false) => Holds::Perhaps,
            (false, false) if writing && text.starts_with(UNKNOWN) => Holds::Perhaps,
            (false, _) => Holds::No,
        }
    });
    each.max().unwrap_or(Holds::No)
}

/// Whether one of the patterns meets a path, and none of those with `!` before them, which hold only for what
/// is wholly known.
fn hits(patterns: &[String], field: &Field, hit: impl Fn(&String) -> bool) -> bool {
    let not = |pattern: &&String| pattern.starts_with('!');
    patterns.iter().filter(|pattern| !not(pattern)).any(&hit)
        && !(field.literal().is_some()
            && patterns.iter().filter(not).any(|pattern| hit(&pattern[1..].to_owned())))
}

impl Flow {
    fn holds(&self, call: &Call<'_>) -> bool {
        let comes = |from: &Origins| from.iter().any(|name| any_glob(&self.from, name));
        match &self.to {
            Sink::Code(_) => call.codes.iter().any(|code| comes(&code.data.from)),
            Sink::Programs(names) => {
                any_glob(names, call.program)
                    && (comes(&call.stdin.from) || call.argv.iter().any(|field| comes(&field.from)))
            }
        }
    }
}

fn sql_is(call: &Call<'_>, class: sql::Class) -> bool {
    let mut codes = call.codes.iter().filter(|code| code.language == "sql");
    codes.any(|code| code.data.text.as_ref().is_some_and(|text| sql::has(text, class)))
}

fn code_is(call: &Call<'_>, class: code::Class) -> bool {
    let mut codes =
        call.codes.iter().filter(|code| code.language != "sh" && code.language != "sql");
    codes.any(|code| {
        code.data.text.as_ref().is_some_and(|text| code::names(text, class, &code.language))
    })
}
