//! Fetching: many small files at once, large ones with many requests in flight, all in their order.

use ::bytes::Bytes;
use futures::{StreamExt, stream::FuturesOrdered};

use super::{AHEAD, Run, Trouble, blocked};
use crate::{
    daemon::files::{
        leads_elsewhere,
        read::{Open, Pieces, kind},
        resolve::resolved,
    },
    domain::{
        escape,
        files::transfer::{Head, Part, Piece},
        sftp::{Attrs, FileType, OpenFlags},
    },
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// An open file with its first bytes.
struct Begun {
    open: Open,
    first: Bytes,
}

impl Run<'_> {
    pub(in crate::daemon::files) async fn get(&self, files: &[Part]) -> Result<Done, Failure> {
        let (mut flying, mut next) = (FuturesOrdered::new(), 0);
        let (mut whole, mut failed, mut bytes) = (0, 0, 0);
        for (index, part) in files.iter().enumerate() {
            while next < files.len() && flying.len() < AHEAD {
                flying.push_back(self.begin(next, &files[next]));
                next += 1;
            }
            let Some(begun) = flying.next().await else { break };
            let sent = match begun {
                Ok(begun) => self.send(index, part, begun).await,
                Err(trouble) => Err(trouble),
            };
            match sent {
                Ok(sent) => (whole, bytes) = (whole + 1, bytes + sent),
                Err(Trouble::One(failure)) => {
                    failed += 1;
                    self.pack(Piece::json(Piece::Failed, &failure)).await;
                }
                Err(Trouble::All(failure)) => return Err(failure),
            }
            if self.out.is_closed() {
                break;
            }
        }
        // What was opened ahead for nobody is closed with the rest of what is under way.
        while let Some(begun) = flying.next().await {
            if let Ok(begun) = begun {
                let _closed = self.sftp.close(begun.open.handle).await;
            }
        }
        Ok(Done::Transferred { files: whole, failed, bytes })
    }

    async fn begin(&self, index: usize, part: &Part) -> Result<Begun, Trouble> {
        let at = self.at(index);
        if let Some(rule) = &part.refused {
            return Err(Trouble::One(blocked(at, rule)));
        }
        if at.is_empty() {
            return Err(self.why_nowhere(part.path.as_slice()).await);
        }
        let failed = |fault| Trouble::of(fault, "opening", at);
        let _still = self.still().await.map_err(Trouble::One)?;
        let before = self.sftp.lstat(at).await.map_err(failed)?;
        match before.file_type() {
            Some(FileType::File) | None => {}
            Some(FileType::Directory) => {
                return Err(Trouble::One(kind(at, "is a directory", "sgw files get -r")));
            }
            // A pipe would hold all others up, a device may do anything.
            Some(FileType::Link) => return Err(Trouble::One(leads_elsewhere(at))),
            Some(_) => {
                return Err(Trouble::One(kind(at, "is no ordinary file", "sgw files stat")));
            }
        }
        let open = self.sftp.open_file(at, OpenFlags::READ, Attrs::default());
        let handle = open.await.map_err(failed)?;
        let (leads, attrs, first) = tokio::join!(
            resolved(&self.sftp, at),
            self.sftp.fstat(&handle),
            self.sftp.read(&handle, part.offset, self.sftp.read_size),
        );
        let same =
            |attrs: &Attrs| attrs.owner == before.owner && attrs.file_type() == before.file_type();
        let checked = match (leads, attrs, first) {
            (Ok(leads), Ok(attrs), Ok(first)) if leads == at && same(&attrs) => Ok((attrs, first)),
            (Ok(_), Ok(_), Ok(_)) => Err(Trouble::One(leads_elsewhere(at))),
            (Err(fault), _, _) | (_, Err(fault), _) | (_, _, Err(fault)) => Err(failed(fault)),
        };
        match checked {
            Ok((attrs, first)) => Ok(Begun { open: Open { handle, attrs }, first }),
            Err(trouble) => {
                let _closed = self.sftp.close(handle).await;
                Err(trouble)
            }
        }
    }

    /// All of it; how many bytes were sent.
    async fn send(&self, index: usize, part: &Part, begun: Begun) -> Result<u64, Trouble> {
        let at = self.at(index);
        let Begun { open, first } = begun;
        let attrs = &open.attrs;
        let head = Head {
            index,
            size: attrs.size,
            mode: attrs.mode(),
            modified: attrs.times.map(|times| times.1),
            offset: part.offset,
        };
        self.pack(Piece::json(Piece::Head, &head)).await;
        let sent = self.send_content(index, &open, part.offset, first).await;
        let size = attrs.size;
        let closing = self.sftp.close(open.handle);
        let sent = sent.map_err(|fault| Trouble::of(fault, "reading", at));
        if sent.is_err() {
            let _closed = closing.await;
            return sent;
        }
        closing.await.map_err(|fault| Trouble::of(fault, "reading", at))?;
        let sent = sent?;
        // What has no size (as in /proc) says 0.
        if size.is_some_and(|size| size != 0 && size != part.offset + sent) {
            return Err(Trouble::One(not_its_size(at, part.offset + sent, size)));
        }
        self.pack(Piece::End(Bytes::new())).await;
        Ok(sent)
    }

    async fn send_content(
        &self,
        index: usize,
        open: &Open,
        from: u64,
        first: Bytes,
    ) -> Result<u64, crate::daemon::files::fault::Fault> {
        let mut sent = first.len() as u64;
        if first.is_empty() {
            return Ok(0);
        }
        self.count(first.len())?;
        self.check_cap(index, sent)?;
        self.pack(Piece::Data(first)).await;
        if open.attrs.size == Some(from + sent) {
            return Ok(sent);
        }
        let (limit, _) = self.capped(index, None, sent);
        let mut pieces = Pieces::new(&self.sftp, open, from + sent, limit);
        while let Some(piece) = pieces.next().await? {
            self.count(piece.len())?;
            sent += piece.len() as u64;
            self.check_cap(index, sent)?;
            self.pack(Piece::Data(piece)).await;
            if self.out.is_closed() {
                break;
            }
        }
        Ok(sent)
    }
}

pub fn not_its_size(at: &[u8], found: u64, size: Option<u64>) -> Failure {
    let shown = escape::exact(at, 300);
    let size = size.unwrap_or_default();
    let message = format!("{shown} has {found} bytes, and not the {size} that the server said");
    let hint = "it may be written at this moment: the same call goes on with it";
    Failure::new(Code::FilesChanged, message, hint).sent(true)
}
