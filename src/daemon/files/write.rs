//! Writing: beside the old file, onto the disk, and in its place at once.

use ::bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};

use super::{
    Run,
    calls::Handle,
    client::Sftp,
    fault::Fault,
    names::{Alone, Still},
    read::{self, kind},
    resolve::{join, resolved, split},
};
use crate::{
    domain::{
        bytes, escape,
        files::{self, How, Write, replaced::Before},
        sftp::{Attrs, Call, FileType, OpenFlags, StatusCode},
    },
    home::random,
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// Writes in flight.
pub(super) const WINDOW: usize = 32;
/// So much of a file's name its temporary one has: 255 bytes are the most that a name has.
const NAME: usize = 200;
/// Files up to this size are summed up once more before they are replaced, in bytes.
pub(super) const SUMMED: u64 = 16 * 1024 * 1024;
/// Bits that give whoever runs a file its owner's rights.
const SET_ID: u32 = 0o6000;

/// What a write turned out to be.
struct Outcome {
    mode: Option<u32>,
    atomic: bool,
    synced: bool,
    owner_kept: Option<bool>,
}

impl Run<'_> {
    pub(super) async fn write(&self, write: &Write, content: Bytes) -> Result<Done, Failure> {
        let at = self.at(0);
        let failed = |fault: Fault| fault.at("writing", at);
        if write.parents {
            let directory = split(at).map_or(&b"/"[..], |(directory, _)| directory);
            self.make_directories(directory).await?;
        }
        let before = {
            let _still = self.still().await?;
            self.stays(at).await?;
            self.sftp.lstat_if(at).await.map_err(failed)?
        };
        check_before(at, before.as_ref(), write)?;
        if let Some(expected) = &write.if_sum {
            self.check_sum(at, before.as_ref(), expected).await?;
        }
        self.check_replaced(0, before.as_ref()).await?;
        let size = content.len() as u64;
        let outcome = match write.how {
            How::Append => self.append(at, before.as_ref(), write, content.clone()).await,
            How::Replace | How::Create => {
                self.replace(at, before.as_ref(), write, content.clone()).await
            }
        };
        let outcome = outcome.map_err(failed)?;
        let appended = write.how == How::Append && before.is_some();
        let (size, sha256) = match appended {
            true => {
                let size = size + before.as_ref().and_then(|b| b.size).unwrap_or(0);
                (size, self.appended_sum(at, size).await)
            }
            false => (size, Some(files::sum(&content))),
        };
        Ok(Done::Written {
            path: bytes::Bytes(at.to_vec()),
            size,
            sha256,
            mode: outcome.mode.map(|mode| format!("{mode:04o}")),
            created: before.is_none(),
            atomic: outcome.atomic,
            synced: outcome.synced,
            owner_kept: outcome.owner_kept,
        })
    }

    /// SHA-256 of what was appended to, where the caller may hear it and it is not too long.
    async fn appended_sum(&self, at: &[u8], size: u64) -> Option<String> {
        if !self.files.tells_sum || size > SUMMED {
            return None;
        }
        let (summed, sum) = read::sum(self, at).await.ok()?;
        (summed == size).then_some(sum)
    }

    /// What is there is what the caller saw.
    async fn check_sum(
        &self,
        at: &[u8],
        before: Option<&Attrs>,
        expected: &str,
    ) -> Result<(), Failure> {
        let found = match before {
            Some(_) => Some(read::sum(self, at).await?.1),
            None => return Err(not_there(at)),
        };
        match found {
            Some(found) if found.eq_ignore_ascii_case(expected) => Ok(()),
            // Whoever writes it may not be let read it, and a SHA-256 tells what it holds.
            found => Err(changed(at, found.as_deref().filter(|_| self.files.tells_sum))),
        }
    }

    /// What a person said yes to is a change of what was there: it is there still.
    pub(super) async fn check_replaced(
        &self,
        index: usize,
        before: Option<&Attrs>,
    ) -> Result<(), Failure> {
        let at = self.at(index);
        let same = match (self.replaced(index), before) {
            (None, _) | (Some(Before::Nothing), None) => true,
            (Some(Before::Nothing), Some(_)) | (Some(_), None) => false,
            (Some(Before::Content { size, sum }), Some(now)) => {
                now.size == Some(*size) && read::sum(self, at).await?.1 == *sum
            }
            (Some(Before::Unread { size, modified }), Some(now)) => {
                now.size == *size && now.times.map(|times| times.1) == *modified
            }
            // No file is written in their place.
            (Some(Before::Directory { .. } | Before::Link { .. }), Some(_)) => false,
        };
        // What it holds is not said: whoever writes it may not be let read it.
        if same { Ok(()) } else { Err(changed(at, None)) }
    }

    /// Last thing before the name is another file's: what has it is what had it. Two changes within a second look
    /// alike, but for their content.
    pub(super) async fn check_unchanged(
        &self,
        index: usize,
        before: Option<&Attrs>,
        sum: Option<&str>,
    ) -> Result<(), Fault> {
        let at = self.at(index);
        if unlike(&self.sftp.lstat_if(at).await?, before) {
            return Err(changed(at, None).into());
        }
        let expected = match self.replaced(index) {
            Some(Before::Content { sum, .. }) => Some(sum.as_str()),
            _ => sum,
        };
        let short = before.is_some_and(|before| before.size.is_some_and(|size| size <= SUMMED));
        if let Some(expected) = expected.filter(|_| short)
            && !read::sum_now(self, at).await?.1.eq_ignore_ascii_case(expected)
        {
            return Err(changed(at, None).into());
        }
        Ok(())
    }

    pub(super) fn replaced(&self, index: usize) -> Option<&Before> {
        let mut all = self.files.replaced.iter();
        all.find(|one| one.index == index).map(|one| &one.before)
    }

    /// The whole content under a temporary name beside it, then the name.
    async fn replace(
        &self,
        at: &[u8],
        before: Option<&Attrs>,
        write: &Write,
        content: Bytes,
    ) -> Result<Outcome, Fault> {
        let temporary = beside(at, "new")?;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        // Until it is whole it is nobody's to read who could not read the old one.
        let first = match (before, write.mode) {
            (None, None) => Attrs::default(),
            _ => Attrs::with_permissions(0o600),
        };
        let (directory, _) = split(at).unwrap_or((b"/", b""));
        let still = self.still().await?;
        let sent = still.sends(self.settles())?;
        let handle = self.sftp.open_file(&temporary, flags, first).await?;
        drop(sent);
        let looked = resolved(&self.sftp, directory).await;
        drop(still);
        let written = async {
            let filled = async {
                match looked? == directory {
                    true => self.fill(&handle, before, write, content.clone()).await,
                    false => Err(super::leads_elsewhere(at).into()),
                }
            };
            let outcome = match filled.await {
                Ok(outcome) => outcome,
                Err(fault) => {
                    let _closed = self.sftp.close(handle).await;
                    return Err(fault);
                }
            };
            let atomic = self.place_written((handle, &temporary), before, write, &content).await?;
            Ok(Outcome { atomic, ..outcome })
        };
        let written = match written.await {
            Ok(outcome) => Ok(outcome),
            Err(fault) => Err(self.why_not(at, fault).await),
        };
        if written.is_err() {
            // What is left is told by its name, where even this can't be done.
            let removed = self.sftp.done(Call::Remove { path: temporary.clone() }).await;
            if let Err(left) = removed
                && !left.is_not_found()
            {
                self.left_behind(&temporary);
            }
        }
        written
    }

    /// The name, last: of what was written, in place of what was there. Whether at once.
    async fn place_written(
        &self,
        (handle, temporary): (Handle, &[u8]),
        before: Option<&Attrs>,
        write: &Write,
        content: &[u8],
    ) -> Result<bool, Fault> {
        let at = self.at(0);
        let bound = write.if_sum.is_some() || self.replaced(0).is_some();
        // Of two that write at once the later one finds what the other wrote.
        let alone = match self.alone().await {
            Ok(alone) => alone,
            Err(busy) => {
                let _closed = self.sftp.close(handle).await;
                return Err(busy.into());
            }
        };
        self.close_as(handle, temporary).await?;
        self.stays(at).await?;
        if bound {
            self.check_unchanged(0, before, write.if_sum.as_deref()).await?;
            self.check_holds(temporary, content.len() as u64, &files::sum(content)).await?;
        }
        let _sent = alone.sends(self.settles())?;
        match write.how {
            How::Create => self.sftp.rename(temporary, at).await.map(|()| true),
            _ if bound && before.is_none() => self.sftp.rename(temporary, at).await.map(|()| true),
            _ => self.sftp.replace(temporary, at, &beside(at, "old")?).await,
        }
    }

    /// Content, owner, rights, and onto the disk.
    async fn fill(
        &self,
        handle: &Handle,
        before: Option<&Attrs>,
        write: &Write,
        content: Bytes,
    ) -> Result<Outcome, Fault> {
        write_all(&self.sftp, handle, 0, content).await?;
        let new = self.sftp.fstat(handle).await?;
        let owner_kept = match before.and_then(|before| before.owner) {
            None => before.map(|_| false),
            Some(owner) if new.owner == Some(owner) => Some(true),
            Some(owner) => {
                let attrs = Attrs { owner: Some(owner), ..Attrs::default() };
                let call = Call::Fsetstat { handle: handle.clone(), attrs };
                // Only root may; everyone else's is the account's from here on.
                Some(self.sftp.done(call).await.is_ok())
            }
        };
        let wanted = write.mode.or(before.and_then(Attrs::mode));
        let wanted = match owner_kept {
            // It would run with other rights than it did.
            Some(false) if write.mode.is_none() => wanted.map(|mode| mode & !SET_ID),
            _ => wanted,
        };
        if let Some(mode) = wanted {
            let attrs = Attrs::with_permissions(mode);
            self.sftp.done(Call::Fsetstat { handle: handle.clone(), attrs }).await?;
        }
        let synced = self.sftp.sync(handle).await?;
        Ok(Outcome { mode: wanted.or(new.mode()), atomic: true, synced, owner_kept })
    }

    async fn append(
        &self,
        at: &[u8],
        before: Option<&Attrs>,
        write: &Write,
        content: Bytes,
    ) -> Result<Outcome, Fault> {
        let new = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        let flags = OpenFlags::WRITE | OpenFlags::APPEND;
        let (flags, first) = match (before, write.mode) {
            (Some(_), _) => (flags, Attrs::default()),
            (None, None) => (flags | new, Attrs::default()),
            (None, Some(mode)) => (flags | new, Attrs::with_permissions(mode)),
        };
        let bound = self.replaced(0).is_some();
        // What a yes is for is behind what was there when it was given, and nothing comes between.
        let (alone, still) = match bound {
            true => (Some(self.alone().await?), None),
            false => (None, Some(self.still().await?)),
        };
        let sent = match (&alone, &still) {
            (Some(alone), _) => Some(alone.sends(self.settles())?),
            (None, Some(still)) => Some(still.sends(self.settles())?),
            (None, None) => None,
        };
        let handle = self.sftp.open_file(at, flags, first).await?;
        drop(sent);
        let (leads, attrs) = tokio::join!(resolved(&self.sftp, at), self.sftp.fstat(&handle));
        let lasted = still.as_ref().map_or(Ok(()), Still::lasts);
        drop(still);
        let mut from = None;
        let appended = async {
            let attrs = attrs?;
            lasted?;
            if leads? != at || before.is_some_and(|before| before.owner != attrs.owner) {
                return Err(Fault::from(super::leads_elsewhere(at)));
            }
            if let Some(before) = before.filter(|_| bound) {
                if unlike(&Some(attrs.clone()), Some(before)) {
                    return Err(changed(at, None).into());
                }
                self.check_unchanged(0, Some(before), None).await?;
            }
            let size = attrs.size.unwrap_or(0);
            self.check_cap(0, size.saturating_add(content.len() as u64))?;
            alone.as_ref().map_or(Ok(()), Alone::lasts)?;
            from = attrs.size;
            write_all(&self.sftp, &handle, size, content.clone()).await?;
            from = None;
            if let Some(mode) = write.mode {
                let attrs = Attrs::with_permissions(mode);
                self.sftp.done(Call::Fsetstat { handle: handle.clone(), attrs }).await?;
            }
            let synced = self.sftp.sync(&handle).await?;
            let (mode, owner_kept) = (write.mode.or(attrs.mode()), before.map(|_| true));
            Ok(Outcome { mode, atomic: false, synced, owner_kept })
        };
        let appended = appended.await;
        drop(alone);
        let (fault, left) = match (appended, from) {
            (Ok(outcome), _) => return self.sftp.close(handle).await.map(|()| outcome),
            (Err(fault), None) => (self.why_not(at, fault).await, None),
            (Err(fault), Some(from)) => {
                // Looked for while it is still so.
                let fault = self.why_not(at, fault).await;
                (fault, self.take_back((at, &handle), from, &content).await.err())
            }
        };
        let _closed = self.sftp.close(handle).await;
        match left {
            None => Err(fault),
            Some(now) => {
                let failure = fault.at("writing", at);
                let left = piece_left(at, now);
                let message = format!("{}; {}", failure.message, left.message);
                Err(Fault::Told(Failure { message, hint: left.hint, ..failure }))
            }
        }
    }

    /// Cuts a file to the length that it had, where what came behind it is a piece of this and nobody else's. If not,
    /// how long it is now, as far as that can be said.
    async fn take_back(
        &self,
        (at, handle): (&[u8], &Handle),
        from: u64,
        content: &[u8],
    ) -> Result<(), Option<u64>> {
        let alone = self.alone().await.map_err(|_| None)?;
        let now = self.sftp.fstat(handle).await.ok().and_then(|attrs| attrs.size);
        let more = now.and_then(|now| now.checked_sub(from)).ok_or(now)?;
        if more == 0 {
            return Ok(());
        }
        let wanted = usize::try_from(more).ok().and_then(|more| content.get(..more)).ok_or(now)?;
        let open = read::open(&self.sftp, at).await.map_err(|_| now)?;
        let behind = read::all_of(&self.sftp, &open, from, more + 1).await;
        let _closed = self.sftp.close(open.handle).await;
        if behind.map_err(|_| now)? != wanted || alone.lasts().is_err() {
            return Err(now);
        }
        let attrs = Attrs { size: Some(from), ..Attrs::default() };
        let cut = Call::Fsetstat { handle: handle.clone(), attrs };
        self.sftp.done(cut).await.map_err(|_| now)
    }

    /// The server says only that it failed: looks for why, before what was written is removed again.
    async fn why_not(&self, at: &[u8], fault: Fault) -> Fault {
        if fault.code() != Some(StatusCode::Failure) {
            return fault;
        }
        let (directory, _) = split(at).unwrap_or((b"/", b""));
        let space = self.sftp.file_system(directory).await;
        if !space.is_ok_and(|space| space.available == 0) {
            return fault;
        }
        let failure = fault.at("writing", at);
        let message = format!("{}: the disk there is full", failure.message);
        let hint =
            "make room there (sgw files df SESSION PATH shows it), then the same call".to_owned();
        Fault::Told(Failure { message, hint, ..failure })
    }
}

