//! What is known of files on a target beside what a line itself writes there: scripts that an agent
//! brought, so that running one later is judged by what it holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use super::{
    field::{HOME, is_mark},
    paths,
};

/// Paths of one account that are kept; beyond, every path may be an agent's.
const MOST: usize = 10_000;
/// Places and links of one account that are kept, likewise.
const MOST_PLACES: usize = 512;
/// Where absolute paths lie in the order of text, `0` being next to `/`, and where the others do.
const ABSOLUTE: &[(Bound<&str>, Bound<&str>)] = &[(Bound::Included("/"), Bound::Excluded("0"))];
const RELATIVE: &[(Bound<&str>, Bound<&str>)] =
    &[(Bound::Unbounded, Bound::Excluded("/")), (Bound::Included("0"), Bound::Unbounded)];
/// Links that lead to links are followed so often.
const MOST_LINKS: usize = 4;

/// Files of one account, by absolute path, or by one below a directory that was not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Where the account is at home, once that is known.
    pub home: Option<String>,
    contents: BTreeMap<String, Content>,
    /// Of what lies there or below nothing is known, unless it was written since.
    places: BTreeSet<String>,
    /// Other names of places: what is written through one changes the other.
    links: BTreeSet<(String, String)>,
    /// How often each was written, or may have been.
    turns: BTreeMap<String, u32>,
    /// There were more than are kept.
    full: bool,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Text(Arc<str>),
    /// An agent wrote it, and it is no text, or longer than is judged.
    Unknown,
    /// An agent put something there with which, or below which, may be any file.
    Place,
    /// It is another name of that path now, and was perhaps before.
    Link(Arc<str>),
}

impl Content {
    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Unknown | Self::Place | Self::Link(_) => 0,
        }
    }
}

impl Files {
    /// How many bytes of texts went for it.
    pub fn set(&mut self, path: &str, content: Content) -> usize {
        let path = self.key(path);
        let through = self.behind_links(&path);
        let mut gone: usize = through.iter().map(|real| self.unknown(real)).sum();
        if path.contains(is_mark) {
            gone += self.unknown(&path);
            let place = fixed(&path).to_owned();
            if content == Content::Place && !matches!(place.as_str(), "." | "/") {
                gone += self.place(place);
            }
            return gone;
        }
        let content = match content {
            Content::Place => return gone + self.place(path),
            Content::Link(real) => {
                let real = self.key(&real);
                match self.links.len() < MOST_PLACES {
                    true => _ = self.links.insert((path.clone(), real)),
                    false => self.full = true,
                }
                return gone + self.place(path);
            }
            // Whoever writes there next may do it by the other name.
            _ if !through.is_empty() => Content::Unknown,
            content => content,
        };
        gone += self.unsure_of_others(&path, &content);
        if self.contents.len() >= MOST && !self.contents.contains_key(&path) {
            self.full = true;
            return gone;
        }
        self.turn(&path);
        gone + self.contents.insert(path, content).map_or(0, |old| old.size())
    }

    fn turn(&mut self, path: &str) {
        if self.turns.len() < MOST || self.turns.contains_key(path) {
            *self.turns.entry(path.to_owned()).or_default() += 1;
        }
    }

    /// A number that differs once a file may have been written since.
    pub fn turns(&self, path: &str) -> u32 {
        let path = self.key(path);
        let of_it = |known: &str| below(&path, known).is_some() || is_alike(&path, known);
        self.turns.iter().filter(|(known, _)| of_it(known)).map(|(_, turns)| turns).sum()
    }

    /// Anything may lie there, and below.
    fn place(&mut self, path: String) -> usize {
        let gone = self.unknown(&path);
        self.turn(&path);
        match self.places.len() < MOST_PLACES {
            true => _ = self.places.insert(path),
            false => self.full = true,
        }
        gone
    }

    /// Nothing more is known of what may be there, or below.
    fn unknown(&mut self, path: &str) -> usize {
        let mut gone = 0;
        for (known, old) in &mut self.contents {
            if fits(known, path) || below(path, known).is_some() {
                gone += old.size();
                *old = Content::Unknown;
                *self.turns.entry(known.clone()).or_default() += 1;
            }
        }
        gone
    }

    /// A directory that is written to may hold other files now; and one file may be known by two paths.
    fn unsure_of_others(&mut self, path: &str, content: &Content) -> usize {
        let Self { contents, turns, .. } = self;
        let mut gone = 0;
        let mut unsure = |known: &String, old: &mut Content| {
            gone += old.size();
            *old = Content::Unknown;
            *turns.entry(known.clone()).or_default() += 1;
        };
        // An agent may bring thousands of files at once: only those are looked at that can be meant.
        let inside = format!("{path}/");
        let from = (Bound::Included(inside.as_str()), Bound::Unbounded);
        let below = contents.range_mut::<str, _>(from);
        for (known, old) in below.take_while(|(known, _)| known.starts_with(&inside)) {
            unsure(known, old);
        }
        let others = if path.starts_with('/') { RELATIVE } else { ABSOLUTE };
        for range in others {
            for (known, old) in contents.range_mut::<str, _>(*range) {
                if is_alike(path, known) && old != content {
                    unsure(known, old);
                }
            }
        }
        gone
    }

