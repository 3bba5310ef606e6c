//! What the rules say of one command.

use std::borrow::Cow;

use super::{
    Defaults, Policy, Rule, UNMATCHED,
    lists::{Paths, Texts},
    rule::{Also, Env, Flags, Flow, Operand, Sink, When},
};
use crate::domain::guard::{
    Context, Decision, Mode, code,
    field::{Field, HOME, Origins, UNKNOWN},
    finding::Finding,
    paths::{Path, glob, normal, without_gaps},
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
        let seen = Seen::new(call);
        let general = self.general.iter().filter(|(at, globs)| {
            globs.as_ref().is_none_or(|globs| globs.meet(call.program)) && !named.contains(at)
        });
        for at in named.iter().chain(general.map(|(at, _)| at)) {
            let Some(rule) = self.rules.get(*at) else { continue };
            if !rule.is_for(context, defaults.mode) {
                continue;
            }
            let holds = rule.holds(call, &seen);
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
                        && asks_for_help(call.arguments);
                let passes = known && self.writes_nothing(call);
                ("read.unknown", "it is not known to read and to do nothing else", passes)
            }
        };
        let finding = Finding::new(defaults.unmatched, rule, reason, call.span);
        (!known).then(|| Finding { argv: shown(call.argv), ..finding })
    }

    /// Whether all that a command writes goes nowhere, or to whoever runs it.
    fn writes_nothing(&self, call: &Call<'_>) -> bool {
        call.writes.iter().all(|field| {
            let path = Path::new(&field.text);
            field.is_known() && self.nowhere.iter().any(|pattern| pattern.overlaps(&path))
        })
    }

    /// Whether an `[[allow]]` lifts what a rule asks for this command: its words say nothing of what runs it.
    fn lifted(&self, rule: &str, call: &Call<'_>, context: &Context<'_>) -> bool {
        if !call.alone || self.allows.is_empty() || call.argv.iter().any(|field| !field.is_known())
        {
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
    Finding { argv: shown(call.argv), fed: call.stdin.is_fed(), ..finding }
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

    /// The program is already known to be one of its own.
    fn holds(&self, call: &Call<'_>, seen: &Seen<'_>) -> Holds {
        let holds = self.when.holds(call, seen);
        if holds == Holds::No {
            return holds;
        }
        if self.decision != Decision::Allow
            && !self.when.program.is_empty()
            && asks_for_help(call.arguments)
        {
            return Holds::No;
        }
        // An exception must be certain.
        match self.unless.iter().any(|unless| {
            (unless.program.is_empty() || unless.program.meet(call.program))
                && unless.holds(call, seen) == Holds::Yes
        }) {
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
    /// All but the program.
    fn holds(&self, call: &Call<'_>, seen: &Seen<'_>) -> Holds {
        if self.unknown && (call.known || call.program.is_empty()) {
            return Holds::No;
        }
        if !self.context.is_empty() && !self.context.iter().any(|name| call.contexts.contains(name))
        {
            return Holds::No;
        }
        if !self.verb.is_empty() && !self.verb.meet(&seen.verb) {
            return Holds::No;
        }
        if !self.flags.hold(call.arguments) || !self.env.hold(call.env) {
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
        if !self.code.is_empty() && !code_is(call, &self.code) {
            return Holds::No;
        }
        if let Some(flow) = &self.flow
            && !flow.holds(call)
        {
            return Holds::No;
        }
        let mut holds = flags;
        for next in [
            &(|| self.operand.hold(seen)) as &dyn Fn() -> Holds,
            &|| files(&self.read, &seen.reads, false),
            &|| files(&self.write, &seen.writes, true),
        ] {
            if holds == Holds::No {
                break;
            }
            holds = holds.min(next());
        }
        holds
    }
}

/// A command's words as rules look at them, made once for all rules.
struct Seen<'a> {
    operands: Vec<Word<'a>>,
    /// The first operands in small letters.
    verb: Vec<String>,
    reads: Vec<File<'a>>,
    writes: Vec<File<'a>>,
}

/// An operand as a text and, where a rule asks, as a path.
struct Word<'a> {
    field: &'a Field,
    shown: String,
    path: String,
}

struct File<'a> {
    field: &'a Field,
    path: Path<'a>,
}

/// Words of which a verb may be made.
const MOST_WORDS: usize = 5;

impl<'a> Seen<'a> {
    fn new(call: &'a Call<'_>) -> Self {
        let file = |field: &'a Field| File { field, path: Path::new(&field.text) };
        let operands = &call.arguments.operands;
        Self {
            operands: operands
                .iter()
                .map(|field| Word {
                    field,
                    shown: field.shown(),
                    path: normal(&field.text, call.cwd.as_deref()),
                })
                .collect(),
            verb: operands.iter().take(MOST_WORDS).map(|o| o.text.to_ascii_lowercase()).collect(),
            reads: call.reads.iter().map(file).collect(),
            writes: call.writes.iter().map(file).collect(),
        }
    }
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
                || self.value.iter().any(|(name, texts)| {
                    let given = arguments.flags.iter().filter(|flag| flag.is(name));
                    let mut values = given.filter_map(|flag| flag.value.as_ref());
                    values.any(|value| texts.meet(&value.text) || !value.is_known())
                }))
    }
}

