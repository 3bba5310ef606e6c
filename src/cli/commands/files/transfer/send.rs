//! One call that puts: what it takes is read on a thread and packed, and what became of each item is taken down.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{
    Report, There, batches, batches_of, call, each, end, receive::local_failure, walk::Going,
};
use crate::{
    cli::{Context, Stop, commands::wait::odd, ui::exit::Exit, ui::progress::Progress},
    client::stream::Feed,
    domain::bytes::Bytes,
    domain::files::{
        Operation,
        transfer::{Item, MOST_ITEMS, MOST_TEXTS, Piece, Put, What},
    },
    protocol::{
        error::{Code, Failure},
        files::Done,
        frame::MAX_CHUNK,
    },
};

/// Bytes of one piece: one write on the server.
const PIECE: usize = 240 * 1024;

/// What a done item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    Copied,
    Removed,
    /// It was counted before.
    Not,
}

/// How things are put.
#[derive(Clone, Copy)]
pub struct Putting<'p> {
    pub context: &'p Context,
    pub there: &'p There,
    pub fsync: bool,
    pub report: &'p Arc<Report>,
}

impl Putting<'_> {
    /// Directories, those above before those in them. The paths of those that were made.
    pub async fn directories(
        &self,
        all: Vec<Going>,
        counts: Counts,
    ) -> Result<HashSet<Vec<u8>>, Stop> {
        let made = Arc::default();
        for batch in batches(all, |_| 0, Going::to) {
            self.send(batch, counts, &made).await?;
        }
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *made))
    }

    /// Whether a person would be asked about some of it. Nothing is done.
    pub async fn asks(&self, all: Vec<Going>) -> Result<bool, Stop> {
        let there = self.there.only_judged();
        let one = |batch: Vec<Going>| {
            let items = batch.into_iter().map(|going| going.item).collect();
            let put = Put { items, fsync: self.fsync, texts: Vec::new() };
            let operation = Operation::Put(put);
            async { end(self.context, &there, operation).await.map(|_| ()) }
        };
        match each(batches(all, |_| 0, Going::to).into_iter().map(one)).await {
            Some(Stop::Failure(failure)) if failure.code == Code::FilesSums => Ok(true),
            Some(stop) => Err(stop),
            None => Ok(false),
        }
    }

    /// One question for all of it, and nothing is made before its answer.
    pub async fn whole(&self, all: Vec<Going>) -> Result<(), Stop> {
        let made = Arc::default();
        let batches = batches_of(MOST_ITEMS, all, |_| 0, Going::to);
        if batches.len() > 1 {
            let count = batches.len();
            self.context.ui.note(&format!("this is too much for one question: {count} are asked"));
        }
        for batch in batches {
            self.send(batch, Counts::Copied, &made).await?;
        }
        Ok(())
    }

    /// In any order.
    pub async fn all(&self, all: Vec<Going>, counts: Counts) -> Option<Stop> {
        let made = Arc::default();
        let batches = batches(all, Going::size, Going::to).into_iter();
        each(batches.map(|batch| self.send(batch, counts, &made))).await
    }

    async fn send(&self, batch: Vec<Going>, counts: Counts, made: &Made) -> Result<(), Stop> {
        match self.send_once((&batch, Vec::new()), counts, made).await {
            // A person decides on content, so it is said by its sum.
            Err(Stop::Failure(failure)) if failure.code == Code::FilesSums => {
                let mut summed = batch;
                for going in &mut summed {
                    if let What::File { size, offset, sum } = &mut going.item.what {
                        let (length, own) = sum_of(&going.local, u64::MAX).map_err(|error| {
                            local_failure(going.local.as_os_str().as_bytes(), &error)
                        })?;
                        (*size, *sum) = (length, Some(own));
                        *offset = if *offset > length { 0 } else { *offset };
                    }
                }
                let texts = texts(&summed);
                self.send_once((&summed, texts), counts, made).await
            }
            other => other,
        }
    }

    async fn send_once(
        &self,
        (batch, texts): (&[Going], Vec<(usize, Bytes)>),
        counts: Counts,
        made: &Made,
    ) -> Result<(), Stop> {
        let items: Vec<Item> = batch.iter().map(|going| going.item.clone()).collect();
        let each = items.iter().map(|item| (item.path.0.clone(), item.what.clone())).collect();
        let (to, chunks) = mpsc::channel(4);
        let (files, progress) = (batch.to_vec(), self.report.progress.clone());
        std::thread::spawn(move || {
            let mut packing = Packing { to, open: Vec::with_capacity(MAX_CHUNK) };
            for going in &files {
                if packing.file(going, &progress).is_none() {
                    return;
                }
            }
            let _gone = packing.flush();
        });
        let report = self.report.clone();
        let results = Results { each, report, counts, made: made.clone(), line: Vec::new() };
        let operation = Operation::Put(Put { items, fsync: self.fsync, texts });
        let feed = Feed::Made(chunks);
        match call(self.context, self.there, operation, Box::new(results), feed).await {
            Ok(told) => match told.done {
                Done::Transferred { .. } => Ok(()),
                _ => Err(odd().into()),
            },
            // We broke it off ourselves; what it left is said.
            Err(Stop::Failure(failure)) if failure.code == Code::RequestClosed => {
                self.report.part(failure.message);
                Err(Stop::Exit(Exit::INTERRUPTED))
            }
            Err(stop) => Err(stop),
        }
    }
}

