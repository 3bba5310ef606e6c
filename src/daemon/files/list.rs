//! Looking: what is in a directory, and what is known of a file.

use std::collections::VecDeque;

use futures::{StreamExt, future::join_all, stream::FuturesOrdered};
use jiff::Timestamp;

use super::{
    Run,
    client::Sftp,
    fault::Fault,
    resolve::join,
    room::{LISTED, Room, Taken},
};
use crate::{
    domain::{
        bytes::Bytes,
        sftp::{Attrs, Call, FileType, Name},
    },
    protocol::{
        error::{Code, Failure},
        files::{Done, Entry, Type},
    },
};

/// The most entries of one listing.
pub(super) const ENTRIES: u64 = 100_000;
/// How deep a listing goes at most, whatever was asked for.
pub(super) const DEPTH: u32 = 64;

/// Directories that are read at once.
const AT_ONCE: usize = 16;
/// Entries that are looked at together.
const TOGETHER: usize = 1000;
/// Directories that may not be read are named, so many of them.
pub const UNREAD: usize = 100;

/// A directory that is still to be listed.
struct Pending {
    at: Vec<u8>,
    /// What its entries' paths begin with.
    within: Vec<u8>,
    depth: u32,
}

impl Run<'_> {
    pub(super) async fn stat(&self, follow: bool) -> Result<Done, Failure> {
        let at = self.at(0);
        let failed = |fault: Fault| fault.at("looking at", at);
        let _still = self.still().await?;
        // What was followed is no link: one that is there now was not looked at before.
        match follow {
            true => self.leads_to_itself(at).await.map_err(failed)?,
            false => self.stays(at).await?,
        }
        let attrs = self.sftp.lstat(at).await.map_err(failed)?;
        Ok(Done::File(entry(&self.sftp, at, at.to_vec(), &attrs).await))
    }

    pub(super) async fn list(&self, depth: u32) -> Result<Done, Failure> {
        let at = self.at(0);
        let failed = |fault: Fault| fault.at("listing", at);
        let attrs = {
            let _still = self.still().await?;
            self.leads_to_itself(at).await.map_err(failed)?;
            self.sftp.lstat(at).await.map_err(failed)?
        };
        let path = Bytes(at.to_vec());
        if !matches!(attrs.file_type(), Some(FileType::Directory) | None) {
            let one = entry(&self.sftp, at, at.to_vec(), &attrs).await;
            self.tell(&one).await.map_err(failed)?;
            return Ok(Done::Listing { path, entries: 1, truncated: false, unread: Vec::new() });
        }
        // Lives longer than what reads into it.
        let room = Room::new(ENTRIES, LISTED);
        let room = &room;
        let top = Pending { at: at.to_vec(), within: Vec::new(), depth: depth.clamp(1, DEPTH) };
        let (mut pending, mut flying) = (VecDeque::from([top]), FuturesOrdered::new());
        let (mut entries, mut truncated, mut unread) = (0, false, Vec::new());
        loop {
            while flying.len() < AT_ONCE
                && let Some(directory) = pending.pop_front()
            {
                flying.push_back(self.list_one(directory, room));
            }
            let Some((directory, listed)) = flying.next().await else { break };
            let is_top = directory.within.is_empty();
            let (found, all) = match listed {
                Ok(found) => found,
                // One that may not be read is no reason to say nothing of the others.
                Err(Fault::Status(_)) if !is_top => {
                    truncated = true;
                    if unread.len() < UNREAD {
                        unread.push(Bytes(directory.within));
                    }
                    continue;
                }
                // … or that is another by now.
                Err(Fault::Told(why)) if !is_top && why.code == Code::FilesChanged => {
                    truncated = true;
                    continue;
                }
                Err(fault) => return Err(failed(fault)),
            };
            for entry in found {
                if self.out.is_closed() {
                    return Ok(Done::Listing { path, entries, truncated, unread: Vec::new() });
                }
                entries += 1;
                self.tell(&entry).await.map_err(failed)?;
                if entry.r#type == Type::Directory && directory.depth > 1 {
                    let within = entry.path.0;
                    let name = within.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                    let at = join(&directory.at, name);
                    pending.push_back(Pending { at, within, depth: directory.depth - 1 });
                }
            }
            if !all {
                truncated = true;
                pending.clear();
            }
        }
        Ok(Done::Listing { path, entries, truncated, unread })
    }

    async fn list_one(
        &self,
        directory: Pending,
        room: &Room,
    ) -> (Pending, Result<(Vec<Entry>, bool), Fault>) {
        let listing = async {
            let turns = self.quiet().await?;
            // Not held meanwhile: this may have to wait for a caller who reads no more.
            let mut taken = room.begin();
            let mut listed = self.read_one(&directory, &mut taken).await;
            if self.names.turns() != turns {
                drop(taken);
                drop(listed);
                taken = room.begin();
                let still = self.still().await?;
                listed = self.read_one(&directory, &mut taken).await;
                still.lasts()?;
            }
            if listed.is_ok() {
                taken.keep();
            }
            listed
        };
        let listed = listing.await;
        (directory, listed)
    }

    /// What is in it, and whether that is all.
    async fn read_one(
        &self,
        directory: &Pending,
        taken: &mut Taken<'_>,
    ) -> Result<(Vec<Entry>, bool), Fault> {
        let handle = self.sftp.open_directory(&directory.at).await?;
        let names = match self.leads_to_itself(&directory.at).await {
            Ok(()) => self.sftp.entries(&handle, directory.at.len(), taken).await,
            Err(fault) => Err(fault),
        };
        // Nobody waits for this.
        let _closing = self.sftp.send(Call::Close { handle }).await;
        let (names, all) = names?;
        if names.iter().any(|name| name.attrs.file_type() == Some(FileType::Link)) {
            // What a link holds is asked for by its name.
            self.leads_to_itself(&directory.at).await?;
        }
        let mut found = Vec::with_capacity(names.len());
        for some in names.chunks(TOGETHER) {
            for entry in join_all(some.iter().map(|name| self.named(directory, name))).await {
                let Some(entry) = entry else { continue };
                if !taken.bytes(entry.target.as_ref().map_or(0, |target| target.0.len())) {
                    return Ok((found, false));
                }
                found.push(entry);
            }
        }
        Ok((found, all))
    }

    /// `None` for what is no entry: `.`, `..`, and what a server may not call one.
    async fn named(&self, directory: &Pending, name: &Name) -> Option<Entry> {
        let own = name.entry()?;
        let path = match directory.within.as_slice() {
            b"" => own.to_vec(),
            within => join(within, own),
        };
        Some(entry(&self.sftp, &join(&directory.at, own), path, &name.attrs).await)
    }

    async fn tell(&self, entry: &Entry) -> Result<(), Fault> {
        let mut line = serde_json::to_vec(entry).unwrap_or_default();
        line.push(b'\n');
        self.count(line.len())?;
        // A caller that is gone needs none.
        let _gone = self.out.send(line.into()).await;
        Ok(())
    }
}

