//! What a write takes the place of, as it was when a person was asked: a yes is for that change, from the one
//! content to the other.

use serde::{Deserialize, Serialize};

use super::{edit, sum};
use crate::domain::digest::Digester;

/// The largest text that is compared line by line, in bytes.
pub const LONGEST: u64 = 1024 * 1024;
/// So much of a change is shown, in bytes.
const SHOWN: usize = 64 * 1024;

/// One of an operation's paths, with what is there and how that would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Its place among the paths.
    pub index: usize,
    pub before: Before,
    pub change: Change,
}

/// What has the name. Nothing else may have it when the yes is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    Nothing,
    /// Its size in bytes, and its SHA-256 in hexadecimal digits.
    Content {
        size: u64,
        sum: String,
    },
    /// It was not read: too large, or not this account's to read. Size in bytes, and when it last changed in
    /// seconds since 1970, as far as the server says so.
    Unread {
        size: Option<u64>,
        modified: Option<u32>,
    },
}

/// How much a change can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Change {
    /// Where nothing is.
    New,
    /// The very content that is there.
    Same,
    /// A unified diff without its head lines, at most 64 KiB of it.
    Diff {
        text: String,
        /// Lines of it that are left out.
        more: u64,
    },
    /// One of both is no text.
    Binary,
    /// One of both is too large to be compared.
    Large,
    /// What is there may not be read.
    Unread,
    /// What would be there is not known here, but by its SHA-256.
    Unknown,
}

impl Change {
    /// From one content to the other, where both are known.
    pub fn between(before: &[u8], after: &[u8]) -> Self {
        if before == after {
            return Self::Same;
        }
        if before.len().max(after.len()) as u64 > LONGEST {
            return Self::Large;
        }
        match (text(before), text(after)) {
            (Some(before), Some(after)) => Self::cut(&edit::unified(before, after)),
            _ => Self::Binary,
        }
    }

    fn cut(diff: &str) -> Self {
        let mut text = String::new();
        let mut lines = diff.split_inclusive('\n');
        for line in lines.by_ref() {
            if text.len() + line.len() > SHOWN {
                return Self::Diff { text, more: 1 + lines.count() as u64 };
            }
            text.push_str(line);
        }
        Self::Diff { text, more: 0 }
    }
}

/// A text has no NUL byte, whatever else it has.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

impl Before {
    /// What is known of a content that was read.
    pub fn content(bytes: &[u8]) -> Self {
        Self::Content { size: bytes.len() as u64, sum: sum(bytes) }
    }

    pub(super) fn bind(&self, digester: Digester) -> Digester {
        match self {
            Self::Nothing => digester.text("before", "nothing"),
            Self::Content { size, sum } => {
                digester.text("before", "content").text("size", size).text("sum", sum)
            }
            Self::Unread { size, modified } => digester
                .text("before", "unread")
                .optional("size", *size)
                .optional("modified", *modified),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_texts_is_a_diff_and_of_anything_else_is_said_as_such() {
        let of = |before: &[u8], after: &[u8]| Change::between(before, after);
        let diff = |text: &str| Change::Diff { text: text.to_owned(), more: 0 };
        assert_eq!(of(b"a\nb\n", b"a\nc\n"), diff("@@ -1,2 +1,2 @@\n a\n-b\n+c\n"));
        assert_eq!(of(b"a", b"a"), Change::Same);
        assert_eq!(of(b"a\xff", b"a"), Change::Binary);
        assert_eq!(of(b"a", b"a\0"), Change::Binary);
        assert_eq!(of(b"a", &vec![b'x'; LONGEST as usize + 1]), Change::Large);
    }

    #[test]
    fn a_long_change_is_cut_at_a_line_and_the_rest_is_counted() {
        let after: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        let Change::Diff { text, more } = Change::between(b"", after.as_bytes()) else {
            panic!("two texts");
        };
        assert!(text.len() <= SHOWN && text.ends_with('\n'));
        // One line says where it stands.
        assert_eq!(text.lines().count() as u64 + more, 20_001);
    }
}
