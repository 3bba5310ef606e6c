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
    protocol::error::{Code, Failure},
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
        let (directory, name) = split(at).unwrap_or((b"/", b"x"));
        let part = join(directory, &part_name(name));
        let begun = async {
            let own = self.names.part(&part).ok_or_else(|| Trouble::One(is_being_put(&part)))?;
            let before = self.before(at).await?;
            let still = self.still_at(at).await.map_err(Trouble::One)?;
            let sent = still.sends(self.settles()).map_err(Trouble::One)?;
            let handle = self.open_part(&part, *offset, item, before.as_ref()).await?;
            drop(sent);
            // Last thing before its first byte.
            if let Err(fault) = watches.stay(directory).await {
                let _closed = self.sftp.close(handle).await;
                return Err(failed(fault));
            }
            Ok((own, before, handle))
        };
        let (_own, before, handle) = match begun.await {
            Ok(begun) => begun,
            Err(Trouble::One(failure)) => {
                self.skip(input).await?;
                return Err(Trouble::One(failure));
            }
            Err(trouble) => return Err(trouble),
        };
        let filled = self.fill_part((at, &part, &handle), item, input).await;
        let dressed = match filled {
            Ok(()) => self.dress(&handle, item, before.as_ref(), fsync).await.map_err(failed),
            Err(trouble) => Err(trouble),
        };
        if let Err(trouble) = dressed {
            let _closed = self.sftp.close(handle).await;
            return Err(self.not_put(trouble, (at, &part), sum.is_some()).await);
        }
        // What a yes is for was read back before it got its rights.
        let placed = self.place(index, (Some(handle), &part), before.as_ref(), None).await;
        match placed {
            Ok(()) => Ok(Became { bytes: size - offset, made: before.is_none() }),
            Err(fault) => Err(failed(fault)),
        }
    }

    /// Why it was not put, and what became of its part. One that is not what a yes is for does not stay where
    /// it would have been.
    async fn not_put(&self, trouble: Trouble, (at, part): (&[u8], &[u8]), bound: bool) -> Trouble {
        let wrong = |trouble: &Trouble| {
            bound && matches!(trouble, Trouble::One(why) if why.code == Code::FilesChanged)
        };
        if wrong(&trouble) && self.sftp.done(Call::Remove { path: part.to_vec() }).await.is_ok() {
            return trouble;
        }
        let trouble = self.full_or(trouble, at).await;
        with_part(trouble, part)
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
        // What is hashed of it is read by the handle that goes on with it.
        let flags = OpenFlags::READ | OpenFlags::WRITE;
        let handle = self.sftp.open_file(part, flags, Attrs::default()).await;
        let handle = handle.map_err(failed)?;
        let (leads, attrs) = tokio::join!(resolved(&self.sftp, part), self.sftp.fstat(&handle));
        let most = match item.what {
            What::File { size, .. } => size,
            _ => 0,
        };
        let fits = |attrs: &Attrs| {
            attrs.file_type() == Some(FileType::File)
                && attrs.size.is_some_and(|size| (offset..=most).contains(&size))
        };
        match (leads, attrs) {
            (Ok(leads), Ok(attrs)) if leads == part && fits(&attrs) => Ok(handle),
            _ => {
                let _closed = self.sftp.close(handle).await;
                Err(Trouble::One(leads_elsewhere(part)))
            }
        }
    }

    /// All of the content, as it was said and judged: not a byte more is written, and no other one is taken for it.
    async fn fill_part(
        &self,
        (at, part, handle): (&[u8], &[u8], &Handle),
        item: &Item,
        input: &mut Input,
    ) -> Result<(), Trouble> {
        let What::File { size, offset, sum } = &item.what else { return Ok(()) };
        let mut hash = sum.as_ref().map(|_| Sha256::new());
        // What a yes is for is hashed from its beginning: what is there of it is read back.
        if let Some(hash) = hash.as_mut().filter(|_| *offset > 0)
            && let Err(trouble) = self.hash_part((part, handle), *offset, hash).await
        {
            return self.skip(input).await.and(Err(trouble));
        }
        let place = (at, handle);
        let end = self.fill_from(place, (*offset, *size), input, hash.as_mut()).await?;
        let sum_is = hash.map(|hash| hex::encode(hash.finalize()));
        if end != *size || *sum != sum_is {
            return Err(Trouble::One(other_content(at)));
        }
        match sum {
            Some(sum) => {
                let held = self.check_holds(part, *size, sum).await;
                held.map_err(|fault| Trouble::of(fault, "reading", part))
            }
            None => Ok(()),
        }
    }

    /// Takes the first bytes of a part into the hash of the whole.
    async fn hash_part(
        &self,
        (part, handle): (&[u8], &Handle),
        length: u64,
        hash: &mut Sha256,
    ) -> Result<(), Trouble> {
        let attrs = Attrs { size: Some(length), ..Attrs::default() };
        let open = Open { handle: handle.clone(), attrs };
        let mut pieces = Pieces::new(&self.sftp, &open, 0, Some(length));
        let reading = async {
            while let Some(piece) = pieces.next().await? {
                hash.update(&piece);
            }
            Ok(())
        };
        reading.await.map_err(|fault: Fault| Trouble::of(fault, "reading", part))
    }

    /// Where it ends: `size` and one where more came than was said, of which nothing is written. Writes in
    /// flight when something fails are waited for.
    async fn fill_from(
        &self,
        (at, handle): (&[u8], &Handle),
        (from, size): (u64, u64),
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
            if fault.is_some() || end > size {
                // To its end, so that the next file's content is found.
                continue;
            }
            if bytes.len() as u64 > size - end {
                end = size.saturating_add(1);
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

fn is_being_put(part: &[u8]) -> Failure {
    let shown = escape::exact(part, 300);
    let message = format!("another transfer writes {shown}; nothing was done");
    Failure::new(Code::FilesChanged, message, "try again when it has ended").sent(true)
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
