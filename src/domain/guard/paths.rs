//! Paths without a disk: lexical form, and whether two patterns can name the same file.

use super::field::{ANY, DEEP, HOME, SET, STAR, UNKNOWN};

/// So many `..` from a directory that is not known are taken to end at the root.
const CLIMB: usize = 5;

/// A path in its shortest form, from the root or from home; relative ones hang on `cwd` where that is
/// known. `.` and `..` go as the kernel would without links.
pub fn normal(path: &str, cwd: Option<&str>) -> String {
    let absolute = path.starts_with('/') || path.starts_with(HOME);
    let whole = match (absolute, cwd) {
        (false, Some(cwd)) => format!("{cwd}/{path}"),
        _ => path.to_owned(),
    };
    let mut parts: Vec<&str> = Vec::new();
    let rooted = whole.starts_with('/');
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(last) if last.starts_with(HOME) => {
                    // Beside home other people's homes.
                    parts.clear();
                    parts.push("\u{fdd4}..");
                }
                Some(last) if *last != ".." => _ = parts.pop(),
                _ if rooted => {}
                _ => parts.push(".."),
            },
            part => parts.push(part),
        }
    }
    // Another name of the root; and so is a climb that no directory is deep enough for.
    if rooted && parts.len() > 2 && parts[0] == "proc" && parts[2] == "root" {
        return normal(&format!("/{}", parts[3..].join("/")), None);
    }
    if !rooted && parts.iter().take_while(|part| **part == "..").count() >= CLIMB {
        let rest = parts.iter().skip_while(|part| **part == "..").copied().collect::<Vec<_>>();
        return format!("/{}", rest.join("/"));
    }
    if parts.first() == Some(&"\u{fdd4}..") {
        parts[0] = "/home";
        return parts.join("/");
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// A path divided into its names, for many patterns.
pub struct Path<'a> {
    names: Vec<Name<'a>>,
    deep: bool,
    plain: bool,
}

#[derive(Clone, Copy)]
struct Name<'a> {
    text: &'a str,
    /// Without marks.
    plain: bool,
}

impl<'a> Path<'a> {
    pub fn new(path: &'a str) -> Self {
        let marked = !path.is_ascii();
        let names: Vec<Name<'a>> = split(path)
            .map(|text| {
                let mark = |char| matches!(char, UNKNOWN | STAR | ANY | SET | DEEP);
                Name { text, plain: !marked || !text.contains(mark) }
            })
            .collect();
        let deep = marked && names.iter().any(|name| name.text.starts_with(DEEP));
        let plain = names.iter().all(|name| name.plain);
        Self { names, deep, plain }
    }
}

impl Path<'_> {
    /// `app-*` and `*.key` meet in a name that nobody has: what is fixed of either must speak of the other. A star
    /// alone, or a letter, may be meant for anything.
    fn meets_by_stars_alone(&self, fixed: &str) -> bool {
        let Some(name) = self.names.last().filter(|name| name.text.contains(STAR)) else {
            return false;
        };
        let fixed: Vec<Piece> = fixed.chars().map(Piece::Char).collect();
        let pieces = marked(name.text);
        let mut chunks = pieces
            .split(|piece| matches!(piece, Piece::Many | Piece::One))
            .filter(|chunk| !chunk.is_empty())
            .peekable();
        chunks.peek().is_some()
            && chunks.all(|chunk| {
                let most = chunk.len().min(fixed.len()).min(EVIDENCE);
                !chunk.windows(most).any(|part| fixed.windows(most).any(|other| part == other))
            })
    }
}

/// So many letters in common are no chance.
const EVIDENCE: usize = 3;

/// A pattern of a policy (`*` within a name, `**` over any number of names), divided once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
    /// Names that stand fixed below the root, and at the end.
    first: Option<Box<str>>,
    last: Option<Box<str>>,
    /// A name that stands fixed in between.
    inner: Option<Box<str>>,
    deep: bool,
    /// A name with a star, wherever it lies (`**/*.key`): what of the name is fixed.
    anywhere: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    text: Box<str>,
    plain: bool,
    deep: bool,
}

