//! `get`: what is on the server comes here. What it says of names and sizes is checked against what it may mean.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use super::{
    Manner, Report, There, batches, call, captured, each, end, last_name,
    local::{Below, Tree, Writing, identity},
    path,
};
use crate::{
    cli::{Context, Outcome, Stop, ui::exit::Exit},
    client::stream::Feed,
    domain::{
        bytes::Bytes,
        escape,
        files::{
            Operation,
            transfer::{Head, Part, Piece, Unpacker},
        },
    },
    protocol::{
        error::{Code, Failure},
        files::{Done, Entry, Type},
    },
};

/// What is kept of a listing, in bytes.
const LISTING: usize = 128 * 1024 * 1024;
const DEEP: u32 = 64;
/// What a part must have in common with the file to be gone on with: its last bytes.
const OVERLAP: u64 = 64 * 1024;
/// Parts below this size are not worth a question.
const WORTH: u64 = 1024 * 1024;

/// Copy files from a server
///
/// As `cp`: into LOCAL where that is a directory, else to that name. `*`, `?` and `[…]` in the last name of REMOTE
/// stand for names, where they are quoted for your own shell. What was cut off goes on by itself: the part has
/// the file's size and time in its name, and must end as the file does there. Links that lead out of what is
/// copied are left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files get s-4fk /var/log/syslog .
  sgw files get -r s-4fk /etc/nginx ./nginx
  sgw files get s-4fk '/var/log/*.gz' logs/")]
pub struct Get {
    #[command(flatten)]
    there: There,
    /// One or more paths there, and the one here
    #[arg(value_name = "REMOTE… LOCAL", num_args = 2.., required = true)]
    paths: Vec<std::ffi::OsString>,
    #[command(flatten)]
    manner: Manner,
}

/// A file that comes.
#[derive(Clone, Debug)]
struct Wanted {
    remote: Vec<u8>,
    to: Below,
    size: u64,
    modified: i64,
    mode: u32,
    /// What is there of it already.
    keep: u64,
}

/// All that comes.
#[derive(Default)]
struct Plan {
    files: Vec<Wanted>,
    directories: Vec<Below>,
    links: Vec<(Below, Vec<u8>)>,
}

impl Get {
    pub fn run(mut self, context: &Context) -> Outcome {
        let local = self.paths.pop().unwrap_or_default();
        let remotes = self.paths.into_iter().map(|given| path(given).0).collect();
        run(context, &self.there, remotes, PathBuf::from(local), &self.manner)
    }
}

pub fn run(
    context: &Context,
    there: &There,
    remotes: Vec<Vec<u8>>,
    local: PathBuf,
    manner: &Manner,
) -> Outcome {
    context.interactive(async {
        let sources = sources(context, there, remotes).await?;
        let into = local.is_dir();
        if !into && (sources.len() > 1 || local.as_os_str().as_bytes().ends_with(b"/")) {
            let shown = escape::exact(local.as_os_str().as_bytes(), 300);
            let message = format!("{shown} is no directory here");
            return Err(Failure::new(Code::UsageArguments, message, "mkdir it first").into());
        }
        let mut plan = Plan::default();
        for entry in sources {
            let name = last_name(entry.path.as_slice()).map(<[u8]>::to_vec);
            let own = local.file_name().map(|name| name.as_bytes().to_vec());
            let name = if into { name } else { own };
            let to = name.as_deref().and_then(Below::new).ok_or_else(|| {
                let message = "this has no name that it could have here: give LOCAL one";
                Failure::new(Code::UsageArguments, message, "sgw files get -r SESSION / ./root")
            })?;
            plan.add(context, there, entry, to, manner).await?;
        }
        let root = match into {
            true => local.clone(),
            false => local
                .parent()
                .filter(|above| *above != Path::new(""))
                .unwrap_or(Path::new("."))
                .to_owned(),
        };
        plan.carry_out(context, there, &root, manner).await
    })
}

