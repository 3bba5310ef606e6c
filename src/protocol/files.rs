//! Files on a target: what is asked for, and what is told of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{
    bytes::Bytes,
    files::{Operation, Way},
};

/// One operation. Where it writes, stdin frames follow with the content, on credit; what it reads comes in
/// stdout frames before the answer, and so do the entries of a directory: a line of JSON each, an [`Entry`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// A session's id, its name, or its target.
    pub session: String,
    pub operation: Operation,
    #[serde(default, skip_serializing_if = "Way::is_usual")]
    pub way: Way,
    /// How long this call waits for a person.
    pub wait_ms: Option<u64>,
    pub no_ask: bool,
    /// Nothing is done: only whether a person would be asked, which is `files.sums`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_judged: bool,
}

/// The answer to `wait` for what is got or put: the call that asked for it carries it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsAgain {
    pub request: String,
    pub approved: bool,
    /// What is to be done now, in words.
    pub next: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    File,
    Directory,
    Link,
    Fifo,
    Socket,
    Block,
    Character,
    /// The server does not say.
    Unknown,
}

/// What is known of one file. What the server does not say is `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From where the listing begins; of one file alone, its whole path.
    pub path: Bytes,
    pub r#type: Type,
    pub size: Option<u64>,
    /// `0644`.
    pub mode: Option<String>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub modified_at: Option<Timestamp>,
    /// What a symbolic link holds.
    pub target: Option<Bytes>,
}

impl Done {
    /// Content that went to or fro.
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Self::Content { bytes, .. } | Self::Transferred { bytes, .. } => Some(*bytes),
            _ => None,
        }
    }
}

/// How an operation ended. Paths are those that the server resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Done {
    Listing {
        path: Bytes,
        entries: u64,
        /// There are more than are listed, or deeper ones could not be read.
        truncated: bool,
        /// Directories in it that could not be read, if they are all that is missing; the first hundred.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unread: Vec<Bytes>,
    },
    File(Entry),
    Content {
        path: Bytes,
        /// Of the whole file, as the server says.
        size: Option<u64>,
        offset: u64,
        /// So many were sent.
        bytes: u64,
        /// SHA-256 of the file, where all of it was read.
        sha256: Option<String>,
    },
    Sum {
        path: Bytes,
        size: u64,
        sha256: String,
    },
    Space {
        path: Bytes,
        size: u64,
        used: u64,
        /// To this account.
        available: u64,
        files: u64,
        files_available: u64,
        read_only: bool,
    },
    Written {
        path: Bytes,
        size: u64,
        /// Of the whole file; `null` where it was appended to and has more than 16 MiB, or the caller may not read it.
        sha256: Option<String>,
        mode: Option<String>,
        created: bool,
        /// The old content was there until the new one was.
        atomic: bool,
        /// The server says that it is on its disk.
        synced: bool,
        /// The file belongs to whom it belonged to; absent where it is new.
        owner_kept: Option<bool>,
    },
    /// Of many files; what became of each was told before.
    Transferred {
        files: u64,
        failed: u64,
        bytes: u64,
    },
    Changed {
        path: Bytes,
        /// What it was asked to be, it was.
        already: bool,
    },
}
