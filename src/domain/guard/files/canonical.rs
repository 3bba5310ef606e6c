//! A path as the server itself resolved it: the only kind that is judged.

use std::{borrow::Cow, fmt};

use crate::domain::guard::field::is_mark;

/// The longest that is judged, in bytes: what Linux takes, four times over.
const MAX_BYTES: usize = 16 * 1024;

/// An absolute path without `.`, `..` or empty names, byte for byte as the server says it. That it is free of
/// links is the server's word.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Canonical(Vec<u8>);

impl Canonical {
    /// From what `realpath` answered; none where a server answers what can't be one.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(b"/") || bytes.len() > MAX_BYTES || bytes.contains(&0) {
            return None;
        }
        let mut path = Vec::with_capacity(bytes.len());
        for name in bytes.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            if matches!(name, b"." | b"..") {
                return None;
            }
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        Some(Self(path))
    }

    /// What has this name in it: for what is not there yet. None where that is no name.
    pub fn join(&self, name: &[u8]) -> Option<Self> {
        if name.is_empty() || matches!(name, b"." | b"..") || name.contains(&b'/') {
            return None;
        }
        let slash: &[u8] = if self.is_root() { b"" } else { b"/" };
        Self::new(&[&self.0, slash, name].concat())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0 == b"/"
    }

    /// For comparing: bytes that are no text, and what would stand for something else, are U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        match String::from_utf8_lossy(&self.0) {
            text if text.contains(is_mark) => Cow::Owned(text.replace(is_mark, "\u{fffd}")),
            text => text,
        }
    }
}

impl fmt::Debug for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_realpath_can_answer_is_one() {
        let of = |text: &str| Canonical::new(text.as_bytes()).map(|path| path.text().into_owned());
        assert_eq!(of("/").as_deref(), Some("/"));
        assert_eq!(of("//srv//x/").as_deref(), Some("/srv/x"));
        for wrong in ["", "srv", "./x", "/a/../b", "/a/.", "/a\0b"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(of(&format!("/{}", "x".repeat(MAX_BYTES))), None);
        assert_eq!(Canonical::new(b"/a/\xff").unwrap().as_bytes(), b"/a/\xff");
    }

    #[test]
    fn a_name_is_joined_only_where_it_is_one() {
        let root = Canonical::new(b"/").unwrap();
        assert_eq!(root.join(b"x").unwrap().as_bytes(), b"/x");
        assert_eq!(root.join(b"x").unwrap().join(b"y\n").unwrap().as_bytes(), b"/x/y\n");
        for wrong in [&b""[..], b".", b"..", b"a/b", b"/etc", b"a\0"] {
            assert_eq!(root.join(wrong), None, "{wrong:?}");
        }
    }
}
