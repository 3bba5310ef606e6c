//! What is known of a file: attributes of version 3 (draft, section 5).

use super::{
    Malformed, Pairs,
    wire::{Reader, Writer},
};

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;

/// Each may be absent: a server need not know it, a client need not set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attrs {
    /// Bytes.
    pub size: Option<u64>,
    /// uid and gid.
    pub owner: Option<(u32, u32)>,
    /// The file's type and permission bits, as `st_mode` (inode(7)).
    pub permissions: Option<u32>,
    /// Last access and last change of the content, in seconds since 1970.
    pub times: Option<(u32, u32)>,
    /// `None` where the flag is not set, which differs from a set one with none behind it.
    pub extended: Option<Pairs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    Fifo,
    Character,
    Directory,
    Block,
    File,
    Link,
    Socket,
}

impl Attrs {
    /// Permission bits alone, to be set.
    pub fn with_permissions(permissions: u32) -> Self {
        Self { permissions: Some(permissions), ..Self::default() }
    }

    /// `None` where the server does not say, or says what inode(7) does not know.
    pub fn file_type(&self) -> Option<FileType> {
        match self.permissions? & 0o170_000 {
            0o010_000 => Some(FileType::Fifo),
            0o020_000 => Some(FileType::Character),
            0o040_000 => Some(FileType::Directory),
            0o060_000 => Some(FileType::Block),
            0o100_000 => Some(FileType::File),
            0o120_000 => Some(FileType::Link),
            0o140_000 => Some(FileType::Socket),
            _ => None,
        }
    }

    /// The permission bits without the type: at most 07777.
    pub fn mode(&self) -> Option<u32> {
        Some(self.permissions? & 0o7777)
    }

    pub(super) fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let flags = from.u32()?;
        let unknown = flags & !(SIZE | OWNER | PERMISSIONS | TIMES | EXTENDED);
        if unknown != 0 {
            return Err(Malformed::Flags(unknown));
        }
        let has = |flag| flags & flag != 0;
        Ok(Self {
            size: if has(SIZE) { Some(from.u64()?) } else { None },
            owner: if has(OWNER) { Some((from.u32()?, from.u32()?)) } else { None },
            permissions: if has(PERMISSIONS) { Some(from.u32()?) } else { None },
            times: if has(TIMES) { Some((from.u32()?, from.u32()?)) } else { None },
            extended: if has(EXTENDED) { Some(counted(from)?) } else { None },
        })
    }

    pub(super) fn write(&self, to: Writer) -> Writer {
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        let flags = flag(self.size.is_some(), SIZE)
            | flag(self.owner.is_some(), OWNER)
            | flag(self.permissions.is_some(), PERMISSIONS)
            | flag(self.times.is_some(), TIMES)
            | flag(self.extended.is_some(), EXTENDED);
        let mut to = to.u32(flags);
        if let Some(size) = self.size {
            to = to.u64(size);
        }
        if let Some((uid, gid)) = self.owner {
            to = to.u32(uid).u32(gid);
        }
        if let Some(permissions) = self.permissions {
            to = to.u32(permissions);
        }
        if let Some((read, changed)) = self.times {
            to = to.u32(read).u32(changed);
        }
        match &self.extended {
            Some(pairs) => to.u32(pairs.len() as u32).pairs(pairs),
            None => to,
        }
    }
}

fn counted(from: &mut Reader) -> Result<Pairs, Malformed> {
    let count = from.u32()? as usize;
    // A pair is at least its two lengths.
    if count > from.holds(8) {
        return Err(Malformed::Cut);
    }
    (0..count).map(|_| Ok((from.string()?, from.string()?))).collect()
}
