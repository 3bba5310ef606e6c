//! `put`: what is here goes to the server. The daemon opens nothing here: this program reads, and sends.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{Manner, Report, There, batches, call, each, end, get::local_failure, last_name, path};
use crate::{
    cli::{Context, Outcome, Stop, commands::wait::odd, ui::exit::Exit},
    client::stream::Feed,
    domain::{
        bytes::Bytes,
        escape,
        files::{
            Operation,
            transfer::{Item, MOST_TEXTS, Piece, Put as Puts, What, part_name},
        },
    },
    protocol::{
        error::{Code, Failure},
        files::{Done, Type},
        frame::MAX_CHUNK,
    },
};

/// Bytes of one piece: one write on the server.
const PIECE: usize = 240 * 1024;
/// Directories within each other.
const DEEP: usize = 64;
/// Files from this size on are looked for on the server, whether an earlier transfer left a part.
const WORTH: u64 = 8 * 1024 * 1024;

/// Copy files to a server
///
/// As `cp`: into REMOTE where that is a directory, else to that name. Each file is written under another name beside
/// it and gets its own when it is whole. What was cut off goes on by itself, where SHA-256 proves that the part is
/// one of this file. Links are copied as links. The rights of a file that is there stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files put s-4fk app.tar.gz /srv/releases/
  sgw files put -r s-4fk ./site /var/www/site --exclude .git")]
pub struct Put {
    #[command(flatten)]
    there: There,
    /// One or more paths here, and the one there
    #[arg(value_name = "LOCAL… REMOTE", num_args = 2.., required = true)]
    paths: Vec<std::ffi::OsString>,
    #[command(flatten)]
    manner: Manner,
    /// On the server's disk before it counts as done
    #[arg(long)]
    fsync: bool,
}

/// Something that goes.
#[derive(Clone, Debug)]
struct Going {
    local: PathBuf,
    item: Item,
}

impl Put {
    pub fn run(mut self, context: &Context) -> Outcome {
        let remote = path(self.paths.pop().unwrap_or_default()).0;
        let locals = self.paths.into_iter().map(PathBuf::from).collect();
        run(context, &self.there, locals, remote, &self.manner, self.fsync)
    }
}

pub fn run(
    context: &Context,
    there: &There,
    locals: Vec<PathBuf>,
    remote: Vec<u8>,
    manner: &Manner,
    fsync: bool,
) -> Outcome {
    context.interactive(async {
        let into = is_directory(context, there, &remote).await?;
        if !into && (locals.len() > 1 || remote.ends_with(b"/")) {
            let shown = escape::exact(&remote, 300);
            let message = format!("{shown} is no directory there");
            let hint = "sgw files mkdir SESSION PATH makes it";
            return Err(Failure::new(Code::FilesNotFound, message, hint).into());
        }
        let (mut directories, mut links, mut files) = (Vec::new(), Vec::new(), Vec::new());
        for local in locals {
            let to = match into {
                true => {
                    let name = last_name(local.as_os_str().as_bytes()).ok_or_else(|| {
                        let message = "this has no name that it could have there: give REMOTE one";
                        Failure::new(
                            Code::UsageArguments,
                            message,
                            "sgw files put -r SESSION . NEW",
                        )
                    })?;
                    [remote.as_slice(), b"/", name].concat()
                }
                false => remote.clone(),
            };
            for going in walk(context, local, to, manner)? {
                match going.item.what {
                    What::Directory => directories.push(going),
                    What::Link { .. } => links.push(going),
                    What::File { .. } => files.push(going),
                }
            }
        }
        let bytes = files.iter().map(Going::size).fold(0, u64::saturating_add);
        if manner.dry_run {
            for going in directories.iter().chain(&links).chain(&files) {
                let from = escape::visible_bytes(going.local.as_os_str().as_bytes(), usize::MAX);
                let to = escape::visible_bytes(going.item.path.as_slice(), usize::MAX);
                context.ui.line(&format!("{from} -> {to}"));
            }
            context.ui.note(&format!("{} files, {bytes} bytes; nothing was copied", files.len()));
            return Ok(Exit::DONE);
        }
        let all = (directories.len() + links.len() + files.len()) as u64;
        let report = Report::new(context, all, bytes);
        let verified: BTreeMap<Vec<u8>, PathBuf> = match manner.verify {
            true => {
                files.iter().map(|going| (going.item.path.0.clone(), going.local.clone())).collect()
            }
            false => BTreeMap::new(),
        };
        let send = |batch| send(context, there, batch, fsync, &report);
        let mut stopped = None;
        // Those above come before those in them.
        for batch in batches(directories, |_| 0) {
            if stopped.is_none() {
                stopped = send(batch).await.err();
            }
        }
        if stopped.is_none() {
            let unchanged = async |going: &Going| match manner.preserve
                && !manner.restart
                && there_already(context, there, going).await
            {
                true => {
                    report.skipped();
                    true
                }
                false => false,
            };
            let mut wanted = Vec::new();
            for mut going in files {
                if going.size() >= WORTH && unchanged(&going).await {
                    continue;
                }
                if !manner.restart && there.by.leaves_parts() && going.size() >= WORTH {
                    going.go_on(context, there).await;
                }
                wanted.push(going);
            }
            wanted.extend(links);
            stopped = each(batches(wanted, Going::size).into_iter().map(send)).await;
        }
        if stopped.is_none() && manner.verify {
            stopped = super::verify(context, there, verified, &report).await;
        }
        report.tell(context, stopped)
    })
}

