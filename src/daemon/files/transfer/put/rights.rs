//! What a file has beside its content, and its name.

use crate::{
    daemon::files::{
        Run, calls::Handle, fault::Fault, leads_elsewhere, read::kind, resolve::split,
        transfer::Trouble,
    },
    domain::{
        files::transfer::Item,
        sftp::{Attrs, Call, FileType},
    },
    protocol::error::{Code, Failure},
};

/// Bits that give whoever runs a file its owner's rights.
const SET_ID: u32 = 0o6000;

impl Run<'_> {
    /// What has the name now.
    pub(super) async fn before(&self, at: &[u8]) -> Result<Option<Attrs>, Trouble> {
        let failed = |fault: Fault| Trouble::of(fault, "writing", at);
        let before = self.sftp.lstat_if(at).await.map_err(failed)?;
        match before.as_ref().map(Attrs::file_type) {
            None | Some(Some(FileType::File) | None) => Ok(before),
            Some(Some(FileType::Directory)) => {
                Err(Trouble::One(kind(at, "is a directory", "sgw files ls")))
            }
            Some(Some(FileType::Link)) => Err(Trouble::One(leads_elsewhere(at))),
            Some(Some(_)) => Err(Trouble::One(kind(at, "is no ordinary file", "sgw files stat"))),
        }
    }

    /// Rights, owner and time, and onto the disk where that is wanted.
    pub(super) async fn dress(
        &self,
        handle: &Handle,
        item: &Item,
        before: Option<&Attrs>,
        fsync: bool,
    ) -> Result<(), Fault> {
        let attrs = kept(item, before);
        if attrs != Attrs::default() {
            let set =
                |attrs: Attrs| self.sftp.done(Call::Fsetstat { handle: handle.clone(), attrs });
            let owned = set(attrs.clone()).await;
            if owned.is_err() && attrs.owner.is_some() {
                // Only root gives files away. It must not run with other rights than it did.
                let permissions = attrs.permissions.map(|mode| mode & !SET_ID);
                set(Attrs { owner: None, permissions, ..attrs }).await?;
            } else {
                owned?;
            }
        }
        if fsync {
            self.sftp.sync(handle).await?;
        }
        Ok(())
    }

    /// The server says only that it failed: looks whether its disk is full.
    pub(super) async fn full_or(&self, trouble: Trouble, at: &[u8]) -> Trouble {
        let Trouble::One(failure) = trouble else { return trouble };
        let (directory, _) = split(at).unwrap_or((b"/", b""));
        // Its own words count as well: not each server tells of its room.
        let full = failure.code == Code::FilesFailed
            && (failure.message.contains("No space left on device")
                || self.sftp.file_system(directory).await.is_ok_and(|space| space.available == 0));
        Trouble::One(match full {
            true => {
                let message = format!("{}: the disk there is full", failure.message);
                let hint =
                    "make room there (sgw files df SESSION PATH shows it): the same call goes on";
                Failure { message, hint: hint.to_owned(), ..failure }
            }
            false => failure,
        })
    }
}

/// The rights that a file has until it is whole: nobody reads it who could not read the old one.
pub(super) fn first_rights(item: &Item, before: Option<&Attrs>) -> Attrs {
    match (before, item.mode) {
        (None, None) if item.executable => Attrs::with_permissions(0o777),
        (None, None) => Attrs::default(),
        _ => Attrs::with_permissions(0o600),
    }
}

/// What it has in the end beside its content: what was asked for, else what the old one had.
pub(super) fn kept(item: &Item, before: Option<&Attrs>) -> Attrs {
    Attrs {
        permissions: item.mode.or(before.and_then(Attrs::mode)),
        owner: before.and_then(|before| before.owner),
        times: item.modified.map(|modified| (modified, modified)),
        ..Attrs::default()
    }
}
