//! One call that gets: takes what comes packed, and writes it. What is there with the same content is left alone.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use sha2::Sha256;

use super::{
    Report, There, call,
    local::{Below, Tree, Writing, identity},
};
use crate::{
    cli::{Context, Stop},
    client::stream::Feed,
    domain::{
        escape,
        files::{
            Operation,
            transfer::{Head, Part, Piece, Unpacker},
        },
    },
    protocol::error::{Code, Failure},
};

/// What a part must have in common with the file to be gone on with: its last bytes.
const OVERLAP: u64 = 64 * 1024;
/// Parts below this size are not kept.
pub const WORTH: u64 = 1024 * 1024;

/// A file that comes.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub remote: Vec<u8>,
    pub to: Below,
    pub size: u64,
    pub modified: i64,
    pub mode: u32,
    /// What is there of it already, proved by its hash, and that.
    pub keep: Option<(u64, Sha256)>,
    /// A file of this size is there: it may be the same.
    pub compare: bool,
}

impl Wanted {
    pub fn identity(&self) -> String {
        identity(&self.remote, self.size, self.modified)
    }

    fn kept(&self) -> u64 {
        self.keep.as_ref().map_or(0, |(length, _)| *length)
    }
}

/// Where files come to, and what is kept of how they did.
#[derive(Clone)]
pub struct Landing {
    pub tree: Arc<Tree>,
    pub report: Arc<Report>,
    /// What turned out to be no part of the file.
    pub anew: Arc<Mutex<Vec<Wanted>>>,
    pub preserve: bool,
}

/// Fetches some files.
pub async fn fetch(
    context: &Context,
    there: &There,
    landing: &Landing,
    files: Vec<Wanted>,
) -> Result<(), Stop> {
    let (here, gone) = mpsc::channel();
    let parts = files
        .iter()
        .map(|file| Part::of(file.remote.clone(), file.kept().saturating_sub(OVERLAP)))
        .collect();
    let receiving = Receiving {
        left: files.into(),
        landing: landing.clone(),
        unpacker: Unpacker::default(),
        open: None,
        _here: here,
    };
    let operation = Operation::Get { files: parts };
    let told = call(context, there, operation, Box::new(receiving), Feed::Nothing).await;
    // What came is written before it is told: the writer's thread lets go of it then.
    let _written = gone.recv_timeout(Duration::from_secs(10));
    told.map(|_| ())
}

struct Receiving {
    left: VecDeque<Wanted>,
    landing: Landing,
    unpacker: Unpacker,
    open: Option<Open>,
    _here: mpsc::Sender<()>,
}

/// The file that comes now.
struct Open {
    into: Into,
    mode: u32,
    modified: i64,
    size: Option<u64>,
    /// So much is there, of a part too.
    end: u64,
    /// So much of it must be what is there already.
    compare: u64,
}

enum Into {
    /// It can't be written, or is no more wanted.
    Nothing,
    /// So far it is what is there.
    Same(File),
    Written(Writing),
}