async fn is_directory(context: &Context, there: &There, remote: &[u8]) -> Result<bool, Stop> {
    let operation = Operation::Stat { path: Bytes(remote.to_vec()), follow: true };
    match end(context, there, operation).await {
        Ok(Done::File(entry)) => Ok(entry.r#type == Type::Directory),
        Ok(_) => Err(odd().into()),
        Err(Stop::Failure(failure)) if failure.code == Code::FilesNotFound => Ok(false),
        Err(stop) => Err(stop),
    }
}

/// Size and time are those of what is there.
async fn there_already(context: &Context, there: &There, going: &Going) -> bool {
    let operation = Operation::Stat { path: going.item.path.clone(), follow: true };
    match end(context, there, operation).await {
        Ok(Done::File(entry)) => {
            let modified = entry.modified_at.and_then(|time| u32::try_from(time.as_second()).ok());
            entry.size == Some(going.size()) && modified == going.item.modified
        }
        _ => false,
    }
}

/// What a path here is, and with `-r` all that is in it.
fn walk(
    context: &Context,
    local: PathBuf,
    to: Vec<u8>,
    manner: &Manner,
) -> Result<Vec<Going>, Stop> {
    let excluded = manner.excluded()?;
    let mut found = Vec::new();
    // What a person names is followed; links below are copied as links.
    let top = fs::metadata(&local)
        .map_err(|error| local_failure(local.as_os_str().as_bytes(), &error))?;
    if top.is_dir() && !manner.recursive {
        let shown = escape::exact(local.as_os_str().as_bytes(), 300);
        let message = format!("{shown} is a directory: -r copies it");
        return Err(Failure::new(Code::FilesKind, message, "sgw files put -r …").into());
    }
    let mut left = vec![(local, to, PathBuf::new(), top, 0)];
    while let Some((local, to, below, metadata, depth)) = left.pop() {
        let failed = |error: io::Error| local_failure(local.as_os_str().as_bytes(), &error);
        let what = match metadata.file_type() {
            kind if kind.is_file() => What::File { size: metadata.len(), offset: 0, sum: None },
            kind if kind.is_symlink() => {
                let target = fs::read_link(&local).map_err(failed)?.into_os_string().into_vec();
                What::Link { target: Bytes(target) }
            }
            kind if kind.is_dir() => {
                if depth >= DEEP {
                    let message = "directories too deep within each other";
                    let hint = "copy the deeper ones by themselves";
                    return Err(Failure::new(Code::UsageArguments, message, hint).into());
                }
                let mut entries = fs::read_dir(&local)
                    .and_then(Iterator::collect::<io::Result<Vec<_>>>)
                    .map_err(failed)?;
                entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
                for entry in entries {
                    let below = below.join(entry.file_name());
                    if excluded.is_match(&below) {
                        continue;
                    }
                    let to = [to.as_slice(), b"/", entry.file_name().as_bytes()].concat();
                    let metadata = entry.metadata().map_err(failed)?;
                    left.push((entry.path(), to, below, metadata, depth + 1));
                }
                What::Directory
            }
            _ => {
                let shown = escape::visible_bytes(local.as_os_str().as_bytes(), 300);
                context.ui.note(&format!("{shown} is no ordinary file, and is left out"));
                continue;
            }
        };
        let is_link = matches!(what, What::Link { .. });
        // The right to run it goes with a file; all of them with -p alone.
        let mode = match manner.preserve {
            true => Some(metadata.mode() & 0o777),
            false => None,
        };
        let modified = u32::try_from(metadata.mtime()).ok();
        found.push(Going {
            local,
            item: Item {
                path: Bytes(to),
                what,
                mode: mode.filter(|_| !is_link),
                modified: modified.filter(|_| manner.preserve && !is_link && metadata.is_file()),
                refused: None,
            },
        });
    }
    Ok(found)
}

impl Going {
    fn size(&self) -> u64 {
        match self.item.what {
            What::File { size, .. } => size,
            _ => 0,
        }
    }

    /// Looks whether a part of it is there, and whether SHA-256 proves that it is one.
    async fn go_on(&mut self, context: &Context, there: &There) {
        let What::File { size, offset, .. } = &mut self.item.what else { return };
        let path = self.item.path.as_slice();
        let Some(name) = last_name(path) else { return };
        let above = &path[..path.len() - name.len()];
        let part = Bytes([above, &part_name(name)].concat());
        let stat = Operation::Stat { path: part.clone(), follow: false };
        let found = match end(context, there, stat).await {
            Ok(Done::File(entry)) if entry.r#type == Type::File => entry.size.unwrap_or(0),
            _ => return,
        };
        if found == 0 || found > *size {
            return;
        }
        let Ok(Done::Sum { size: summed, sha256, .. }) =
            end(context, there, Operation::Sum { path: part }).await
        else {
            return;
        };
        if sum_of(&self.local, summed).is_ok_and(|(length, sum)| length == summed && sum == sha256)
        {
            *offset = summed;
        }
    }
}

/// One call: what it takes is read on a thread.
async fn send(
    context: &Context,
    there: &There,
    batch: Vec<Going>,
    fsync: bool,
    report: &Arc<Report>,
) -> Result<(), Stop> {
    match send_once(context, there, (&batch, Vec::new()), fsync, report).await {
        // A person decides on content, so it is said by its sum.
        Err(Stop::Failure(failure)) if failure.code == Code::FilesSums => {
            let mut summed = batch;
            for going in &mut summed {
                if let What::File { size, offset, sum } = &mut going.item.what {
                    let (length, own) = sum_of(&going.local, u64::MAX).map_err(|error| {
                        local_failure(going.local.as_os_str().as_bytes(), &error)
                    })?;
                    (*size, *offset, *sum) = (length, 0, Some(own));
                }
            }
            let texts = texts(&summed);
            send_once(context, there, (&summed, texts), fsync, report).await
        }
        other => other,
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

async fn send_once(
    context: &Context,
    there: &There,
    (batch, texts): (&[Going], Vec<(usize, Bytes)>),
    fsync: bool,
    report: &Arc<Report>,
) -> Result<(), Stop> {
    let items: Vec<Item> = batch.iter().map(|going| going.item.clone()).collect();
    let names = items.iter().map(|item| item.path.0.clone()).collect();
    let (to, chunks) = mpsc::channel(4);
    let (files, progress) = (batch.to_vec(), report.progress.clone());
    std::thread::spawn(move || {
        let mut packing = Packing { to, open: Vec::with_capacity(MAX_CHUNK) };
        for going in &files {
            if packing.file(going, &progress).is_none() {
                return;
            }
        }
        let _gone = packing.flush();
    });
    let results = Results { names, report: report.clone(), line: Vec::new() };
    let operation = Operation::Put(Puts { items, fsync, texts });
    let told = call(context, there, operation, Box::new(results), Feed::Made(chunks)).await?;
    match told.done {
        Done::Transferred { .. } => Ok(()),
        _ => Err(odd().into()),
    }
}

/// Packs files into chunks of frames.
struct Packing {
    to: mpsc::Sender<Vec<u8>>,
    open: Vec<u8>,
}

impl Packing {
    /// `None`: nobody takes more.
    fn file(&mut self, going: &Going, progress: &crate::cli::ui::progress::Progress) -> Option<()> {
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
    names: Vec<Vec<u8>>,
    report: Arc<Report>,
    line: Vec<u8>,
}

#[derive(serde::Deserialize)]
struct Result_ {
    index: usize,
    #[serde(default)]
    bytes: u64,
    error: Option<Failure>,
}

impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            let Result_ { index, bytes, error } = serde_json::from_slice(&line)?;
            let Some(name) = self.names.get(index) else { continue };
            match error {
                Some(failure) => self.report.failed(name, failure),
                None => self.report.done(name, bytes),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
