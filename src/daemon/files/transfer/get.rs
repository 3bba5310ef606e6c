//! Fetching: many small files at once, large ones with many requests in flight, all in their order.

use ::bytes::Bytes;
use futures::{FutureExt, StreamExt, stream::FuturesOrdered};
use tokio::sync::SemaphorePermit;

use super::{AHEAD, BYTES_AHEAD, Packing, Run, Trouble, blocked};
use crate::{
    daemon::files::{
        fault::Fault,
        leads_elsewhere,
        read::{Open, Pieces, kind},
        resolve::resolved,
    },
    domain::{
        escape,
        files::transfer::{Head, Part, Piece},
        sftp::{Attrs, Call, FileType, OpenFlags},
    },
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// A file with its first bytes.
struct Begun<'s> {
    /// None where the first bytes are all.
    open: Option<(Open, SemaphorePermit<'s>)>,
    attrs: Attrs,
    first: Bytes,
}

impl Run<'_> {
    pub(in crate::daemon::files) async fn get(&self, files: &[Part]) -> Result<Done, Failure> {
        let (mut flying, mut next) = (FuturesOrdered::new(), 0);
        let (mut whole, mut failed, mut bytes) = (0, 0, 0);
        // What those that are under way may bring before their turn.
        let mut ahead = 0;
        let mut out = Packing::new(&self.out);
        for (index, part) in files.iter().enumerate() {
            while let Some(one) = files.get(next)
                && (flying.is_empty() || (flying.len() < AHEAD && ahead < BYTES_AHEAD))
            {
                flying.push_back(self.begin(next, one));
                ahead += u64::from(self.first(one));
                next += 1;
            }
            let ready = flying.next().now_or_never();
            if ready.is_none() {
                out.flush().await;
            }
            let next = match ready {
                Some(ready) => ready,
                None => flying.next().await,
            };
            let Some(begun) = next else { break };
            ahead -= u64::from(self.first(part));
            let sent = match begun {
                Ok(begun) => self.send(index, part, begun, &mut out).await,
                Err(trouble) => Err(trouble),
            };
            match sent {
                Ok(sent) => (whole, bytes) = (whole + 1, bytes + sent),
                Err(Trouble::One(failure)) => {
                    failed += 1;
                    out.put(Piece::json(Piece::Failed, &failure)).await;
                }
                Err(Trouble::All(failure)) => {
                    // What came is not lost with the rest.
                    out.flush().await;
                    return Err(failure);
                }
            }
            if self.out.is_closed() {
                break;
            }
        }
        out.flush().await;
        // What was opened ahead for nobody is closed with the rest of what is under way.
        while let Some(begun) = flying.next().await {
            if let Ok(Begun { open: Some((open, _held)), .. }) = begun {
                let _closed = self.sftp.close(open.handle).await;
            }
        }
        Ok(Done::Transferred { files: whole, failed, bytes })
    }

    async fn begin(&self, index: usize, part: &Part) -> Result<Begun<'_>, Trouble> {
        let turns = self.quiet().await.map_err(Trouble::One)?;
        // Not held meanwhile: this may have to wait for a caller who reads no more.
        let begun = self.open_next(index, part).await;
        if self.names.turns() == turns {
            return begun;
        }
        // A name was turned meanwhile.
        if let Ok(Begun { open: Some((open, _held)), .. }) = begun {
            let _closed = self.sftp.close(open.handle).await;
        }
        let still = self.still().await.map_err(Trouble::One)?;
        let begun = self.open_next(index, part).await;
        if let Err(overtaken) = still.lasts() {
            if let Ok(Begun { open: Some((open, _held)), .. }) = begun {
                let _closed = self.sftp.close(open.handle).await;
            }
            return Err(Trouble::One(overtaken));
        }
        begun
    }

    async fn open_next(&self, index: usize, part: &Part) -> Result<Begun<'_>, Trouble> {
        let at = self.at(index);
        if let Some(rule) = &part.refused {
            return Err(Trouble::One(blocked(at, rule)));
        }
        if at.is_empty() {
            return Err(self.why_nowhere(part.path.as_slice()).await);
        }
        let failed = |fault| Trouble::of(fault, "opening", at);
        let before = match &part.seen {
            Some(seen) => seen.clone(),
            None => self.sftp.lstat(at).await.map_err(failed)?,
        };
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
        let held = self.sftp.handle_room().await.map_err(failed)?;
        let open = self.sftp.open_file(at, OpenFlags::READ, Attrs::default());
        let handle = open.await.map_err(failed)?;
        let length = self.first(part);
        let (leads, attrs, first) = tokio::join!(
            resolved(&self.sftp, at),
            self.sftp.fstat(&handle),
            self.sftp.read(&handle, part.offset, length),
        );
        let same =
            |attrs: &Attrs| attrs.owner == before.owner && attrs.file_type() == before.file_type();
        let checked = match (leads, attrs, first) {
            (Ok(leads), Ok(attrs), Ok(first)) if leads == at && same(&attrs) => Ok((attrs, first)),
            (Ok(_), Ok(_), Ok(_)) => Err(Trouble::One(leads_elsewhere(at))),
            (Err(fault), _, _) | (_, Err(fault), _) | (_, _, Err(fault)) => Err(failed(fault)),
        };
        let whole = |(attrs, first): &(Attrs, Bytes)| {
            attrs.size.is_some_and(|size| size > 0 && size == part.offset + first.len() as u64)
        };
        match checked {
            // Nothing more of it is asked for: nobody waits for this.
            Ok(checked) if whole(&checked) => {
                let closing = self.sftp.send(Call::Close { handle }).await;
                closing.map(drop).map_err(failed)?;
                Ok(Begun { open: None, attrs: checked.0, first: checked.1 })
            }
            Ok((attrs, first)) => {
                let open = Open { handle, attrs: attrs.clone() };
                Ok(Begun { open: Some((open, held)), attrs, first })
            }
            Err(trouble) => {
                let _closed = self.sftp.close(handle).await;
                Err(trouble)
            }
        }
    }

    /// What is read of a file at first, in bytes: all of a small one.
    fn first(&self, part: &Part) -> u32 {
        let size = part.seen.as_ref().and_then(|seen| seen.size);
        let most = self.sftp.read_size;
        match size {
            Some(0) => most.min(16 * 1024),
            Some(size) => size.saturating_sub(part.offset).clamp(1, most.into()) as u32,
            _ => most,
        }
    }

    /// All of it; how many bytes were sent.
    async fn send(
        &self,
        index: usize,
        part: &Part,
        begun: Begun<'_>,
        out: &mut Packing<'_>,
    ) -> Result<u64, Trouble> {
        let at = self.at(index);
        let Begun { open, attrs, first } = begun;
        let head = Head {
            index,
            size: attrs.size,
            mode: attrs.mode(),
            modified: attrs.times.map(|times| times.1),
            offset: part.offset,
        };
        out.put(Piece::json(Piece::Head, &head)).await;
        let reading = |fault: Fault| Trouble::of(fault, "reading", at);
        let mut sent = first.len() as u64;
        self.count(first.len()).map_err(reading)?;
        self.check_cap(index, sent).map_err(Trouble::One)?;
        if !first.is_empty() {
            out.put(Piece::Data(first)).await;
        }
        if let Some((open, _held)) = open {
            let rest = match sent {
                0 => Ok(0),
                _ => self.send_rest(index, &open, (part.offset, sent), out).await,
            };
            let closed = self.sftp.close(open.handle).await;
            sent += rest.map_err(reading)?;
            closed.map_err(reading)?;
        }
        // What has no size (as in /proc) says 0.
        if attrs.size.is_some_and(|size| size != 0 && size != part.offset + sent) {
            return Err(Trouble::One(not_its_size(at, part.offset + sent, attrs.size)));
        }
        out.put(Piece::End(Bytes::new())).await;
        Ok(sent)
    }

    async fn send_rest(
        &self,
        index: usize,
        open: &Open,
        (from, first): (u64, u64),
        out: &mut Packing<'_>,
    ) -> Result<u64, Fault> {
        let (limit, _) = self.capped(index, None, first);
        let (mut pieces, mut sent) = (Pieces::new(&self.sftp, open, from + first, limit), 0);
        while let Some(piece) = pieces.next().await? {
            self.count(piece.len())?;
            sent += piece.len() as u64;
            self.check_cap(index, first + sent)?;
            out.put(Piece::Data(piece)).await;
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
