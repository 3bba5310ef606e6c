//! Many files, one after the other: what can't be done to one is told of it and stops no other.

use std::sync::Arc;

use ::bytes::Bytes;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    call::Call,
    failed::told,
    run::{Run, flag, octal},
    write::{New, stamp},
};
use crate::{
    daemon::{
        files::{
            fault::Fault,
            read::kind,
            transfer::{blocked, not_its_size, other_content, theirs},
        },
        session::stdin::Stdin,
    },
    domain::files::{
        How,
        replaced::Before,
        transfer::{Head, Item, Part, Piece, Put, Unpacker, What},
    },
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// The packed content that the caller sends.
struct Input {
    stdin: Arc<Stdin>,
    unpacker: Unpacker,
}

#[derive(Default)]
struct Count {
    files: u64,
    failed: u64,
    bytes: u64,
}

impl Count {
    fn done(self) -> Done {
        Done::Transferred { files: self.files, failed: self.failed, bytes: self.bytes }
    }
}

/// Whether it is about one file, so that others go on.
fn of_one(failure: &Failure) -> bool {
    failure.code.is_of_files() || failure.code == Code::GuardBlocked
}

impl Run<'_> {
    pub(super) async fn get(&self, files: &[Part]) -> Result<Done, Failure> {
        let mut count = Count::default();
        for (index, part) in files.iter().enumerate() {
            match self.get_one(index, part).await {
                Ok(sent) => (count.files, count.bytes) = (count.files + 1, count.bytes + sent),
                Err(failure) if of_one(&failure) => {
                    count.failed += 1;
                    self.pack(Piece::json(Piece::Failed, &failure)).await;
                }
                Err(failure) => return Err(failure),
            }
            if self.out.is_closed() {
                break;
            }
        }
        Ok(count.done())
    }

    async fn get_one(&self, index: usize, part: &Part) -> Result<u64, Failure> {
        let at = self.at(index);
        check(part.refused.as_deref(), at, part.path.as_slice())?;
        let from = part.offset.to_string();
        let (mut call, attrs) = self.open("read", &[at, from.as_bytes(), b""], at).await?;
        let head = Head {
            index,
            size: attrs.size,
            mode: attrs.mode(),
            modified: attrs.times.map(|times| times.1),
            offset: part.offset,
        };
        self.pack(Piece::json(Piece::Head, &head)).await;
        let failed = |fault: Fault| told(&fault, "reading", at);
        let mut sent = 0;
        while let Some(piece) = call.piece().await.map_err(failed)? {
            self.count(piece.len()).map_err(failed)?;
            sent += piece.len() as u64;
            self.check_cap(index, sent)?;
            self.pack(Piece::Data(piece)).await;
            if self.out.is_closed() {
                break;
            }
        }
        call.close().await;
        // What has no size (as in /proc) says 0.
        if attrs.size.is_some_and(|size| size != 0 && size != part.offset + sent) {
            return Err(not_its_size(at, part.offset + sent, attrs.size));
        }
        self.pack(Piece::End(Bytes::new())).await;
        Ok(sent)
    }

    async fn pack(&self, piece: Piece) {
        // A caller that is gone needs none.
        let _gone = self.out.send(Bytes::from(piece.to_wire())).await;
    }

    pub(super) async fn put(&self, put: &Put, stdin: Arc<Stdin>) -> Result<Done, Failure> {
        let mut count = Count::default();
        let mut directories: Vec<usize> = Vec::new();
        let (mut links, mut gone): (Vec<usize>, Vec<usize>) = Default::default();
        for (index, item) in put.items.iter().enumerate() {
            match item.what {
                What::Directory => directories.push(index),
                What::Link { .. } => links.push(index),
                What::Gone { .. } => gone.push(index),
                What::File { .. } => {}
            }
        }
        directories.sort_by_key(|index| self.at(*index).iter().filter(|b| **b == b'/').count());
        for index in directories.into_iter().chain(links).chain(gone) {
            let made = self.make_one(index, &put.items[index]).await;
            self.told(index, made, &mut count).await?;
        }
        let mut input = Input { stdin, unpacker: Unpacker::default() };
        for (index, item) in put.items.iter().enumerate() {
            let What::File { size, offset, sum } = &item.what else { continue };
            let at = self.at(index);
            let begun = match check(item.refused.as_deref(), at, item.path.as_slice()) {
                Ok(()) if *offset > 0 => Err(no_part(at)),
                Ok(()) => {
                    let replaced = self.replaced(index);
                    self.begin_write(&new(item, at, replaced, *size, put.fsync)).await
                }
                Err(failure) => Err(failure),
            };
            let written = match begun {
                Ok(call) => self.fill(call, at, (*size, sum.as_deref()), &mut input).await,
                Err(failure) => input.skip(self).await.and(Err(failure)),
            };
            self.told(index, written, &mut count).await?;
        }
        Ok(count.done())
    }

    async fn make_one(&self, index: usize, item: &Item) -> Result<u64, Failure> {
        let at = self.at(index);
        check(item.refused.as_deref(), at, item.path.as_slice())?;
        match &item.what {
            What::Link { target } => {
                let words = [at, target.as_slice(), b"1"];
                self.change("link", "linking", &words, at).await?;
            }
            What::Gone { tree } => {
                match self.change("remove", "removing", &[at, flag(*tree), b""], at).await {
                    // Somebody else removed it.
                    Err(failure) if failure.code == Code::FilesNotFound => {}
                    removed => removed.map(drop)?,
                }
            }
            _ => {
                let (mode, time) = (octal(item.mode), stamp(item.modified));
                let words = [at, b"", mode.as_bytes(), flag(true), time.as_bytes()];
                self.change("make", "making", &words, at).await?;
            }
        }
        Ok(0)
    }

    /// A file's content as it comes. Its last bytes are held back until all of it is known to be what was said:
    /// without them the program gives it no name.
    async fn fill(
        &self,
        call: Call,
        at: &[u8],
        (size, sum): (u64, Option<&str>),
        input: &mut Input,
    ) -> Result<u64, Failure> {
        let (mut hash, mut came) = (sum.map(|_| Sha256::new()), 0);
        let (mut last, mut failed) = (Bytes::new(), None);
        loop {
            let bytes = match input.piece(self).await? {
                Piece::Data(bytes) => bytes,
                Piece::Head(_) => continue,
                Piece::End(_) => break,
                Piece::Failed(why) => return Err(theirs(&why)),
            };
            came += bytes.len() as u64;
            if failed.is_some() || came > size {
                // To its end, so that the next file's content is found.
                continue;
            }
            if let Some(hash) = &mut hash {
                hash.update(&bytes);
            }
            let counted = self.count(bytes.len());
            let ready = std::mem::replace(&mut last, bytes);
            failed = match counted {
                Ok(()) => call.send(ready).await.err(),
                Err(over) => Some(over),
            };
        }
        let sum_is = hash.map(|hash| hex::encode(hash.finalize()));
        if failed.is_none() && (came != size || sum_is.as_deref() != sum) {
            return Err(other_content(at));
        }
        if failed.is_none() {
            failed = call.send(last).await.err();
        }
        if let Some(fault) = failed {
            return Err(self.why_cut(call, fault, at).await);
        }
        self.end_write(call, at).await.map(|_written| size)
    }

    /// A line for the caller, or the end of it all.
    async fn told(
        &self,
        index: usize,
        outcome: Result<u64, Failure>,
        count: &mut Count,
    ) -> Result<(), Failure> {
        let line = match outcome {
            Ok(bytes) => {
                (count.files, count.bytes) = (count.files + 1, count.bytes + bytes);
                json!({ "index": index, "bytes": bytes })
            }
            Err(failure) if of_one(&failure) => {
                count.failed += 1;
                json!({ "index": index, "error": failure })
            }
            Err(failure) => return Err(failure),
        };
        // A caller that is gone needs none.
        let _gone = self.out.send(Bytes::from(format!("{line}\n"))).await;
        Ok(())
    }
}

