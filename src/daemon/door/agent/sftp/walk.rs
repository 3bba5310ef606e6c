//! What each SFTP call is, in the operations that `sgw files` has, and how it is sent once they were judged.

use crate::domain::{
    bytes::Bytes,
    files::{Attributes, How, Operation, Write},
    sftp::{Attrs, Call, Extended, OpenFlags},
};

/// How a call is walked.
pub enum Walk {
    /// As these operations, all of them; the last is what is recorded with the call.
    As(Vec<Operation>),
    /// The same, of a file that is open.
    Of(Vec<u8>, Attrs),
    /// It names no path but asks where one leads, or what the server is.
    Look,
    /// It works on what a judged call has opened: these handles.
    Opened(Vec<Vec<u8>>),
    /// The server has to say that it can't.
    Refused(&'static str),
}

/// The extensions that are walked: a client hears of no others.
pub const EXTENSIONS: [&[u8]; 12] = [
    b"posix-rename@openssh.com",
    b"statvfs@openssh.com",
    b"fstatvfs@openssh.com",
    b"hardlink@openssh.com",
    b"fsync@openssh.com",
    b"lsetstat@openssh.com",
    b"limits@openssh.com",
    b"expand-path@openssh.com",
    b"copy-data",
    b"home-directory",
    b"users-groups-by-id@openssh.com",
    // What the server's vendor calls itself: no request.
    b"vendor-id",
];

impl Walk {
    pub fn of(call: &Call) -> Self {
        let one = |operation| Self::As(vec![operation]);
        let opened = |handle: &[u8]| Self::Opened(vec![handle.to_vec()]);
        match call {
            Call::Open { path, flags, attrs } => Self::As(opening(path, *flags, attrs)),
            Call::Opendir { path } => one(Operation::List { path: Bytes(path.clone()), depth: 1 }),
            Call::Lstat { path } | Call::Readlink { path } => {
                let follow = !has_a_name(path);
                one(Operation::Stat { path: Bytes(path.clone()), follow })
            }
            Call::Stat { path } => one(Operation::Stat { path: Bytes(path.clone()), follow: true }),
            Call::Setstat { path, attrs } => one(changing(path, attrs, true)),
            Call::Fsetstat { handle, attrs } => Self::Of(handle.clone(), attrs.clone()),
            Call::Remove { path } | Call::Rmdir { path } => {
                one(Operation::Remove { path: Bytes(path.clone()), recursive: false })
            }
            Call::Mkdir { path, attrs } => {
                let (mode, made) = (attrs.mode(), Bytes(path.clone()));
                let make = Operation::MakeDirectory { path: made, parents: false, mode };
                Self::As(owner_too(path, attrs).into_iter().chain([make]).collect())
            }
            Call::Rename { from, to } => one(moving(from, to, false)),
            Call::Symlink { holds, link } => {
                let (target, path) = (Bytes(holds.clone()), Bytes(link.clone()));
                one(Operation::Link { target, path, leads: None })
            }
            Call::Realpath { .. } => Self::Look,
            Call::Close { handle }
            | Call::Read { handle, .. }
            | Call::Write { handle, .. }
            | Call::Fstat { handle }
            | Call::Readdir { handle } => opened(handle),
            Call::Extended(extended) => match extended {
                Extended::PosixRename { from, to } => one(moving(from, to, true)),
                Extended::Statvfs { path } => one(Operation::Space { path: Bytes(path.clone()) }),
                Extended::Limits
                | Extended::ExpandPath { .. }
                | Extended::HomeDirectory { .. }
                | Extended::UsersGroupsById { .. } => Self::Look,
                Extended::Fstatvfs { handle } | Extended::Fsync { handle } => opened(handle),
                Extended::CopyData { from, to, .. } => Self::Opened(vec![from.clone(), to.clone()]),
                Extended::Lsetstat { path, attrs } => one(changing(path, attrs, false)),
                Extended::Hardlink { from, to } => {
                    let (file, link) = (Bytes(from.clone()), Bytes(to.clone()));
                    one(Operation::HardLink { file, link })
                }
                Extended::Other { .. } => Self::Refused("an extension that sgw does not know"),
            },
            Call::Other { .. } => Self::Refused("a call that version 3 does not have"),
        }
    }
}

/// Whether the last of it names an entry of a directory, which can be a link.
fn has_a_name(path: &[u8]) -> bool {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    !matches!(last, b"" | b"." | b"..")
}

fn opening(path: &[u8], flags: OpenFlags, attrs: &Attrs) -> Vec<Operation> {
    let mut operations = owner_too(path, attrs);
    let path = Bytes(path.to_vec());
    if flags.has(OpenFlags::READ) || !flags.changes() {
        operations.push(Operation::Read { path: path.clone(), offset: 0, limit: None });
    }
    if flags.changes() {
        let how = match () {
            () if flags.has(OpenFlags::EXCLUSIVE) => How::Create,
            () if flags.has(OpenFlags::APPEND) => How::Append,
            () => How::Replace,
        };
        let (mode, parents, if_sum) = (attrs.mode(), false, None);
        operations.push(Operation::Write(Write { path, how, mode, parents, if_sum }));
    }
    operations
}

/// What is made, made another's.
fn owner_too(path: &[u8], attrs: &Attrs) -> Vec<Operation> {
    match attrs.owner {
        Some(_) => {
            let owner = Attrs { owner: attrs.owner, ..Attrs::default() };
            vec![changing(path, &owner, false)]
        }
        None => Vec::new(),
    }
}

pub fn changing(path: &[u8], attrs: &Attrs, follow: bool) -> Operation {
    Operation::Attributes(Attributes {
        path: Bytes(path.to_vec()),
        follow: follow || !has_a_name(path),
        mode: attrs.mode(),
        owner: attrs.owner,
        size: attrs.size,
        times: attrs.times.is_some(),
    })
}

fn moving(from: &[u8], to: &[u8], replace: bool) -> Operation {
    Operation::Move { from: Bytes(from.to_vec()), to: Bytes(to.to_vec()), replace }
}

/// The call with the paths that were judged, in place of those that were given: a name can come to lead
/// elsewhere.
pub fn resolved(call: Call, at: &[Vec<u8>]) -> Call {
    let path = |number: usize| at.get(number).cloned().unwrap_or_default();
    match call {
        Call::Open { flags, attrs, .. } => Call::Open { path: path(0), flags, attrs },
        Call::Opendir { .. } => Call::Opendir { path: path(0) },
        Call::Lstat { .. } => Call::Lstat { path: path(0) },
        Call::Stat { .. } => Call::Stat { path: path(0) },
        Call::Readlink { .. } => Call::Readlink { path: path(0) },
        Call::Setstat { attrs, .. } => Call::Setstat { path: path(0), attrs },
        Call::Remove { .. } => Call::Remove { path: path(0) },
        Call::Rmdir { .. } => Call::Rmdir { path: path(0) },
        Call::Mkdir { attrs, .. } => Call::Mkdir { path: path(0), attrs },
        Call::Rename { .. } => Call::Rename { from: path(0), to: path(1) },
        Call::Symlink { holds, .. } => Call::Symlink { holds, link: path(0) },
        Call::Extended(extended) => Call::Extended(match extended {
            Extended::PosixRename { .. } => Extended::PosixRename { from: path(0), to: path(1) },
            Extended::Hardlink { .. } => Extended::Hardlink { from: path(0), to: path(1) },
            Extended::Statvfs { .. } => Extended::Statvfs { path: path(0) },
            Extended::Lsetstat { attrs, .. } => Extended::Lsetstat { path: path(0), attrs },
            other => other,
        }),
        // These name no path, or one whose leading elsewhere is what is asked for.
        other @ (Call::Close { .. }
        | Call::Read { .. }
        | Call::Write { .. }
        | Call::Fstat { .. }
        | Call::Fsetstat { .. }
        | Call::Readdir { .. }
        | Call::Realpath { .. }
        | Call::Other { .. }) => other,
    }
}