/// What is meant: globs spelt out, each looked at.
async fn sources(
    context: &Context,
    there: &There,
    remotes: Vec<Vec<u8>>,
) -> Result<Vec<Entry>, Stop> {
    let mut found = Vec::new();
    for remote in remotes {
        let stat = |path: Vec<u8>| Operation::Stat { path: Bytes(path), follow: true };
        let name = last_name(&remote).unwrap_or_default();
        if !name.iter().any(|byte| b"*?[".contains(byte)) {
            match end(context, there, stat(remote)).await? {
                Done::File(entry) => found.push(entry),
                _ => return Err(crate::cli::commands::wait::odd().into()),
            }
            continue;
        }
        let directory = match remote.len() - name.len() {
            0 => b".".to_vec(),
            length => remote[..length].to_vec(),
        };
        let (base, entries) = list(context, there, &directory, 1).await?;
        let glob = String::from_utf8_lossy(name).into_owned();
        let before = found.len();
        for entry in entries {
            let own = String::from_utf8_lossy(entry.path.as_slice());
            let hidden = own.starts_with('.') && !glob.starts_with('.');
            if crate::domain::guard::files::name_fits(&glob, &own) && !hidden {
                let whole = [base.as_slice(), b"/", entry.path.as_slice()].concat();
                if let Done::File(entry) = end(context, there, stat(whole)).await? {
                    found.push(entry);
                }
            }
        }
        if found.len() == before {
            let message = format!("nothing there fits {}", escape::exact(&remote, 300));
            let failure =
                Failure::new(Code::FilesNotFound, message, "sgw files ls SESSION DIRECTORY");
            return Err(failure.into());
        }
    }
    Ok(found)
}

/// The directory as the server resolved it, and its entries.
async fn list(
    context: &Context,
    there: &There,
    directory: &[u8],
    depth: u32,
) -> Result<(Vec<u8>, Vec<Entry>), Stop> {
    let operation = Operation::List { path: Bytes(directory.to_vec()), depth };
    let (done, bytes, cut) = captured(context, there, operation, LISTING).await?;
    let Done::Listing { path, truncated, .. } = done else {
        return Err(crate::cli::commands::wait::odd().into());
    };
    if cut > 0 || truncated {
        let shown = escape::exact(directory, 300);
        let message =
            format!("{shown} can't be listed whole: there is too much, or it may not be read");
        let hint = "copy its directories one by one";
        return Err(Failure::new(Code::FilesDenied, message, hint).into());
    }
    Ok((path.0, crate::cli::commands::files::look::read(&bytes)?))
}

