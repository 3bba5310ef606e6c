//! What a write takes the place of, as it was when a person was asked: a yes is for that change, from the one
//! content to the other.

use serde::{Deserialize, Serialize};

use super::{edit, sum};
use crate::domain::{bytes::Bytes, digest::Digester};

/// The largest text that is compared line by line, in bytes.
pub const LONGEST: u64 = 1024 * 1024;
/// So much of a change is shown, in bytes.
const SHOWN: usize = 64 * 1024;
/// So many lines of what would be gone.
const HEAD: usize = 10;
/// So many entries of a directory are counted, and some more perhaps.
pub const COUNTED: u64 = 10_000;

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
    /// A directory that gets another name or none: when it last changed, and how many entries it has, where those
    /// were counted.
    Directory {
        modified: Option<u32>,
        entries: Option<u64>,
    },
    /// The same of a link: what it holds, where that is known.
    Link {
        modified: Option<u32>,
        target: Option<Bytes>,
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
        text: Bytes,
        /// Lines of it that are left out.
        more: u64,
    },
    /// It gets another name, or has none any more: when it last changed in seconds since 1970, and the first lines of
    /// it where it is text.
    Seen {
        modified: Option<u32>,
        head: Bytes,
        /// Lines of it that are left out.
        more: u64,
    },
    /// The same of a directory: so many entries, where they were counted.
    Directory { modified: Option<u32>, entries: Option<u64> },
    /// The same of a link: what it holds.
    Link { target: Option<Bytes> },
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
        match edit::unified_bytes(before, after) {
            Some(diff) => {
                let (text, more) = cut(&diff, usize::MAX, SHOWN);
                Self::Diff { text, more }
            }
            None => Self::Binary,
        }
    }

    /// What is there, and gets another name or none.
    pub fn seen(content: &[u8], modified: Option<u32>) -> Self {
        let (head, more) = match edit::is_text(content) {
            true => cut(content, HEAD, SHOWN),
            false => Default::default(),
        };
        Self::Seen { modified, head, more }
    }
}

/// So many lines and bytes, and how many lines are left out.
fn cut(text: &[u8], most: usize, bytes: usize) -> (Bytes, u64) {
    let (mut shown, mut taken) = (Vec::new(), 0);
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    for line in lines.by_ref() {
        if taken == most || shown.len() + line.len() > bytes {
            return (Bytes(shown), 1 + lines.count() as u64);
        }
        shown.extend_from_slice(line);
        taken += 1;
    }
    (Bytes(shown), 0)
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
            Self::Directory { modified, entries } => digester
                .text("before", "directory")
                .optional("modified", *modified)
                .optional("entries", *entries),
            Self::Link { modified, target } => digester
                .text("before", "link")
                .optional("modified", *modified)
                .optional("target", target.as_ref().map(|target| hex::encode(target.as_slice()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_texts_is_a_diff_and_of_anything_else_is_said_as_such() {
        let of = |before: &[u8], after: &[u8]| Change::between(before, after);
        let diff = |text: &str| Change::Diff { text: text.into(), more: 0 };
        assert_eq!(of(b"a\nb\n", b"a\nc\n"), diff("@@ -1,2 +1,2 @@\n a\n-b\n+c\n"));
        assert_eq!(of(b"a", b"a"), Change::Same);
        // Latin-1 is text, too: its bytes stand as they are.
        let latin =
            Change::Diff { text: b"@@ -1,1 +1,1 @@\n-a\xe9\n+a\n".to_vec().into(), more: 0 };
        assert_eq!(of(b"a\xe9", b"a"), latin);
        assert_eq!(of(b"", b"new\n"), diff("@@ -0,0 +1,1 @@\n+new\n"));
        assert_eq!(of(b"a", b"a\0"), Change::Binary);
        assert_eq!(of(b"a", &vec![b'x'; LONGEST as usize + 1]), Change::Large);
    }

    #[test]
    fn a_long_change_is_cut_at_a_line_and_the_rest_is_counted() {
        let after: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        let Change::Diff { text, more } = Change::between(b"", after.as_bytes()) else {
            panic!("two texts");
        };
        assert!(text.as_slice().len() <= SHOWN && text.as_slice().ends_with(b"\n"));
        // One line says where it stands.
        assert_eq!(text.to_text_lossy().lines().count() as u64 + more, 20_001);
    }

    #[test]
    fn of_what_would_be_gone_the_first_lines_are_kept() {
        let seen = |content: &[u8]| Change::seen(content, Some(7));
        let of = |head: &str, more| Change::Seen { modified: Some(7), head: head.into(), more };
        assert_eq!(seen(b"a\nb"), of("a\nb", 0));
        assert_eq!(seen(b""), of("", 0));
        assert_eq!(seen(b"\0\x01"), of("", 0));
        assert_eq!(seen("x\n".repeat(12).as_bytes()), of(&"x\n".repeat(10), 2));
    }
}