/// The short texts among them: a person is shown how they change what is there.
fn texts(batch: &[Going]) -> Vec<(usize, Bytes)> {
    let mut left = MOST_TEXTS;
    let mut texts = Vec::new();
    for (index, going) in batch.iter().enumerate() {
        let What::File { size, .. } = going.item.what else { continue };
        // One that changes while it is read is not the one of its sum, and is not shown.
        if size <= left as u64
            && let Ok(bytes) = std::fs::read(&going.local)
            && bytes.len() <= left
            && std::str::from_utf8(&bytes).is_ok()
        {
            left -= bytes.len();
            texts.push((index, Bytes(bytes)));
        }
    }
    texts
}

/// The paths of directories that were not there before.
type Made = Arc<Mutex<HashSet<Vec<u8>>>>;

/// Packs files into chunks of frames.
struct Packing {
    to: mpsc::Sender<Vec<u8>>,
    open: Vec<u8>,
}

impl Packing {
    /// `None`: nobody takes more.
    fn file(&mut self, going: &Going, progress: &Progress) -> Option<()> {
        let What::File { size, offset, .. } = going.item.what else { return Some(()) };
        let failed = |error: &io::Error| {
            let failure = local_failure(going.local.as_os_str().as_bytes(), error);
            Piece::json(Piece::Failed, &failure)
        };
        let opened = File::open(&going.local)
            .and_then(|mut file| file.seek(SeekFrom::Start(offset)).map(|_| file));
        let mut file = match opened {
            Ok(file) => file,
            Err(error) => return self.piece(&failed(&error)),
        };
        progress.bytes(offset);
        let mut left = size - offset;
        while left > 0 {
            let mut bytes = vec![0; PIECE.min(left as usize)];
            match fill(&mut file, &mut bytes) {
                // It is shorter than it was: the daemon sees it.
                Ok(0) => break,
                Ok(length) => {
                    bytes.truncate(length);
                    left -= length as u64;
                    progress.bytes(length as u64);
                    self.piece(&Piece::Data(bytes.into()))?;
                }
                Err(error) => return self.piece(&failed(&error)),
            }
        }
        self.piece(&Piece::End(::bytes::Bytes::new()))
    }

    fn piece(&mut self, piece: &Piece) -> Option<()> {
        let wire = piece.to_wire();
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            let length = rest.len().min(MAX_CHUNK - self.open.len());
            self.open.extend_from_slice(&rest[..length]);
            rest = &rest[length..];
            if self.open.len() == MAX_CHUNK {
                self.flush()?;
            }
        }
        Some(())
    }

    fn flush(&mut self) -> Option<()> {
        let chunk = std::mem::replace(&mut self.open, Vec::with_capacity(MAX_CHUNK));
        // An empty chunk would be the end.
        if chunk.is_empty() { Some(()) } else { self.to.blocking_send(chunk).ok() }
    }
}

fn fill(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Length and SHA-256 of a file's first bytes, `most` of them.
pub fn sum_of(path: &Path, most: u64) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?.take(most);
    let (mut hash, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 256 * 1024]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((length, hex::encode(hash.finalize()))),
            Ok(read) => {
                hash.update(&buffer[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A line of JSON for each item, as the daemon says it.
struct Results {
    each: Vec<(Vec<u8>, What)>,
    report: Arc<Report>,
    counts: Counts,
    made: Made,
    line: Vec<u8>,
}

#[derive(serde::Deserialize)]
struct Ended {
    index: usize,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    made: bool,
    error: Option<Failure>,
}

impl Results {
    fn take(&self, ended: Ended) {
        let Some((name, what)) = self.each.get(ended.index) else { return };
        if ended.made {
            self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        }
        match (ended.error, self.counts) {
            (Some(failure), _) => self.report.failed(name, failure),
            (None, Counts::Copied) => match what {
                What::File { offset, .. } => {
                    self.report.done(name, ended.bytes + offset, *offset);
                }
                what => self.report.made(name, what.kind()),
            },
            (None, Counts::Removed) => self.report.removed(name),
            (None, Counts::Not) => {}
        }
    }
}

impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        let whole = self.line.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.line.drain(..whole).collect();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.take(serde_json::from_slice(line)?);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