impl Plan {
    async fn add(
        &mut self,
        context: &Context,
        there: &There,
        entry: Entry,
        to: Below,
        manner: &Manner,
    ) -> Result<(), Stop> {
        match entry.r#type {
            Type::File | Type::Unknown => self.file(entry.path.0.clone(), &entry, to),
            Type::Directory if manner.recursive => {
                let excluded = manner.excluded()?;
                let (base, mut entries) = list(context, there, entry.path.as_slice(), DEEP).await?;
                entries.sort_by(|a, b| a.path.cmp(&b.path));
                self.directories.push(to.clone());
                let mut left_out: Option<Vec<u8>> = None;
                for entry in entries {
                    let own = entry.path.as_slice();
                    let below = |above: &Vec<u8>| {
                        own.starts_with(above) && own.get(above.len()) == Some(&b'/')
                    };
                    if left_out.as_ref().is_some_and(below) {
                        continue;
                    }
                    if excluded.is_match(Path::new(std::ffi::OsStr::from_bytes(own))) {
                        left_out = Some(own.to_vec());
                        continue;
                    }
                    // The daemon says no other names; whoever speaks in its place may.
                    let to = to.join(own).ok_or_else(crate::cli::commands::wait::odd)?;
                    let slash: &[u8] = if base == b"/" { b"" } else { b"/" };
                    let remote = [base.as_slice(), slash, own].concat();
                    match entry.r#type {
                        Type::File | Type::Unknown => self.file(remote, &entry, to),
                        Type::Directory => self.directories.push(to),
                        Type::Link => {
                            let target = entry.target.map(|target| target.0).unwrap_or_default();
                            self.links.push((to, target));
                        }
                        _ => {
                            let shown = escape::visible_bytes(&remote, 300);
                            context
                                .ui
                                .note(&format!("{shown} is no ordinary file, and is left out"));
                        }
                    }
                }
            }
            Type::Directory => {
                let shown = escape::exact(entry.path.as_slice(), 300);
                let message = format!("{shown} is a directory: -r copies it");
                return Err(Failure::new(Code::FilesKind, message, "sgw files get -r …").into());
            }
            _ => {
                let shown = escape::exact(entry.path.as_slice(), 300);
                let message = format!("{shown} is no ordinary file");
                return Err(
                    Failure::new(Code::FilesKind, message, "sgw files stat SESSION PATH").into()
                );
            }
        }
        Ok(())
    }

    fn file(&mut self, remote: Vec<u8>, entry: &Entry, to: Below) {
        let mode = entry.mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok());
        self.files.push(Wanted {
            remote,
            to,
            size: entry.size.unwrap_or(0),
            modified: entry.modified_at.map_or(0, |time| time.as_second()),
            mode: mode.unwrap_or(0o644),
            keep: 0,
        });
    }

    async fn carry_out(
        mut self,
        context: &Context,
        there: &There,
        root: &Path,
        manner: &Manner,
    ) -> Outcome {
        let bytes = self.files.iter().map(|file| file.size).fold(0, u64::saturating_add);
        if manner.dry_run {
            for file in &self.files {
                let (from, to) = (&file.remote, file.to.as_bytes());
                let shown = |path: &[u8]| escape::visible_bytes(path, usize::MAX);
                context.ui.line(&format!("{} -> {}", shown(from), shown(to)));
            }
            context
                .ui
                .note(&format!("{} files, {bytes} bytes; nothing was copied", self.files.len()));
            return Ok(Exit::DONE);
        }
        let here = |error: io::Error| local_failure(root.as_os_str().as_bytes(), &error);
        let tree = Arc::new(Tree::open(root).map_err(here)?);
        for directory in &self.directories {
            tree.directory(directory.as_bytes())
                .map_err(|error| local_failure(directory.as_bytes(), &error))?;
        }
        let report = Report::new(context, self.files.len() as u64, bytes);
        let all = std::mem::take(&mut self.files);
        let mut wanted = Vec::new();
        for mut file in all {
            let same = || tree.there(&file.to) == Some((file.size, file.modified));
            if manner.preserve && !manner.restart && same() {
                report.skipped();
                continue;
            }
            if !manner.restart && file.size >= WORTH {
                let part = tree.part(&file.to, &file.identity());
                file.keep = if part <= file.size && part > OVERLAP { part } else { 0 };
            }
            wanted.push(file);
        }
        let verified: BTreeMap<Vec<u8>, PathBuf> = match manner.verify {
            true => wanted
                .iter()
                .map(|file| {
                    let to = std::ffi::OsString::from_vec(file.to.as_bytes().to_vec());
                    (file.remote.clone(), root.join(to))
                })
                .collect(),
            false => BTreeMap::new(),
        };
        let mut stopped = None;
        // What turns out to be no part of the file begins anew, once.
        for _ in 0..2 {
            let anew: Arc<Mutex<Vec<Wanted>>> = Arc::default();
            let calls = batches(std::mem::take(&mut wanted), |file| file.size).into_iter();
            let calls = calls.map(|batch| {
                let receiving = Receiving::new(
                    batch,
                    tree.clone(),
                    report.clone(),
                    anew.clone(),
                    manner.preserve,
                );
                fetch(context, there, receiving)
            });
            stopped = each(calls).await;
            wanted = std::mem::take(&mut *anew.lock().unwrap_or_else(PoisonError::into_inner));
            if wanted.is_empty() || stopped.is_some() {
                break;
            }
        }
        for (path, target) in &self.links {
            match tree.link(path, target) {
                Ok(true) => {}
                Ok(false) => {
                    let shown = escape::visible_bytes(path.as_bytes(), 300);
                    context.ui.note(&format!(
                        "{shown} is a link that leads out of what is copied, and is left out"
                    ));
                }
                Err(error) => {
                    let failure = local_failure(path.as_bytes(), &error);
                    context.ui.note(&failure.message);
                }
            }
        }
        if stopped.is_none() && manner.verify {
            stopped = super::verify(context, there, verified, &report).await;
        }
        report.tell(context, stopped)
    }
}