impl Env {
    fn hold(&self, env: &[(String, Field)]) -> bool {
        self.any.is_empty()
            || env.iter().any(|(name, value)| self.any.meet(name) && !self.is_harmless(value))
    }

    fn is_harmless(&self, value: &Field) -> bool {
        if value.text.is_empty() {
            return !self.unless_value.is_empty();
        }
        if self.unless_plain && is_plain(value) {
            return true;
        }
        let fits = |part: &str| {
            self.unless_value.meet(part)
                || part
                    .strip_prefix(HOME)
                    .is_some_and(|below| self.unless_value.meet(&format!("~{below}")))
        };
        fits(&value.text) || value.text.split(':').all(fits)
    }
}

/// No backquote, and behind a `$` a blank or nothing.
fn is_plain(value: &Field) -> bool {
    let substitutes = |pair: &str| !matches!(pair.chars().next(), None | Some(' '));
    value.is_known() && !value.text.contains('`') && !value.text.split('$').skip(1).any(substitutes)
}

impl Operand {
    fn hold(&self, seen: &Seen<'_>) -> Holds {
        if self.is_empty() {
            return Holds::Yes;
        }
        let words = &seen.operands;
        let is = |texts: &Texts, word: &Word<'_>| texts.meet(&word.shown);
        let texts = self.min.is_none_or(|min| words.len() >= min)
            && self.max.is_none_or(|max| words.len() <= max)
            && (self.any.is_empty() || words.iter().any(|word| is(&self.any, word)))
            && (self.all.is_empty()
                || !words.is_empty() && words.iter().all(|word| is(&self.all, word)))
            && (self.first.is_empty() || words.first().is_some_and(|word| is(&self.first, word)))
            && (self.last.is_empty() || words.last().is_some_and(|word| is(&self.last, word)))
            && (self.none.is_empty() || !words.iter().any(|word| is(&self.none, word)));
        if !texts {
            return Holds::No;
        }
        let within =
            |paths: &Paths, word: &Word<'_>| paths.overlap(word.field, &Path::new(&word.path));
        if !self.all_path.is_empty() {
            let all = !words.is_empty()
                && words.iter().all(|word| certain(word.field) && within(&self.all_path, word));
            return Holds::from(all);
        }
        if !self.none_path.is_empty() && words.iter().any(|word| within(&self.none_path, word)) {
            return Holds::No;
        }
        if self.any_path.is_empty() {
            return Holds::Yes;
        }
        let each = words.iter().map(|word| {
            let path = Path::new(&word.path);
            let above = self.also == Some(Also::Ancestor);
            let hit = self.any_path.meet(word.field, |pattern| {
                pattern.overlaps(&path) || above && pattern.is_below(&path)
            });
            match (word.field.is_known(), hit) {
                (true, true) if !above && !self.any_path.surely_overlap(word.field, &path) => {
                    Holds::Perhaps
                }
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
fn files(paths: &Paths, files: &[File<'_>], writing: bool) -> Holds {
    if paths.is_empty() {
        return Holds::Yes;
    }
    let each = files.iter().map(|File { field, path }| {
        let text = field.text.as_str();
        if field.is_known() {
            return match paths.overlap(field, path) {
                true if !paths.surely_overlap(field, path) => Holds::Perhaps,
                overlaps => Holds::from(overlaps),
            };
        }
        if without_gaps(text).is_some_and(|text| paths.overlap(field, &Path::new(&text))) {
            return Holds::Yes;
        }
        let hit = paths.meet(field, |pattern| pattern.overlaps_known(path));
        match hit || writing && text.starts_with(UNKNOWN) {
            true => Holds::Perhaps,
            false => Holds::No,
        }
    });
    each.max().unwrap_or(Holds::No)
}

impl Flow {
    fn holds(&self, call: &Call<'_>) -> bool {
        let comes = |from: &Origins| from.iter().any(|name| self.from.meet(name));
        match &self.to {
            Sink::Code(_) => call.codes.iter().any(|code| comes(&code.data.from)),
            Sink::Programs(names) => {
                names.meet(call.program)
                    && (comes(&call.stdin.from) || call.argv.iter().any(|field| comes(&field.from)))
            }
        }
    }
}

fn sql_is(call: &Call<'_>, class: sql::Class) -> bool {
    let mut codes = call.codes.iter().filter(|code| code.language == "sql");
    codes.any(|code| code.data.text.as_ref().is_some_and(|text| sql::has(text, class)))
}

fn code_is(call: &Call<'_>, classes: &[code::Class]) -> bool {
    let mut codes =
        call.codes.iter().filter(|code| code.language != "sh" && code.language != "sql");
    codes.any(|code| {
        code.data.text.as_ref().is_some_and(|text| code::names_any(text, classes, &code.language))
    })
}