impl Pattern {
    pub fn new(pattern: &str) -> Self {
        let part = |text: &str| Part {
            plain: !text.contains(['*', '?']),
            deep: text == "**",
            text: text.into(),
        };
        let parts: Vec<Part> = split(pattern).map(part).collect();
        let fixed = |part: &Part| part.plain.then(|| part.text.clone());
        let rooted = parts.first().is_some_and(|part| &*part.text == "/");
        let first = parts.get(1).filter(|_| rooted).and_then(fixed);
        let last = parts.last().and_then(fixed);
        let deep = parts.iter().any(|part| part.deep);
        let inner = parts.iter().skip(1).rev().skip(1).find_map(fixed);
        let anywhere = match parts.as_slice() {
            [start, name] if start.deep && !name.deep && !name.plain => {
                let fixed = name.text.replace(['*', '?'], "");
                (!fixed.is_empty()).then(|| fixed.into())
            }
            _ => None,
        };
        Self { parts, first, last, inner, deep, anywhere }
    }

    /// Most patterns say the first name, or the last.
    fn differs(&self, path: &Path<'_>) -> bool {
        let other = |fixed: &Option<Box<str>>, name: Option<&Name<'_>>| {
            let (Some(fixed), Some(name)) = (fixed, name) else { return false };
            name.plain && **fixed != *name.text
        };
        let rooted = path.names.first().is_some_and(|name| name.text == "/");
        let missing = |fixed: &str| path.names.iter().all(|name| name.text != fixed);
        rooted && other(&self.first, path.names.get(1))
            || other(&self.last, path.names.last())
            || path.plain && self.inner.as_deref().is_some_and(missing)
            || self.ends_otherwise(path)
    }

    /// The last name is a pattern, and the path's is no such name.
    fn ends_otherwise(&self, path: &Path<'_>) -> bool {
        let (Some(part), Some(name)) = (self.parts.last(), path.names.last()) else { return false };
        !part.plain && !part.deep && name.plain && !name_overlap(name.text, &part.text)
    }

    /// Whether both can mean the same file. What is unknown counts as one name or a part of one.
    pub fn overlaps(&self, path: &Path<'_>) -> bool {
        let by_chance =
            || self.anywhere.as_deref().is_some_and(|fixed| path.meets_by_stars_alone(fixed));
        // A search that begins somewhere relative is not said to begin at the root.
        let elsewhere = path.deep
            && path.names.first().is_some_and(|name| name.text.starts_with(DEEP))
            && self.parts.first().is_some_and(|part| &*part.text == "/");
        !elsewhere && !self.differs(path) && !by_chance() && names(&path.names, &self.parts)
    }

    /// Whether a path that lies somewhere below is met by a star alone, in a directory that nothing leads to:
    /// what a search finds below `/` could lie in `/etc/sudoers.d`, as anywhere else.
    pub fn meets_by_chance(&self, path: &Path<'_>) -> bool {
        let deep = path.names.iter().position(|name| name.text.starts_with(DEEP));
        let star = self.parts.last().is_some_and(|part| &*part.text == "*");
        star && deep.is_some_and(|deep| self.parts.len() > deep + 1)
    }

    /// As [`Pattern::overlaps`], but a name of which nothing is known meets only a star: it could be anything, and a
    /// rule that spoke of anything would always speak.
    pub fn overlaps_known(&self, path: &Path<'_>) -> bool {
        if self.differs(path) {
            return false;
        }
        let (path, parts) = (&path.names, &self.parts);
        let unknown = |name: &str| {
            let mut chars = name.chars();
            chars.next() == Some(UNKNOWN) && chars.next().is_none()
        };
        let fits =
            |(name, part): (&Name<'_>, &Part)| !unknown(name.text) || part.text.starts_with('*');
        (self.deep || path.len() == parts.len() && path.iter().zip(parts).all(fits))
            && path.first().is_some_and(|first| !first.text.starts_with(UNKNOWN))
            && (!self.deep
                || path.len() > 1
                    && path.iter().zip(parts).take_while(|(_, part)| !part.deep).all(fits))
            && names(path, parts)
    }

    /// Whether a path is a directory above what the pattern names.
    pub fn is_below(&self, path: &Path<'_>) -> bool {
        let (path, parts, wild) = (&path.names, &self.parts, path.deep);
        let lengths = if wild { 0..parts.len() } else { path.len()..path.len() + 1 };
        path.len() < parts.len()
            && lengths.into_iter().any(|length| {
                let part = &parts[..length];
                !part.iter().any(|part| part.deep) && names(path, part)
            })
    }
}

/// The names of a path; the root is one.
fn split(path: &str) -> impl Iterator<Item = &str> {
    let root = path.starts_with('/').then_some("/");
    root.into_iter().chain(path.split('/').filter(|part| !part.is_empty()))
}

