//! The policy's file: TOML, every word of which is known, or refused with its line and column.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{
    Defaults, Policy, Terminal, UNMATCHED,
    files::FilePart,
    forwards::ForwardPart,
    program::ProgramPart,
    rule::{AllowPart, RulePart},
};
use crate::domain::{
    guard::{Decision, Mode, forward},
    nearest::nearest,
};

/// The format that this is.
const VERSION: u32 = 1;
/// Rules of one file, at most.
const MAX_RULES: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Position {
    /// From one.
    pub line: usize,
    /// In characters, from one.
    pub column: usize,
}

/// What is wrong with a policy's file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {what}", .at.line, .at.column)]
pub struct PolicyError {
    pub at: Position,
    pub what: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Read before all the rest.
    #[serde(rename = "version")]
    _version: u32,
    #[serde(default)]
    pub defaults: DefaultsPart,
    #[serde(default)]
    pub paths: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    wrapper: BTreeMap<String, ProgramPart>,
    #[serde(default)]
    program: BTreeMap<String, ProgramPart>,
    #[serde(default)]
    pub target: BTreeMap<String, DefaultsPart>,
    #[serde(default)]
    pub token: BTreeMap<String, DefaultsPart>,
    #[serde(default)]
    pub rule: Vec<RulePart>,
    #[serde(default)]
    pub file: Vec<FilePart>,
    #[serde(default)]
    pub forward: Vec<ForwardPart>,
    #[serde(default)]
    pub allow: Vec<AllowPart>,
}

/// Defaults that a file sets; the others stay.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultsPart {
    unmatched: Option<Decision>,
    opaque: Option<Decision>,
    parse_error: Option<Decision>,
    max_bytes: Option<usize>,
    mode: Option<Mode>,
    pty: Option<Terminal>,
}

impl DefaultsPart {
    /// Of parts that all hold, the strictest word of each.
    pub fn strictest<'a>(parts: impl Iterator<Item = &'a Self>) -> Self {
        parts.fold(Self::default(), |one, other| Self {
            unmatched: one.unmatched.max(other.unmatched),
            opaque: one.opaque.max(other.opaque),
            parse_error: one.parse_error.max(other.parse_error),
            max_bytes: [one.max_bytes, other.max_bytes].into_iter().flatten().min(),
            mode: one.mode.max(other.mode),
            pty: one.pty.max(other.pty),
        })
    }

    pub fn apply(&self, to: &mut Defaults) {
        to.unmatched = self.unmatched.unwrap_or(to.unmatched);
        to.opaque = self.opaque.unwrap_or(to.opaque);
        to.parse_error = self.parse_error.unwrap_or(to.parse_error);
        to.max_bytes = self.max_bytes.unwrap_or(to.max_bytes);
        to.mode = self.mode.unwrap_or(to.mode);
        to.pty = self.pty.or(to.pty);
    }
}

/// The format of a file, whatever else stands in it.
#[derive(Deserialize)]
struct Versioned {
    version: Spanned<u32>,
}

impl File {
    /// Programs and wrappers, with whether they wrap.
    pub fn programs(&self) -> Vec<(String, ProgramPart, bool)> {
        let wrappers = self.wrapper.iter().map(|(name, part)| (name.clone(), part.clone(), true));
        let programs = self.program.iter().map(|(name, part)| (name.clone(), part.clone(), false));
        wrappers.chain(programs).collect()
    }
}

pub fn read(text: &str) -> Result<File, PolicyError> {
    let wrong = |error: &toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        PolicyError { at: position(text, at), what: error.message().trim().replace('\n', ", ") }
    };
    let error = |at: usize, what: String| error_at(text, at, what);
    // First of all: what another version has besides would only be called unknown.
    if let Ok(Versioned { version }) = toml::from_str(text) {
        let at = version.span().start;
        match version.into_inner() {
            VERSION => {}
            newer if newer > VERSION => {
                let what = format!("version {newer} is newer than this sgw, which knows {VERSION}");
                return Err(error(at, what));
            }
            _ => return Err(error(at, format!("version {VERSION} is the first there is"))),
        }
    }
    let file: File = toml::from_str(text).map_err(|error| wrong(&error))?;
    if file.rule.len() + file.file.len() + file.forward.len() > MAX_RULES {
        return Err(error(0, format!("more than {MAX_RULES} rules")));
    }
    let mut seen = BTreeMap::new();
    // One name, one rule: `sgw policy explain` and an `[[allow]]` know them by it alone.
    let ids = file.rule.iter().map(|rule| &rule.id);
    let ids = ids.chain(file.file.iter().map(|rule| &rule.id));
    for id in ids.chain(file.forward.iter().map(|rule| &rule.id)) {
        let (id, at) = (id.get_ref(), id.span().start);
        let valid = |char: char| {
            char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '.' | '-' | '_')
        };
        if id.is_empty() || !id.chars().all(valid) {
            return Err(error(
                at,
                format!("{id:?} is no id: small letters, digits, dots and dashes"),
            ));
        }
        if seen.insert(id.clone(), ()).is_some() {
            return Err(error(at, format!("a second rule {id}")));
        }
    }
    Ok(file)
}