    /// What a path is without the links that it goes through.
    pub fn behind_links(&self, path: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut from = vec![self.key(path)];
        for _ in 0..MOST_LINKS {
            let mut next = Vec::new();
            for (link, real) in &self.links {
                for rest in from.iter().filter_map(|path| below(path, link)) {
                    let path = format!("{}/{rest}", real.trim_end_matches('/'));
                    next.push(paths::normal(path.trim_end_matches('/'), None));
                }
            }
            next.retain(|path| !found.contains(path));
            if next.is_empty() || found.len() > MOST_PLACES {
                break;
            }
            found.extend(next.iter().cloned());
            from = next;
        }
        found
    }

    /// Whether an agent's file may be there, or below, or in something that was put there or above it.
    pub fn touches(&self, path: &str) -> bool {
        let path = self.key(path);
        self.full
            || self.contents.keys().any(|known| fits(known, &path))
            || self.places.iter().any(|known| meet(known, fixed(&path)))
    }

    /// Nothing is known of it any more: it is gone.
    pub fn forget(&mut self, path: &str) -> Option<Content> {
        self.contents.remove(&self.key(path))
    }

    /// Bytes that its texts take.
    pub fn size(&self) -> usize {
        self.contents.values().map(Content::size).sum()
    }

    /// So many bytes of texts at least are let go; how many were.
    pub fn let_go(&mut self, bytes: usize) -> usize {
        let mut gone = 0;
        for content in self.contents.values_mut() {
            if gone >= bytes {
                break;
            }
            gone += content.size();
            *content = Content::Unknown;
        }
        gone
    }

    /// Of a path as the guard has it, and that of the file that it is: a text, or that it is not known. A path
    /// that hangs on a directory that is not known may be any file whose path ends like it.
    pub fn content(&self, path: &str) -> Option<(String, Content)> {
        let path = self.key(path);
        if path.contains(is_mark) {
            return self.may_be(&path).then_some((path, Content::Unknown));
        }
        if let Some(content) = self.contents.get(&path) {
            return Some((path, content.clone()));
        }
        let holds = |known: &String| below(known, &path).is_some_and(|rest| !rest.is_empty());
        if self.places.iter().any(|place| below(&path, place).is_some())
            || self.contents.keys().any(holds)
        {
            return Some((path, Content::Unknown));
        }
        let mut found = self.contents.iter().filter(|(known, _)| is_alike(&path, known));
        match (found.next(), found.next()) {
            (None, _) => self.full.then_some((path, Content::Unknown)),
            (Some((path, content)), None) => Some((path.clone(), content.clone())),
            (Some((path, _)), Some(_)) => Some((path.clone(), Content::Unknown)),
        }
    }

    /// Whether a path of which a part is not known may be that of an agent's file.
    fn may_be(&self, path: &str) -> bool {
        let place = fixed(path);
        let last = path.rsplit('/').next().filter(|last| !last.contains(is_mark));
        let named = |known: &String| last.is_none_or(|last| known.rsplit('/').next() == Some(last));
        self.full
            || self.contents.keys().any(|known| named(known) && fits(known, path))
            || self.places.iter().any(|known| meet(known, place))
    }

    fn key(&self, path: &str) -> String {
        let path = paths::normal(path, None);
        if path.starts_with('/') {
            return path;
        }
        let at_home = path.starts_with(HOME);
        let rest = path.trim_start_matches(HOME).trim_start_matches('/');
        match &self.home {
            Some(home) if at_home => format!("{home}/{rest}").trim_end_matches('/').to_owned(),
            _ if rest.is_empty() => ".".to_owned(),
            _ => rest.to_owned(),
        }
    }
}

/// The directory in which all that a path may mean lies.
fn fixed(path: &str) -> &str {
    let Some(mark) = path.find(is_mark) else { return path };
    match path[..mark].rfind('/') {
        Some(0) => "/",
        Some(end) => &path[..end],
        None => ".",
    }
}

/// Whether a file may be one that a path means, or lie below that.
fn fits(known: &str, path: &str) -> bool {
    let place = fixed(path);
    let Some(rest) = below(known, place) else { return false };
    if place.len() == path.len() {
        return true;
    }
    let behind = path.strip_prefix(place).unwrap_or(path).trim_start_matches('/');
    let start = behind.split(is_mark).next().unwrap_or_default();
    // What is below somebody's home, seen from no known directory.
    rest.starts_with(start)
        || place == "." && rest.rsplit('/').next().is_some_and(|name| name.starts_with(start))
}

/// Whether one of both may lie in the other.
fn meet(one: &str, other: &str) -> bool {
    below(one, other).is_some() || below(other, one).is_some()
}

