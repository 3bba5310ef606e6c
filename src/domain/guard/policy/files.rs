//! `[[file]]`: rules for paths of a server, and how they come from the file.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::file::{PolicyError, error_at};
use crate::domain::{
    grant,
    guard::{
        Context, Decision,
        files::{Act, Canonical, Deep, Names, Pattern, is_of},
        paths::glob,
    },
};

/// What examples take for the account's home.
pub const EXAMPLE_HOME: &str = "/home/me";

/// One `[[file]]`, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePart {
    pub id: Spanned<String>,
    decision: Decision,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    direction: Direction,
    #[serde(default)]
    path: Vec<Spanned<String>>,
    max_size: Option<Size>,
    #[serde(default)]
    rights: Vec<ModeClass>,
    #[serde(default)]
    owner: bool,
    #[serde(default)]
    target: Vec<String>,
    #[serde(default)]
    token: Vec<String>,
    mode: Option<grant::Mode>,
    #[serde(default, rename = "match")]
    matches: Vec<Spanned<String>>,
    #[serde(default)]
    no_match: Vec<Spanned<String>>,
}

/// What is done to a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// All of it but what programs of the server do.
    #[default]
    Any,
    /// Names and attributes.
    Look,
    /// Content.
    Read,
    /// Whatever changes content, names or rights.
    Write,
    /// What is there is gone.
    Remove,
    /// A directory is removed or moved away with all that is in it.
    Tree,
    /// rsync's server side reads or writes there.
    Rsync,
    /// scp's does, of more than one file.
    Scp,
    /// git's server side hands out what is in the repository.
    Fetch,
    /// git's server side takes commits, and runs the repository's hooks.
    Push,
}

/// Kinds of rights that are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModeClass {
    Setuid,
    Setgid,
    OthersWrite,
    /// Nobody may do anything.
    Closed,
}

/// Bytes, as a number or with `k`, `M`, `G` for powers of 1024.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "SizeText")]
struct Size(u64);

#[derive(Deserialize)]
#[serde(untagged)]
enum SizeText {
    Bytes(u64),
    Text(String),
}

impl TryFrom<SizeText> for Size {
    type Error = String;

    fn try_from(size: SizeText) -> Result<Self, String> {
        let text = match size {
            SizeText::Bytes(bytes) => return Ok(Self(bytes)),
            SizeText::Text(text) => text,
        };
        let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "" => Some(1),
            "k" | "K" => Some(1 << 10),
            "M" => Some(1 << 20),
            "G" => Some(1 << 30),
            _ => None,
        };
        let bytes = factor.and_then(|factor: u64| digits.parse::<u64>().ok()?.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| format!("{text:?} is no size: a number, or 64k, 10M, 2G"))
    }
}

#[derive(Clone, Debug)]
pub struct FileRule {
    pub id: String,
    pub decision: Decision,
    pub reason: String,
    pub direction: Direction,
    /// As written, with the names of lists.
    pub path: Vec<String>,
    /// Up to this an allowing rule speaks, and one that stops is silent; in bytes.
    pub max_size: Option<u64>,
    pub rights: Vec<ModeClass>,
    pub owner: bool,
    pub target: Vec<String>,
    pub token: Vec<String>,
    pub mode: Option<grant::Mode>,
    pub matches: Vec<String>,
    pub no_match: Vec<String>,
    /// `path` without names of lists: as case is told apart, and as it is not; and its exceptions.
    exact: Vec<Pattern>,
    folded: Vec<Pattern>,
    except: Vec<Pattern>,
}

impl FilePart {
    /// Whether it has a decision, at most a reason, and nothing else.
    pub fn only_decides(&self) -> bool {
        let lists = [self.matches.len(), self.no_match.len(), self.target.len(), self.token.len()];
        self.path.is_empty()
            && self.direction == Direction::Any
            && self.max_size.is_none()
            && self.rights.is_empty()
            && !self.owner
            && self.mode.is_none()
            && lists.iter().all(|length| *length == 0)
    }

    pub fn has_paths(&self) -> bool {
        !self.path.is_empty()
    }

    /// What is wrong with it alone.
    pub fn check(&self, text: &str) -> Result<(), PolicyError> {
        for example in self.matches.iter().chain(&self.no_match) {
            if Example::read(example.get_ref()).is_none() {
                let words = Act::WORDS.join(", ");
                let what = format!(
                    "an example is an operation and its paths (read /etc/x; rename /srv/a /srv/b): {words}"
                );
                return Err(error_at(text, example.span().start, what));
            }
        }
        for path in &self.path {
            let pattern = path.get_ref().trim_start_matches('!');
            if !pattern.starts_with('@') && Pattern::new(pattern).is_none() {
                let what = format!("{:?} begins with none of / ~/ ** @", path.get_ref());
                return Err(error_at(text, path.span().start, what));
            }
        }
        Ok(())
    }
}

impl FileRule {
    pub fn new(part: FilePart) -> Self {
        let texts =
            |list: Vec<Spanned<String>>| list.into_iter().map(Spanned::into_inner).collect();
        Self {
            id: part.id.into_inner(),
            decision: part.decision,
            reason: part.reason,
            direction: part.direction,
            path: texts(part.path),
            max_size: part.max_size.map(|size| size.0),
            rights: part.rights,
            owner: part.owner,
            target: part.target,
            token: part.token,
            mode: part.mode,
            matches: texts(part.matches),
            no_match: texts(part.no_match),
            exact: Vec::new(),
            folded: Vec::new(),
            except: Vec::new(),
        }
    }

