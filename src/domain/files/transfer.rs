//! Many files at once: what is fetched, what is put, and how their content is packed into one stream.

use ::bytes::{Buf, Bytes as Content, BytesMut};
use serde::{Deserialize, Serialize};

use crate::domain::{bytes::Bytes, escape, sftp::Attrs};

/// Files, directories and links of one operation, at most.
pub const MOST_ITEMS: usize = 2048;
/// The most of one piece, in bytes.
pub const MOST_PIECE: usize = 1024 * 1024;

/// A file that is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub path: Bytes,
    /// From here on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset: u64,
    /// The rule that forbids it; nobody but the daemon says so.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What the daemon found there a moment ago, itself and no link.
    #[serde(skip)]
    pub seen: Option<Attrs>,
}

/// Files, directories and links that are made or replaced, or, in one of its own, what is removed. The content of the
/// files comes beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Put {
    pub items: Vec<Item>,
    /// On the server's disk before it counts as done.
    #[serde(default)]
    pub fsync: bool,
    /// Short texts among them by their place, for the question that a person is asked; what is put is by its sum
    /// what was shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<(usize, Bytes)>,
}

/// What all texts of one question have at most, in bytes.
pub const MOST_TEXTS: usize = 64 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub path: Bytes,
    #[serde(flatten)]
    pub what: What,
    /// Nothing is there, since who puts it has just made the directory: what is there nevertheless is not lost, and
    /// no link is followed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fresh: bool,
    /// A new file can be run, as far as the account's umask lets it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub executable: bool,
    /// Permission bits; absent: those that it has, and what the account's umask gives a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// When its content last changed, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<u32>,
    /// The rule that forbids it; nobody but the daemon says so.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Of a link, as [`super::Operation::Link`] has it.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub leads: Option<Bytes>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    File {
        size: u64,
        /// What is there of it already, in the part that an earlier transfer left.
        #[serde(default, skip_serializing_if = "is_zero")]
        offset: u64,
        /// SHA-256 of the whole, in hexadecimal digits: what a yes is for. Other content is not put.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sum: Option<String>,
    },
    #[default]
    Directory,
    Link {
        target: Bytes,
    },
    /// It is removed, a link itself; a directory with all that is in it, or not at all.
    Gone {
        #[serde(default, skip_serializing_if = "is_false")]
        tree: bool,
    },
}

impl Part {
    pub fn of(path: Vec<u8>, offset: u64) -> Self {
        Self { path: Bytes(path), offset, refused: None, seen: None }
    }
}

impl What {
    /// What it is called in what is told of it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } | Self::Gone { .. } => "file",
            Self::Directory => "directory",
            Self::Link { .. } => "link",
        }
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { size, sum: Some(sum), .. } => write!(f, "{size} bytes, sha256 {sum}"),
            Self::File { size, .. } => write!(f, "{size} bytes"),
            Self::Directory => f.write_str("directory"),
            Self::Link { target } => write!(f, "-> {}", escape::exact(target.as_slice(), 300)),
            Self::Gone { tree: false } => f.write_str("is removed"),
            Self::Gone { tree: true } => f.write_str("is removed with all that is in it"),
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(what: &bool) -> bool {
    !what
}

impl Put {
    /// Bytes that come beside it.
    pub fn bytes(&self) -> u64 {
        let sizes = self.items.iter().map(|item| match item.what {
            What::File { size, offset, .. } => size.saturating_sub(offset),
            _ => 0,
        });
        sizes.fold(0, u64::saturating_add)
    }

    /// Whether things are removed by it.
    pub fn removes(&self) -> bool {
        self.items.iter().any(|item| matches!(item.what, What::Gone { .. }))
    }

    /// Whether each file that may be put says what its content will be.
    pub fn has_sums(&self) -> bool {
        self.items.iter().all(|item| {
            item.refused.is_some() || !matches!(item.what, What::File { sum: None, .. })
        })
    }
}

/// The name that a part of a file has beside it until it is whole. One that is found goes on.
pub fn part_name(name: &[u8]) -> Vec<u8> {
    // 255 bytes are the most that a name has.
    [b".", &name[..name.len().min(240)], b".sgw-part"].concat()
}

/// Whether a name is one that a transfer under way, or cut off, has for what is not whole.
pub fn is_part_name(name: &[u8]) -> bool {
    name.starts_with(b".") && (name.ends_with(b".sgw-part") || name.ends_with(b".sgw-sum"))
}

