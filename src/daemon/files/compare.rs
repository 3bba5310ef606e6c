//! What a write would take the place of, looked at for the person who is asked about it.

use std::{collections::BTreeMap, sync::Arc};

use ::bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, ready},
    stream,
};

use super::{
    Files, Run,
    client::Sftp,
    fault::Fault,
    names::Names,
    read::{self, all_of, open},
    record, shell, write,
};
use crate::{
    daemon::{
        desk::Permit,
        session::{Session, fields},
    },
    domain::{
        bytes, escape,
        files::{
            How, Look, Operation, Way,
            replaced::{Before, COUNTED, Change, Replaced},
            sum,
            transfer::{Item, What},
        },
        record::Kind,
        sftp::{Attrs, FileType},
    },
    protocol::error::{Code, Failure},
};
/// The largest file that is read to be known by its SHA-256, in bytes: what is written at once.
const MOST: u64 = 16 * 1024 * 1024;
/// Of so many files at once each is looked at; a yes to more is a yes to whatever they hold.
const FILES: usize = 64;
/// How many of them at a time.
const AT_ONCE: usize = 4;

/// What would be at one of the paths.
enum After {
    Content(Bytes),
    /// This, behind what is there.
    Behind(Bytes),
    /// By its SHA-256, with the content where that was said and is it.
    Sum(Option<String>, Option<Bytes>),
    /// Nothing, or something else that is there already.
    Another,
}

impl Files {
    /// What is at the paths that an operation would write, and how that would change. Nobody but the operator
    /// hears of it.
    ///
    /// # Errors
    /// The record could not be written, or the server does not answer.
    pub async fn compare(
        &self,
        (session, way): (&Arc<Session>, Way),
        permit: Permit<Look>,
        (operation, at): (&Operation, &[Vec<u8>]),
        content: Option<&Bytes>,
        texts: Vec<(usize, bytes::Bytes)>,
    ) -> Result<Vec<Replaced>, Failure> {
        let _look = permit.spend();
        let wanted = wanted(operation, at, content, texts);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let paths: Vec<_> =
            wanted.iter().map(|(index, _)| bytes::Bytes(at[*index].clone())).collect();
        let mut looked = record(Kind::FilesLook, session);
        looked.action = fields([("compared", serde_json::to_value(paths))]);
        write(&self.evidence, looked).await?;
        let sftp = self.sftp_of(session, way).await?;
        let eyes = Eyes::of(sftp.as_deref(), session, way);
        let names = self.names.of(&session.account());
        let mut each: Vec<BoxFuture<'_, Result<Replaced, Failure>>> = Vec::new();
        for (index, after) in wanted {
            let compared = compare((&eyes, &names), &at[index], after);
            let replaced = move |(before, change)| Replaced { index, before, change };
            each.push(compared.map(move |found| found.map(replaced)).boxed());
        }
        let looked: Vec<Result<Replaced, Failure>> =
            stream::iter(each).buffered(AT_ONCE).collect().await;
        looked.into_iter().collect()
    }
}

impl Files {
    /// How many bytes an operation reads at its paths, or how many would be there.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn sizes(
        &self,
        (session, way): (&Arc<Session>, Way),
        permit: Permit<Look>,
        (operation, at): (&Operation, &[Vec<u8>]),
        content: Option<&Bytes>,
    ) -> Result<Vec<Option<u64>>, Failure> {
        let _look = permit.spend();
        let sftp = self.sftp_of(session, way).await?;
        sizes(&Eyes::of(sftp.as_deref(), session, way), operation, at, content).await
    }

    async fn sftp_of(
        &self,
        session: &Arc<Session>,
        way: Way,
    ) -> Result<Option<Arc<Sftp>>, Failure> {
        match way {
            Way::Sftp => self.sftp(session).await.map(Some),
            Way::Exec | Way::Sudo => Ok(None),
        }
    }
}

/// Through what files are looked at.
pub(super) enum Eyes<'e> {
    Sftp(&'e Sftp),
    Shell(&'e Arc<Session>, Way),
}

impl<'e> Eyes<'e> {
    fn of(sftp: Option<&'e Sftp>, session: &'e Arc<Session>, way: Way) -> Self {
        sftp.map_or(Self::Shell(session, way), Self::Sftp)
    }

    async fn lstat_if(&self, at: &[u8]) -> Result<Option<Attrs>, Fault> {
        match self {
            Self::Sftp(sftp) => sftp.lstat_if(at).await,
            Self::Shell(session, way) => shell::lstat_if((session, *way), at).await,
        }
    }

    /// All of a file; `None` where it is more than is read.
    async fn read(&self, names: &Names, at: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Sftp(sftp) => read_all(sftp, names, at).await,
            Self::Shell(session, way) => {
                let all = shell::content((session, *way), at, MOST + 1, names).await?;
                Ok((all.len() as u64 <= MOST).then_some(all))
            }
        }
    }

    /// How many entries a directory has; `None` where it can't be read, or not without a command for each.
    async fn entries(&self, at: &[u8]) -> Option<u64> {
        match self {
            Self::Sftp(sftp) => entries(sftp, at).await,
            Self::Shell(..) => None,
        }
    }

    /// What a link holds.
    async fn link(&self, at: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Sftp(sftp) => sftp.readlink(at).await.ok(),
            Self::Shell(..) => None,
        }
    }

    /// How many are looked at at a time: each is a command of its own without SFTP.
    fn at_once(&self) -> usize {
        match self {
            Self::Sftp(_) => FILES,
            Self::Shell(..) => AT_ONCE,
        }
    }
}

