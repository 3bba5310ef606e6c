//! What a client says: its version, then requests with a number each.

use bytes::Bytes;

use super::{
    Attrs, Extended, Malformed, Pairs, Raw, kind,
    wire::{Reader, Writer},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromClient {
    Init {
        version: u32,
        extensions: Pairs,
    },
    /// `id` is the client's; the reply carries it.
    Call {
        id: u32,
        call: Call,
    },
}

/// A request. Paths are bytes: relative ones are the server's to resolve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Open {
        path: Vec<u8>,
        flags: OpenFlags,
        attrs: Attrs,
    },
    Close {
        handle: Vec<u8>,
    },
    Read {
        handle: Vec<u8>,
        offset: u64,
        length: u32,
    },
    Write {
        handle: Vec<u8>,
        offset: u64,
        data: Bytes,
    },
    Lstat {
        path: Vec<u8>,
    },
    Fstat {
        handle: Vec<u8>,
    },
    Setstat {
        path: Vec<u8>,
        attrs: Attrs,
    },
    Fsetstat {
        handle: Vec<u8>,
        attrs: Attrs,
    },
    Opendir {
        path: Vec<u8>,
    },
    Readdir {
        handle: Vec<u8>,
    },
    Remove {
        path: Vec<u8>,
    },
    Mkdir {
        path: Vec<u8>,
        attrs: Attrs,
    },
    Rmdir {
        path: Vec<u8>,
    },
    Realpath {
        path: Vec<u8>,
    },
    Stat {
        path: Vec<u8>,
    },
    /// Fails where `to` is there, with most servers.
    Rename {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    Readlink {
        path: Vec<u8>,
    },
    /// In OpenSSH's order, which is not the draft's: what the link holds, then its own path.
    Symlink {
        holds: Vec<u8>,
        link: Vec<u8>,
    },
    Extended(Extended),
    /// Of a type that version 3 does not have: its fields as they came.
    Other {
        kind: u8,
        fields: Bytes,
    },
}

/// How a file is opened (draft, section 6.3). Unknown bits stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFlags(pub u32);

impl OpenFlags {
    pub const READ: Self = Self(1);
    pub const WRITE: Self = Self(2);
    pub const APPEND: Self = Self(4);
    pub const CREATE: Self = Self(8);
    pub const TRUNCATE: Self = Self(16);
    /// With [`Self::CREATE`]: fails where it is there, a symbolic link included.
    pub const EXCLUSIVE: Self = Self(32);

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The same without an effect before it is known what was opened: what is there is not emptied, and what is
    /// not there is made only where still nothing is.
    pub fn careful(self, there: bool) -> Self {
        let without = |flags: Self, flag: Self| Self(flags.0 & !flag.0);
        let careful = without(self, Self::TRUNCATE);
        match there {
            true if !self.has(Self::EXCLUSIVE) => without(careful, Self::CREATE),
            false if self.has(Self::CREATE) => careful | Self::EXCLUSIVE,
            _ => careful,
        }
    }

    /// Whether anything but reading may come of it.
    pub fn changes(self) -> bool {
        self.0 & !Self::READ.0 != 0
    }
}

impl std::ops::BitOr for OpenFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromClient {
    pub fn parse(raw: &Raw) -> Result<Self, Malformed> {
        let mut from = Reader::new(raw.bytes().clone());
        let packet = match from.u8()? {
            kind::INIT => Self::Init { version: from.u32()?, extensions: from.pairs()? },
            kind => Self::Call { id: from.u32()?, call: Call::read(kind, &mut from)? },
        };
        from.end().map(|()| packet)
    }

    /// As it goes over a channel, the length in front.
    pub fn to_wire(&self) -> Vec<u8> {
        match self {
            Self::Init { version, extensions } => {
                Writer::new(kind::INIT).u32(*version).pairs(extensions).packet()
            }
            Self::Call { id, call } => call.to_wire(*id),
        }
    }
}

