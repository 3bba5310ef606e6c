//! Writing: the program counts what comes, and gives it the name where it is whole.

use ::bytes::Bytes;
use jiff::Timestamp;
use tokio::time::timeout;

use super::{
    ODD, attrs,
    call::Call,
    failed::{OPENS, does_not_open, told},
    run::{Run, flag, octal},
};
use crate::{
    daemon::files::{
        count,
        fault::Fault,
        write::{SUMMED, beside, changed},
    },
    domain::{
        bytes,
        files::{self, How, Write, replaced::Before},
    },
    protocol::{error::Failure, files::Done},
};

/// A file that is to be there.
pub(super) struct New<'n> {
    pub at: &'n [u8],
    pub how: How,
    pub mode: Option<u32>,
    pub parents: bool,
    pub if_sum: Option<String>,
    /// What a person's yes is to take the place of.
    pub replaced: Option<&'n Before>,
    pub size: u64,
    pub sync: bool,
    pub modified: Option<u32>,
}

impl New<'_> {
    /// What has to be there, as the program takes it.
    fn expected(&self) -> Result<String, Failure> {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        Ok(match (self.replaced, &self.if_sum) {
            (None, sum) => sum.clone().unwrap_or_default(),
            (Some(Before::Content { sum, .. }), Some(wanted)) if sum != wanted => {
                return Err(changed(self.at, None));
            }
            (Some(Before::Content { sum, .. }), _) => sum.clone(),
            (Some(_), Some(sum)) => sum.clone(),
            (Some(Before::Nothing), None) => "none".to_owned(),
            (Some(Before::Unread { size, modified }), None) => {
                let (size, time) = (number(*size), number(modified.map(u64::from)));
                format!("seen:{}:{}", size.unwrap_or_default(), time.unwrap_or_default())
            }
            // No file is written in their place.
            (Some(Before::Directory { .. } | Before::Link { .. }), _) => {
                return Err(changed(self.at, None));
            }
        })
    }
}

