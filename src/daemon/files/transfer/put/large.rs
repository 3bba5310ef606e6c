//! A large file: written as a part with a name that the next transfer finds, and in its place when it is whole.

use futures::{StreamExt, stream::FuturesUnordered};
use sha2::{Digest, Sha256};

use super::{Became, Input, Watches, other_content, rights::first_rights, theirs};
use crate::{
    daemon::files::{
        Run,
        calls::Handle,
        fault::Fault,
        leads_elsewhere,
        read::{Open, Pieces},
        resolve::{join, resolved, split},
        transfer::Trouble,
        write::WINDOW,
    },
    domain::{
        escape,
        files::transfer::{Item, Piece, What, part_name},
        sftp::{Attrs, Call, FileType, OpenFlags},
    },
    protocol::error::Failure,
};

impl Run<'_> {
    /// Under the name of a part, from where an earlier transfer ended; in its place where it is whole.
    pub(super) async fn put_large(
        &self,
        index: usize,
        (item, fsync): (&Item, bool),
        watches: &Watches<'_>,
        input: &mut Input,
    ) -> Result<Became, Trouble> {
        let What::File { size, offset, sum } = &item.what else { return Ok(Became::default()) };
        let at = self.at(index);
        let failed = |fault: Fault| Trouble::of(fault, "writing", at);
        let begun = async {
            let before = self.before(at).await?;
            let (directory, name) = split(at).unwrap_or((b"/", b"x"));
            let part = join(directory, &part_name(name));
            let _still = self.still_at(at).await.map_err(Trouble::One)?;
            let handle = self.open_part(&part, *offset, item, before.as_ref()).await?;
            // Last thing before its first byte.
            if let Err(fault) = watches.stay(directory).await {
                let _closed = self.sftp.close(handle).await;
                return Err(failed(fault));
            }
            Ok((before, part, handle))
        };
        let (before, part, handle) = match begun.await {
            Ok(begun) => begun,
            Err(Trouble::One(failure)) => {
                self.skip(input).await?;
                return Err(Trouble::One(failure));
            }
            Err(trouble) => return Err(trouble),
        };
        let mut hash = sum.as_ref().map(|_| Sha256::new());
        let filled = match &mut hash {
            // What a yes is for is hashed from its beginning: what is there of it is read back.
            Some(hash) if *offset > 0 => match self.hash_part(&part, *offset, hash).await {
                Ok(()) => self.fill_part((at, &handle), *offset, input, Some(hash)).await,
                Err(trouble) => self.skip(input).await.and(Err(trouble)),
            },
            hash => self.fill_part((at, &handle), *offset, input, hash.as_mut()).await,
        };
        let checked = match filled {
            Ok(end) if end != *size => Err(Trouble::One(other_content(at))),
            Ok(_) => {
                let sum_is = hash.map(|hash| hex::encode(hash.finalize()));
                match *sum == sum_is {
                    true => self.dress(&handle, item, before.as_ref(), fsync).await.map_err(failed),
                    false => Err(Trouble::One(other_content(at))),
                }
            }
            Err(trouble) => Err(trouble),
        };
        let closed = self.sftp.close(handle).await.map_err(failed);
        match checked.and(closed) {
            Ok(()) => {
                self.place(index, &part, before.as_ref()).await.map_err(failed)?;
                Ok(Became { bytes: size - offset, made: before.is_none() })
            }
            Err(Trouble::One(failure)) => {
                let trouble = self.full_or(Trouble::One(failure), at).await;
                Err(with_part(trouble, &part))
            }
            Err(trouble) => Err(with_part(trouble, &part)),
        }
    }

    async fn open_part(
        &self,
        part: &[u8],
        offset: u64,
        item: &Item,
        before: Option<&Attrs>,
    ) -> Result<Handle, Trouble> {
        let failed = |fault: Fault| Trouble::of(fault, "writing", part);
        let new = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        if offset == 0 {
            let attrs = first_rights(item, before);
            if let Ok(handle) = self.sftp.open_file(part, new, attrs.clone()).await {
                return Ok(handle);
            }
            // What an earlier transfer left, and nobody goes on with; a link is removed, not followed.
            if self.sftp.lstat_if(part).await.map_err(failed)?.is_some() {
                self.sftp.done(Call::Remove { path: part.to_vec() }).await.map_err(failed)?;
            }
            return self.sftp.open_file(part, new, attrs).await.map_err(failed);
        }
        let handle = self.sftp.open_file(part, OpenFlags::WRITE, Attrs::default()).await;
        let handle = handle.map_err(failed)?;
        let (leads, attrs) = tokio::join!(resolved(&self.sftp, part), self.sftp.fstat(&handle));
        let fits = |attrs: &Attrs| {
            attrs.file_type() == Some(FileType::File)
                && attrs.size.is_some_and(|size| size >= offset)
        };
        match (leads, attrs) {
            (Ok(leads), Ok(attrs)) if leads == part && fits(&attrs) => Ok(handle),
            _ => {
                let _closed = self.sftp.close(handle).await;
                Err(Trouble::One(leads_elsewhere(part)))
            }
        }
    }

    /// Takes the first bytes of a part into the hash of the whole.
    async fn hash_part(&self, part: &[u8], length: u64, hash: &mut Sha256) -> Result<(), Trouble> {
        let failed = |fault: Fault| Trouble::of(fault, "reading", part);
        let opening = self.sftp.open_file(part, OpenFlags::READ, Attrs::default());
        let handle = opening.await.map_err(failed)?;
        let attrs = Attrs { size: Some(length), ..Attrs::default() };
        let open = Open { handle, attrs };
        let mut pieces = Pieces::new(&self.sftp, &open, 0, Some(length));
        let reading = async {
            while let Some(piece) = pieces.next().await? {
                hash.update(&piece);
            }
            Ok(())
        };
        let read = reading.await;
        drop(pieces);
        let _closed = self.sftp.close(open.handle).await;
        read.map_err(failed)
    }

    /// Where it ends. Writes in flight when something fails are waited for.
    async fn fill_part(
        &self,
        (at, handle): (&[u8], &Handle),
        from: u64,
        input: &mut Input,
        mut hash: Option<&mut Sha256>,
    ) -> Result<u64, Trouble> {
        let mut flying = FuturesUnordered::new();
        let (mut end, mut fault): (u64, Option<Fault>) = (from, None);
        let ended = loop {
            let mut bytes = match self.piece(input).await {
                Ok(Piece::Data(bytes)) => bytes,
                Ok(Piece::Head(_)) => continue,
                Ok(Piece::End(_)) => break Ok(()),
                Ok(Piece::Failed(why)) => break Err(Trouble::One(theirs(&why))),
                Err(trouble) => break Err(trouble),
            };
            if fault.is_some() {
                // To its end, so that the next file's content is found.
                continue;
            }
            if let Err(over) = self.count(bytes.len()) {
                fault = Some(over);
                continue;
            }
            if let Some(hash) = &mut hash {
                hash.update(&bytes);
            }
            while !bytes.is_empty() && fault.is_none() {
                if flying.len() >= WINDOW
                    && let Some(Err(why)) = flying.next().await
                {
                    fault = Some(why);
                    break;
                }
                let piece = bytes.split_to(bytes.len().min(self.sftp.write_size as usize));
                let place = end;
                end += piece.len() as u64;
                flying.push(self.sftp.write(handle, place, piece));
            }
        };
        while let Some(written) = flying.next().await {
            fault = fault.or(written.err());
        }
        match (ended, fault) {
            (Err(trouble), _) => Err(trouble),
            (Ok(()), Some(fault)) => Err(Trouble::of(fault, "writing", at)),
            (Ok(()), None) => Ok(end),
        }
    }
}

fn with_part(trouble: Trouble, part: &[u8]) -> Trouble {
    let told = |failure: Failure| {
        let part = escape::exact(part, 300);
        let message = format!("{}; its part is kept: {part}", failure.message);
        Failure { message, ..failure }
    };
    match trouble {
        Trouble::One(failure) => Trouble::One(told(failure)),
        Trouble::All(failure) => Trouble::All(told(failure)),
    }
}
