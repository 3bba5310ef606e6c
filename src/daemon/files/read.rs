//! Reading: many requests in flight, the bytes in their order.

use ::bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use sha2::{Digest, Sha256};

use super::{Run, calls::Handle, client::Sftp, fault::Fault};
use crate::{
    domain::{
        bytes,
        files::Operation,
        sftp::{Attrs, FileType, OpenFlags},
    },
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// Reads in flight for one file; the rest is for others.
const WINDOW: usize = 32;

/// An open file, and what is known of it.
pub(super) struct Open {
    pub handle: Handle,
    pub attrs: Attrs,
}

/// Opens what is read at this very path, and sees that it still leads to itself.
pub(super) async fn open(sftp: &Sftp, at: &[u8]) -> Result<Open, Failure> {
    let failed = |fault: Fault| fault.at("opening", at);
    let before = sftp.stat(at).await.map_err(failed)?;
    let is_file = |attrs: &Attrs| matches!(attrs.file_type(), Some(FileType::File) | None);
    match before.file_type() {
        Some(FileType::Directory) => return Err(kind(at, "is a directory", "sgw files ls")),
        // A pipe would hold us up, a device may do anything.
        Some(_) if !is_file(&before) => {
            return Err(kind(at, "is no ordinary file", "sgw files stat"));
        }
        _ => {}
    }
    let handle = sftp.open_file(at, OpenFlags::READ, Attrs::default()).await.map_err(failed)?;
    let (leads, attrs) = tokio::join!(super::resolve::resolved(sftp, at), sftp.fstat(&handle));
    let same = |attrs: &Attrs| is_file(attrs) && attrs.owner == before.owner;
    let why = match (leads, attrs) {
        (Ok(leads), Ok(attrs)) if leads == at && same(&attrs) => return Ok(Open { handle, attrs }),
        (Ok(_), Ok(_)) => super::leads_elsewhere(at),
        (Err(fault), _) | (_, Err(fault)) => failed(fault),
    };
    let _closed = sftp.close(handle).await;
    Err(why)
}

pub fn kind(at: &[u8], what: &str, with: &str) -> Failure {
    let shown = crate::domain::escape::exact(at, 300);
    let message = format!("{shown} {what}");
    Failure::new(Code::FilesKind, message, format!("{with} SESSION PATH")).sent(true)
}

/// The pieces of a file in their order, many of them on their way.
pub(super) struct Pieces<'p> {
    sftp: &'p Sftp,
    open: &'p Open,
    flying: FuturesOrdered<BoxFuture<'p, Result<(Bytes, bool), Fault>>>,
    next: u64,
    end: u64,
    over: bool,
}

impl<'p> Pieces<'p> {
    pub(super) fn new(sftp: &'p Sftp, open: &'p Open, from: u64, limit: Option<u64>) -> Self {
        let end = limit.and_then(|limit| from.checked_add(limit)).unwrap_or(u64::MAX);
        Self { sftp, open, flying: FuturesOrdered::new(), next: from, end, over: false }
    }

    /// The next one; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        while !self.over {
            self.ask();
            let Some(piece) = self.flying.next().await else { return Ok(None) };
            let (piece, ended) = piece?;
            self.over = ended;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// As many as its size says, and one for its end; what has no size (as in /proc) one by one.
    fn ask(&mut self) {
        let (size, known) = (u64::from(self.sftp.read_size), self.open.attrs.size.unwrap_or(0));
        while self.next < self.end
            && self.flying.len() < WINDOW
            && (self.next <= known || self.flying.is_empty())
        {
            let left = if self.next < known { known - self.next } else { size };
            let length = size.min(left).min(self.end - self.next);
            let piece = whole_piece(self.sftp, &self.open.handle, self.next, length as u32);
            self.flying.push_back(piece.boxed());
            self.next += length;
        }
    }
}

