//! The last step of a file that is put: its name, where what had it before is still what it was.

use super::Run;
use crate::{
    daemon::files::{calls::Handle, fault::Fault, write::beside},
    domain::sftp::Attrs,
};

impl Run<'_> {
    /// `handle`: what was written under the name `from`, where it is still open. `bound`: size and SHA-256 that
    /// a person said yes to, of what is to be read back.
    pub(super) async fn place(
        &self,
        index: usize,
        (handle, from): (Option<Handle>, &[u8]),
        before: Option<&Attrs>,
        bound: Option<(u64, &str)>,
    ) -> Result<(), Fault> {
        let at = self.at(index);
        let mut open = handle;
        let placed = async {
            if self.replaced(index).is_none() {
                let still = self.still_at(at).await?;
                self.prove((open.take(), from), bound).await?;
                let _sent = still.sends(self.settles())?;
                return self.place_now(from, at, before.is_some()).await;
            }
            // Read before the last look, which nobody comes behind.
            self.check_replaced(index, before).await?;
            let alone = self.alone().await?;
            self.prove((open.take(), from), bound).await?;
            self.stays(at).await?;
            self.check_unchanged(index, before, None).await?;
            let _sent = alone.sends(self.settles())?;
            self.place_now(from, at, before.is_some()).await
        };
        let placed = placed.await;
        if let Some(handle) = open {
            let _closed = self.sftp.close(handle).await;
        }
        placed
    }

    async fn prove(
        &self,
        (handle, from): (Option<Handle>, &[u8]),
        bound: Option<(u64, &str)>,
    ) -> Result<(), Fault> {
        if let Some(handle) = handle {
            self.close_as(handle, from).await?;
        }
        match bound {
            Some((size, sum)) => self.check_holds(from, size, sum).await,
            None => Ok(()),
        }
    }

    async fn place_now(&self, from: &[u8], at: &[u8], replaces: bool) -> Result<(), Fault> {
        match replaces {
            true => self.sftp.replace(from, at, &beside(at, "old")?).await.map(|_at_once| ()),
            false => self.sftp.rename(from, at).await,
        }
    }
}