impl Call {
    fn read(kind: u8, from: &mut Reader) -> Result<Self, Malformed> {
        Ok(match kind {
            kind::OPEN => Self::Open {
                path: from.string()?,
                flags: OpenFlags(from.u32()?),
                attrs: Attrs::read(from)?,
            },
            kind::CLOSE => Self::Close { handle: from.handle()? },
            kind::READ => {
                Self::Read { handle: from.handle()?, offset: from.u64()?, length: from.u32()? }
            }
            kind::WRITE => {
                Self::Write { handle: from.handle()?, offset: from.u64()?, data: from.data()? }
            }
            kind::LSTAT => Self::Lstat { path: from.string()? },
            kind::FSTAT => Self::Fstat { handle: from.handle()? },
            kind::SETSTAT => Self::Setstat { path: from.string()?, attrs: Attrs::read(from)? },
            kind::FSETSTAT => Self::Fsetstat { handle: from.handle()?, attrs: Attrs::read(from)? },
            kind::OPENDIR => Self::Opendir { path: from.string()? },
            kind::READDIR => Self::Readdir { handle: from.handle()? },
            kind::REMOVE => Self::Remove { path: from.string()? },
            kind::MKDIR => Self::Mkdir { path: from.string()?, attrs: Attrs::read(from)? },
            kind::RMDIR => Self::Rmdir { path: from.string()? },
            kind::REALPATH => Self::Realpath { path: from.string()? },
            kind::STAT => Self::Stat { path: from.string()? },
            kind::RENAME => Self::Rename { from: from.string()?, to: from.string()? },
            kind::READLINK => Self::Readlink { path: from.string()? },
            kind::SYMLINK => Self::Symlink { holds: from.string()?, link: from.string()? },
            kind::EXTENDED => Self::Extended(Extended::read(from)?),
            _ => Self::Other { kind, fields: from.rest() },
        })
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Open { .. } => kind::OPEN,
            Self::Close { .. } => kind::CLOSE,
            Self::Read { .. } => kind::READ,
            Self::Write { .. } => kind::WRITE,
            Self::Lstat { .. } => kind::LSTAT,
            Self::Fstat { .. } => kind::FSTAT,
            Self::Setstat { .. } => kind::SETSTAT,
            Self::Fsetstat { .. } => kind::FSETSTAT,
            Self::Opendir { .. } => kind::OPENDIR,
            Self::Readdir { .. } => kind::READDIR,
            Self::Remove { .. } => kind::REMOVE,
            Self::Mkdir { .. } => kind::MKDIR,
            Self::Rmdir { .. } => kind::RMDIR,
            Self::Realpath { .. } => kind::REALPATH,
            Self::Stat { .. } => kind::STAT,
            Self::Rename { .. } => kind::RENAME,
            Self::Readlink { .. } => kind::READLINK,
            Self::Symlink { .. } => kind::SYMLINK,
            Self::Extended(_) => kind::EXTENDED,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// As it goes over a channel, the length in front.
    pub fn to_wire(&self, id: u32) -> Vec<u8> {
        let out = Writer::new(self.kind()).u32(id);
        match self {
            Self::Open { path, flags, attrs } => attrs.write(out.string(path).u32(flags.0)),
            Self::Close { handle } | Self::Fstat { handle } | Self::Readdir { handle } => {
                out.string(handle)
            }
            Self::Read { handle, offset, length } => out.string(handle).u64(*offset).u32(*length),
            Self::Write { handle, offset, data } => out.string(handle).u64(*offset).string(data),
            Self::Lstat { path }
            | Self::Opendir { path }
            | Self::Remove { path }
            | Self::Rmdir { path }
            | Self::Realpath { path }
            | Self::Stat { path }
            | Self::Readlink { path } => out.string(path),
            Self::Setstat { path, attrs } | Self::Mkdir { path, attrs } => {
                attrs.write(out.string(path))
            }
            Self::Fsetstat { handle, attrs } => attrs.write(out.string(handle)),
            Self::Rename { from, to } => out.string(from).string(to),
            Self::Symlink { holds, link } => out.string(holds).string(link),
            Self::Extended(extended) => extended.write(out),
            Self::Other { fields, .. } => out.raw(fields),
        }
        .packet()
    }
}