pub(super) async fn sizes(
    eyes: &Eyes<'_>,
    operation: &Operation,
    at: &[Vec<u8>],
    content: Option<&Bytes>,
) -> Result<Vec<Option<u64>>, Failure> {
    let mut each: Vec<BoxFuture<'_, Result<Option<u64>, Failure>>> = Vec::new();
    for (index, at) in at.iter().enumerate() {
        let size = move |there: Option<Attrs>| size(operation, index, there.as_ref(), content);
        let looked = eyes.lstat_if(at).map(move |there| match there {
            Ok(there) => Ok(size(there)),
            // It is counted then.
            Err(Fault::Status(_)) => Ok(None),
            Err(fault) => Err(fault.at("looking at", at)),
        });
        each.push(if at.is_empty() { ready(Ok(None)).boxed() } else { looked.boxed() });
    }
    let sizes: Vec<Result<_, Failure>> =
        stream::iter(each).buffered(eyes.at_once()).collect().await;
    sizes.into_iter().collect()
}

fn size(
    operation: &Operation,
    index: usize,
    there: Option<&Attrs>,
    content: Option<&Bytes>,
) -> Option<u64> {
    let size = match there {
        None => Some(0),
        Some(there) if matches!(there.file_type(), Some(FileType::File) | None) => there.size,
        Some(_) => None,
    };
    let from = |offset: u64| size.map(|size| size.saturating_sub(offset));
    match operation {
        Operation::Read { offset, limit, .. } => {
            from(*offset).map(|size| limit.map_or(size, |limit| limit.min(size)))
        }
        Operation::Sum { .. } => size,
        Operation::Move { .. } if index == 0 => size,
        Operation::Get { files } => from(files.get(index).map_or(0, |part| part.offset)),
        Operation::Write(_) => {
            let more = content.map_or(0, |content| content.len() as u64);
            size.map(|size| size.saturating_add(more))
        }
        Operation::Put(put) => match put.items.get(index).map(|item| &item.what) {
            Some(What::File { size, .. }) => Some(*size),
            _ => None,
        },
        // Some lines of it: they are counted.
        _ => None,
    }
}

fn wanted(
    operation: &Operation,
    at: &[Vec<u8>],
    content: Option<&Bytes>,
    texts: Vec<(usize, bytes::Bytes)>,
) -> Vec<(usize, After)> {
    match operation {
        Operation::Write(write) => {
            let after = match write.how {
                How::Append => After::Behind,
                How::Replace | How::Create => After::Content,
            };
            content.cloned().map(|content| (0, after(content))).into_iter().collect()
        }
        Operation::Put(put) => {
            let mut texts: BTreeMap<usize, Vec<u8>> =
                texts.into_iter().map(|(index, text)| (index, text.0)).collect();
            let mut text = |index, wanted: &Option<String>| {
                let text = texts.remove(&index)?;
                (wanted.as_deref() == Some(&sum(&text))).then(|| Bytes::from(text))
            };
            let of = |(index, item): (usize, &Item)| match &item.what {
                What::File { sum, .. } if item.refused.is_none() && !at[index].is_empty() => {
                    Some((index, After::Sum(sum.clone(), text(index, sum))))
                }
                _ => None,
            };
            put.items.iter().take(at.len()).enumerate().filter_map(of).take(FILES).collect()
        }
        Operation::Move { .. } | Operation::Remove { .. } => {
            (0..at.len()).map(|index| (index, After::Another)).collect()
        }
        _ => Vec::new(),
    }
}

