//! The calls of SFTP with the answers that they have.

use bytes::Bytes;

use super::{
    client::{Sent, Sftp},
    fault::Fault,
    room::Taken,
};
use crate::domain::sftp::{
    Attrs, Call, Extended, Name, OpenFlags, Reply, Status, StatusCode, Statvfs,
};

/// Parts of a directory that are asked for at once.
const PARTS: usize = 8;
/// Names of one directory that are none of an entry, as `.` and `..`: beyond, the server makes them up.
const NO_ENTRIES: usize = 1000;

/// An open file or directory on the server.
pub type Handle = Vec<u8>;

impl Sftp {
    /// A call that has no answer but how it went.
    pub async fn done(&self, call: Call) -> Result<(), Fault> {
        self.send(call).await?.done().await
    }

    pub async fn realpath(&self, path: &[u8]) -> Result<Vec<u8>, Fault> {
        let names = match self.call(Call::Realpath { path: path.to_vec() }).await? {
            Reply::Name(names) => names,
            other => return Err(unlike(other)),
        };
        one(names)
    }

    pub async fn readlink(&self, path: &[u8]) -> Result<Vec<u8>, Fault> {
        let names = match self.call(Call::Readlink { path: path.to_vec() }).await? {
            Reply::Name(names) => names,
            other => return Err(unlike(other)),
        };
        one(names)
    }

    /// What it leads to.
    pub async fn stat(&self, path: &[u8]) -> Result<Attrs, Fault> {
        self.attrs(Call::Stat { path: path.to_vec() }).await
    }

    /// Itself, where it is a link.
    pub async fn lstat(&self, path: &[u8]) -> Result<Attrs, Fault> {
        self.attrs(Call::Lstat { path: path.to_vec() }).await
    }