/// Content in one stream, file after file: `u8 kind · u32 length · bytes`, big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A file begins: [`Head`] in JSON.
    Head(Content),
    Data(Content),
    /// It is whole; its SHA-256 in hexadecimal digits, where somebody reckoned it.
    End(Content),
    /// It is not, and no more of it comes: why, in JSON.
    Failed(Content),
}

/// What is known of a file that is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its place in the request.
    pub index: usize,
    pub size: Option<u64>,
    pub mode: Option<u32>,
    pub modified: Option<u32>,
    /// Where the bytes that follow begin.
    pub offset: u64,
}

impl Piece {
    pub fn to_wire(&self) -> Vec<u8> {
        [self.head().as_slice(), self.bytes()].concat()
    }

    /// What stands before its bytes.
    pub fn head(&self) -> [u8; 5] {
        let kind = match self {
            Self::Head(_) => 1,
            Self::Data(_) => 2,
            Self::End(_) => 3,
            Self::Failed(_) => 4,
        };
        // A piece is at most MOST_PIECE long.
        let [a, b, c, d] = (self.bytes().len() as u32).to_be_bytes();
        [kind, a, b, c, d]
    }

    pub fn bytes(&self) -> &Content {
        match self {
            Self::Head(bytes) | Self::Data(bytes) | Self::End(bytes) | Self::Failed(bytes) => bytes,
        }
    }

    pub fn json(kind: fn(Content) -> Self, value: &impl Serialize) -> Self {
        // None of what is packed has a map that JSON can't hold.
        kind(serde_json::to_vec(value).unwrap_or_default().into())
    }
}

/// Why a stream is no packed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream of files is damaged")]
pub struct Damaged;

/// Takes bytes cut anywhere and gives whole pieces.
#[derive(Debug, Default)]
pub struct Unpacker {
    waiting: BytesMut,
}

impl Unpacker {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next one; `None` where more bytes are needed.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Damaged> {
        let Some(&[kind, a, b, c, d]) = self.waiting.first_chunk::<5>() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > MOST_PIECE {
            return Err(Damaged);
        }
        if self.waiting.len() < 5 + length {
            return Ok(None);
        }
        self.waiting.advance(5);
        let bytes = self.waiting.split_to(length).freeze();
        Ok(Some(match kind {
            1 => Piece::Head(bytes),
            2 => Piece::Data(bytes),
            3 => Piece::End(bytes),
            4 => Piece::Failed(bytes),
            _ => return Err(Damaged),
        }))
    }

    pub fn is_clear(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_as_they_went_in_however_they_are_cut() {
        let pieces = [
            Piece::Head(Content::from_static(b"{}")),
            Piece::Data(Content::from(vec![7; 70_000])),
            Piece::Data(Content::new()),
            Piece::End(Content::from_static(b"ab")),
            Piece::Failed(Content::from_static(b"{}")),
        ];
        let wire: Vec<u8> = pieces.iter().flat_map(Piece::to_wire).collect();
        for size in [1, 3, 4096, wire.len()] {
            let (mut unpacker, mut found) = (Unpacker::default(), Vec::new());
            for chunk in wire.chunks(size) {
                unpacker.feed(chunk);
                while let Some(piece) = unpacker.next_piece().unwrap() {
                    found.push(piece);
                }
            }
            assert_eq!(found, pieces, "{size}");
            assert!(unpacker.is_clear());
        }
        for wrong in [&[9, 0, 0, 0, 0][..], &[2, 255, 255, 255, 255]] {
            let mut unpacker = Unpacker::default();
            unpacker.feed(wrong);
            assert_eq!(unpacker.next_piece(), Err(Damaged));
        }
    }

    #[test]
    fn who_asks_can_not_say_what_is_refused() {
        let text = r#"{"path":"x","offset":3,"refused":"own.rule"}"#;
        assert!(serde_json::from_str::<Part>(text).is_err());
        let text = r#"{"path":"x","type":"directory","refused":"own.rule"}"#;
        assert_eq!(serde_json::from_str::<Item>(text).unwrap().refused, None);
        let item = Item {
            path: "a".into(),
            what: What::File { size: 7, offset: 2, sum: None },
            mode: Some(0o644),
            ..Item::default()
        };
        let put = Put { items: vec![item], fsync: false, texts: Vec::new() };
        let text = serde_json::to_string(&put).unwrap();
        assert_eq!(serde_json::from_str::<Put>(&text).unwrap(), put);
        assert_eq!((put.bytes(), put.has_sums()), (5, false));
    }
}
