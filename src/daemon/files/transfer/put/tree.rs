//! Directories, links, and what is removed.

use futures::FutureExt;

use super::{Became, Count, Ended, Flight, Run, Trouble, rights::kept};
use crate::{
    daemon::files::{fault::Fault, read::kind, write::exists},
    domain::{
        files::transfer::{Item, Put, What},
        sftp::{Attrs, Call, FileType},
    },
    protocol::error::Failure,
};

/// Things that are removed at once.
const REMOVED_AT_ONCE: usize = 16;

impl Run<'_> {
    pub(super) async fn put_directory(&self, index: usize, item: &Item) -> Ended {
        (index, self.make_one(index, item).await)
    }

    async fn make_one(&self, index: usize, item: &Item) -> Result<Became, Trouble> {
        if let Some(trouble) = self.refused(index, item).await {
            return Err(trouble);
        }
        let at = self.at(index);
        let failed = |fault: Fault| Trouble::of(fault, "making", at);
        let still = self.still_at(at).await.map_err(Trouble::One)?;
        let _sent = still.sends(self.settles()).map_err(Trouble::One)?;
        let attrs = item.mode.map(Attrs::with_permissions).unwrap_or_default();
        let made = self.sftp.done(Call::Mkdir { path: at.to_vec(), attrs }).await;
        if let Err(fault) = &made {
            // Mostly since one is there.
            let there = self.sftp.lstat_if(at).await.map_err(failed)?;
            match there.map(|attrs| attrs.file_type()) {
                Some(Some(FileType::Directory) | None) => {}
                Some(_) => {
                    return Err(Trouble::One(kind(at, "is no directory", "sgw files stat")));
                }
                None => return Err(failed(fault.clone())),
            }
        }
        let attrs = kept(item, None);
        if attrs != Attrs::default() {
            let call = Call::Setstat { path: at.to_vec(), attrs };
            self.sftp.done(call).await.map_err(failed)?;
        }
        Ok(Became { bytes: 0, made: made.is_ok() })
    }

    pub(super) async fn put_link(&self, index: usize, item: &Item) -> Ended {
        (index, self.link_one(index, item).await.map(|()| Became::default()))
    }

    async fn link_one(&self, index: usize, item: &Item) -> Result<(), Trouble> {
        if let Some(trouble) = self.refused(index, item).await {
            return Err(trouble);
        }
        let What::Link { target } = &item.what else { return Ok(()) };
        let at = self.at(index);
        let failed = |fault: Fault| Trouble::of(fault, "linking", at);
        let turning = self.turning(at).await.map_err(Trouble::One)?;
        match self.sftp.lstat_if(at).await.map_err(failed)?.map(|attrs| attrs.file_type()) {
            Some(Some(FileType::Link)) => {
                if self.sftp.readlink(at).await.map_err(failed)? == target.as_slice() {
                    return Ok(());
                }
                let _sent = turning.sends(self.settles()).map_err(Trouble::One)?;
                self.sftp.done(Call::Remove { path: at.to_vec() }).await.map_err(failed)?;
            }
            Some(_) => return Err(Trouble::One(exists(at))),
            None => {}
        }
        let _sent = turning.sends(self.settles()).map_err(Trouble::One)?;
        let call = Call::Symlink { holds: target.0.clone(), link: at.to_vec() };
        self.sftp.done(call).await.map_err(failed)
    }

    /// Removes all of them, the ones beside the others.
    pub(super) async fn remove_all(&self, put: &Put, count: &mut Count) -> Result<(), Failure> {
        let mut flight = Flight::default();
        for (index, item) in put.items.iter().enumerate() {
            while flight.flying.len() >= REMOVED_AT_ONCE {
                self.next_ended(put, &mut flight, count).await?;
            }
            flight.flying.push(self.gone(index, item).boxed());
        }
        self.land(put, &mut flight, count).await
    }

    async fn gone(&self, index: usize, item: &Item) -> Ended {
        (index, self.remove_one_of(index, item).await.map(|()| Became::default()))
    }

    async fn remove_one_of(&self, index: usize, item: &Item) -> Result<(), Trouble> {
        if let Some(trouble) = self.refused(index, item).await {
            return Err(trouble);
        }
        let What::Gone { tree } = &item.what else { return Ok(()) };
        let at = self.at(index);
        let failed = |fault: Fault| Trouble::of(fault, "removing", at);
        let still = self.still().await.map_err(Trouble::One)?;
        self.stays(at).await.map_err(|failure| failed(failure.into()))?;
        match self.sftp.lstat_if(at).await.map_err(failed)?.map(|attrs| attrs.file_type()) {
            None => Ok(()),
            Some(Some(FileType::Directory)) if *tree => {
                // Looked at again directory by directory.
                drop(still);
                self.remove_tree(at).await.map_err(failed)
            }
            Some(Some(FileType::Directory)) => {
                Err(Trouble::One(kind(at, "is a directory by now", "sgw files ls")))
            }
            Some(_) => {
                let _sent = still.sends(self.settles()).map_err(Trouble::One)?;
                self.sftp.done(Call::Remove { path: at.to_vec() }).await.map_err(failed)
            }
        }
    }
}