impl Receiving {
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
        let keep = file.kept();
        let mut open =
            Open { into: Into::Nothing, mode, modified, size: head.size, end: keep, compare: 0 };
        // It is another file by now than the one that the part is of.
        let other = head.size != Some(file.size) || modified != file.modified;
        if keep > 0 && other {
            self.again();
            self.open = Some(open);
            return;
        }
        if file.compare
            && !other
            && let Ok(same) = self.landing.tree.read(&file.to)
        {
            open.into = Into::Same(same);
            self.open = Some(open);
            return;
        }
        open.compare = keep - keep.saturating_sub(OVERLAP);
        match self.landing.tree.begin(&file.to, &file.identity(), mode, file.keep.clone()) {
            Ok(mut writing) => {
                let at = writing.file.seek(SeekFrom::Start(keep - open.compare));
                open.into = at.map_or(Into::Nothing, |_| Into::Written(writing));
            }
            Err(error) => self.failed(local_failure(file.to.as_bytes(), &error)),
        }
        self.open = Some(open);
    }

    fn data(&mut self, mut bytes: &[u8]) {
        let Some(mut open) = self.open.take() else { return };
        if let Into::Same(file) = &mut open.into {
            let mut own = vec![0; bytes.len()];
            if file.read_exact(&mut own).is_ok() && own == bytes {
                open.end += bytes.len() as u64;
                self.landing.report.progress.bytes(bytes.len() as u64);
                return self.open = Some(open);
            }
            open.into = self.differs(open.end, open.mode);
        }
        let Into::Written(writing) = &mut open.into else { return self.open = Some(open) };
        if open.compare > 0 {
            let length = bytes.len().min(open.compare as usize);
            let (known, rest) = bytes.split_at(length);
            let mut own = vec![0; length];
            if writing.file.read_exact(&mut own).is_err() || own != known {
                if let Into::Written(writing) = std::mem::replace(&mut open.into, Into::Nothing) {
                    writing.abandon();
                }
                self.open = Some(open);
                return self.again();
            }
            open.compare -= length as u64;
            bytes = rest;
        }
        match writing.write(bytes) {
            Ok(()) => {
                open.end += bytes.len() as u64;
                self.landing.report.progress.bytes(bytes.len() as u64);
            }
            Err(error) => {
                let mut failure = local_failure(self.path(), &error);
                if let Into::Written(writing) = std::mem::replace(&mut open.into, Into::Nothing)
                    && let Some(kept) = keep_or_not(writing, open.end)
                {
                    failure.message.push_str(&format!("; {kept}"));
                }
                self.failed(failure);
            }
        }
        self.open = Some(open);
    }

    /// What was the same so far is not all the same: it begins as a part with what came so far.
    fn differs(&self, length: u64, mode: u32) -> Into {
        let Some(file) = self.left.front() else { return Into::Nothing };
        let copied = self.landing.tree.begin(&file.to, &file.identity(), mode, None).and_then(
            |mut writing| {
                let mut from = self.landing.tree.read(&file.to)?.take(length);
                let mut buffer = vec![0; 256 * 1024];
                loop {
                    match from.read(&mut buffer)? {
                        0 => return Ok(writing),
                        read => writing.write(&buffer[..read])?,
                    }
                }
            },
        );
        match copied {
            Ok(writing) => Into::Written(writing),
            Err(error) => {
                self.failed(local_failure(file.to.as_bytes(), &error));
                Into::Nothing
            }
        }
    }

    fn end(&mut self) {
        let (Some(open), Some(file)) = (self.open.take(), self.left.pop_front()) else {
            self.left.pop_front();
            return;
        };
        let report = &self.landing.report;
        let whole = open.size.is_none_or(|size| size == 0 || size == open.end);
        let writing = match open.into {
            Into::Nothing => return,
            // Its bytes were counted as they came.
            Into::Same(_) if whole && open.end == file.size => {
                return report.skipped(&file.remote, 0);
            }
            Into::Same(_) => None,
            Into::Written(writing) if whole => Some(writing),
            Into::Written(writing) => {
                writing.abandon();
                None
            }
        };
        let Some(writing) = writing else {
            let message = format!("{} bytes came, and not what the server said", open.end);
            let hint = "the same call goes on with it";
            return report.failed(&file.remote, Failure::new(Code::FilesChanged, message, hint));
        };
        let keep = self.landing.preserve.then_some((open.mode, open.modified));
        match self.landing.tree.place(writing, keep) {
            Ok(()) => report.done(&file.remote, open.end, file.kept()),
            Err(error) => report.failed(&file.remote, local_failure(file.to.as_bytes(), &error)),
        }
    }

    fn fail(&mut self, mut failure: Failure) {
        let (open, file) = (self.open.take(), self.left.pop_front());
        let Some(file) = file else { return };
        match open {
            // It was told already.
            Some(Open { into: Into::Nothing, .. }) => return,
            Some(Open { into: Into::Written(writing), end, .. }) => {
                if let Some(kept) = keep_or_not(writing, end) {
                    failure.message.push_str(&format!("; {kept}"));
                }
            }
            Some(Open { into: Into::Same(_), .. }) | None => {}
        }
        self.landing.report.failed(&file.remote, failure);
    }

    fn failed(&self, failure: Failure) {
        self.landing.report.failed(self.path(), failure);
    }

    fn path(&self) -> &[u8] {
        self.left.front().map_or(b"", |file| &file.remote)
    }

    fn again(&self) {
        if let Some(file) = self.left.front() {
            let mut anew = self.landing.anew.lock().unwrap_or_else(PoisonError::into_inner);
            anew.push(Wanted { keep: None, ..file.clone() });
        }
    }
}

/// A part that is worth it stays, with its hash; what is said of it.
fn keep_or_not(mut writing: Writing, end: u64) -> Option<String> {
    if end < WORTH || writing.remember().is_err() {
        writing.abandon();
        return None;
    }
    Some(format!("its part is kept: {}", escape::visible_bytes(writing.part_name(), 300)))
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
        if let Some(Open { into: Into::Written(writing), end, .. }) = self.open.take()
            && let Some(kept) = keep_or_not(writing, end)
        {
            let path = escape::visible_bytes(self.path(), 300);
            self.landing.report.part(format!("{path}: {kept}"));
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
