//! The last lines of a file, and what comes behind them: in the file that has the name, whichever that is by then.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::{
    Run,
    client::Sftp,
    fault::Fault,
    proof::is_same,
    read::{Open, whole_piece},
};
use crate::{
    domain::{bytes, sftp::Attrs},
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// How far back the last lines are looked for, in bytes.
const FAR: u64 = 16 * 1024 * 1024;
/// … and how much at a time.
const STEP: u64 = 64 * 1024;
/// How often a file that is followed is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// What the caller is told of a file that is followed.
pub(super) const REPLACED: &str = "the file was replaced: what follows is of the new one";
const CUT: &str = "the file was cut short: what follows is from its beginning";

impl Run<'_> {
    pub(super) async fn tail(&self, lines: u64, follow: bool) -> Result<Done, Failure> {
        let at = self.at(0);
        let mut open = self.open(at).await?;
        let size = open.attrs.size;
        let tailed = self.tail_of(&mut open, lines, follow).await;
        let _closed = self.sftp.close(open.handle).await;
        let (offset, sent) = tailed.map_err(|fault| fault.at("reading", at))?;
        let path = bytes::Bytes(at.to_vec());
        Ok(Done::Content { path, size, offset, bytes: sent, sha256: None })
    }

    async fn tail_of(
        &self,
        open: &mut Open,
        lines: u64,
        follow: bool,
    ) -> Result<(u64, u64), Fault> {
        let end = open.attrs.size.unwrap_or(0);
        let start = last_lines(&self.sftp, open, end, lines).await?;
        let mut hash = Sha256::new();
        let mut sent = self.send_all(open, start, None, (&mut hash, 0)).await?;
        let mut at = start + sent;
        while follow && !self.out.is_closed() {
            tokio::select! {
                () = self.out.closed() => break,
                () = sleep(LOOK) => {}
            }
            let replaced = self.is_replaced(open).await?;
            if open.attrs.size.is_some_and(|size| size < at) {
                self.note(CUT).await;
                at = 0;
            }
            let more = self.send_all(open, at, None, (&mut hash, sent)).await?;
            (at, sent) = (at + more, sent + more);
            if replaced && let Some(new) = self.opened_anew().await? {
                let old = std::mem::replace(open, new);
                let _closed = self.sftp.close(old.handle).await;
                self.note(REPLACED).await;
                let more = self.send_all(open, 0, None, (&mut hash, sent)).await?;
                (at, sent) = (more, sent + more);
            }
        }
        Ok((start, sent))
    }

    /// Whether another file has the name by now: where the open one is the same before and after, and what has the
    /// name is not. What is known of the open one is as new as this.
    async fn is_replaced(&self, open: &mut Open) -> Result<bool, Fault> {
        let (before, named, after) = tokio::join!(
            self.sftp.fstat(&open.handle),
            self.sftp.lstat_if(self.at(0)),
            self.sftp.fstat(&open.handle)
        );
        let before: Attrs = before?;
        open.attrs = after?;
        match named {
            Ok(Some(named)) => Ok(is_same(&before, &open.attrs) && !is_same(&named, &open.attrs)),
            // Moved away, and nothing has the name yet.
            Ok(None) | Err(Fault::Status(_)) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// What has the name now, by the same rules as at first; `None` where nothing has.
    async fn opened_anew(&self) -> Result<Option<Open>, Fault> {
        match self.open(self.at(0)).await {
            Ok(open) => Ok(Some(open)),
            Err(failure) if failure.code == Code::FilesNotFound => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn note(&self, text: &'static str) {
        // A caller that is gone needs none.
        let _gone = self.notes.send(text).await;
    }
}

/// Where the last lines begin.
async fn last_lines(sftp: &Sftp, open: &Open, end: u64, lines: u64) -> Result<u64, Fault> {
    let (mut at, mut found) = (end, 0);
    while at > 0 && end - at < FAR && lines > 0 {
        let from = at.saturating_sub(STEP);
        let (piece, _) = whole_piece(sftp, &open.handle, from, (at - from) as u32).await?;
        for (place, byte) in piece.iter().enumerate().rev() {
            let here = from + place as u64 + 1;
            // The end of the last line begins none.
            if *byte == b'\n' && here < end {
                found += 1;
                if found == lines {
                    return Ok(here);
                }
            }
        }
        at = from;
    }
    Ok(if lines == 0 { end } else { at })
}
