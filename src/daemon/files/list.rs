//! Looking: what is in a directory, and what is known of a file.

use futures::future::join_all;
use jiff::Timestamp;

use super::{Run, client::Sftp, fault::Fault, resolve::join};
use crate::{
    domain::{
        bytes::Bytes,
        sftp::{Attrs, FileType, Name},
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
            return Ok(Done::Listing { path, entries: 1, truncated: false });
        }
        let top = Pending { at: at.to_vec(), within: Vec::new(), depth: depth.clamp(1, DEPTH) };
        let (mut pending, mut entries, mut truncated) = (vec![top], 0, false);
        while let Some(directory) = pending.pop() {
            let is_top = directory.within.is_empty();
            match self.list_one(&directory, &mut pending, &mut entries).await {
                Ok(()) => {}
                // One that may not be read is no reason to say nothing of the others.
                Err(Fault::Status(_)) if !is_top => truncated = true,
                // … or that is another by now.
                Err(Fault::Told(why)) if !is_top && why.code == Code::FilesChanged => {
                    truncated = true;
                }
                Err(fault) => return Err(failed(fault)),
            }
            if entries >= ENTRIES || self.out.is_closed() {
                truncated |= entries >= ENTRIES;
                break;
            }
        }
        Ok(Done::Listing { path, entries, truncated })
    }

    async fn list_one(
        &self,
        directory: &Pending,
        pending: &mut Vec<Pending>,
        entries: &mut u64,
    ) -> Result<(), Fault> {
        let still = self.still().await?;
        let handle = self.sftp.open_directory(&directory.at).await?;
        let looked = self.leads_to_itself(&directory.at).await;
        drop(still);
        let listed = async {
            looked?;
            while let Some(names) = self.sftp.read_directory(&handle).await? {
                let is_link = |name: &Name| name.attrs.file_type() == Some(FileType::Link);
                // What a link holds is asked for by its name.
                let still = match names.iter().any(is_link) {
                    true => {
                        let still = self.still().await?;
                        self.leads_to_itself(&directory.at).await?;
                        Some(still)
                    }
                    false => None,
                };
                let mut found = Vec::with_capacity(names.len());
                for name in &names {
                    found.push(self.named(directory, name));
                }
                let found = join_all(found).await;
                // A slow caller holds nobody else up.
                drop(still);
                for entry in found.into_iter().flatten() {
                    if *entries >= ENTRIES {
                        return Ok(());
                    }
                    *entries += 1;
                    self.tell(&entry).await?;
                    if entry.r#type == Type::Directory && directory.depth > 1 {
                        let within = entry.path.0;
                        let name = within.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                        let at = join(&directory.at, name);
                        pending.push(Pending { at, within, depth: directory.depth - 1 });
                    }
                }
            }
            Ok(())
        };
        let listed = listed.await;
        let _closed = self.sftp.close(handle).await;
        listed
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
