//! SFTP version 3 as packets, on byte paths: draft-ietf-secsh-filexfer-02, and OpenSSH's `PROTOCOL`
//! (section 4) for its extensions. Both directions, so that whoever stands between can judge, and a
//! test can play the server. What is read is written back as the very same bytes.

mod attrs;
mod call;
mod cutter;
mod extended;
mod reply;
mod wire;

#[cfg(test)]
mod tests;

pub use attrs::{Attrs, FileType};
pub use call::{Call, FromClient, OpenFlags};
pub use cutter::{Cutter, Raw};
pub use extended::{Extended, Limits, Statvfs};
pub use reply::{FromServer, Name, Reply, Said, Status, StatusCode};

/// The version that is spoken, and that nearly every server offers.
pub const VERSION: u32 = 3;

/// The most that a packet's length may say, as in OpenSSH (`SFTP_MAX_MSG_LENGTH`).
pub const MAX_PACKET: usize = 256 * 1024;

/// The most bytes of a handle (draft, section 6.3).
pub const MAX_HANDLE: usize = 256;

/// The most bytes of a name, or of a path: as of Linux (`PATH_MAX`), which has the longest.
pub const MAX_NAME: usize = 4096;

/// Pairs of name and value: extensions of a version, and those of attributes.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Why bytes are no packet. None of these holds what the other side wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("an SFTP packet of {0} bytes; at most {MAX_PACKET} are taken")]
    TooLong(u32),
    #[error("an SFTP packet without a type")]
    Empty,
    #[error("an SFTP packet whose fields reach beyond its end")]
    Cut,
    #[error("an SFTP packet with {0} bytes after its last field")]
    Trailing(usize),
    #[error("an SFTP handle of {0} bytes; at most {MAX_HANDLE} are taken")]
    Handle(usize),
    #[error("a name of {0} bytes over SFTP; at most {MAX_NAME} are taken")]
    Name(usize),
    #[error("SFTP attributes with flags that version 3 does not have: {0:#x}")]
    Flags(u32),
}

/// The numbers of the packets (draft, section 3).
mod kind {
    pub const INIT: u8 = 1;
    pub const VERSION: u8 = 2;
    pub const OPEN: u8 = 3;
    pub const CLOSE: u8 = 4;
    pub const READ: u8 = 5;
    pub const WRITE: u8 = 6;
    pub const LSTAT: u8 = 7;
    pub const FSTAT: u8 = 8;
    pub const SETSTAT: u8 = 9;
    pub const FSETSTAT: u8 = 10;
    pub const OPENDIR: u8 = 11;
    pub const READDIR: u8 = 12;
    pub const REMOVE: u8 = 13;
    pub const MKDIR: u8 = 14;
    pub const RMDIR: u8 = 15;
    pub const REALPATH: u8 = 16;
    pub const STAT: u8 = 17;
    pub const RENAME: u8 = 18;
    pub const READLINK: u8 = 19;
    pub const SYMLINK: u8 = 20;
    pub const STATUS: u8 = 101;
    pub const HANDLE: u8 = 102;
    pub const DATA: u8 = 103;
    pub const NAME: u8 = 104;
    pub const ATTRS: u8 = 105;
    pub const EXTENDED: u8 = 200;
    pub const EXTENDED_REPLY: u8 = 201;
}