    /// The same with another verdict, and reason where one is given.
    pub fn decided_anew(&self, part: FilePart) -> Self {
        let reason = if part.reason.is_empty() { self.reason.clone() } else { part.reason };
        Self { decision: part.decision, reason, ..self.clone() }
    }

    /// Puts lists in the place of their names; the first name that is none.
    pub fn resolve(&mut self, paths: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
        self.exact.clear();
        self.except.clear();
        for written in &self.path {
            let (not, written) = match written.strip_prefix('!') {
                Some(written) => (true, written),
                None => (false, written.as_str()),
            };
            let own = [written.to_owned()];
            let texts = match written.strip_prefix('@') {
                Some(name) => paths.get(name).ok_or_else(|| name.to_owned())?.as_slice(),
                None => &own,
            };
            // What can't name a path of a server speaks of the words of a line alone (`x/*`).
            for text in texts {
                let (but, text) = match text.strip_prefix('!') {
                    Some(text) => (!not, text),
                    None => (not, text.as_str()),
                };
                let into = if but { &mut self.except } else { &mut self.exact };
                into.extend(Pattern::new(text));
            }
        }
        self.folded = self.exact.iter().map(Pattern::folded).collect();
        Ok(())
    }

    /// Whether it holds there, for them, and in this mode.
    pub fn is_for(&self, context: &Context<'_>, mode: grant::Mode) -> bool {
        let fits = |patterns: &[String], name: Option<&str>| {
            patterns.is_empty()
                || name.is_some_and(|name| patterns.iter().any(|pattern| glob(pattern, name)))
        };
        self.mode.is_none_or(|only| only == mode)
            && fits(&self.target, context.target)
            && fits(&self.token, context.token)
    }

    /// Whether the rights, or the owner, are what it speaks of.
    pub fn when_mode(&self, mode: Option<u32>, owner: bool) -> bool {
        let rights = self.rights.is_empty()
            || mode.is_some_and(|mode| self.rights.iter().any(|class| is_of(*class, mode)));
        rights && (owner || !self.owner)
    }

    /// Whether it names the path, or what is below it. Only what it stops does it name in other letters, too: an
    /// exception and an allowing rule are for the very name.
    pub fn names(&self, path: &Names<'_>, folded: &Names<'_>, deep: Deep) -> bool {
        if self.decision == Decision::Allow {
            let names = |pattern: &Pattern| match deep {
                Deep::Not => pattern.matches(path),
                Deep::Named | Deep::Any => pattern.covers(path),
            };
            let excepts = |pattern: &Pattern| {
                pattern.folded().matches(folded)
                    || match deep {
                        Deep::Not => false,
                        Deep::Named => pattern.below(path),
                        Deep::Any => pattern.may_be_below(path),
                    }
            };
            return self.exact.iter().any(names) && !self.except.iter().any(excepts);
        }
        let named = self.folded.iter().any(|pattern| pattern.matches(folded))
            && !self.except.iter().any(|pattern| pattern.matches(path));
        let below = |below: fn(&Pattern, &Names<'_>) -> bool| {
            self.folded.iter().any(|pattern| below(pattern, folded))
                && !self.except.iter().any(|pattern| pattern.covers(path))
        };
        named
            || match deep {
                Deep::Not => false,
                Deep::Named => below(Pattern::below),
                Deep::Any => below(Pattern::may_be_below),
            }
    }
}

/// An example: an operation and the paths that the server gave.
pub struct Example {
    word: String,
    /// What follows the operation (`attributes:4755`, `attributes:owner`).
    mode: Option<u32>,
    owner: bool,
    paths: Vec<Canonical>,
}

impl Example {
    /// `rename /srv/a ~/b`.
    pub fn read(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ')?;
        let (word, extra) = word.split_once(':').unwrap_or((word, ""));
        let mode = u32::from_str_radix(extra, 8).ok();
        if !extra.is_empty() && extra != "owner" && mode.is_none() {
            return None;
        }
        let paths = rest.split(' ').map(|path| {
            let path = match path.strip_prefix('~') {
                Some(below) => format!("{EXAMPLE_HOME}{below}"),
                None => path.to_owned(),
            };
            Canonical::new(path.as_bytes())
        });
        let (word, paths) = (word.to_owned(), paths.collect::<Option<_>>()?);
        let example = Self { word, mode, owner: extra == "owner", paths };
        (example.paths.len() <= 2 && example.act().is_some()).then_some(example)
    }

    pub fn act(&self) -> Option<Act<'_>> {
        let act = Act::named(&self.word, self.paths.first()?, self.paths.get(1))?;
        Some(match act {
            Act::Write { path, size, .. } => Act::Write { path, size, mode: self.mode },
            Act::MakeDirectory { path, .. } => Act::MakeDirectory { path, mode: self.mode },
            Act::Attributes { path, .. } => {
                Act::Attributes { path, mode: self.mode, owner: self.owner }
            }
            act => act,
        })
    }
}
