//! The policy: what the guard knows of programs and paths, and the rules that it judges commands by.
//!
//! Built-in rules are a file of the same format (`policy.toml`), over which the operator's is laid by id.

mod changes;
mod check;
mod file;
mod files;
mod forwards;
mod judge;
mod lists;
mod program;
mod rule;
mod unwritten;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock},
};

pub use changes::{Change, changes};
pub use check::{Mismatch, check, check_apart};
pub use file::{PolicyError, Position, section};
pub use files::{Direction, EXAMPLE_HOME, Example, FileRule, ModeClass};
pub use forwards::ForwardRule;
use lists::Texts;
pub use program::{Inner, Program};
pub use rule::{Allow, Rule};
pub use unwritten::Unwritten;

use super::{Context, Decision, Mode, paths};

/// What a verdict says of a command that no rule speaks of.
pub const UNMATCHED: &str = "unmatched";

/// What sgw comes with.
pub const BUILT_IN: &str = concat!(
    include_str!("../policy.toml"),
    include_str!("../files.toml"),
    include_str!("../forward.toml")
);

/// Letters of a program's name that a glob is compared with.
const LONGEST_NAME: usize = 32;

/// Rules, programs, paths and defaults, ready to judge by.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub defaults: Defaults,
    targets: Vec<(String, file::DefaultsPart)>,
    tokens: Vec<(String, file::DefaultsPart)>,
    paths: BTreeMap<String, Vec<String>>,
    scratch: Vec<paths::Pattern>,
    nowhere: Vec<paths::Pattern>,
    programs: HashMap<String, Arc<Program>>,
    /// Programs by pattern (`python3.*`).
    patterns: Vec<(String, Arc<Program>)>,
    other: Arc<Program>,
    /// As the files have them, with the names of lists.
    written: Vec<Arc<Rule>>,
    rules: Vec<Arc<Rule>>,
    /// Rules by the program's name, and those for any program or for names by pattern, as places in `rules`.
    by_program: HashMap<String, Vec<usize>>,
    general: Vec<(usize, Option<Texts>)>,
    /// As `written` and `rules`, for paths of a server.
    files_written: Vec<Arc<FileRule>>,
    file_rules: Vec<Arc<FileRule>>,
    /// For forwards.
    forward_rules: Vec<Arc<ForwardRule>>,
    allows: Vec<Allow>,
}

/// What holds where no rule speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// For commands that no rule allows: `approve` makes an allow-list of the policy.
    pub unmatched: Decision,
    /// For what only the server can know, where it matters.
    pub opaque: Decision,
    /// For what is no shell.
    pub parse_error: Decision,
    /// The longest line that is judged, in bytes.
    pub max_bytes: usize,
    /// What passes unasked.
    pub mode: Mode,
    /// What becomes of what is typed into a terminal. None: what [`Defaults::terminal`] makes of the rest.
    pub pty: Option<Terminal>,
}

/// What becomes of what an agent types into a terminal; the stricter is the greater.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Terminal {
    /// Lines are judged as far as they are known; the rest is opaque.
    Judge,
    /// One yes is for all that is typed in a session: blocks can't hold there.
    Approve,
    /// Nothing is typed.
    Off,
}

impl Terminal {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Judge => "judge",
            Self::Approve => "approve",
            Self::Off => "off",
        }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            unmatched: Decision::Allow,
            opaque: Decision::Approve,
            parse_error: Decision::Approve,
            max_bytes: 65536,
            mode: Mode::Guarded,
            pty: None,
        }
    }
}

impl Defaults {
    /// An allow-list can't list what comes of keys, so that a person says yes to the terminal itself.
    pub fn terminal(&self) -> Terminal {
        let usual = match self.unmatched {
            Decision::Allow => Terminal::Judge,
            Decision::Approve | Decision::Block => Terminal::Approve,
        };
        self.pty.unwrap_or(usual)
    }
}

