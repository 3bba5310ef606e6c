//! Operations, each by one run of the program or a few.

use std::sync::Arc;

use ::bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use super::{
    ODD, attrs,
    call::{Answer, Call},
    failed::{OPENS, does_not_open, no, no_listing, told},
    listed::{Listed, short},
    write::shown,
};
use crate::{
    daemon::{
        files::{
            calls::unsupported,
            count,
            fault::Fault,
            list::{DEPTH, UNREAD, entry_of},
            names::{Holds, Names},
            over_cap,
            resolve::join,
            tail::REPLACED,
        },
        session::{Session, stdin::Stdin},
    },
    domain::{
        bytes,
        files::{Files, Operation, Way},
        sftp::{Attrs, FileType},
    },
    protocol::{
        error::Failure,
        files::{Done, Type},
    },
};

/// Directories that are listed by one run of the program.
const AT_ONCE: usize = 200;
/// Entries that the program tells together.
const TOGETHER: usize = 100;
/// Its head(1) gave more than it was told to.
const MORE: Fault = Fault::Odd("more bytes than were asked for");

/// What an operation works with.
pub struct Run<'r> {
    pub session: &'r Arc<Session>,
    pub files: &'r Files,
    pub names: Arc<Names>,
    pub out: mpsc::Sender<Bytes>,
    pub notes: mpsc::Sender<&'static str>,
}

/// Directories of one depth that are still to be listed: where, and what their entries' paths begin with.
type Pending = Vec<(Vec<u8>, Vec<u8>)>;