impl Wanted {
    fn identity(&self) -> String {
        identity(&self.remote, self.size, self.modified)
    }
}

async fn fetch(
    context: &Context,
    there: &There,
    receiving: (Receiving, mpsc::Receiver<()>),
) -> Result<(), Stop> {
    let (receiving, gone) = receiving;
    let files = receiving.left.iter().map(|file| Part {
        path: Bytes(file.remote.clone()),
        offset: file.keep.saturating_sub(OVERLAP),
        refused: None,
        seen: None,
    });
    let operation = Operation::Get { files: files.collect() };
    let told = call(context, there, operation, Box::new(receiving), Feed::Nothing).await;
    // What came is written before it is told: the writer's thread lets go of it then.
    let _written = gone.recv_timeout(Duration::from_secs(10));
    told.map(|_| ())
}

/// Takes the packed files of one call, and writes them.
struct Receiving {
    left: VecDeque<Wanted>,
    tree: Arc<Tree>,
    report: Arc<Report>,
    anew: Arc<Mutex<Vec<Wanted>>>,
    preserve: bool,
    unpacker: Unpacker,
    open: Option<Open>,
    _here: mpsc::Sender<()>,
}

/// The file that comes now.
struct Open {
    /// None where it can't be written, or is no more wanted.
    writing: Option<Writing>,
    mode: u32,
    modified: i64,
    size: Option<u64>,
    /// So much is there, of a part too.
    end: u64,
    /// So much of it must be what is there already.
    compare: u64,
}

impl Receiving {
    fn new(
        files: Vec<Wanted>,
        tree: Arc<Tree>,
        report: Arc<Report>,
        anew: Arc<Mutex<Vec<Wanted>>>,
        preserve: bool,
    ) -> (Self, mpsc::Receiver<()>) {
        let (here, gone) = mpsc::channel();
        let (left, unpacker) = (files.into(), Unpacker::default());
        (Self { left, tree, report, anew, preserve, unpacker, open: None, _here: here }, gone)
    }

