//! Lists of a policy's patterns, taken apart once: texts, verbs and paths are met by each command.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::guard::{
    field::{Field, HOME, STAR, UNKNOWN},
    paths::{Path, Pattern, glob},
};

/// Texts; `*`, `?` and sets match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Texts {
    written: Vec<String>,
    /// Those without signs, in order.
    plain: Vec<Box<str>>,
    globs: Vec<Glob>,
}

/// A pattern by what it takes to meet it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Glob {
    Any,
    Begins(Box<str>),
    Ends(Box<str>),
    Holds(Box<str>),
    Other(Box<str>),
}

impl Glob {
    fn new(text: &str) -> Self {
        let signs = |text: &str| text.contains(['*', '?', '[']);
        let (front, back) = (text.strip_prefix('*'), text.strip_suffix('*'));
        let inside = front.and_then(|rest| rest.strip_suffix('*'));
        match (front, back, inside) {
            _ if text == "*" => Self::Any,
            (_, _, Some(inside)) if !signs(inside) => Self::Holds(inside.into()),
            (Some(end), _, _) if !signs(end) => Self::Ends(end.into()),
            (_, Some(start), _) if !signs(start) => Self::Begins(start.into()),
            _ => Self::Other(text.into()),
        }
    }

    fn meets(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Begins(start) => text.starts_with(&**start),
            Self::Ends(end) => text.ends_with(&**end),
            Self::Holds(inside) => text.contains(&**inside),
            Self::Other(pattern) => glob(pattern, text),
        }
    }
}

impl From<Vec<String>> for Texts {
    fn from(written: Vec<String>) -> Self {
        let (globs, plain): (Vec<&String>, Vec<&String>) =
            written.iter().partition(|text| text.contains(['*', '?', '[']));
        let globs = globs.into_iter().map(|text| Glob::new(text)).collect();
        let mut plain: Vec<Box<str>> = plain.into_iter().map(|text| text.as_str().into()).collect();
        plain.sort_unstable();
        Self { plain, globs, written }
    }
}

impl From<Texts> for Vec<String> {
    fn from(texts: Texts) -> Self {
        texts.written
    }
}

impl Texts {
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &String> {
        self.written.iter()
    }

    pub fn meet(&self, text: &str) -> bool {
        self.plain.binary_search_by(|plain| (**plain).cmp(text)).is_ok()
            || self.globs.iter().any(|glob| glob.meets(text))
    }

    /// Those with signs alone.
    pub fn patterns(&self) -> Self {
        self.written
            .iter()
            .filter(|text| text.contains(['*', '?']))
            .cloned()
            .collect::<Vec<_>>()
            .into()
    }
}

/// Verbs of one word or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Verbs {
    written: Vec<String>,
    words: Vec<Vec<Word>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Plain(Box<str>),
    Glob(Glob),
}

impl From<Vec<String>> for Verbs {
    fn from(written: Vec<String>) -> Self {
        let word = |word: &str| match word.contains(['*', '?', '[']) {
            true => Word::Glob(Glob::new(word)),
            false => Word::Plain(word.into()),
        };
        let words = written.iter().map(|verb| verb.split(' ').map(word).collect()).collect();
        Self { written, words }
    }
}

impl From<Verbs> for Vec<String> {
    fn from(verbs: Verbs) -> Self {
        verbs.written
    }
}

impl Verbs {
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// Whether the first operands are the words of one; they come in small letters.
    pub fn meet(&self, operands: &[String]) -> bool {
        self.words.iter().any(|verb| {
            verb.len() <= operands.len()
                && verb.iter().zip(operands).all(|(word, operand)| {
                    operand.len() == UNKNOWN.len_utf8() && operand.starts_with(UNKNOWN)
                        || match word {
                            Word::Plain(word) => **word == **operand,
                            Word::Glob(glob) => glob.meets(operand),
                        }
                })
        })
    }
}

/// Paths, and those with `!` before them that don't count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<String>")]
pub struct Paths {
    written: Vec<String>,
    meant: Vec<Pattern>,
    but: Vec<Pattern>,
}

impl From<Vec<String>> for Paths {
    fn from(written: Vec<String>) -> Self {
        Self { written, ..Self::default() }
    }
}

impl Paths {
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// Puts lists in the place of their names; the first name that is none.
    pub fn resolve(&mut self, lists: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
        for path in &self.written {
            let (but, path) = match path.strip_prefix('!') {
                Some(path) => (true, path),
                None => (false, path.as_str()),
            };
            let one = [path.to_owned()];
            let all = match path.strip_prefix('@') {
                Some(name) => lists.get(name).ok_or_else(|| name.to_owned())?.as_slice(),
                None => &one,
            };
            let patterns = all.iter().map(|path| Pattern::new(&marked(path)));
            match but {
                true => self.but.extend(patterns),
                false => self.meant.extend(patterns),
            }
        }
        Ok(())
    }

    /// Whether one of the patterns meets a path, and none of those with `!` before them, which hold only for
    /// what is wholly known.
    pub fn meet(&self, field: &Field, hit: impl Fn(&Pattern) -> bool) -> bool {
        self.meant.iter().any(&hit) && !(field.literal().is_some() && self.but.iter().any(hit))
    }

    pub fn overlap(&self, field: &Field, path: &Path<'_>) -> bool {
        self.meet(field, |pattern| pattern.overlaps(path))
    }

    /// Whether they overlap, and not by chance alone.
    pub fn surely_overlap(&self, field: &Field, path: &Path<'_>) -> bool {
        self.meet(field, |pattern| pattern.overlaps(path) && !pattern.meets_by_chance(path))
    }
}

/// A pattern as it meets paths: home and a typed star are marks there.
fn marked(pattern: &str) -> String {
    let pattern = pattern.replace("[*]", STAR.encode_utf8(&mut [0; 4]));
    match pattern.strip_prefix('~') {
        Some(below) => format!("{HOME}{below}"),
        None => pattern,
    }
}