impl Run<'_> {
    /// The program waits for the content.
    pub(super) async fn begin_write(&self, new: &New<'_>) -> Result<Call, Failure> {
        let failed = |fault: Fault| told(&fault, "writing", new.at);
        let beside = beside(new.at, "new").map_err(failed)?;
        let name = beside.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let how: &[u8] = match new.how {
            How::Replace => b"replace",
            How::Create => b"create",
            How::Append => b"append",
        };
        let (mode, size, time) = (octal(new.mode), new.size.to_string(), stamp(new.modified));
        let sum = new.expected()?;
        let words: [&[u8]; 9] = [
            new.at,
            how,
            flag(new.parents),
            mode.as_bytes(),
            sum.as_bytes(),
            size.as_bytes(),
            name,
            flag(new.sync),
            time.as_bytes(),
        ];
        let mut call = self.ready(false).await.map_err(failed)?;
        let still = self.names.still().await?;
        call.does("write", &words).await.map_err(failed)?;
        let held = timeout(OPENS, self.yes(&mut call, "writing", new.at)).await;
        held.map_err(|_| does_not_open(new.at))??;
        still.lasts()?;
        // It holds its directory by itself from here on, and reads what is there for as long as that takes.
        drop(still);
        self.yes(&mut call, "writing", new.at).await.map(|()| call)
    }

    /// All of it was sent.
    pub(super) async fn end_write(&self, mut call: Call, at: &[u8]) -> Result<Done, Failure> {
        let failed = |fault: Fault| told(&fault, "writing", at);
        // It has all of it, with its owner and rights and on the disk.
        self.yes(&mut call, "writing", at).await?;
        // Of two that write at once the later one finds what the other wrote.
        let alone = self.names.alone().await?;
        call.goes_on().await.map_err(failed)?;
        self.yes(&mut call, "writing", at).await?;
        drop(alone);
        let attrs = attrs(&call.field().await.map_err(failed)?);
        let attrs = attrs.ok_or_else(|| failed(Fault::Odd(ODD)))?;
        let synced = call.field().await.map_err(failed)? == b"1";
        let kept = call.field().await.map_err(failed)?;
        let created = call.field().await.map_err(failed)?.is_empty();
        call.close().await;
        Ok(Done::Written {
            path: bytes::Bytes(at.to_vec()),
            size: attrs.size.unwrap_or_default(),
            sha256: None,
            mode: attrs.mode().map(|mode| format!("{mode:04o}")),
            created,
            atomic: true,
            synced,
            owner_kept: (!created).then_some(kept == b"1"),
        })
    }

    pub(super) async fn write(&self, write: &Write, content: Bytes) -> Result<Done, Failure> {
        let at = self.at(0);
        let new = New {
            at,
            how: write.how,
            mode: write.mode,
            parents: write.parents,
            if_sum: write.if_sum.as_ref().map(|sum| sum.to_ascii_lowercase()),
            replaced: self.replaced(0),
            size: content.len() as u64,
            sync: true,
            modified: None,
        };
        let call = self.begin_write(&new).await?;
        if let Err(fault) = call.send(content.clone()).await {
            return Err(self.why_cut(call, fault, at).await);
        }
        let mut done = self.end_write(call, at).await?;
        if let Done::Written { sha256, atomic, created, size, .. } = &mut done {
            *atomic = write.how != How::Append || *created;
            *sha256 = match *atomic {
                true => Some(files::sum(&content)),
                false => self.appended_sum(*size).await,
            };
        }
        Ok(done)
    }

    /// As over SFTP.
    async fn appended_sum(&self, size: u64) -> Option<String> {
        if !self.files.tells_sum || size > SUMMED {
            return None;
        }
        match self.sum().await {
            Ok(Done::Sum { size: summed, sha256, .. }) if summed == size => Some(sha256),
            _ => None,
        }
    }

    /// What could not be sent: the program may have said why, as where the disk is full.
    pub(super) async fn why_cut(&self, mut call: Call, fault: Fault, at: &[u8]) -> Failure {
        match fault {
            Fault::Lost => match self.yes(&mut call, "writing", at).await {
                Err(failure) => failure,
                Ok(()) => told(&Fault::Odd(ODD), "writing", at),
            },
            fault => told(&fault, "writing", at),
        }
    }

    pub(super) fn replaced(&self, index: usize) -> Option<&Before> {
        let mut all = self.files.replaced.iter();
        all.find(|one| one.index == index).map(|one| &one.before)
    }

    /// Counts bytes that are put.
    pub(super) fn count(&self, bytes: usize) -> Result<(), Fault> {
        count(self.session, bytes)
    }
}

/// What a person was shown of a name that gets another or none, as the program compares it.
pub(super) fn shown(before: Option<&Before>) -> String {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let time = |modified: &Option<u32>| number(modified.map(u64::from));
    match before {
        None => String::new(),
        Some(Before::Nothing) => "none".to_owned(),
        Some(Before::Content { sum, .. }) => sum.clone(),
        Some(Before::Unread { size, modified }) => {
            format!("seen:{}:{}", number(*size), time(modified))
        }
        Some(Before::Directory { modified, .. }) => format!("directory:{}", time(modified)),
        Some(Before::Link { modified, .. }) => format!("link:{}", time(modified)),
    }
}

/// A time as touch(1) takes it everywhere, in UTC.
pub(super) fn stamp(modified: Option<u32>) -> String {
    let time = modified.and_then(|seconds| Timestamp::from_second(seconds.into()).ok());
    time.map(|time| time.strftime("%Y%m%d%H%M.%S").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_what_touch_takes() {
        assert_eq!(stamp(Some(0)), "197001010000.00");
        assert_eq!(stamp(Some(1_700_000_000)), "202311142213.20");
        assert_eq!(stamp(None), "");
    }
}