/// What of a path stands behind `place`, where it may be that or lie in it. One that is relative hangs on a
/// directory that is not known, most likely somebody's home.
fn below<'a>(path: &'a str, place: &str) -> Option<&'a str> {
    let inside = |rest: &'a str| match rest.strip_prefix('/') {
        None if !rest.is_empty() => None,
        rest => Some(rest.unwrap_or_default()),
    };
    match (path.starts_with('/'), place.starts_with('/')) {
        (false, _) if place == "/" || place == "." => Some(path),
        (false, true) if is_home(place) => Some(path),
        (true, true) if place == "/" => Some(&path[1..]),
        (true, false) if place == "." => ["/home/", "/root/", "/Users/"]
            .iter()
            .any(|home| path.starts_with(home))
            .then_some(path),
        (true, true) | (false, false) => path.strip_prefix(place).and_then(inside),
        (true, false) => {
            let mut found = path.match_indices(place).filter(|(at, _)| path[..*at].ends_with('/'));
            found.find_map(|(at, _)| inside(&path[at + place.len()..]))
        }
        (false, true) => {
            let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
            let mut starts = ends.filter(|end| ends_like(place, &path[..*end]));
            starts.find_map(|end| inside(&path[end..]))
        }
    }
}

fn is_home(place: &str) -> bool {
    place == "/root"
        || ["/home/", "/Users/"]
            .iter()
            .any(|homes| place.strip_prefix(homes).is_some_and(|user| !user.contains('/')))
}

/// Whether both may be one file, one of them without its directory.
fn is_alike(path: &str, known: &str) -> bool {
    match (path.starts_with('/'), known.starts_with('/')) {
        (true, false) => ends_like(path, known),
        (false, true) => ends_like(known, path),
        _ => false,
    }
}

/// Whether a path may be one that ends like `rest`.
fn ends_like(path: &str, rest: &str) -> bool {
    path.strip_suffix(rest).is_some_and(|before| before.ends_with('/')) && !rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_each_way_that_may_lead_to_it() {
        let mut files = Files::default();
        let text = |text: &str| Content::Text(text.into());
        files.set("/srv/./a/../x.sh", text("x"));
        files.set("/home/me/y.sh", text("y"));
        let found = |files: &Files, path: &str| files.content(path).map(|(_, content)| content);
        assert_eq!(found(&files, "/srv/x.sh"), Some(text("x")));
        assert_eq!(found(&files, "/tmp/x.sh"), None);
        for path in ["y.sh", "./y.sh", &format!("{HOME}/y.sh")] {
            assert_eq!(found(&files, path), Some(text("y")), "{path}");
        }
        files.set("/srv/y.sh", text("z"));
        assert_eq!(found(&files, "y.sh"), Some(Content::Unknown), "one of the two");
        files.home = Some("/home/me".into());
        assert_eq!(found(&files, &format!("{HOME}/y.sh")), Some(text("y")));
        // Written below a directory that was not known.
        files.set("z/a.sh", text("a"));
        assert_eq!(found(&files, "/opt/z/a.sh"), Some(text("a")));
        assert_eq!(found(&files, "/opt/z/aa.sh"), None);
        assert_eq!(files.forget("/srv/x.sh"), Some(text("x")));
        assert_eq!(found(&files, "/srv/x.sh"), None);
        assert_eq!(found(&files, "sh"), None, "no part of a name");
        files.set("/home", Content::Unknown);
        assert_eq!(found(&files, "/home/me/y.sh"), Some(Content::Unknown));
    }

    #[test]
    fn what_is_written_makes_unsure_of_all_that_it_may_be_and_of_nothing_else() {
        let known = [
            "/a", "/a-b/x", "/a/b", "/a/b/c", "/a0", "/srv/z/x", "/z/x", "z/x", "-z/x", "0/x",
            "~/z/x",
        ];
        let unsure = |path: &str| {
            let mut files = Files::default();
            for one in known {
                files.contents.insert(one.to_owned(), Content::Text(one.into()));
            }
            files.set(path, Content::Text("new".into()));
            let mut unsure = Vec::new();
            for (one, content) in &files.contents {
                unsure.extend((*content == Content::Unknown).then_some(one.as_str()));
            }
            unsure.join(" ")
        };
        assert_eq!(unsure("/a"), "/a/b /a/b/c");
        assert_eq!(unsure("/a/b"), "/a/b/c");
        assert_eq!(unsure("/opt/z/x"), "z/x");
        assert_eq!(unsure("/srv/-z/x"), "-z/x");
        assert_eq!(unsure("/srv/0/x"), "0/x");
        assert_eq!(unsure("z/x"), "/srv/z/x /z/x");
        assert_eq!(unsure("z"), "z/x");
        assert_eq!(unsure("/none"), "");
    }

    #[test]
    fn when_there_are_too_many_each_path_may_be_an_agents() {
        let mut files = Files::default();
        for number in 0..MOST {
            files.set(&format!("/srv/{number}"), Content::Unknown);
        }
        assert_eq!(files.content("/srv/x"), None);
        files.set("/srv/x", Content::Text("ls".into()));
        assert_eq!(files.content("/srv/y"), Some(("/srv/y".into(), Content::Unknown)));
    }
}
