//! Putting: directories first, then links, then files as their content comes: small ones many at once, a large one
//! as a part with a name that the next transfer finds.

mod large;
mod rights;
mod small;
mod tree;
mod watch;

use std::{collections::BTreeMap, pin::pin, sync::Arc};

use ::bytes::{Bytes, BytesMut};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use serde_json::json;

use self::{small::Small, watch::Watches};
use super::{AHEAD, BYTES_AHEAD, Run, Trouble, blocked};
use crate::{
    daemon::{
        files::{
            leads_elsewhere,
            resolve::{resolved, split},
        },
        session::stdin::Stdin,
    },
    domain::{
        escape,
        files::transfer::{Item, Piece, Put, Unpacker, What},
    },
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// Files up to this size are taken in whole, so that many are under way at once; in bytes.
const SMALL: u64 = 240 * 1024;
/// What is told of items is gathered up to so many bytes.
const LINES: usize = 4096;
/// Directories and links that are made at once.
const MADE_AT_ONCE: usize = 96;

/// The packed content that the caller sends.
struct Input {
    stdin: Arc<Stdin>,
    unpacker: Unpacker,
}

/// What became of one item.
type Ended = (usize, Result<Became, Trouble>);

#[derive(Clone, Copy, Debug, Default)]
struct Became {
    bytes: u64,
    /// It was not there before.
    made: bool,
}

#[derive(Default)]
struct Count {
    files: u64,
    failed: u64,
    bytes: u64,
    /// What is still to be told, a line each.
    lines: Vec<u8>,
}

/// Small files that are under way.
#[derive(Default)]
struct Flight<'f> {
    flying: FuturesUnordered<BoxFuture<'f, Ended>>,
    /// What they hold, in bytes.
    bytes: u64,
}

impl Count {
    /// What is to be told of one, or the end of it all.
    fn take(&mut self, (index, outcome): Ended) -> Result<(), Failure> {
        let line = match outcome {
            Ok(Became { bytes, made }) => {
                (self.files, self.bytes) = (self.files + 1, self.bytes + bytes);
                json!({ "index": index, "bytes": bytes, "made": made })
            }
            Err(Trouble::One(failure)) => {
                self.failed += 1;
                json!({ "index": index, "error": failure })
            }
            Err(Trouble::All(failure)) => return Err(failure),
        };
        self.lines.extend_from_slice(format!("{line}\n").as_bytes());
        Ok(())
    }
}

impl Flight<'_> {
    fn landed(&mut self, put: &Put, index: usize) {
        self.bytes = self.bytes.saturating_sub(size_of(put, index));
    }
}