impl Policy {
    /// The policy that sgw comes with.
    pub fn built_in() -> Arc<Self> {
        static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
            // A test holds that it loads; without it nothing is known, and so everything is asked.
            Arc::new(Policy::default().over(BUILT_IN).unwrap_or_else(|_| Policy::nothing()))
        });
        POLICY.clone()
    }

    /// Asks for everything.
    fn nothing() -> Self {
        let defaults = Defaults { unmatched: Decision::Approve, ..Defaults::default() };
        Self { defaults, ..Self::default() }
    }

    /// This policy with a file laid over it: rules, programs and paths by name.
    pub fn over(&self, text: &str) -> Result<Self, PolicyError> {
        let file = file::read(text)?;
        file::check_rules(text, &file, self)?;
        file::check_files(text, &file, self)?;
        file::check_forwards(text, &file, self)?;
        let mut policy = self.clone();
        policy.lay(file);
        policy.resolve(text)?;
        policy.index();
        Ok(policy)
    }

    /// As `over`, for a text that somebody is about to accept: what would change nothing is refused, too.
    pub fn over_anew(&self, text: &str) -> Result<Self, PolicyError> {
        let policy = self.over(text)?;
        file::check_allows(text, &policy)?;
        Ok(policy)
    }

    /// What lifts an approval, until a day.
    pub fn allows(&self) -> &[Allow] {
        &self.allows
    }

    fn lay(&mut self, file: file::File) {
        file.defaults.apply(&mut self.defaults);
        let programs = file.programs();
        self.targets.extend(file.target);
        self.tokens.extend(file.token);
        self.paths.extend(file.paths);
        for (name, part, wraps) in programs {
            let also = part.also.clone();
            let program = Arc::new(Program::new(part, wraps));
            for name in std::iter::once(name).chain(also) {
                if name.contains('*') {
                    self.patterns.retain(|(pattern, _)| *pattern != name);
                    self.patterns.push((name, program.clone()));
                } else {
                    self.programs.insert(name, program.clone());
                }
            }
        }
        for part in file.rule {
            match self.written.iter_mut().find(|old| old.id == *part.id.get_ref()) {
                Some(old) if part.only_decides() => *old = Arc::new(old.decided_anew(part)),
                Some(old) => *old = Arc::new(Rule::new(part)),
                None => self.written.push(Arc::new(Rule::new(part))),
            }
        }
        for part in file.file {
            let id = part.id.get_ref();
            match self.files_written.iter_mut().find(|old| old.id == *id) {
                Some(old) if part.only_decides() => *old = Arc::new(old.decided_anew(part)),
                Some(old) => *old = Arc::new(FileRule::new(part)),
                None => self.files_written.push(Arc::new(FileRule::new(part))),
            }
        }
        for part in file.forward {
            let id = part.id.get_ref();
            match self.forward_rules.iter_mut().find(|old| old.id == *id) {
                Some(old) if part.only_decides() => *old = Arc::new(old.decided_anew(part)),
                Some(old) => *old = Arc::new(ForwardRule::new(part)),
                None => self.forward_rules.push(Arc::new(ForwardRule::new(part))),
            }
        }
        self.allows.extend(file.allow.into_iter().map(Allow::new));
    }

    fn index(&mut self) {
        self.by_program.clear();
        self.general.clear();
        for (at, rule) in self.rules.iter().enumerate() {
            let named = &rule.when.program;
            let globs = named.patterns();
            if named.is_empty() || !globs.is_empty() {
                self.general.push((at, (!globs.is_empty()).then_some(globs)));
            }
            for name in named.iter().filter(|name| !name.contains(['*', '?'])) {
                self.by_program.entry(name.clone()).or_default().push(at);
            }
        }
    }

    /// Puts lists of paths in the place of `@name`, in all rules.
    fn resolve(&mut self, text: &str) -> Result<(), PolicyError> {
        // Of what is written anew each time: a list that the file replaces counts in every rule.
        let resolved = self.written.iter().map(|rule| {
            if !rule.has_paths() {
                return Ok(rule.clone());
            }
            let mut resolved = Rule::clone(rule);
            let missing = resolved.resolve(&self.paths);
            missing.map_err(|name| file::unknown_paths(text, &rule.id, &name))?;
            Ok(Arc::new(resolved))
        });
        self.rules = resolved.collect::<Result<_, PolicyError>>()?;
        let patterns = |name: &str| {
            let list = self.paths.get(name).map(Vec::as_slice).unwrap_or_default();
            list.iter().map(|path| paths::Pattern::new(path)).collect()
        };
        (self.scratch, self.nowhere) = (patterns("scratch"), patterns("nowhere"));
        let resolved = self.files_written.iter().map(|rule| {
            let mut resolved = FileRule::clone(rule);
            let missing = resolved.resolve(&self.paths);
            missing.map_err(|name| file::unknown_paths(text, &rule.id, &name))?;
            Ok(Arc::new(resolved))
        });
        self.file_rules = resolved.collect::<Result<_, PolicyError>>()?;
        Ok(())
    }

    pub fn program(&self, name: &str) -> &Program {
        if let Some(program) = self.programs.get(name) {
            return program;
        }
        let pattern = self.patterns.iter().find(|(pattern, _)| paths::glob(pattern, name));
        pattern.map_or(&*self.other, |(_, program)| program)
    }

    /// Whether anything is said of a program of this name.
    pub fn knows(&self, name: &str) -> bool {
        self.programs.contains_key(name)
            || self.by_program.contains_key(name)
            || self.patterns.iter().any(|(pattern, _)| paths::glob(pattern, name))
    }

    /// Whether a rule says something of a variable of this name.
    pub fn minds_variable(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| rule.when.env.any.meet(name))
    }

    /// Whether a rule names the program itself.
    pub fn has_rule(&self, name: &str) -> bool {
        self.by_program.contains_key(name)
    }

    /// Names of programs with rules that a glob (of marks) may mean.
    pub fn meant_by(&self, glob: &str) -> Vec<String> {
        // Each name costs a comparison: what has more letters of its own than a program's name means none.
        let fixed = glob.chars().filter(|char| !super::field::is_mark(*char)).count();
        // And what begins with a star and has hardly a letter means all of them.
        if fixed > LONGEST_NAME || fixed < 2 && glob.starts_with(super::field::STAR) {
            return Vec::new();
        }
        let may_be = |name: &&String| name.len() >= fixed && paths::may_be(glob, name);
        let mut names: Vec<String> = self.by_program.keys().filter(may_be).cloned().collect();
        names.sort();
        names
    }

    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|rule| &**rule)
    }

    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules().find(|rule| rule.id == id)
    }

    /// Those for paths of a server.
    pub fn file_rules(&self) -> impl Iterator<Item = &FileRule> {
        self.file_rules.iter().map(|rule| &**rule)
    }

    pub fn file_rule(&self, id: &str) -> Option<&FileRule> {
        self.file_rules().find(|rule| rule.id == id)
    }

    /// Those for forwards.
    pub fn forward_rules(&self) -> impl Iterator<Item = &ForwardRule> {
        self.forward_rules.iter().map(|rule| &**rule)
    }

    pub fn forward_rule(&self, id: &str) -> Option<&ForwardRule> {
        self.forward_rules().find(|rule| rule.id == id)
    }

    /// Of all kinds.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let commands = self.rules().map(|rule| rule.id.as_str());
        let files = self.file_rules().map(|rule| rule.id.as_str());
        commands.chain(files).chain(self.forward_rules().map(|rule| rule.id.as_str()))
    }

    /// Whether anyone can write there, so that what is run from there says nothing of itself.
    pub fn is_scratch(&self, path: &str) -> bool {
        let path = paths::Path::new(path);
        self.scratch.iter().any(|pattern| pattern.overlaps(&path))
    }

    /// The defaults for a line; in read mode none that lets pass what is not known.
    pub fn defaults_for(&self, context: &Context<'_>) -> Defaults {
        let mut defaults = self.said_for(context);
        if defaults.mode == Mode::Read {
            defaults.unmatched = defaults.unmatched.max(Decision::Approve);
            defaults.opaque = defaults.opaque.max(Decision::Approve);
            defaults.parse_error = defaults.parse_error.max(Decision::Approve);
        }
        defaults
    }

    /// What is said of a target and of a token: of both the strictest.
    pub fn said_for(&self, context: &Context<'_>) -> Defaults {
        let mut defaults = self.defaults;
        let speak = [(&self.targets, context.target), (&self.tokens, context.token)];
        let parts = speak.into_iter().flat_map(|(parts, name)| {
            let fits = move |pattern: &str| name.is_some_and(|name| paths::glob(pattern, name));
            parts.iter().filter(move |(pattern, _)| fits(pattern)).map(|(_, part)| part)
        });
        file::DefaultsPart::strictest(parts).apply(&mut defaults);
        // Of the target's own words: the list that read mode makes is one of lines, which are judged.
        defaults.pty = Some(defaults.terminal());
        defaults.opaque = context.opaque.unwrap_or(defaults.opaque);
        defaults.mode = defaults.mode.max(context.mode);
        defaults
    }
}
