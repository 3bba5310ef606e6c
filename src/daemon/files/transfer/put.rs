//! Putting: directories first, then links, then files as their content comes: small ones many at once, a large one
//! as a part with a name that the next transfer finds.

use std::{collections::BTreeMap, sync::Arc};

use ::bytes::{Bytes, BytesMut};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{AHEAD, Run, Trouble, blocked};
use crate::{
    daemon::{
        files::{
            brought::Brought,
            calls::Handle,
            fault::Fault,
            leads_elsewhere,
            read::kind,
            resolve::{join, resolved, split},
            write::{WINDOW, beside, exists},
        },
        session::stdin::Stdin,
    },
    domain::{
        escape,
        files::transfer::{Item, Piece, Put, Unpacker, What, part_name},
        sftp::{Attrs, Call, FileType, OpenFlags},
    },
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// Files up to this size are taken in whole, so that many are under way at once; in bytes.
const SMALL: u64 = 240 * 1024;
/// Bits that give whoever runs a file its owner's rights.
const SET_ID: u32 = 0o6000;

/// The packed content that the caller sends.
struct Input {
    stdin: Arc<Stdin>,
    unpacker: Unpacker,
}

/// What became of one item.
type Ended = (usize, Result<u64, Trouble>);

#[derive(Default)]
struct Count {
    files: u64,
    failed: u64,
    bytes: u64,
}

impl Run<'_> {
    pub(in crate::daemon::files) async fn put(
        &self,
        put: &Put,
        stdin: Arc<Stdin>,
    ) -> Result<Done, Failure> {
        self.all_stay(put).await?;
        let mut count = Count::default();
        for level in self.levels(put, |what| matches!(what, What::Directory)) {
            let made = level.into_iter().map(|index| self.put_directory(index, &put.items[index]));
            for ended in join_all(made).await {
                self.told(ended, &mut count).await?;
            }
        }
        for level in self.levels(put, |what| matches!(what, What::Link { .. })) {
            let made = level.into_iter().map(|index| self.put_link(index, &put.items[index]));
            for ended in join_all(made).await {
                self.told(ended, &mut count).await?;
            }
        }
        let mut input = Input { stdin, unpacker: Unpacker::default() };
        let mut flying: FuturesUnordered<BoxFuture<'_, Ended>> = FuturesUnordered::new();
        for (index, item) in put.items.iter().enumerate() {
            let What::File { size, offset, sum } = &item.what else { continue };
            while flying.len() >= AHEAD {
                if let Some(ended) = flying.next().await {
                    self.told(ended, &mut count).await?;
                }
            }
            let refused = self.refused(index, item).await;
            if refused.is_some() || *size > SMALL || *offset > 0 {
                // One large file at a time; the small ones end meanwhile.
                let outcome = match refused {
                    Some(trouble) => self.skip(&mut input).await.and(Err(trouble)),
                    None => self.put_large(index, item, put.fsync, &mut input).await,
                };
                self.told((index, outcome), &mut count).await?;
                continue;
            }
            match self.take_in(&mut input, *size).await {
                Ok(content) => {
                    let wrong =
                        sum.as_ref().is_some_and(|sum| *sum != crate::domain::files::sum(&content));
                    if wrong || content.len() as u64 != *size {
                        let trouble = Trouble::One(other_content(self.at(index)));
                        self.told((index, Err(trouble)), &mut count).await?;
                        continue;
                    }
                    let written = self.put_small(index, item, put.fsync, content);
                    flying.push(written.map(move |outcome| (index, outcome)).boxed());
                }
                Err(trouble) => self.told((index, Err(trouble)), &mut count).await?,
            }
        }
        while let Some(ended) = flying.next().await {
            self.told(ended, &mut count).await?;
        }
        let Count { files, failed, bytes } = count;
        Ok(Done::Transferred { files, failed, bytes })
    }

    /// A line for the caller, or the end of it all.
    async fn told(&self, (index, outcome): Ended, count: &mut Count) -> Result<(), Failure> {
        let line = match outcome {
            Ok(bytes) => {
                (count.files, count.bytes) = (count.files + 1, count.bytes + bytes);
                json!({ "index": index, "bytes": bytes })
            }
            Err(Trouble::One(failure)) => {
                count.failed += 1;
                json!({ "index": index, "error": failure })
            }
            Err(Trouble::All(failure)) => return Err(failure),
        };
        // A caller that is gone needs none.
        let _gone = self.out.send(Bytes::from(format!("{line}\n"))).await;
        Ok(())
    }

    /// Why an item is not put at all.
    async fn refused(&self, index: usize, item: &Item) -> Option<Trouble> {
        match (&item.refused, self.at(index)) {
            (Some(rule), at) => Some(Trouble::One(blocked(at, rule))),
            (None, []) => Some(self.why_nowhere(item.path.as_slice()).await),
            (None, _) => None,
        }
    }

    /// The directories that are there are still where they were resolved to.
    async fn all_stay(&self, put: &Put) -> Result<(), Failure> {
        let _still = self.still().await?;
        let mut above: Vec<&[u8]> =
            (0..put.items.len()).filter_map(|index| Some(split(self.at(index))?.0)).collect();
        above.sort_unstable();
        above.dedup();
        for some in above.chunks(AHEAD) {
            let looked =
                join_all(some.iter().map(|directory| resolved(&self.sftp, directory))).await;
            for (directory, leads) in some.iter().zip(looked) {
                match leads {
                    Ok(leads) if leads == *directory => {}
                    Err(fault) if fault.is_not_found() => {}
                    Ok(_) => return Err(leads_elsewhere(directory)),
                    Err(fault) => return Err(fault.at("resolving", directory)),
                }
            }
        }
        Ok(())
    }

    /// Items of one kind by how deep they lie, the highest first.
    fn levels(&self, put: &Put, kind: impl Fn(&What) -> bool) -> Vec<Vec<usize>> {
        let mut levels: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, _) in put.items.iter().enumerate().filter(|(_, item)| kind(&item.what)) {
            let depth = self.at(index).iter().filter(|byte| **byte == b'/').count();
            let level = levels.entry(depth).or_default();
            level.push(index);
        }
        // So many are under way at once that one level may wait for another part of itself.
        levels
            .into_values()
            .flat_map(|level| level.chunks(AHEAD).map(<[usize]>::to_vec).collect::<Vec<_>>())
            .collect()
    }

    async fn put_directory(&self, index: usize, item: &Item) -> Ended {
        (index, self.make_one(index, item).await.map(|()| 0))
    }

    async fn make_one(&self, index: usize, item: &Item) -> Result<(), Trouble> {
        if let Some(trouble) = self.refused(index, item).await {
            return Err(trouble);
        }
        let at = self.at(index);
        let failed = |fault: Fault| Trouble::of(fault, "making", at);
        let _still = self.still_at(at).await.map_err(Trouble::One)?;
        match self.sftp.lstat_if(at).await.map_err(failed)?.map(|attrs| attrs.file_type()) {
            Some(Some(FileType::Directory) | None) => {}
            Some(_) => {
                return Err(Trouble::One(kind(at, "is no directory", "sgw files stat")));
            }
            None => {
                let attrs = item.mode.map(Attrs::with_permissions).unwrap_or_default();
                let call = Call::Mkdir { path: at.to_vec(), attrs };
                self.sftp.done(call).await.map_err(failed)?;
            }
        }
        let attrs = kept(item, None);
        if attrs != Attrs::default() {
            let call = Call::Setstat { path: at.to_vec(), attrs };
            self.sftp.done(call).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn put_link(&self, index: usize, item: &Item) -> Ended {
        (index, self.link_one(index, item).await.map(|()| 0))
    }

    async fn link_one(&self, index: usize, item: &Item) -> Result<(), Trouble> {
        if let Some(trouble) = self.refused(index, item).await {
            return Err(trouble);
        }
        let What::Link { target } = &item.what else { return Ok(()) };
        let at = self.at(index);
        let failed = |fault: Fault| Trouble::of(fault, "linking", at);
        let _turning = self.turning(at).await.map_err(Trouble::One)?;
        match self.sftp.lstat_if(at).await.map_err(failed)?.map(|attrs| attrs.file_type()) {
            Some(Some(FileType::Link)) => {
                if self.sftp.readlink(at).await.map_err(failed)? == target.as_slice() {
                    return Ok(());
                }
                self.sftp.done(Call::Remove { path: at.to_vec() }).await.map_err(failed)?;
            }
            Some(_) => return Err(Trouble::One(exists(at))),
            None => {}
        }
        let call = Call::Symlink { holds: target.0.clone(), link: at.to_vec() };
        self.sftp.done(call).await.map_err(failed)
    }

    /// The next piece of what comes in.
    async fn piece(&self, input: &mut Input) -> Result<Piece, Trouble> {
        loop {
            match input.unpacker.next_piece() {
                Ok(Some(piece)) => return Ok(piece),
                Ok(None) => {}
                Err(damaged) => {
                    let failure =
                        Failure::new(Code::UsageArguments, damaged.to_string(), "sgw files put");
                    return Err(Trouble::All(failure.sent(true)));
                }
            }
            let chunk = tokio::select! {
                biased;
                () = self.session.ended() => None,
                chunk = input.stdin.next() => chunk,
            };
            let Some(chunk) = chunk else {
                let message = "what was to be put ended before its end";
                let hint = "the same call goes on with what is missing";
                let failure = Failure::new(Code::RequestClosed, message, hint).sent(true);
                return Err(Trouble::All(failure));
            };
            input.unpacker.feed(&chunk);
            input.stdin.took(chunk.len());
        }
    }

    /// The content of a file that is not put.
    async fn skip(&self, input: &mut Input) -> Result<u64, Trouble> {
        loop {
            match self.piece(input).await? {
                Piece::End(_) | Piece::Failed(_) => return Ok(0),
                Piece::Head(_) | Piece::Data(_) => {}
            }
        }
    }

    /// A small file's content, to its end.
    async fn take_in(&self, input: &mut Input, size: u64) -> Result<Bytes, Trouble> {
        let mut content = BytesMut::new();
        loop {
            match self.piece(input).await? {
                // What is more than was said is not kept: it is no such file any more.
                Piece::Data(bytes) if content.len() as u64 <= size => {
                    content.extend_from_slice(&bytes);
                }
                Piece::Head(_) | Piece::Data(_) => {}
                Piece::End(_) => return Ok(content.freeze()),
                Piece::Failed(why) => return Err(Trouble::One(theirs(&why))),
            }
        }
    }

    /// Whole beside it, then in its place.
    async fn put_small(
        &self,
        index: usize,
        item: &Item,
        fsync: bool,
        content: Bytes,
    ) -> Result<u64, Trouble> {
        let at = self.at(index);
        let failed = |fault: Fault| Trouble::of(fault, "writing", at);
        let size = content.len() as u64;
        let script = Brought::kept(&content);
        let before = self.before(at).await?;
        let temporary = beside(at, "new").map_err(failed)?;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        let attrs = first_rights(item, before.as_ref());
        let still = self.still_at(at).await.map_err(Trouble::One)?;
        let handle = self.sftp.open_file(&temporary, flags, attrs).await.map_err(failed)?;
        drop(still);
        let written = async {
            self.count(content.len())?;
            let mut rest = content;
            let mut at = 0;
            while !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(self.sftp.write_size as usize));
                let length = piece.len() as u64;
                self.sftp.write(&handle, at, piece).await?;
                at += length;
            }
            self.dress(&handle, item, before.as_ref(), fsync).await
        };
        let written = written.await;
        let closed = self.sftp.close(handle).await;
        let placed = match written.and(closed) {
            Ok(()) => self.place(index, &temporary, before.as_ref()).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = placed {
            let removed = self.sftp.done(Call::Remove { path: temporary.clone() }).await;
            if removed.is_err_and(|left| !left.is_not_found()) {
                self.left_behind(&temporary);
            }
            return Err(self.full_or(failed(fault), at).await);
        }
        if let Some(script) = script {
            self.brought.holds(self.files, index, &script);
        }
        Ok(size)
    }

    /// Under the name of a part, from where an earlier transfer ended; in its place where it is whole.
    async fn put_large(
        &self,
        index: usize,
        item: &Item,
        fsync: bool,
        input: &mut Input,
    ) -> Result<u64, Trouble> {
        let What::File { size, offset, sum } = &item.what else { return Ok(0) };
        let at = self.at(index);
        let failed = |fault: Fault| Trouble::of(fault, "writing", at);
        let begun = async {
            let before = self.before(at).await?;
            let (directory, name) = split(at).unwrap_or((b"/", b"x"));
            let part = join(directory, &part_name(name));
            let still = self.still_at(at).await.map_err(Trouble::One)?;
            let handle = self.open_part(&part, *offset, item, before.as_ref()).await?;
            drop(still);
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
        let filled = match offset {
            // What a yes is for is hashed from its beginning.
            1.. if hash.is_some() => Err(Trouble::One(other_content(at))),
            _ => self.fill_part((at, &handle), *offset, input, &mut hash).await,
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
                Ok(size - offset)
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

    /// Where it ends. Writes in flight when something fails are waited for.
    async fn fill_part(
        &self,
        (at, handle): (&[u8], &Handle),
        from: u64,
        input: &mut Input,
        hash: &mut Option<Sha256>,
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
            if let Some(hash) = hash {
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

    /// What has the name now.
    async fn before(&self, at: &[u8]) -> Result<Option<Attrs>, Trouble> {
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
    async fn dress(
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
    async fn full_or(&self, trouble: Trouble, at: &[u8]) -> Trouble {
        let Trouble::One(failure) = trouble else { return trouble };
        let (directory, _) = split(at).unwrap_or((b"/", b""));
        let full = failure.code == Code::FilesFailed
            && self.sftp.file_system(directory).await.is_ok_and(|space| space.available == 0);
        Trouble::One(match full {
            true => {
                let message = format!("{}: the disk there is full", failure.message);
                Failure { message, hint: "sgw files df SESSION PATH".to_owned(), ..failure }
            }
            false => failure,
        })
    }
}

/// The rights that a file has until it is whole: nobody reads it who could not read the old one.
fn first_rights(item: &Item, before: Option<&Attrs>) -> Attrs {
    match (before, item.mode) {
        (None, None) => Attrs::default(),
        _ => Attrs::with_permissions(0o600),
    }
}

/// What it has in the end beside its content: what was asked for, else what the old one had.
fn kept(item: &Item, before: Option<&Attrs>) -> Attrs {
    Attrs {
        permissions: item.mode.or(before.and_then(Attrs::mode)),
        owner: before.and_then(|before| before.owner),
        times: item.modified.map(|modified| (modified, modified)),
        ..Attrs::default()
    }
}

pub fn other_content(at: &[u8]) -> Failure {
    let shown = escape::exact(at, 300);
    let message =
        format!("what came for {shown} is not what was said before; nothing is in its place");
    let hint = "the local file changes: the same call begins again with it";
    Failure::new(Code::FilesChanged, message, hint).sent(true)
}

/// Why the caller could not send it, in its words.
pub fn theirs(why: &[u8]) -> Failure {
    serde_json::from_slice(why).unwrap_or_else(|_| {
        let message = "the local file could not be read to its end";
        Failure::new(Code::FilesFailed, message, "look at the local file")
    })
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