    /// As [`Sftp::lstat`]; `None` where nothing is there.
    pub async fn lstat_if(&self, path: &[u8]) -> Result<Option<Attrs>, Fault> {
        match self.lstat(path).await {
            Ok(attrs) => Ok(Some(attrs)),
            Err(fault) if fault.is_not_found() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    pub async fn fstat(&self, handle: &Handle) -> Result<Attrs, Fault> {
        self.attrs(Call::Fstat { handle: handle.clone() }).await
    }

    async fn attrs(&self, call: Call) -> Result<Attrs, Fault> {
        match self.call(call).await? {
            Reply::Attrs(attrs) => Ok(attrs),
            other => Err(unlike(other)),
        }
    }

    pub async fn open_file(
        &self,
        path: &[u8],
        flags: OpenFlags,
        attrs: Attrs,
    ) -> Result<Handle, Fault> {
        self.handle(Call::Open { path: path.to_vec(), flags, attrs }).await
    }

    pub async fn open_directory(&self, path: &[u8]) -> Result<Handle, Fault> {
        self.handle(Call::Opendir { path: path.to_vec() }).await
    }

    async fn handle(&self, call: Call) -> Result<Handle, Fault> {
        match self.call(call).await? {
            Reply::Handle(handle) => Ok(handle),
            other => Err(unlike(other)),
        }
    }

    pub async fn close(&self, handle: Handle) -> Result<(), Fault> {
        self.done(Call::Close { handle }).await
    }

    /// At most `length` bytes; none at the end.
    pub async fn read(&self, handle: &Handle, offset: u64, length: u32) -> Result<Bytes, Fault> {
        let handle = handle.clone();
        match self.call(Call::Read { handle, offset, length }).await? {
            Reply::Data(data) if data.len() > length as usize => {
                Err(Fault::Odd("more bytes than were asked for"))
            }
            Reply::Data(data) => Ok(data),
            Reply::Status(Status { code: StatusCode::Eof, .. }) => Ok(Bytes::new()),
            other => Err(unlike(other)),
        }
    }

    pub async fn write(&self, handle: &Handle, offset: u64, data: Bytes) -> Result<(), Fault> {
        self.done(Call::Write { handle: handle.clone(), offset, data }).await
    }

    /// Some entries of a directory; `None` at its end.
    pub async fn read_directory(&self, handle: &Handle) -> Result<Option<Vec<Name>>, Fault> {
        match self.call(Call::Readdir { handle: handle.clone() }).await? {
            Reply::Name(names) if !names.is_empty() => Ok(Some(names)),
            Reply::Status(Status { code: StatusCode::Eof, .. }) => Ok(None),
            Reply::Name(_) => Err(Fault::Odd("a part of a directory without an entry")),
            other => Err(unlike(other)),
        }
    }

    /// Entries of a directory whose path has `above` bytes, as far as there is room for them, several parts of
    /// it asked for at once. Whether those are all.
    pub(super) async fn entries(
        &self,
        handle: &Handle,
        above: usize,
        taken: &mut Taken<'_>,
    ) -> Result<(Vec<Name>, bool), Fault> {
        let (mut all, mut at_once, mut over, mut no_entries) = (Vec::new(), 2, false, 0);
        while !over {
            let mut parts = Vec::with_capacity(at_once);
            for _ in 0..at_once {
                parts.push(self.send(Call::Readdir { handle: handle.clone() }).await?);
            }
            for part in parts {
                match part.reply().await? {
                    Reply::Name(names) if !names.is_empty() => {
                        for Name { name, attrs, .. } in names {
                            // What nobody asks for of it is not kept.
                            let attrs = Attrs { extended: None, ..attrs };
                            let name = Name { name, long: Vec::new(), attrs };
                            if name.entry().is_none() {
                                no_entries += 1;
                            } else if taken.entry(above + 1 + name.name.len()) {
                                all.push(name);
                            } else {
                                return Ok((all, false));
                            }
                        }
                        if no_entries > NO_ENTRIES {
                            return Err(Fault::Odd("a directory of names that are none"));
                        }
                    }
                    Reply::Status(Status { code: StatusCode::Eof, .. }) => over = true,
                    Reply::Name(_) => {
                        return Err(Fault::Odd("a part of a directory without an entry"));
                    }
                    other => return Err(unlike(other)),
                }
            }
            at_once = PARTS;
        }
        Ok((all, true))
    }

    pub async fn file_system(&self, path: &[u8]) -> Result<Statvfs, Fault> {
        let call = Extended::Statvfs { path: path.to_vec() };
        if !self.has(&call) {
            return Err(unsupported());
        }
        match self.call(Call::Extended(call)).await? {
            Reply::Extended(body) => Statvfs::read(&body).map_err(Fault::Malformed),
            other => Err(unlike(other)),
        }
    }

    /// A file's name in place of another's, at once where the server can. Where not, the old one has the
    /// name `aside` meanwhile, and gets its own back if it fails. Whether it was at once.
    pub async fn replace(&self, from: &[u8], to: &[u8], aside: &[u8]) -> Result<bool, Fault> {
        let at_once = Extended::PosixRename { from: from.to_vec(), to: to.to_vec() };
        if self.has(&at_once) {
            return self.done(Call::Extended(at_once)).await.map(|()| true);
        }
        if self.lstat_if(to).await?.is_none() {
            return self.rename(from, to).await.map(|()| true);
        }
        self.rename(to, aside).await?;
        if let Err(fault) = self.rename(from, to).await {
            self.rename(aside, to).await?;
            return Err(fault);
        }
        self.done(Call::Remove { path: aside.to_vec() }).await.map(|()| false)
    }

    /// Fails where the new name is there, with servers that keep to the draft.
    pub async fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), Fault> {
        self.done(Call::Rename { from: from.to_vec(), to: to.to_vec() }).await
    }

    /// On the disk, where the server can say so. Whether it is.
    pub async fn sync(&self, handle: &Handle) -> Result<bool, Fault> {
        let call = Extended::Fsync { handle: handle.clone() };
        match self.has(&call) {
            true => self.done(Call::Extended(call)).await.map(|()| true),
            false => Ok(false),
        }
    }
}

impl Sent<'_> {
    /// Waits for an answer that is none but how it went.
    pub async fn done(self) -> Result<(), Fault> {
        match self.reply().await? {
            Reply::Status(Status { code: StatusCode::Ok, .. }) => Ok(()),
            other => Err(unlike(other)),
        }
    }
}

pub fn unsupported() -> Fault {
    Fault::Status(Status { code: StatusCode::Unsupported, said: None })
}

/// A reply that is no answer to what was asked.
fn unlike(reply: Reply) -> Fault {
    match reply {
        Reply::Status(status) if status.code != StatusCode::Ok => Fault::Status(status),
        _ => Fault::Odd("an answer of another kind than was asked for"),
    }
}

fn one(mut names: Vec<Name>) -> Result<Vec<u8>, Fault> {
    match (names.pop(), names.is_empty()) {
        (Some(name), true) if !name.name.contains(&0) => Ok(name.name),
        _ => Err(Fault::Odd("not one name where one was asked for")),
    }
}
