//! The last step of a file that is put: its name, where what had it before is still what it was.

use super::Run;
use crate::{
    daemon::files::{
        fault::Fault,
        write::{beside, changed, unlike},
    },
    domain::sftp::Attrs,
};

impl Run<'_> {
    pub(super) async fn place(
        &self,
        index: usize,
        from: &[u8],
        before: Option<&Attrs>,
    ) -> Result<(), Fault> {
        let at = self.at(index);
        if self.replaced(index).is_some() {
            // Read before the last look, which nobody comes behind.
            self.check_replaced(index, before).await?;
            let _alone = self.alone().await?;
            self.stays(at).await?;
            if unlike(&self.sftp.lstat_if(at).await?, before) {
                return Err(changed(at, None).into());
            }
            return self.place_now(from, at, before.is_some()).await;
        }
        let _still = self.still_at(at).await?;
        self.place_now(from, at, before.is_some()).await
    }

    async fn place_now(&self, from: &[u8], at: &[u8], replaces: bool) -> Result<(), Fault> {
        match replaces {
            true => self.sftp.replace(from, at, &beside(at, "old")?).await.map(|_at_once| ()),
            false => self.sftp.rename(from, at).await,
        }
    }
}