/// Refuses a rule without a predicate, which would hold for everything; but one that there is already may be
/// given another verdict.
pub fn check_rules(text: &str, file: &File, before: &Policy) -> Result<(), PolicyError> {
    for rule in file.rule.iter().filter(|rule| rule.says_nothing()) {
        let (id, at) = (rule.id.get_ref(), rule.id.span().start);
        let what = match before.rule(id) {
            Some(_) if rule.only_decides() => continue,
            Some(_) => {
                format!("rule {id} has no predicate: give it all of them, or a decision alone")
            }
            None => {
                let near = nearest(id, before.rules().map(|rule| rule.id.as_str()));
                let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                format!("rule {id} has no predicate, and there is none of this id to change{near}")
            }
        };
        return Err(PolicyError { at: position(text, at), what });
    }
    Ok(())
}

/// The same for `[[file]]`, and what is wrong with each alone.
pub fn check_files(text: &str, file: &File, before: &Policy) -> Result<(), PolicyError> {
    for rule in &file.file {
        rule.check(text)?;
        let (id, at) = (rule.id.get_ref(), rule.id.span().start);
        let what = match before.file_rule(id) {
            _ if before.rule(id).is_some() => format!("{id} is a [[rule]] already"),
            _ if rule.has_paths() => continue,
            Some(_) if rule.only_decides() => continue,
            Some(_) => format!("{id} has no path: give it all that it had, or a decision alone"),
            None => {
                let near = nearest(id, before.file_rules().map(|rule| rule.id.as_str()));
                let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                format!("{id} has no path, and there is none of this id to change{near}")
            }
        };
        return Err(error_at(text, at, what));
    }
    let taken = file.rule.iter().find(|rule| before.file_rule(rule.id.get_ref()).is_some());
    if let Some(rule) = taken {
        let what = format!("{} is a [[file]] already", rule.id.get_ref());
        return Err(error_at(text, rule.id.span().start, what));
    }
    Ok(())
}

/// The same for `[[forward]]`.
pub fn check_forwards(text: &str, file: &File, before: &Policy) -> Result<(), PolicyError> {
    for rule in &file.forward {
        rule.check(text)?;
        let (id, at) = (rule.id.get_ref(), rule.id.span().start);
        let what = match before.forward_rule(id) {
            _ if before.rule(id).is_some() => format!("{id} is a [[rule]] already"),
            _ if before.file_rule(id).is_some() => format!("{id} is a [[file]] already"),
            _ if rule.has_predicate() => continue,
            Some(_) if rule.only_decides() => continue,
            Some(_) => {
                format!(
                    "{id} has no host, port or socket: give it all that it had, or a decision alone"
                )
            }
            None => {
                let near = nearest(id, before.forward_rules().map(|rule| rule.id.as_str()));
                let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                format!(
                    "{id} has no host, port or socket, and there is none of this id to change{near}"
                )
            }
        };
        return Err(error_at(text, at, what));
    }
    let ids = file.rule.iter().map(|rule| &rule.id);
    let mut ids = ids.chain(file.file.iter().map(|rule| &rule.id));
    if let Some(id) = ids.find(|id| before.forward_rule(id.get_ref()).is_some()) {
        let what = format!("{} is a [[forward]] already", id.get_ref());
        return Err(error_at(text, id.span().start, what));
    }
    Ok(())
}

/// Refuses an `[[allow]]` that lifts nothing: of a rule that is not there, or that asks nobody.
pub fn check_allows(text: &str, policy: &Policy) -> Result<(), PolicyError> {
    for allow in read(text)?.allow {
        let (id, at) = (allow.rule.get_ref(), allow.rule.span().start);
        let of_files = || policy.file_rule(id).map(|rule| rule.decision);
        let of_forwards = || policy.forward_rule(id).map(|rule| rule.decision);
        let of_commands = policy.rule(id).map(|rule| rule.decision);
        let what = match of_commands.or_else(of_files).or_else(of_forwards) {
            Some(Decision::Approve) => continue,
            Some(Decision::Block) => format!("{id} blocks, and no [[allow]] lifts a block"),
            Some(Decision::Allow) => format!("{id} allows by itself"),
            // What no rule speaks of has this name in a verdict.
            None if id == UNMATCHED || id == forward::UNMATCHED => continue,
            None => {
                let near = nearest(id, policy.ids());
                let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                format!("there is no rule {id}{near}")
            }
        };
        return Err(PolicyError { at: position(text, at), what });
    }
    Ok(())
}

/// A rule names a list of paths that is nowhere.
pub fn unknown_paths(text: &str, rule: &str, name: &str) -> PolicyError {
    let needle = format!("@{name}");
    let at = text.find(&needle).unwrap_or(0);
    PolicyError {
        at: position(text, at),
        what: format!("rule {rule} names {needle}, which [paths] does not have"),
    }
}

pub fn error_at(text: &str, at: usize, what: String) -> PolicyError {
    PolicyError { at: position(text, at), what }
}

fn position(text: &str, at: usize) -> Position {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Position { line, column }
}

/// The part of a file that says one rule, as it stands there.
pub fn section<'a>(text: &'a str, id: &str) -> Option<&'a str> {
    let needle = format!("id = \"{id}\"");
    let at =
        text.match_indices(&needle).map(|(at, _)| at).find(|at| text[..*at].ends_with('\n'))?;
    let start = ["[[rule]]", "[[file]]", "[[forward]]"]
        .iter()
        .filter_map(|mark| text[..at].rfind(mark))
        .max()?;
    let rest = &text[at..];
    let end = ["\n[[", "\n["].iter().filter_map(|mark| rest.find(mark)).min().unwrap_or(rest.len());
    Some(text[start..at + end].trim_end())
}