impl Input {
    /// The next piece of what comes in.
    async fn piece(&mut self, run: &Run<'_>) -> Result<Piece, Failure> {
        loop {
            match self.unpacker.next_piece() {
                Ok(Some(piece)) => return Ok(piece),
                Ok(None) => {}
                Err(damaged) => {
                    let message = damaged.to_string();
                    let failure = Failure::new(Code::UsageArguments, message, "sgw files put");
                    return Err(failure.sent(true));
                }
            }
            let chunk = tokio::select! {
                biased;
                () = run.session.ended() => None,
                chunk = self.stdin.next() => chunk,
            };
            let Some(chunk) = chunk else {
                let message = "what was to be put ended before its end";
                let hint = "the same call begins again with what is missing";
                return Err(Failure::new(Code::RequestClosed, message, hint).sent(true));
            };
            self.unpacker.feed(&chunk);
            self.stdin.took(chunk.len());
        }
    }

    /// The content of a file that is not put.
    async fn skip(&mut self, run: &Run<'_>) -> Result<(), Failure> {
        loop {
            if let Piece::End(_) | Piece::Failed(_) = self.piece(run).await? {
                return Ok(());
            }
        }
    }
}

fn new<'n>(
    item: &Item,
    at: &'n [u8],
    replaced: Option<&'n Before>,
    size: u64,
    sync: bool,
) -> New<'n> {
    New {
        at,
        how: How::Replace,
        mode: item.mode,
        parents: false,
        if_sum: None,
        replaced,
        size,
        sync,
        modified: item.modified,
    }
}

/// Why an item is not touched at all.
fn check(refused: Option<&str>, at: &[u8], path: &[u8]) -> Result<(), Failure> {
    match (refused, at) {
        (Some(rule), at) => Err(blocked(at, rule)),
        (None, []) => Err(kind(path, "leads nowhere", "sgw files stat")),
        (None, _) => Ok(()),
    }
}

/// Parts are for SFTP: here what is cut off leaves none.
fn no_part(at: &[u8]) -> Failure {
    let shown = crate::domain::escape::exact(at, 300);
    let message = format!("without SFTP {shown} is put from its beginning, and not from a part");
    let hint = "sgw files put --restart begins anew";
    Failure::new(Code::FilesUnsupported, message, hint).sent(false)
}
