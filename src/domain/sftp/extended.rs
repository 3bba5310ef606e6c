//! OpenSSH's extensions (its `PROTOCOL`, section 4), and the answers that two of them have.

use bytes::Bytes;

use super::{
    Attrs, Malformed,
    wire::{Reader, Writer},
};

/// An extended request. A name that is not known keeps its fields as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extended {
    /// rename(2): replaces what has the new name.
    PosixRename {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    Statvfs {
        path: Vec<u8>,
    },
    Fstatvfs {
        handle: Vec<u8>,
    },
    /// A second name, `to`, for what `from` names.
    Hardlink {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    Fsync {
        handle: Vec<u8>,
    },
    /// As setstat, of a symbolic link itself.
    Lsetstat {
        path: Vec<u8>,
        attrs: Attrs,
    },
    Limits,
    /// As realpath, `~` and `~user` included.
    ExpandPath {
        path: Vec<u8>,
    },
    /// Within the server, from one open file to another. A length of 0 is up to the end.
    CopyData {
        from: Vec<u8>,
        at: u64,
        length: u64,
        to: Vec<u8>,
        to_at: u64,
    },
    HomeDirectory {
        user: Vec<u8>,
    },
    UsersGroupsById {
        uids: Vec<u8>,
        gids: Vec<u8>,
    },
    Other {
        name: Vec<u8>,
        fields: Bytes,
    },
}

impl Extended {
    /// As a server's version packet announces it.
    pub fn name(&self) -> &[u8] {
        match self {
            Self::PosixRename { .. } => b"posix-rename@openssh.com",
            Self::Statvfs { .. } => b"statvfs@openssh.com",
            Self::Fstatvfs { .. } => b"fstatvfs@openssh.com",
            Self::Hardlink { .. } => b"hardlink@openssh.com",
            Self::Fsync { .. } => b"fsync@openssh.com",
            Self::Lsetstat { .. } => b"lsetstat@openssh.com",
            Self::Limits => b"limits@openssh.com",
            Self::ExpandPath { .. } => b"expand-path@openssh.com",
            Self::CopyData { .. } => b"copy-data",
            Self::HomeDirectory { .. } => b"home-directory",
            Self::UsersGroupsById { .. } => b"users-groups-by-id@openssh.com",
            Self::Other { name, .. } => name,
        }
    }

    pub(super) fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let name = from.string()?;
        Ok(match name.as_slice() {
            b"posix-rename@openssh.com" => {
                Self::PosixRename { from: from.string()?, to: from.string()? }
            }
            b"statvfs@openssh.com" => Self::Statvfs { path: from.string()? },
            b"fstatvfs@openssh.com" => Self::Fstatvfs { handle: from.handle()? },
            b"hardlink@openssh.com" => Self::Hardlink { from: from.string()?, to: from.string()? },
            b"fsync@openssh.com" => Self::Fsync { handle: from.handle()? },
            b"lsetstat@openssh.com" => {
                Self::Lsetstat { path: from.string()?, attrs: Attrs::read(from)? }
            }
            b"limits@openssh.com" => Self::Limits,
            b"expand-path@openssh.com" => Self::ExpandPath { path: from.string()? },
            b"copy-data" => Self::CopyData {
                from: from.handle()?,
                at: from.u64()?,
                length: from.u64()?,
                to: from.handle()?,
                to_at: from.u64()?,
            },
            b"home-directory" => Self::HomeDirectory { user: from.string()? },
            b"users-groups-by-id@openssh.com" => {
                Self::UsersGroupsById { uids: from.string()?, gids: from.string()? }
            }
            _ => Self::Other { name, fields: from.rest() },
        })
    }

    pub(super) fn write(&self, to: Writer) -> Writer {
        let out = to.string(self.name());
        match self {
            Self::PosixRename { from, to } | Self::Hardlink { from, to } => {
                out.string(from).string(to)
            }
            Self::Statvfs { path } | Self::ExpandPath { path } => out.string(path),
            Self::Fstatvfs { handle } | Self::Fsync { handle } => out.string(handle),
            Self::Lsetstat { path, attrs } => attrs.write(out.string(path)),
            Self::Limits => out,
            Self::CopyData { from, at, length, to, to_at } => {
                out.string(from).u64(*at).u64(*length).string(to).u64(*to_at)
            }
            Self::HomeDirectory { user } => out.string(user),
            Self::UsersGroupsById { uids, gids } => out.string(uids).string(gids),
            Self::Other { fields, .. } => out.raw(fields),
        }
    }
}

/// What a server takes at most; 0 is "no limit that it knows".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub packet: u64,
    pub read: u64,
    pub write: u64,
    pub open_handles: u64,
}

impl Limits {
    /// From the body of an extended reply.
    pub fn read(body: &Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(body.clone());
        let limits = Self {
            packet: from.u64()?,
            read: from.u64()?,
            write: from.u64()?,
            open_handles: from.u64()?,
        };
        from.end().map(|()| limits)
    }

    /// The body of an extended reply.
    pub fn to_body(&self) -> Bytes {
        let out = Writer::bare().u64(self.packet).u64(self.read);
        out.u64(self.write).u64(self.open_handles).fields().into()
    }
}

/// A file system's state, as statvfs(3) has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statvfs {
    pub block_size: u64,
    /// What the counts of blocks are counted in, in bytes.
    pub fragment_size: u64,
    pub blocks: u64,
    pub free: u64,
    /// Free for those who are not root.
    pub available: u64,
    pub files: u64,
    pub files_free: u64,
    pub files_available: u64,
    pub id: u64,
    /// 1: read-only; 2: setuid bits mean nothing.
    pub flags: u64,
    pub name_max: u64,
}

impl Statvfs {
    /// From the body of an extended reply.
    pub fn read(body: &Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(body.clone());
        let state = Self {
            block_size: from.u64()?,
            fragment_size: from.u64()?,
            blocks: from.u64()?,
            free: from.u64()?,
            available: from.u64()?,
            files: from.u64()?,
            files_free: from.u64()?,
            files_available: from.u64()?,
            id: from.u64()?,
            flags: from.u64()?,
            name_max: from.u64()?,
        };
        from.end().map(|()| state)
    }

    /// The body of an extended reply.
    pub fn to_body(&self) -> Bytes {
        let numbers = [
            self.block_size,
            self.fragment_size,
            self.blocks,
            self.free,
            self.available,
            self.files,
            self.files_free,
            self.files_available,
            self.id,
            self.flags,
            self.name_max,
        ];
        numbers.into_iter().fold(Writer::bare(), Writer::u64).fields().into()
    }
}
