//! What is known of files on a target beside what a line itself writes there: scripts that an agent
//! brought, so that running one later is judged by what it holds.

use std::{collections::BTreeMap, sync::Arc};

use super::{field::HOME, paths};

/// Files of one account, by absolute path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Where the account is at home, once that is known.
    pub home: Option<String>,
    contents: BTreeMap<String, Content>,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Text(Arc<str>),
    /// An agent wrote it, and it is no text, or longer than is judged.
    Unknown,
}

impl Files {
    pub fn set(&mut self, path: &str, content: Content) {
        self.contents.insert(paths::normal(path, None), content);
    }

    /// Nothing is known of it any more: someone else wrote it, or it is gone.
    pub fn forget(&mut self, path: &str) -> Option<Content> {
        self.contents.remove(&paths::normal(path, None))
    }

    pub fn is_empty(&self) -> bool {
        self.contents.is_empty()
    }

    /// Of a path as the guard has it, and that of the file it is. A path that hangs on a directory that is
    /// not known may be any file whose path ends like it.
    pub fn content(&self, path: &str) -> Option<(&str, Content)> {
        let path = paths::normal(path, None);
        if path.starts_with('/') {
            return self.get(&path);
        }
        let rest = path.trim_start_matches(HOME).trim_start_matches('/');
        if let Some(found) = self.home.as_ref().and_then(|home| self.get(&format!("{home}/{rest}")))
        {
            return Some(found);
        }
        let ends = |known: &&String| {
            known.strip_suffix(rest).is_some_and(|before| before.ends_with('/')) && !rest.is_empty()
        };
        let mut found = self.contents.keys().filter(ends);
        let first = self.get(found.next()?);
        match found.next() {
            None => first,
            Some(_) => first.map(|(path, _)| (path, Content::Unknown)),
        }
    }

    fn get(&self, path: &str) -> Option<(&str, Content)> {
        self.contents.get_key_value(path).map(|(path, content)| (path.as_str(), content.clone()))
    }
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
        assert_eq!(found(&files, "y.sh"), Some(text("y")));
        assert_eq!(files.forget("/srv/x.sh"), Some(text("x")));
        assert_eq!(found(&files, "/srv/x.sh"), None);
        assert_eq!(found(&files, "sh"), None, "no part of a name");
    }
}