fn check_before(at: &[u8], before: Option<&Attrs>, write: &Write) -> Result<(), Failure> {
    let Some(before) = before else { return Ok(()) };
    match before.file_type() {
        Some(FileType::Directory) => return Err(kind(at, "is a directory", "sgw files ls")),
        Some(FileType::Link) => {
            return Err(kind(at, "is a link that leads nowhere", "sgw files stat"));
        }
        Some(FileType::File) | None => {}
        Some(_) => return Err(kind(at, "is no ordinary file", "sgw files stat")),
    }
    if write.how == How::Create {
        return Err(exists(at));
    }
    Ok(())
}

pub(super) fn exists(at: &[u8]) -> Failure {
    let message = format!("{} is there already", escape::exact(at, 300));
    Failure::new(Code::FilesExists, message, "sgw files stat SESSION PATH shows it").sent(true)
}

fn not_there(at: &[u8]) -> Failure {
    let message = format!("{} is not there, so that it has no SHA-256", escape::exact(at, 300));
    let hint = "without --if-sum it is made; sgw files ls SESSION DIRECTORY shows what is there";
    Failure::new(Code::FilesChanged, message, hint).sent(true)
}

pub fn changed(at: &[u8], found: Option<&str>) -> Failure {
    let shown = escape::exact(at, 300);
    let now = found.map(|sum| format!(": its SHA-256 is {sum} now")).unwrap_or_default();
    let message = format!("{shown} is not what it was{now}");
    Failure::new(Code::FilesChanged, message, "read it again: sgw files read SESSION PATH")
        .sent(true)
}