/// So many bytes of it from there on; fewer where it has no more.
pub(super) async fn all_of(
    sftp: &Sftp,
    open: &Open,
    from: u64,
    most: u64,
) -> Result<Vec<u8>, Fault> {
    let (mut pieces, mut all) = (Pieces::new(sftp, open, from, Some(most)), Vec::new());
    while let Some(piece) = pieces.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// A server may give less than was asked for: asked again, until it says that there is no more.
pub(super) async fn whole_piece(
    sftp: &Sftp,
    handle: &Handle,
    from: u64,
    length: u32,
) -> Result<(Bytes, bool), Fault> {
    let first = sftp.read(handle, from, length).await?;
    if first.len() == length as usize {
        return Ok((first, false));
    }
    let mut all = first.to_vec();
    let mut last = all.len();
    while last > 0 && all.len() < length as usize {
        let rest = length - all.len() as u32;
        let more = sftp.read(handle, from + all.len() as u64, rest).await?;
        last = more.len();
        all.extend_from_slice(&more);
    }
    Ok((all.into(), last == 0))
}

impl Run<'_> {
    pub(super) async fn open(&self, at: &[u8]) -> Result<Open, Failure> {
        let still = self.still().await?;
        let open = open(&self.sftp, at).await?;
        if let Err(overtaken) = still.lasts() {
            let _closed = self.sftp.close(open.handle).await;
            return Err(overtaken);
        }
        Ok(open)
    }

    pub(super) async fn read(&self, offset: u64, limit: Option<u64>) -> Result<Done, Failure> {
        let at = self.at(0);
        let open = self.open(at).await?;
        let mut hash = Sha256::new();
        let sent = self.send_all(&open, offset, limit, (&mut hash, 0)).await;
        let _closed = self.sftp.close(open.handle).await;
        let sent = sent.map_err(|fault| fault.at("reading", at))?;
        let size = open.attrs.size;
        let whole = offset == 0 && limit.is_none_or(|limit| sent < limit || size == Some(sent));
        Ok(Done::Content {
            path: bytes::Bytes(at.to_vec()),
            size,
            offset,
            bytes: sent,
            sha256: (whole && !self.out.is_closed()).then(|| hex::encode(hash.finalize())),
        })
    }

    /// How many bytes were sent; a caller that is gone needs no more. `earlier` were before.
    pub(super) async fn send_all(
        &self,
        open: &Open,
        from: u64,
        limit: Option<u64>,
        (hash, earlier): (&mut Sha256, u64),
    ) -> Result<u64, Fault> {
        let (limit, cap) = self.capped(0, limit, earlier);
        let (mut pieces, mut sent) = (Pieces::new(&self.sftp, open, from, limit), 0);
        while let Some(mut piece) = pieces.next().await? {
            let room = cap.saturating_sub(sent);
            let over = piece.len() as u64 > room;
            if over {
                // Less than the piece is long.
                piece.truncate(room as usize);
            }
            self.count(piece.len())?;
            hash.update(&piece);
            sent += piece.len() as u64;
            if self.out.send(piece).await.is_err() {
                break;
            }
            if over {
                self.check_cap(0, u64::MAX)?;
            }
        }
        Ok(sent)
    }

    pub(super) async fn sum(&self) -> Result<Done, Failure> {
        let at = self.at(0);
        let (size, sha256) = sum(self, at).await?;
        Ok(Done::Sum { path: bytes::Bytes(at.to_vec()), size, sha256 })
    }
}

/// Size and SHA-256 of a file.
pub(super) async fn sum(run: &Run<'_>, at: &[u8]) -> Result<(u64, String), Failure> {
    sum_of(run, at, run.open(at).await?).await
}

/// The same, for who has the names still already.
pub(super) async fn sum_now(run: &Run<'_>, at: &[u8]) -> Result<(u64, String), Failure> {
    sum_of(run, at, open(&run.sftp, at).await?).await
}

async fn sum_of(run: &Run<'_>, at: &[u8], open: Open) -> Result<(u64, String), Failure> {
    let hashed = hash_all(run, &open).await;
    let _closed = run.sftp.close(open.handle).await;
    hashed.map_err(|fault| fault.at("reading", at))
}

async fn hash_all(run: &Run<'_>, open: &Open) -> Result<(u64, String), Fault> {
    // What a write is compared with is no reading of the caller's.
    let reads = matches!(run.files.operation, Operation::Sum { .. });
    let limit = if reads { run.capped(0, None, 0).0 } else { None };
    let (mut pieces, mut hash) = (Pieces::new(&run.sftp, open, 0, limit), Sha256::new());
    let mut size = 0;
    while let Some(piece) = pieces.next().await? {
        run.count(piece.len())?;
        hash.update(&piece);
        size += piece.len() as u64;
        if reads {
            run.check_cap(0, size)?;
        }
    }
    Ok((size, hex::encode(hash.finalize())))
}