async fn entry(sftp: &Sftp, at: &[u8], path: Vec<u8>, attrs: &Attrs) -> Entry {
    let target = match attrs.file_type() {
        Some(FileType::Link) => sftp.readlink(at).await.ok(),
        _ => None,
    };
    entry_of(path, attrs, target)
}

/// What is known of a file, with what it holds where it is a link.
pub(super) fn entry_of(path: Vec<u8>, attrs: &Attrs, target: Option<Vec<u8>>) -> Entry {
    let r#type = match attrs.file_type() {
        Some(FileType::File) => Type::File,
        Some(FileType::Directory) => Type::Directory,
        Some(FileType::Link) => Type::Link,
        Some(FileType::Fifo) => Type::Fifo,
        Some(FileType::Socket) => Type::Socket,
        Some(FileType::Block) => Type::Block,
        Some(FileType::Character) => Type::Character,
        None => Type::Unknown,
    };
    Entry {
        path: Bytes(path),
        r#type,
        size: attrs.size,
        mode: attrs.mode().map(|mode| format!("{mode:04o}")),
        uid: attrs.owner.map(|owner| owner.0),
        gid: attrs.owner.map(|owner| owner.1),
        modified_at: attrs.times.and_then(|times| Timestamp::from_second(times.1.into()).ok()),
        target: target.map(Bytes),
    }
}