/// Only a part of what was to be appended is there.
pub fn piece_left(at: &[u8], now: Option<u64>) -> Failure {
    let shown = escape::exact(at, 300);
    let length = now.map(|now| format!(", with which it has {now} bytes")).unwrap_or_default();
    let message = format!("a piece of what was appended is left in {shown}{length}");
    Failure::new(Code::FilesFailed, message, "sgw files tail SESSION PATH shows its end").sent(true)
}

/// Whether something else is there than was.
fn unlike(now: &Option<Attrs>, before: Option<&Attrs>) -> bool {
    let seen = |attrs: &Attrs| (attrs.size, attrs.times.map(|times| times.1), attrs.owner);
    now.as_ref().map(seen) != before.map(seen)
}

/// A name beside it that nobody can foresee.
pub(super) fn beside(at: &[u8], what: &str) -> Result<Vec<u8>, Fault> {
    let drawn: [u8; 8] = random().map_err(|error| {
        let message = format!("no randomness from the kernel: {error}");
        Failure::new(Code::DaemonFailed, message, "this machine is broken").sent(false)
    })?;
    let (directory, name) = split(at).unwrap_or((b"/", b""));
    let name = &name[..name.len().min(NAME)];
    let suffix = format!(".sgw-{what}-{}", hex::encode(drawn));
    Ok(join(directory, &[b".", name, suffix.as_bytes()].concat()))
}

/// All of it from an offset on, many pieces in flight. None is under way any more where it fails.
async fn write_all(
    sftp: &Sftp,
    handle: &Handle,
    from: u64,
    mut content: Bytes,
) -> Result<(), Fault> {
    let (mut flying, mut fault) = (FuturesUnordered::new(), None);
    let mut at = from;
    while !flying.is_empty() || !(content.is_empty() || fault.is_some()) {
        while fault.is_none() && !content.is_empty() && flying.len() < WINDOW {
            let piece = content.split_to(content.len().min(sftp.write_size as usize));
            let length = piece.len() as u64;
            flying.push(sftp.write(handle, at, piece));
            at += length;
        }
        if let Some(written) = flying.next().await {
            fault = fault.or(written.err());
        }
    }
    fault.map_or(Ok(()), Err)
}