    fn take(&mut self, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Head(head) => {
                let head: Head = serde_json::from_slice(&head)?;
                self.begin(&head);
            }
            Piece::Data(bytes) => self.data(&bytes),
            Piece::End(_) => self.end(),
            Piece::Failed(why) => {
                let failure: Failure = serde_json::from_slice(&why)?;
                self.fail(failure);
            }
        }
        Ok(())
    }

    fn begin(&mut self, head: &Head) {
        let Some(file) = self.left.front() else { return };
        let mode = head.mode.unwrap_or(file.mode);
        let modified = head.modified.map_or(file.modified, i64::from);
        let mut open =
            Open { writing: None, mode, modified, size: head.size, end: file.keep, compare: 0 };
        // It is another file by now than the one that the part is of.
        let other = head.size != Some(file.size) || modified != file.modified;
        if file.keep > 0 && other {
            self.again();
            self.open = Some(open);
            return;
        }
        open.compare = file.keep - file.keep.saturating_sub(OVERLAP);
        let seeks = |mut writing: Writing| {
            writing.file.seek(SeekFrom::Start(file.keep - open.compare)).map(|_| writing)
        };
        let begun = self.tree.begin(&file.to, &file.identity(), mode, file.keep).and_then(seeks);
        match begun {
            Ok(writing) => open.writing = Some(writing),
            Err(error) => self.failed(local_failure(file.to.as_bytes(), &error)),
        }
        self.open = Some(open);
    }

    fn data(&mut self, mut bytes: &[u8]) {
        let Some(open) = &mut self.open else { return };
        let Some(writing) = &mut open.writing else { return };
        if open.compare > 0 {
            let length = bytes.len().min(open.compare as usize);
            let (known, rest) = bytes.split_at(length);
            let mut own = vec![0; length];
            if writing.file.read_exact(&mut own).is_err() || own != known {
                if let Some(writing) = open.writing.take() {
                    writing.abandon();
                }
                return self.again();
            }
            open.compare -= length as u64;
            bytes = rest;
        }
        match writing.file.write_all(bytes) {
            Ok(()) => {
                open.end += bytes.len() as u64;
                self.report.progress.bytes(bytes.len() as u64);
            }
            Err(error) => {
                let part = escape::visible_bytes(writing.part_name(), 300);
                let kept = open.end >= WORTH;
                if let (false, Some(writing)) = (kept, open.writing.take()) {
                    writing.abandon();
                }
                open.writing = None;
                let mut failure = local_failure(self.path(), &error);
                if kept {
                    failure.message.push_str(&format!("; its part is kept: {part}"));
                }
                self.failed(failure);
            }
        }
    }

    fn end(&mut self) {
        let (Some(open), Some(file)) = (self.open.take(), self.left.pop_front()) else {
            self.left.pop_front();
            return;
        };
        let Some(writing) = open.writing else { return };
        if open.size.is_some_and(|size| size != 0 && size != open.end) {
            writing.abandon();
            let message = format!("{} bytes came, and not what the server said", open.end);
            let hint = "the same call goes on with it";
            return self
                .report
                .failed(&file.remote, Failure::new(Code::FilesChanged, message, hint));
        }
        let keep = self.preserve.then_some((open.mode, open.modified));
        match self.tree.place(writing, keep) {
            Ok(()) => self.report.done(&file.remote, open.end),
            Err(error) => {
                self.report.failed(&file.remote, local_failure(file.to.as_bytes(), &error));
            }
        }
    }

    fn fail(&mut self, mut failure: Failure) {
        let (open, file) = (self.open.take(), self.left.pop_front());
        let Some(file) = file else { return };
        match open {
            Some(Open { writing: None, .. }) => return,
            Some(Open { writing: Some(writing), end, .. }) => {
                if end >= WORTH {
                    let part = escape::visible_bytes(writing.part_name(), 300);
                    failure.message.push_str(&format!("; its part is kept: {part}"));
                } else {
                    writing.abandon();
                }
            }
            None => {}
        }
        self.report.failed(&file.remote, failure);
    }

    fn failed(&self, failure: Failure) {
        self.report.failed(self.path(), failure);
    }

    fn path(&self) -> &[u8] {
        self.left.front().map_or(b"", |file| &file.remote)
    }

    fn again(&self) {
        if let Some(file) = self.left.front() {
            let mut anew = self.anew.lock().unwrap_or_else(PoisonError::into_inner);
            anew.push(Wanted { keep: 0, ..file.clone() });
        }
    }
}

impl Write for Receiving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unpacker.feed(bytes);
        while let Some(piece) = self.unpacker.next_piece().map_err(io::Error::other)? {
            self.take(piece)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // Cut off in the middle: a large part goes on with the next call, a small file begins anew.
        if let Some(Open { writing: Some(writing), end, .. }) = self.open.take()
            && end < WORTH
        {
            writing.abandon();
        }
    }
}

/// Why a file can't be written here.
pub fn local_failure(path: &[u8], error: &io::Error) -> Failure {
    let shown = escape::exact(path, 300);
    let (code, hint) = match error.kind() {
        io::ErrorKind::NotFound => (Code::FilesNotFound, "look where it is to go"),
        io::ErrorKind::PermissionDenied => (Code::FilesDenied, "this machine forbids it"),
        io::ErrorKind::AlreadyExists => (Code::FilesExists, "move away what is there"),
        io::ErrorKind::StorageFull => (Code::FilesFailed, "make room here: the same call goes on"),
        _ => (Code::FilesFailed, "look at what is there, on this machine"),
    };
    Failure::new(code, format!("{shown} on this machine: {error}"), hint)
}
