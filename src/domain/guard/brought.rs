//! What is known of files on a target beside what a line itself writes there: scripts that an agent
//! brought, so that running one later is judged by what it holds.

use std::{collections::BTreeMap, sync::Arc};

use super::{field::HOME, paths};

/// Paths of one account that are kept; beyond, every path may be an agent's.
const MOST: usize = 10_000;

/// Files of one account, by absolute path, or by one below a directory that was not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Where the account is at home, once that is known.
    pub home: Option<String>,
    contents: BTreeMap<String, Content>,
    /// There were more than are kept.
    full: bool,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Text(Arc<str>),
    /// An agent wrote it, and it is no text, or longer than is judged.
    Unknown,
}

impl Content {
    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Unknown => 0,
        }
    }
}

impl Files {
    /// How many bytes of texts went for it.
    pub fn set(&mut self, path: &str, content: Content) -> usize {
        let path = self.key(path);
        if self.contents.len() >= MOST && !self.contents.contains_key(&path) {
            self.full = true;
            return 0;
        }
        // A directory that is written to may hold other files now.
        let below = format!("{path}/");
        let mut gone = 0;
        let inside = self.contents.range_mut(below.clone()..);
        for (_, old) in inside.take_while(|(known, _)| known.starts_with(&below)) {
            gone += old.size();
            *old = Content::Unknown;
        }
        gone + self.contents.insert(path, content).map_or(0, |old| old.size())
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

    /// Of a path as the guard has it, and that of the file that it is. A path that hangs on a directory that
    /// is not known may be any file whose path ends like it.
    pub fn content(&self, path: &str) -> Option<(String, Content)> {
        let path = self.key(path);
        if let Some(content) = self.contents.get(&path) {
            return Some((path, content.clone()));
        }
        let alike = |known: &&String| match (path.starts_with('/'), known.starts_with('/')) {
            (true, false) => ends(&path, known),
            (false, true) => ends(known, &path),
            _ => false,
        };
        let mut found = self.contents.iter().filter(|(known, _)| alike(known));
        match (found.next(), found.next()) {
            (None, _) => self.full.then_some((path, Content::Unknown)),
            (Some((path, content)), None) => Some((path.clone(), content.clone())),
            (Some((path, _)), Some(_)) => Some((path.clone(), Content::Unknown)),
        }
    }

    fn key(&self, path: &str) -> String {
        let path = paths::normal(path, None);
        if path.starts_with('/') {
            return path;
        }
        let at_home = path.starts_with(HOME);
        let rest = path.trim_start_matches(HOME).trim_start_matches('/');
        match &self.home {
            Some(home) if at_home => format!("{home}/{rest}"),
            _ => rest.to_owned(),
        }
    }
}

/// Whether a path may be one that ends like `rest`.
fn ends(path: &str, rest: &str) -> bool {
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
