//! Finds every path that a source file writes, in `use` trees and inline, and where it leads.

/// A path as written, with each branch of a `use` tree spelt out.
#[derive(Debug, PartialEq, Eq)]
pub struct Path {
    pub line: usize,
    pub segments: Vec<String>,
    /// The modules written inside the file that it stands in: `tests` for most.
    pub within: Vec<String>,
}

impl Path {
    /// Where in the crate it leads, seen from the file's module; `None` when that can't be told from
    /// the path alone: another crate's, or a name in scope.
    pub fn leads_to(&self, file: &[String]) -> Option<Vec<String>> {
        let mut place = [file, &self.within].concat();
        let mut rest = self.segments.as_slice();
        match rest.first()?.as_str() {
            "crate" => place.clear(),
            "self" => {}
            // Only main.rs can name the crate, whose lib it uses.
            "sgw" if file == ["main"] => place.clear(),
            "super" => {
                place.pop()?;
                while rest.get(1).is_some_and(|next| next == "super") {
                    place.pop()?;
                    rest = &rest[1..];
                }
            }
            _ => return None,
        }
        place.extend(rest[1..].iter().filter(|segment| *segment != "self").cloned());
        Some(place)
    }

    pub fn climbs_twice(&self) -> bool {
        self.segments.iter().filter(|segment| *segment == "super").count() > 1
    }

    pub fn is(&self, start: &str) -> bool {
        let start: Vec<_> = start.split("::").collect();
        self.segments.len() >= start.len() && self.segments.iter().zip(&start).all(|(a, b)| a == b)
    }

    pub fn has(&self, inside: &str) -> bool {
        let inside: Vec<_> = inside.split("::").collect();
        self.segments.windows(inside.len()).any(|window| window == inside)
    }

    pub fn text(&self) -> String {
        self.segments.join("::")
    }
}

/// Every path with at least one `::`.
pub fn paths(source: &str) -> Vec<Path> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    // The braces that are open, with the name of the module that each begins, if it does.
    let mut open: Vec<Option<String>> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is = |place: usize, text: &str| tokens.get(place).is_some_and(|token| token.is(text));
        match tokens[at].text.as_str() {
            "{" => {
                let begins = at >= 2 && is(at - 2, "mod");
                open.push(begins.then(|| tokens[at - 1].text.clone()));
                at += 1;
            }
            "}" => {
                open.pop();
                at += 1;
            }
            _ if tokens[at].is_word() && is(at + 1, "::") => {
                let within: Vec<_> = open.iter().flatten().cloned().collect();
                let line = tokens[at].line;
                let mut trees = Vec::new();
                at = tree(&tokens, at, &[], &mut trees);
                let path = |segments| Path { line, segments, within: within.clone() };
                found.extend(trees.into_iter().map(path));
            }
            _ => at += 1,
        }
    }
    found
}

/// Reads one tree from `at` on, and returns where it ends.
fn tree(tokens: &[Token], mut at: usize, before: &[String], into: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(at) {
        if token.is("{") {
            at += 1;
            while tokens.get(at).is_some_and(|token| !token.is("}")) {
                let next = tree(tokens, at, &path, into);
                // A comma, the name after `as`, or what no tree has: never stay in place.
                at = next.max(at + usize::from(next == at));
            }
            return at + 1;
        }
        if !token.is_word() && !token.is("*") {
            break;
        }
        path.push(token.text.clone());
        at += 1;
        if !tokens.get(at).is_some_and(|token| token.is("::")) {
            break;
        }
        at += 1;
    }
    // `as Name` renames; the name is no path. After `as` in an expression a path may stand.
    let is = |place: usize, text: &str| tokens.get(place).is_some_and(|token| token.is(text));
    if is(at, "as") && !is(at + 2, "::") {
        at += 2;
    }
    if path.len() > before.len() {
        into.push(path);
    }
    at
}

struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is(&self, text: &str) -> bool {
        self.text == text
    }

    fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphanumeric() || first == '_')
    }
}

