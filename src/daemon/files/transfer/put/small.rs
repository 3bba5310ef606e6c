//! A small file, whole in memory: under a name that nobody can foresee, and in its place when it is whole.

use ::bytes::Bytes;
use tokio::sync::SemaphorePermit;

use super::{
    Became, Run, Trouble, Watches,
    rights::{first_rights, kept},
};
use crate::{
    daemon::files::{brought::Brought, calls::Handle, fault::Fault, resolve::split, write::beside},
    domain::{
        files::transfer::{Item, What},
        sftp::{Attrs, Call, Extended, OpenFlags, StatusCode},
    },
};

/// A small file on its way.
pub(super) struct Small<'s> {
    pub index: usize,
    pub at: &'s [u8],
    pub item: &'s Item,
    pub fsync: bool,
    pub content: Bytes,
}

impl Run<'_> {
    pub(super) async fn put_small(
        &self,
        small: Small<'_>,
        watches: &Watches<'_>,
    ) -> Result<Became, Trouble> {
        let failed = |fault: Fault| Trouble::of(fault, "writing", small.at);
        let bytes = small.content.len() as u64;
        if small.item.fresh {
            match self.put_at(&small, None, watches).await {
                Ok(()) => return Ok(Became { bytes, made: true }),
                // Somebody else was there first, perhaps: then it is looked at as everywhere.
                Err(fault) if fault.code() == Some(StatusCode::Failure) => {}
                Err(fault) => return Err(failed(fault)),
            }
        }
        let before = self.before(small.at).await?;
        match self.put_at(&small, before.as_ref(), watches).await {
            Ok(()) => Ok(Became { bytes, made: before.is_none() }),
            Err(fault) => Err(self.full_or(failed(fault), small.at).await),
        }
    }

    async fn put_at(
        &self,
        small: &Small<'_>,
        before: Option<&Attrs>,
        watches: &Watches<'_>,
    ) -> Result<(), Fault> {
        let at = small.at;
        let (directory, _) = split(at).unwrap_or((b"/", b""));
        let temporary = beside(at, "new")?;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        let attrs = first_rights(small.item, before);
        let held = self.sftp.handle_room().await?;
        let still = self.still_at(at).await?;
        let sent = still.sends(self.settles())?;
        let handle = self.sftp.open_file(&temporary, flags, attrs).await?;
        drop(sent);
        let stays = async {
            self.count(small.content.len())?;
            // Last thing before its first byte.
            watches.stay(directory).await
        };
        let stays = stays.await;
        drop(still);
        let written = match stays {
            Ok(()) => self.fill_and_close((handle, held), small, before).await,
            Err(fault) => {
                let _closed = self.sftp.close(handle).await;
                Err(fault)
            }
        };
        let placed = match written {
            Ok(()) => {
                let bound = match &small.item.what {
                    What::File { size, sum: Some(sum), .. } => Some((*size, sum.as_str())),
                    _ => None,
                };
                self.place(small.index, (None, &temporary), before, bound).await
            }
            Err(fault) => Err(fault),
        };
        if placed.is_err() {
            let removed = self.sftp.done(Call::Remove { path: temporary.clone() }).await;
            if removed.is_err_and(|left| !left.is_not_found()) {
                self.left_behind(&temporary);
            }
        }
        if placed.is_ok()
            && let Some(script) = Brought::kept(&small.content)
        {
            self.brought.holds(self.files, small.index, &script);
        }
        placed
    }

    /// Content, rights and time, and the close: one behind the other without waiting, as a server does them in this
    /// order.
    async fn fill_and_close(
        &self,
        (handle, held): (Handle, SemaphorePermit<'_>),
        small: &Small<'_>,
        before: Option<&Attrs>,
    ) -> Result<(), Fault> {
        let Small { item, fsync, content, .. } = small;
        let (mut rest, mut offset, mut sent) = (content.clone(), 0, Vec::new());
        while !rest.is_empty() {
            let data = rest.split_to(rest.len().min(self.sftp.write_size as usize));
            let length = data.len() as u64;
            let call = Call::Write { handle: handle.clone(), offset, data };
            sent.push(self.sftp.send(call).await?);
            offset += length;
        }
        let attrs = kept(item, before);
        let mut fault = None;
        if attrs.owner.is_some() {
            // Whether it may have this owner decides on its rights.
            fault = self.dress(&handle, item, before, *fsync).await.err();
        } else {
            if attrs != Attrs::default() {
                let call = Call::Fsetstat { handle: handle.clone(), attrs };
                sent.push(self.sftp.send(call).await?);
            }
            let sync = Extended::Fsync { handle: handle.clone() };
            if *fsync && self.sftp.has(&sync) {
                sent.push(self.sftp.send(Call::Extended(sync)).await?);
            }
        }
        sent.push(self.sftp.send(Call::Close { handle }).await?);
        // What is opened from here on is opened after it.
        drop(held);
        for one in sent {
            fault = fault.or(one.done().await.err());
        }
        fault.map_or(Ok(()), Err)
    }
}