impl Run<'_> {
    pub async fn operate(&self, stdin: Option<Arc<Stdin>>) -> Result<Done, Failure> {
        match &self.files.operation {
            Operation::List { depth, .. } => self.list(*depth).await,
            Operation::Stat { .. } => self.stat().await,
            Operation::Read { offset, limit, .. } => self.read(*offset, *limit).await,
            Operation::Tail { lines, follow, .. } => self.tail(*lines, *follow).await,
            Operation::Sum { .. } => self.sum().await,
            Operation::Space { .. } => self.space().await,
            Operation::Write(write) => {
                self.write(write, self.files.content.clone().unwrap_or_default()).await
            }
            Operation::MakeDirectory { parents, mode, .. } => {
                let mode = octal(*mode);
                let words = [self.at(0), flag(*parents), mode.as_bytes(), b"", b""];
                self.change("make", "making", &words, self.at(0)).await
            }
            Operation::Move { replace, .. } => {
                let (old, new) = (shown(self.replaced(0)), shown(self.replaced(1)));
                let words =
                    [self.at(0), self.at(1), flag(*replace), old.as_bytes(), new.as_bytes()];
                self.change("move", "moving", &words, self.at(1)).await
            }
            Operation::Remove { recursive, .. } => {
                let shown = shown(self.replaced(0));
                let words = [self.at(0), flag(*recursive), shown.as_bytes()];
                self.change("remove", "removing", &words, self.at(0)).await
            }
            Operation::SetMode { mode, .. } => {
                let mode = octal(Some(*mode));
                let words = [self.at(0), mode.as_bytes()];
                self.change("rights", "changing the rights of", &words, self.at(0)).await
            }
            Operation::Link { target, .. } => {
                let words = [self.at(0), target.as_slice(), b""];
                self.change("link", "linking", &words, self.at(0)).await
            }
            Operation::Get { files } => self.get(files).await,
            Operation::Put(put) => self.put(put, stdin.unwrap_or_default()).await,
            Operation::Attributes(_) | Operation::HardLink { .. } | Operation::Served { .. } => {
                Err(unsupported().at("changing", self.at(0)))
            }
        }
    }

    /// One of its paths, resolved.
    pub(super) fn at(&self, number: usize) -> &[u8] {
        self.files.at.get(number).map_or(b"/", Vec::as_slice)
    }

    async fn begin(&self, verb: &str, words: &[&[u8]]) -> Result<Call, Fault> {
        Call::begin(self.session, self.files.way, verb, words).await
    }

    pub(super) async fn ready(&self, streams: bool) -> Result<Call, Fault> {
        Call::ready(self.session, self.files.way, streams).await
    }

    /// No more is read or written there than what was judged. The piece that is too much goes to nobody.
    pub(super) fn check_cap(&self, index: usize, bytes: u64) -> Result<(), Failure> {
        match self.files.cap(index) {
            Some(cap) if bytes > cap => Err(over_cap(self.at(index), cap)),
            _ => Ok(()),
        }
    }

    /// An answer that is a yes.
    pub(super) async fn yes(&self, call: &mut Call, doing: &str, at: &[u8]) -> Result<(), Failure> {
        match call.answer().await {
            Ok(Answer::Yes) => Ok(()),
            // What is there is not said by its SHA-256: whoever writes it may not be let read it.
            Ok(Answer::No(word)) if word.starts_with("changed") && !self.files.tells_sum => {
                Err(no("changed", at, self.session))
            }
            Ok(Answer::No(word)) => Err(no(&word, at, self.session)),
            Err(fault) => Err(told(&fault, doing, at)),
        }
    }

    /// A change that tells nothing but whether it was so already.
    pub(super) async fn change(
        &self,
        verb: &str,
        doing: &str,
        words: &[&[u8]],
        at: &[u8],
    ) -> Result<Done, Failure> {
        let failed = |fault: Fault| told(&fault, doing, at);
        // Dropped after the call, which then knows whether anything of it can still be done.
        let (held, sent);
        let mut call = self.ready(false).await.map_err(failed)?;
        held = match verb {
            "move" | "link" => Holds::Alone(self.names.turning().await?),
            _ if self.replaced(0).is_some() => Holds::Alone(self.names.alone().await?),
            _ => Holds::Still(self.names.still().await?),
        };
        sent = held.sends(call.settles())?;
        call.does(verb, words).await.map_err(failed)?;
        self.yes(&mut call, doing, at).await?;
        if verb == "remove" {
            // It holds the directory by itself: nobody waits for all that is in it.
            drop((sent, held));
            self.yes(&mut call, doing, at).await?;
        }
        let already = !call.field().await.map_err(failed)?.is_empty();
        call.close().await;
        Ok(Done::Changed { path: bytes::Bytes(at.to_vec()), already })
    }

    async fn look(&self) -> Result<(Attrs, Option<Vec<u8>>), Failure> {
        let (at, failed) = (self.at(0), |fault: Fault| told(&fault, "looking at", self.at(0)));
        let mut call = self.ready(false).await.map_err(failed)?;
        let _still = self.names.still().await?;
        call.does("stat", &[at]).await.map_err(failed)?;
        self.yes(&mut call, "looking at", at).await?;
        let line = call.field().await.map_err(failed)?;
        let target = call.field().await.map_err(failed)?;
        call.close().await;
        short(&target).map_err(failed)?;
        let attrs = attrs(&line).ok_or_else(|| failed(Fault::Odd(ODD)))?;
        let is_link = attrs.file_type() == Some(FileType::Link);
        Ok((attrs, is_link.then_some(target)))
    }

    async fn stat(&self) -> Result<Done, Failure> {
        let (attrs, target) = self.look().await?;
        Ok(Done::File(entry_of(self.at(0).to_vec(), &attrs, target)))
    }

    async fn list(&self, depth: u32) -> Result<Done, Failure> {
        let (at, path) = (self.at(0), bytes::Bytes(self.at(0).to_vec()));
        let (attrs, target) = self.look().await?;
        let mut listed = Listed::default();
        if attrs.file_type() != Some(FileType::Directory) {
            let one = entry_of(at.to_vec(), &attrs, target);
            self.tell(&one).await.map_err(|fault| told(&fault, "listing", at))?;
            return Ok(Done::Listing { path, entries: 1, truncated: false, unread: Vec::new() });
        }
        let mut level: Pending = vec![(at.to_vec(), Vec::new())];
        for depth in (0..depth.clamp(1, DEPTH)).rev() {
            let mut below = Vec::new();
            for some in level.chunks(AT_ONCE) {
                let listing = self.list_some(some, depth > 0, &mut below, &mut listed).await;
                listing.map_err(|fault| told(&fault, "listing", at))?;
            }
            level = below;
            if level.is_empty() || listed.is_full() || self.out.is_closed() {
                break;
            }
        }
        let truncated = listed.truncated || listed.is_full();
        Ok(Done::Listing { path, entries: listed.entries, truncated, unread: listed.unread })
    }

    async fn list_some(
        &self,
        some: &[(Vec<u8>, Vec<u8>)],
        deeper: bool,
        below: &mut Pending,
        listed: &mut Listed,
    ) -> Result<(), Fault> {
        let count = some.len().to_string();
        let paths = some.iter().map(|(at, _)| at.as_slice());
        let words: Vec<&[u8]> = std::iter::once(count.as_bytes()).chain(paths).collect();
        let mut call = self.ready(true).await?;
        call.does("list", &words).await?;
        for directory in some {
            let mut wrong = None;
            loop {
                let field = call.field().await?;
                match field.as_slice() {
                    b"." => break,
                    b"!" if directory.1.is_empty() => {
                        return Err(no_listing(wrong.as_deref(), &directory.0, self.session).into());
                    }
                    // One that may not be read is no reason to say nothing of the others.
                    b"!" => {
                        listed.truncated = true;
                        if listed.unread.len() < UNREAD {
                            listed.unread.push(bytes::Bytes(directory.1.clone()));
                        }
                        break;
                    }
                    [b'!', word @ ..] => wrong = Some(String::from_utf8_lossy(word).into_owned()),
                    number => {
                        let number = std::str::from_utf8(number).ok();
                        let number = number.and_then(|number| number.parse().ok());
                        let number = number.filter(|number| (1..=TOGETHER).contains(number));
                        let number = number.ok_or(Fault::Odd(ODD))?;
                        let more = self.entries(&mut call, number, directory, listed).await?;
                        below.extend(more.into_iter().filter(|_| deeper));
                    }
                }
                if listed.is_full() || self.out.is_closed() {
                    call.close().await;
                    return Ok(());
                }
            }
        }
        call.close().await;
        Ok(())
    }

    /// Entries that are told together; those of them that are directories.
    async fn entries(
        &self,
        call: &mut Call,
        number: usize,
        (at, within): &(Vec<u8>, Vec<u8>),
        listed: &mut Listed,
    ) -> Result<Pending, Fault> {
        let mut names = Vec::with_capacity(number);
        for _ in 0..number {
            let name = call.field().await?;
            names.push(short(name.strip_prefix(b"./").ok_or(Fault::Odd(ODD))?)?.to_vec());
        }
        let lines = call.field().await?;
        let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
        if lines.len() != number {
            return Err(Fault::Odd(ODD));
        }
        let mut below = Pending::new();
        for (name, line) in names.into_iter().zip(lines) {
            let target = call.field().await?;
            short(&target)?;
            if name.is_empty() || name.contains(&b'/') || matches!(name.as_slice(), b"." | b"..") {
                return Err(Fault::Odd(ODD));
            }
            // It was there a moment ago.
            let Some(attrs) = attrs(line) else { continue };
            let path = if within.is_empty() { name.clone() } else { join(within, &name) };
            let is_link = attrs.file_type() == Some(FileType::Link);
            if !listed.takes(at.len() + 1 + name.len() + target.len()) {
                break;
            }
            let entry = entry_of(path.clone(), &attrs, is_link.then_some(target));
            self.tell(&entry).await?;
            if entry.r#type == Type::Directory {
                below.push((join(at, &name), path));
            }
        }
        Ok(below)
    }

    async fn tell(&self, entry: &crate::protocol::files::Entry) -> Result<(), Fault> {
        let mut line = serde_json::to_vec(entry).unwrap_or_default();
        line.push(b'\n');
        count(self.session, line.len())?;
        // A caller that is gone needs none.
        let _gone = self.out.send(line.into()).await;
        Ok(())
    }

    /// What is known of a file whose content, or its sum, follows. It is held from here on, whatever gets its name.
    pub(super) async fn open(
        &self,
        verb: &str,
        words: &[&[u8]],
        at: &[u8],
    ) -> Result<(Call, Attrs), Failure> {
        let failed = |fault: Fault| told(&fault, "opening", at);
        let mut call = self.ready(verb != "sum").await.map_err(failed)?;
        let still = self.names.still().await?;
        call.does(verb, words).await.map_err(failed)?;
        let opened = timeout(OPENS, self.yes(&mut call, "opening", at)).await;
        opened.map_err(|_| does_not_open(at))??;
        still.lasts()?;
        let line = call.field().await.map_err(failed)?;
        let attrs = attrs(&line).ok_or_else(|| failed(Fault::Odd(ODD)))?;
        Ok((call, attrs))
    }

    async fn read(&self, offset: u64, limit: Option<u64>) -> Result<Done, Failure> {
        use sha2::{Digest, Sha256};
        let at = self.at(0);
        let (from, most) = (offset.to_string(), limit.map(|most| most.to_string()));
        let words = [at, from.as_bytes(), most.as_deref().unwrap_or_default().as_bytes()];
        let (mut call, attrs) = self.open("read", &words, at).await?;
        let (mut hash, mut sent) = (Sha256::new(), 0u64);
        let failed = |fault: Fault| told(&fault, "reading", at);
        while let Some(piece) = call.piece().await.map_err(failed)? {
            count(self.session, piece.len()).map_err(failed)?;
            hash.update(&piece);
            sent += piece.len() as u64;
            if limit.is_some_and(|most| sent > most) {
                return Err(failed(MORE));
            }
            self.check_cap(0, sent)?;
            if self.out.send(piece).await.is_err() {
                break;
            }
        }
        call.close().await;
        let size = attrs.size;
        let whole = offset == 0 && limit.is_none_or(|limit| sent < limit || size == Some(sent));
        let sha256 = (whole && !self.out.is_closed()).then(|| hex::encode(hash.finalize()));
        Ok(Done::Content { path: bytes::Bytes(at.to_vec()), size, offset, bytes: sent, sha256 })
    }

    async fn tail(&self, lines: u64, follow: bool) -> Result<Done, Failure> {
        let at = self.at(0);
        let (size, mut sent) = self.tail_one(&lines.to_string(), follow, 0).await?;
        let offset = size.unwrap_or(0).saturating_sub(sent);
        // It ends by itself where another file has the name.
        while follow && !self.out.is_closed() {
            // A caller that is gone needs none.
            let _gone = self.notes.send(REPLACED).await;
            sent = self.tail_one("+1", follow, sent).await?.1;
        }
        Ok(Done::Content {
            path: bytes::Bytes(at.to_vec()),
            size,
            offset,
            bytes: sent,
            sha256: None,
        })
    }

    /// What has the name, to its end; how much was sent with what was before.
    async fn tail_one(
        &self,
        lines: &str,
        follow: bool,
        earlier: u64,
    ) -> Result<(Option<u64>, u64), Failure> {
        let (at, mut sent) = (self.at(0), earlier);
        let (mut call, attrs) =
            self.open("tail", &[at, lines.as_bytes(), flag(follow)], at).await?;
        let failed = |fault: Fault| told(&fault, "reading", at);
        loop {
            let piece = tokio::select! {
                biased;
                () = self.out.closed() => break,
                piece = call.piece() => piece.map_err(failed)?,
            };
            let Some(piece) = piece else { break };
            count(self.session, piece.len()).map_err(failed)?;
            sent += piece.len() as u64;
            self.check_cap(0, sent)?;
            if self.out.send(piece).await.is_err() {
                break;
            }
        }
        call.close().await;
        Ok((attrs.size, sent))
    }

    pub(super) async fn sum(&self) -> Result<Done, Failure> {
        let at = self.at(0);
        let failed = |fault: Fault| told(&fault, "reading", at);
        let (mut call, attrs) = self.open("sum", &[at], at).await?;
        self.yes(&mut call, "reading", at).await?;
        let sum = String::from_utf8(call.field().await.map_err(failed)?).unwrap_or_default();
        call.close().await;
        let is_sum = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        match attrs.size {
            Some(size) if is_sum => {
                self.check_cap(0, size)?;
                let (path, sha256) = (bytes::Bytes(at.to_vec()), sum.to_ascii_lowercase());
                Ok(Done::Sum { path, size, sha256 })
            }
            _ => Err(failed(Fault::Odd(ODD))),
        }
    }

    async fn space(&self) -> Result<Done, Failure> {
        let at = self.at(0);
        let failed = |fault: Fault| told(&fault, "looking at", at);
        let mut call = self.begin("space", &[at]).await.map_err(failed)?;
        self.yes(&mut call, "looking at", at).await?;
        let blocks = row(&call.field().await.map_err(failed)?);
        let files = row(&call.field().await.map_err(failed)?).unwrap_or_default();
        call.close().await;
        let [size, used, available] = blocks.ok_or_else(|| failed(Fault::Odd(ODD)))?;
        let bytes = |blocks: u64| blocks.saturating_mul(1024);
        Ok(Done::Space {
            path: bytes::Bytes(at.to_vec()),
            size: bytes(size),
            used: bytes(used),
            available: bytes(available),
            files: files[0],
            files_available: files[2],
            // df(1) does not say it.
            read_only: false,
        })
    }
}

