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

/// Whether a path with marks and a policy's pattern (`*` within a name, `**` over any number of names)
/// can mean the same file. What is unknown counts as one name or a part of one.
pub fn overlap(path: &str, pattern: &str) -> bool {
    // Most patterns say the first name, or the last.
    if let (Some(first), Some(other)) = (first_name(path), first_name(pattern))
        && !other.contains(['*', '?'])
        && !first.contains([UNKNOWN, STAR, ANY, SET, DEEP])
        && first != other
    {
        return false;
    }
    names(&split(path), &split(pattern))
}

/// As [`overlap`], but a name of which nothing is known meets only a star: it could be anything, and a
/// rule that spoke of anything would always speak.
pub fn overlap_known(path: &str, pattern: &str) -> bool {
    let unknown = UNKNOWN.to_string();
    let path = split(path);
    let parts = split(pattern);
    let fits = |name: &str, part: &str| name != unknown || part.starts_with('*');
    let deep = parts.contains(&"**");
    (deep
        || path.len() == parts.len()
            && path.iter().zip(parts.iter()).all(|(name, part)| fits(name, part)))
        && path.first().is_some_and(|first| !first.starts_with(UNKNOWN))
        && (!deep
            || path.len() > 1
                && path
                    .iter()
                    .zip(parts.iter())
                    .take_while(|(_, part)| **part != "**")
                    .all(|(name, part)| fits(name, part)))
        && names(&path, &parts)
}

/// Whether a path is a directory above what the pattern names.
pub fn above(path: &str, pattern: &str) -> bool {
    let path = split(path);
    let pattern = split(pattern);
    path.len() < pattern.len()
        && (0..pattern.len()).any(|length| {
            let part = &pattern[..length];
            !part.contains(&"**") && names(&path, part)
        })
}

/// The name below the root, or home.
fn first_name(path: &str) -> Option<&str> {
    let rest = path.strip_prefix('/')?;
    rest.split('/').find(|part| !part.is_empty())
}

/// The names of a path. Short ones need no allocation: each path is split once for each pattern.
enum Names<'a> {
    Few([&'a str; FEW], usize),
    Many(Vec<&'a str>),
}

const FEW: usize = 12;

impl<'a> std::ops::Deref for Names<'a> {
    type Target = [&'a str];

    fn deref(&self) -> &[&'a str] {
        match self {
            Self::Few(names, count) => &names[..*count],
            Self::Many(names) => names,
        }
    }
}

fn split(path: &str) -> Names<'_> {
    let root = path.starts_with('/').then_some("/");
    let parts = root.into_iter().chain(path.split('/').filter(|part| !part.is_empty()));
    let (mut few, mut count) = ([""; FEW], 0);
    for part in parts.clone() {
        match few.get_mut(count) {
            Some(place) => *place = part,
            None => return Names::Many(parts.collect()),
        }
        count += 1;
    }
    Names::Few(few, count)
}

fn names(path: &[&str], pattern: &[&str]) -> bool {
    match (path.split_first(), pattern.split_first()) {
        (None, None) => true,
        (_, Some((&"**", rest))) => {
            // `*` alone, somewhere, is not said to mean a certain name anywhere.
            let vague = |name: &&str| name.chars().all(|char| matches!(char, STAR | ANY | UNKNOWN));
            let vague = path.last().is_some_and(vague) && rest.len() == 1 && rest != ["**"];
            !vague
                && (0..=path.len()).any(|skipped| {
                    let rest_of_path = &path[skipped..];
                    !meets_by_chance(rest_of_path.first(), rest.first())
                        && names(rest_of_path, rest)
                })
        }
        (Some((name, path)), Some(_)) if name.starts_with(DEEP) => {
            // Wherever it lies: a pattern meets it by its last name, not by a star that meets a star.
            let stars = path.last().is_some_and(|name| name.contains([STAR, UNKNOWN]));
            pattern.last().is_some_and(|part| *part != "**" && !(stars && part.contains('*')))
                && (0..pattern.len()).any(|skipped| names(path, &pattern[skipped..]))
        }
        (Some((name, path)), Some((part, pattern))) => {
            name_overlap(name, part) && names(path, pattern)
        }
        _ => false,
    }
}

/// A name of which nothing is known, somewhere, is not said to be a certain one.
fn meets_by_chance(name: Option<&&str>, part: Option<&&str>) -> bool {
    name.is_some_and(|name| name.chars().all(|char| char == UNKNOWN))
        && part.is_some_and(|part| !part.starts_with('*'))
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