fn names(path: &[Name<'_>], pattern: &[Part]) -> bool {
    match (path.split_first(), pattern.split_first()) {
        (None, None) => true,
        (_, Some((part, rest))) if part.deep => {
            // `*` alone, somewhere, is not said to mean a certain name anywhere.
            let vague = |name: &Name<'_>| {
                !name.plain && name.text.chars().all(|char| matches!(char, STAR | ANY | UNKNOWN))
            };
            let vague = rest.len() == 1 && !rest[0].deep && path.last().is_some_and(vague);
            !vague
                && (0..=path.len()).any(|skipped| {
                    let rest_of_path = &path[skipped..];
                    !meets_by_chance(rest_of_path.first(), rest.first())
                        && names(rest_of_path, rest)
                })
        }
        (Some((name, path)), Some(_)) if !name.plain && name.text.starts_with(DEEP) => {
            // Wherever it lies: a pattern meets it by its last name, not by a star that meets a star.
            let stars = path.last().is_some_and(|name| name.text.contains([STAR, UNKNOWN]));
            pattern.last().is_some_and(|part| !(part.deep || stars && part.text.contains('*')))
                && (0..pattern.len()).any(|skipped| names(path, &pattern[skipped..]))
        }
        (Some((name, path)), Some((part, pattern))) => {
            let same = match name.plain && part.plain {
                true => *name.text == *part.text,
                false => name_overlap(name.text, &part.text),
            };
            same && names(path, pattern)
        }
        _ => false,
    }
}

/// A name of which nothing is known, somewhere, is not said to be a certain one.
fn meets_by_chance(name: Option<&Name<'_>>, part: Option<&Part>) -> bool {
    name.is_some_and(|name| !name.plain && name.text.chars().all(|char| char == UNKNOWN))
        && part.is_some_and(|part| !part.text.starts_with('*'))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Many,
    One,
    Char(char),
}

fn name_overlap(name: &str, pattern: &str) -> bool {
    // Most names hold neither marks nor stars.
    if !pattern.contains(['*', '?']) && !name.contains([UNKNOWN, STAR, ANY, SET]) {
        return name == pattern;
    }
    if name.is_ascii() && name != "/" && pattern.is_ascii() && pattern != "/" {
        return wild(pattern.as_bytes(), name.as_bytes());
    }
    // Root and home are no names: nothing matches them but themselves.
    if pattern == "/" || name == "/" || pattern.starts_with(HOME) || name.starts_with(HOME) {
        return name == pattern;
    }
    // A dot file is matched by a star only when the dot is written.
    if pattern.starts_with('.') && name.starts_with([STAR, ANY]) {
        return false;
    }
    // Two stars meet in a name that nobody has.
    if pattern.matches('*').count() > 1 && name.contains(STAR) {
        let plain: String = name.chars().filter(|char| *char != STAR).collect();
        return glob(pattern, &plain) && !plain.is_empty();
    }
    let a: Vec<Piece> = marked(name);
    let b: Vec<Piece> = pattern
        .chars()
        .map(|char| match char {
            '*' => Piece::Many,
            '?' => Piece::One,
            '~' => Piece::Char(HOME),
            char => Piece::Char(char),
        })
        .collect();
    meet(&a, &b)
}