/// What has a name; `None` where nothing has.
pub async fn lstat_if(
    (session, way): (&Arc<Session>, Way),
    at: &[u8],
) -> Result<Option<Attrs>, Fault> {
    let mut call = Call::begin(session, way, "stat", &[at]).await?;
    match call.answer().await {
        Ok(Answer::Yes) => {
            let line = call.field().await?;
            call.close().await;
            attrs(&line).map(Some).ok_or(Fault::Odd(ODD))
        }
        Ok(Answer::No(word)) => Err(no(&word, at, session).into()),
        Err(fault) if fault.is_not_found() => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// A file's content, `most` bytes of it.
pub async fn content(
    (session, way): (&Arc<Session>, Way),
    at: &[u8],
    most: u64,
    names: &Names,
) -> Result<Vec<u8>, Failure> {
    let failed = |fault: Fault| told(&fault, "reading", at);
    let limit = most.to_string();
    let words = [at, b"0", limit.as_bytes()];
    let mut call = Call::ready(session, way, false).await.map_err(failed)?;
    let still = names.still().await?;
    call.does("read", &words).await.map_err(failed)?;
    let opened = timeout(OPENS, call.answer()).await.map_err(|_| does_not_open(at))?;
    match opened.map_err(failed)? {
        Answer::Yes => _ = call.field().await.map_err(failed)?,
        Answer::No(word) => return Err(no(&word, at, session)),
    }
    still.lasts()?;
    drop(still);
    let mut all = Vec::new();
    while let Some(piece) = call.piece().await.map_err(failed)? {
        if (all.len() + piece.len()) as u64 > most {
            return Err(failed(MORE));
        }
        all.extend_from_slice(&piece);
    }
    call.close().await;
    Ok(all)
}

/// The three numbers before the share that df(1) prints of one file system, whatever stands around them.
fn row(table: &[u8]) -> Option<[u64; 3]> {
    let text = String::from_utf8_lossy(table);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let number = |word: &&str| word.parse::<u64>().ok();
    words.windows(4).rev().find_map(|words| match words {
        [a, b, c, share] if share.ends_with('%') || *share == "-" => {
            Some([number(a)?, number(b)?, number(c)?])
        }
        _ => None,
    })
}

pub(super) fn flag(on: bool) -> &'static [u8] {
    if on { b"1" } else { b"" }
}

/// As printf(1) and chmod(1) both take it.
pub(super) fn octal(mode: Option<u32>) -> String {
    mode.map(|mode| format!("0{mode:o}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_df_says_is_found_among_odd_names() {
        let table = b"Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                      //host/my share 100 40 60 40% /mnt/a 5% b\n";
        assert_eq!(row(table), Some([100, 40, 60]));
        assert_eq!(
            row(b"Filesystem Inodes IUsed IFree IUse% Mounted on\nx 0 0 0 - /\n"),
            Some([0; 3])
        );
        assert_eq!(row(b"nothing"), None);
    }

    #[test]
    fn a_mode_is_octal_for_every_program() {
        assert_eq!(octal(Some(0o4755)), "04755");
        assert_eq!(octal(Some(0)), "00");
        assert_eq!(octal(None), "");
    }
}