impl Run<'_> {
    pub(in crate::daemon::files) async fn put(
        &self,
        put: &Put,
        stdin: Arc<Stdin>,
    ) -> Result<Done, Failure> {
        let mut count = Count::default();
        let all = match put.removes() {
            true => self.remove_all(put, &mut count).await,
            false => self.put_all(put, stdin, &mut count).await,
        };
        // What is done is told, however it ended.
        self.flush(&mut count).await;
        let Count { files, failed, bytes, .. } = count;
        all.map(|()| Done::Transferred { files, failed, bytes })
    }

    async fn put_all(
        &self,
        put: &Put,
        stdin: Arc<Stdin>,
        count: &mut Count,
    ) -> Result<(), Failure> {
        {
            let _still = self.still().await?;
            self.all_stay(put).await?;
        }
        for level in self.levels(put, |what| matches!(what, What::Directory)) {
            let made = level.into_iter().map(|index| self.put_directory(index, &put.items[index]));
            for ended in join_all(made).await {
                self.told(ended, count).await?;
            }
        }
        for level in self.levels(put, |what| matches!(what, What::Link { .. })) {
            let made = level.into_iter().map(|index| self.put_link(index, &put.items[index]));
            for ended in join_all(made).await {
                self.told(ended, count).await?;
            }
        }
        let above = (0..put.items.len()).filter_map(|index| Some(split(self.at(index))?.0));
        let watches = Watches::of(&self.sftp, above);
        let mut input = Input { stdin, unpacker: Unpacker::default() };
        let mut flight = Flight::default();
        let files = self.put_files(put, &watches, &mut input, (&mut flight, count)).await;
        // What is half written is not left so, whatever ended the rest.
        let landed = self.land(put, &mut flight, count).await;
        files.and(landed)
    }

    async fn put_files<'f>(
        &'f self,
        put: &'f Put,
        watches: &'f Watches<'_>,
        input: &mut Input,
        (flight, count): (&mut Flight<'f>, &mut Count),
    ) -> Result<(), Failure> {
        for (index, item) in put.items.iter().enumerate() {
            let What::File { size, offset, sum } = &item.what else { continue };
            let refused = self.refused(index, item).await;
            if refused.is_some() || *size > SMALL || *offset > 0 {
                // One large file at a time.
                self.land(put, flight, count).await?;
                let outcome = match refused {
                    Some(trouble) => self.skip(input).await.and(Err(trouble)),
                    None => self.put_large(index, (item, put.fsync), watches, input).await,
                };
                self.told((index, outcome), count).await?;
                self.flush(count).await;
                continue;
            }
            while flight.flying.len() >= AHEAD || flight.bytes >= BYTES_AHEAD {
                self.next_ended(put, flight, count).await?;
            }
            let content = match self.take_in(put, input, *size, (flight, count)).await? {
                Ok(content) => content,
                Err(failure) => {
                    let ended = (index, Err(Trouble::One(failure)));
                    self.told_beside(put, ended, flight, count).await?;
                    continue;
                }
            };
            let wrong = sum.as_ref().is_some_and(|sum| *sum != crate::domain::files::sum(&content));
            if wrong || content.len() as u64 != *size {
                let trouble = Trouble::One(other_content(self.at(index)));
                self.told_beside(put, (index, Err(trouble)), flight, count).await?;
                continue;
            }
            flight.bytes += size;
            let small = Small { index, at: self.at(index), item, fsync: put.fsync, content };
            let written = self.put_small(small, watches);
            flight.flying.push(written.map(move |outcome| (index, outcome)).boxed());
        }
        Ok(())
    }

    /// Waits for one of the small files; not where there is none.
    async fn next_ended(
        &self,
        put: &Put,
        flight: &mut Flight<'_>,
        count: &mut Count,
    ) -> Result<(), Failure> {
        let Some(ended) = flight.flying.next().await else { return Ok(()) };
        flight.landed(put, ended.0);
        self.told_beside(put, ended, flight, count).await
    }

    /// Waits for all small files; the first that ends it all is told when the last has ended.
    async fn land(
        &self,
        put: &Put,
        flight: &mut Flight<'_>,
        count: &mut Count,
    ) -> Result<(), Failure> {
        let mut over = Ok(());
        while !flight.flying.is_empty() {
            let told = self.next_ended(put, flight, count).await;
            over = over.and(told);
        }
        over
    }

    /// A line for the caller, or the end of it all. Nothing is under way that holds names.
    async fn told(&self, ended: Ended, count: &mut Count) -> Result<(), Failure> {
        count.take(ended)?;
        if count.lines.len() >= LINES {
            self.flush(count).await;
        }
        Ok(())
    }

    async fn flush(&self, count: &mut Count) {
        if !count.lines.is_empty() {
            // A caller that is gone needs none.
            let _gone = self.out.send(std::mem::take(&mut count.lines).into()).await;
        }
    }

    /// The same while files are under way: they go on while a slow caller takes what it is told, since they may
    /// hold names that others wait for. What is told of them meanwhile is as much as there are of them.
    async fn told_beside(
        &self,
        put: &Put,
        ended: Ended,
        flight: &mut Flight<'_>,
        count: &mut Count,
    ) -> Result<(), Failure> {
        let mut over = count.take(ended);
        if count.lines.len() < LINES {
            return over;
        }
        let mut sending = pin!(self.out.send(std::mem::take(&mut count.lines).into()));
        loop {
            tokio::select! {
                biased;
                _gone = &mut sending => return over,
                Some(ended) = flight.flying.next(), if !flight.flying.is_empty() => {
                    flight.landed(put, ended.0);
                    over = over.and(count.take(ended));
                }
            }
        }
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
        let mut above: Vec<&[u8]> =
            (0..put.items.len()).filter_map(|index| Some(split(self.at(index))?.0)).collect();
        above.sort_unstable();
        above.dedup();
        for some in above.chunks(MADE_AT_ONCE) {
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
            .flat_map(|level| level.chunks(MADE_AT_ONCE).map(<[usize]>::to_vec).collect::<Vec<_>>())
            .collect()
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
    async fn skip(&self, input: &mut Input) -> Result<(), Trouble> {
        loop {
            match self.piece(input).await? {
                Piece::End(_) | Piece::Failed(_) => return Ok(()),
                Piece::Head(_) | Piece::Data(_) => {}
            }
        }
    }

    /// A small file's content, to its end, while others are on their way. The inner failure is of this file alone.
    async fn take_in(
        &self,
        put: &Put,
        input: &mut Input,
        size: u64,
        (flight, count): (&mut Flight<'_>, &mut Count),
    ) -> Result<Result<Bytes, Failure>, Failure> {
        let mut content = BytesMut::new();
        loop {
            let piece = tokio::select! {
                biased;
                Some(ended) = flight.flying.next(), if !flight.flying.is_empty() => {
                    flight.landed(put, ended.0);
                    self.told_beside(put, ended, flight, count).await?;
                    continue;
                }
                piece = self.piece(input) => piece,
            };
            match piece {
                // What is more than was said is not kept: it is no such file any more.
                Ok(Piece::Data(bytes)) if content.len() as u64 <= size => {
                    content.extend_from_slice(&bytes);
                }
                Ok(Piece::Head(_) | Piece::Data(_)) => {}
                Ok(Piece::End(_)) => return Ok(Ok(content.freeze())),
                Ok(Piece::Failed(why)) => return Ok(Err(theirs(&why))),
                Err(Trouble::One(failure) | Trouble::All(failure)) => return Err(failure),
            }
        }
    }
}

fn size_of(put: &Put, index: usize) -> u64 {
    match put.items.get(index).map(|item| &item.what) {
        Some(What::File { size, .. }) => *size,
        _ => 0,
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