/// A pattern against a name without marks.
fn wild(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => match retry {
                Some((back, at)) => {
                    retry = Some((back, at + 1));
                    (p, n) = (back, at + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Whether a word with marks may be a name.
pub fn may_be(word: &str, name: &str) -> bool {
    let first = word.chars().next();
    let other =
        first.is_some_and(|first| !super::field::is_mark(first) && !name.starts_with(first));
    !other && name_overlap(word, name)
}

fn marked(name: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut chars = name.chars();
    while let Some(char) = chars.next() {
        pieces.push(match char {
            UNKNOWN | STAR => Piece::Many,
            ANY => Piece::One,
            SET => {
                let set: String = chars.by_ref().take_while(|char| *char != ']').collect();
                match set.chars().next() {
                    Some(only) if set.chars().count() == 1 => Piece::Char(only),
                    _ => Piece::One,
                }
            }
            char => Piece::Char(char),
        });
    }
    pieces
}

/// Whether some text matches both: a table over the two, so the cost is their product.
fn meet(a: &[Piece], b: &[Piece]) -> bool {
    let mut row = vec![false; b.len() + 1];
    row[0] = true;
    for at in 0..b.len() {
        row[at + 1] = row[at] && b[at] == Piece::Many;
    }
    for piece in a {
        let mut next = vec![false; b.len() + 1];
        next[0] = row[0] && *piece == Piece::Many;
        for (at, other) in b.iter().enumerate() {
            let same = match (piece, other) {
                (Piece::Char(x), Piece::Char(y)) => x == y,
                _ => true,
            };
            next[at + 1] = match (piece, other) {
                (Piece::Many, _) | (_, Piece::Many) => row[at] || row[at + 1] || next[at],
                _ => same && row[at],
            };
            // A star against a fixed character takes it, or stays.
            if *piece == Piece::Many {
                next[at + 1] |= next[at];
            }
        }
        row = next;
    }
    row[b.len()]
}

/// The text without what is not known in the midst of its names (`sha${x}dow`), as it is when nobody set the
/// variable; where a name begins or ends with it, it is meant to say something.
pub fn without_gaps(text: &str) -> Option<String> {
    let inside = |char: Option<char>| char.is_some_and(|char| char.is_ascii_alphanumeric());
    let gaps = text.match_indices(UNKNOWN).all(|(at, unknown)| {
        inside(text[..at].chars().last()) && inside(text[at + unknown.len()..].chars().next())
    });
    gaps.then(|| text.replace(UNKNOWN, ""))
}

/// A policy's pattern (`*`, `?`, `[a-z]`) against a text.
pub fn glob(pattern: &str, text: &str) -> bool {
    if !pattern.contains(['*', '?', '[']) {
        return pattern == text;
    }
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => set(&pattern[p + 1..], text[t]),
            Some(byte) => (*byte == text[t]).then_some(1),
            None => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                p += length;
                t += 1;
            }
            (None, Some((back, at))) => {
                retry = Some((back, at + 1));
                p = back;
                t = at + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How long a set is with its brackets, if it holds the byte.
fn set(pattern: &[u8], byte: u8) -> Option<usize> {
    let end = pattern.iter().skip(1).position(|found| *found == b']')? + 1;
    let inside = &pattern[..end];
    let mut at = 0;
    let mut found = false;
    while at < inside.len() {
        if at + 2 < inside.len() && inside[at + 1] == b'-' {
            found |= (inside[at]..=inside[at + 2]).contains(&byte);
            at += 3;
        } else {
            found |= inside[at] == byte;
            at += 1;
        }
    }
    found.then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(path: &str, pattern: &str) -> bool {
        Pattern::new(pattern).overlaps(&Path::new(path))
    }

    #[test]
    fn paths_are_brought_to_their_shortest_form() {
        assert_eq!(normal("/etc/.././/usr/", None), "/usr");
        assert_eq!(normal("/../..", None), "/");
        assert_eq!(normal("shadow", Some("/etc")), "/etc/shadow");
        assert_eq!(normal("../x", None), "../x");
        assert_eq!(normal("\u{fdd4}/../bob", None), "/home/bob");
    }

    #[test]
    fn patterns_meet_where_one_file_could_be_both() {
        assert!(overlap("/etc/shadow", "/etc/shadow*"));
        assert!(overlap("/etc/s\u{fdd1}", "/etc/shadow*"));
        assert!(overlap("/e\u{fdd2}c/sh\u{fdd1}w", "/etc/shadow"));
        assert!(!overlap("/etc/x\u{fdd1}", "/etc/shadow*"));
        assert!(overlap("/usr/lib/x", "/usr/**") && overlap("/usr", "/usr/**"));
        assert!(!overlap("/usr2/lib", "/usr/**"));
        assert!(overlap("/\u{fdd1}", "/etc"));
        let above = |path, pattern| Pattern::new(pattern).is_below(&Path::new(path));
        assert!(above("/", "/etc/shadow") && above("/etc", "/etc/shadow"));
        assert!(!above("/etc/shadow", "/etc/shadow") && !above("/var", "/etc/shadow"));
    }

    #[test]
    fn globs_of_a_policy_match_whole_texts() {
        assert!(glob("mkfs.*", "mkfs.ext4") && !glob("mkfs.*", "mkfs"));
        assert!(glob("*a*b", "xxaxxab") && !glob("*a*b", "xxaxxa"));
        assert!(glob("[0-7]*", "755") && glob("*[*]*", "/etc/*") && !glob("*[*]*", "/etc/x"));
    }
}