/// Words, `::` and single marks; comments, strings and characters are left out.
fn tokens(source: &str) -> Vec<Token> {
    let (mut rest, mut line, mut found) = (source, 1, Vec::new());
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest).unwrap_or_else(|| {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let length = match word {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                word => word,
            };
            found.push(Token { line, text: rest[..length].to_owned() });
            length
        });
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// The length of what stands at the start and is no code.
fn skipped(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    if first.is_whitespace() {
        return Some(first.len_utf8());
    }
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|rest| {
            rest.trim_start_matches('#').starts_with('"') || rest.starts_with('\'')
        })
    })?;
    let literal = &rest[prefix.len()..];
    let hashes = literal.len() - literal.trim_start_matches('#').len();
    let body = &literal[hashes..];
    let length = match body.chars().next()? {
        '"' if prefix.contains('r') => {
            let end = format!("\"{}", "#".repeat(hashes));
            body[1..].find(&end).map_or(body.len(), |at| 1 + at + end.len())
        }
        '"' if hashes == 0 => quoted(body, '"'),
        '\'' if hashes == 0 && matches!(prefix, "" | "b") && is_character(body) => {
            quoted(body, '\'')
        }
        '\'' if prefix.is_empty() && hashes == 0 => 1,
        _ => return None,
    };
    Some(prefix.len() + hashes + length)
}

/// `'x'` or `'\…'`, and not a lifetime.
fn is_character(body: &str) -> bool {
    let mut next = body.chars().skip(1);
    next.next() == Some('\\') || next.next() == Some('\'')
}

fn quoted(body: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, character) in body.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == mark => return at + 1,
            _ => {}
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str) -> Vec<String> {
        paths(source).iter().map(Path::text).collect()
    }

    fn leads(module: &str, source: &str) -> Vec<String> {
        let module: Vec<_> = module.split("::").map(str::to_owned).collect();
        let found = paths(source);
        found.iter().filter_map(|path| path.leads_to(&module)).map(|p| p.join("::")).collect()
    }

    #[test]
    fn a_tree_is_spelt_out() {
        let source = "pub(super) use crate::{a, b::{self, C as D, e::*}, f::G};";
        assert_eq!(
            of(source),
            ["crate::a", "crate::b::self", "crate::b::C", "crate::b::e::*", "crate::f::G"]
        );
        assert_eq!(leads("x", source), ["a", "b", "b::C", "b::e::*", "f::G"]);
        assert_eq!(
            of("use {std::fs, tokio::net::{TcpStream,},};"),
            ["std::fs", "tokio::net::TcpStream"]
        );
    }

    #[test]
    fn inline_paths_are_seen_wherever_they_stand() {
        let source = "fn f(x: &'a crate::a::B<crate::c::D>) -> Vec<super::E> { <crate::g::H as T>::i(); $crate::j::k!() }";
        assert_eq!(leads("m::n", source), ["a::B", "c::D", "m::E", "g::H", "j::k"]);
        assert_eq!(leads("m", "<crate::a::B as crate::c::D>::e()"), ["a::B", "c::D"]);
    }

    #[test]
    fn a_path_is_followed_from_the_module_that_it_stands_in() {
        assert_eq!(leads("daemon::door::agent", "super::link::Gone"), ["daemon::door::link::Gone"]);
        assert_eq!(
            leads("a::b", "mod tests { use super::c; mod d { super::e::f } } super::g::h"),
            ["a::b::c", "a::b::tests::e::f", "a::g::h"]
        );
        assert_eq!(leads("daemon", "self::parts::Parts"), ["daemon::parts::Parts"]);
        assert_eq!(leads("main", "sgw::cli::run()"), ["cli::run"]);
        assert_eq!(leads("cli", "sgw::cli::run() + std::fs::read()"), Vec::<String>::new());
    }

    #[test]
    fn climbing_twice_is_seen() {
        let found = paths("use super::{super::desk, x}; super::y");
        assert_eq!(found.iter().map(Path::climbs_twice).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(leads("a::b::c", "super::super::d"), ["a::d"]);
    }

    #[test]
    fn what_is_no_code_is_left_out() {
        let source = "// crate::a::b\n/* crate::c */ /// crate::d\nlet s = \"crate::e \\\" crate::f\"; \
            r#\"crate::g \" crate::h\"#; b\"crate::i\"; '\"'; '\\''; b'\"'; x::<'static>(); crate::real::one";
        assert_eq!(leads("m", source), ["real::one"]);
    }

    #[test]
    fn a_path_knows_its_line_and_its_parts() {
        let found = paths("\n\"a\nb\"\nuse std::{io::{self, stdout}};");
        assert_eq!(found[1].line, 4);
        assert!(
            found[1].has("io::stdout") && found[1].is("std::io") && !found[0].has("io::stdout")
        );
        assert!(!found[1].is("std::io::stdout::x") && !found[1].is("io"));
    }
}