async fn compare(
    (eyes, names): (&Eyes<'_>, &Names),
    at: &[u8],
    after: After,
) -> Result<(Before, Change), Failure> {
    let failed = |fault: Fault| fault.at("looking at", at);
    let there = match eyes.lstat_if(at).await {
        Ok(Some(there)) => there,
        Ok(None) => {
            let change = match after {
                After::Content(text) | After::Behind(text) | After::Sum(_, Some(text))
                    if !text.is_empty() =>
                {
                    between(Vec::new(), text).await
                }
                _ => Change::New,
            };
            return Ok((Before::Nothing, change));
        }
        Err(Fault::Status(_)) => {
            return Ok((Before::Unread { size: None, modified: None }, Change::Unread));
        }
        Err(fault) => return Err(failed(fault)),
    };
    let modified = there.times.map(|times| times.1);
    match there.file_type() {
        Some(FileType::Directory) if matches!(after, After::Another) => {
            let entries = eyes.entries(at).await;
            let before = Before::Directory { modified, entries };
            return Ok((before, Change::Directory { modified, entries }));
        }
        Some(FileType::Link) if matches!(after, After::Another) => {
            let target = eyes.link(at).await.map(bytes::Bytes);
            let before = Before::Link { modified, target: target.clone() };
            return Ok((before, Change::Link { target }));
        }
        _ => {}
    }
    let ordinary = matches!(there.file_type(), Some(FileType::File) | None);
    if !ordinary || there.size.is_none_or(|size| size > MOST) {
        return Ok((unread(&there), Change::Unread));
    }
    let before = match eyes.read(names, at).await {
        Ok(Some(before)) => before,
        Ok(None) => return Ok((unread(&there), Change::Unread)),
        // Which the operation itself may hear of: a yes to it is for what has this size and time.
        Err(failure) if failure.code == Code::FilesDenied => {
            return Ok((unread(&there), Change::Unread));
        }
        Err(failure) => return Err(failure),
    };
    let known = Before::content(&before);
    let change = match after {
        After::Content(after) => between(before, after).await,
        After::Behind(more) => {
            let after = [before.as_slice(), &more].concat();
            between(before, after.into()).await
        }
        After::Sum(sum, text) => match (&known, text) {
            (Before::Content { sum: there, .. }, _) if sum.as_ref() == Some(there) => Change::Same,
            (_, Some(text)) => between(before, text).await,
            _ => Change::Unknown,
        },
        After::Another => Change::seen(&before, modified),
    };
    Ok((known, change))
}

/// About [`COUNTED`] at most.
async fn entries(sftp: &Sftp, at: &[u8]) -> Option<u64> {
    let handle = sftp.open_directory(at).await.ok()?;
    let mut count = 0;
    let counted = loop {
        match sftp.read_directory(&handle).await {
            Ok(Some(names)) if count < COUNTED => {
                count += names.iter().filter(|name| name.entry().is_some()).count() as u64;
            }
            Ok(_) => break Some(count),
            Err(_) => break None,
        }
    };
    let _closed = sftp.close(handle).await;
    counted
}

impl Run<'_> {
    /// Right before it gets another name or none, by who holds names: what a person was shown has this one still. Of a
    /// directory that is when it last changed and how much is in it, and nothing of what lies deeper.
    pub(super) async fn check_shown(
        &self,
        index: usize,
        now: Option<&Attrs>,
    ) -> Result<(), Failure> {
        let at = self.at(index);
        let time = |now: &Attrs| now.times.map(|times| times.1);
        let many = |entries: Option<u64>| entries.map(|entries| entries.min(COUNTED));
        let same = match (self.replaced(index), now) {
            (None, _) | (Some(Before::Nothing), None) => true,
            (Some(Before::Nothing), Some(_)) | (Some(_), None) => false,
            (Some(Before::Content { size, sum }), Some(now)) => {
                matches!(now.file_type(), Some(FileType::File) | None)
                    && now.size == Some(*size)
                    && read::sum_now(self, at).await?.1 == *sum
            }
            (Some(Before::Unread { size, modified }), Some(now)) => {
                now.size == *size && time(now) == *modified
            }
            (Some(Before::Directory { modified, entries }), Some(now)) => {
                now.file_type() == Some(FileType::Directory)
                    && time(now) == *modified
                    && many(self::entries(&self.sftp, at).await) == many(*entries)
            }
            (Some(Before::Link { modified, target }), Some(now)) => {
                let holds = async { self.sftp.readlink(at).await.ok() };
                now.file_type() == Some(FileType::Link)
                    && time(now) == *modified
                    && holds.await.as_deref() == target.as_ref().map(bytes::Bytes::as_slice)
            }
        };
        if same { Ok(()) } else { Err(not_as_shown(at)) }
    }
}

pub(super) fn not_as_shown(at: &[u8]) -> Failure {
    let shown = escape::exact(at, 300);
    let message = format!("{shown} is not what was asked about any more; nothing was done");
    let hint =
        "look what is there now (sgw files stat SESSION PATH), then ask again: the same call";
    Failure::new(Code::FilesChanged, message, hint).sent(true)
}

/// Comparing long texts takes a while: elsewhere than where everybody waits.
async fn between(before: Vec<u8>, after: Bytes) -> Change {
    let compared = tokio::task::spawn_blocking(move || Change::between(&before, &after));
    compared.await.unwrap_or(Change::Large)
}

fn unread(there: &Attrs) -> Before {
    Before::Unread { size: there.size, modified: there.times.map(|times| times.1) }
}

/// All of a file; `None` where it is more than is read.
async fn read_all(sftp: &Sftp, names: &Names, at: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    let still = names.still().await?;
    let open = open(sftp, at).await?;
    let lasted = still.lasts();
    drop(still);
    let read = async {
        lasted?;
        let all = all_of(sftp, &open, 0, MOST + 1).await?;
        Ok((all.len() as u64 <= MOST).then_some(all))
    };
    let read = read.await;
    let _closed = sftp.close(open.handle).await;
    read.map_err(|fault: Fault| fault.at("reading", at))
}
