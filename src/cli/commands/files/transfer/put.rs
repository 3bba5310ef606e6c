//! `put`: what is here goes to the server. The daemon opens nothing here: this program reads, and sends.

use std::{collections::BTreeMap, os::unix::ffi::OsStrExt, path::PathBuf};

use super::{
    Manner, Report, There, end, is_contents,
    known::{Known, equal},
    last_name, path,
    report::{Planned, would, would_delete},
    send::{Counts, Putting, sum_of},
    to_its_end,
    unfinished::{Unfinished, absolute},
    walk::{Going, Source},
};
use crate::{
    cli::{Context, Outcome, Stop, commands::wait::odd, ui::exit::Exit},
    domain::{
        bytes::Bytes,
        escape,
        files::{
            Operation,
            transfer::{What, part_name},
        },
    },
    protocol::{
        error::{Code, Failure},
        files::{Done, Type},
    },
};

/// Files from this size on are looked for on the server, whether an earlier transfer left a part.
const WORTH: u64 = 8 * 1024 * 1024;

/// Copy files to a server
///
/// As `cp`: into REMOTE where that is a directory, else to that name; `DIR/.` is what is in DIR. Each file is written under another name beside
/// it and gets its own when it is whole. What was cut off goes on by itself, where SHA-256 proves that the part is
/// one of this file. What is there with the same size is read, and left as it is where it has the same content
/// (--restart copies it nevertheless). Links are copied as links, but one that is named itself is followed. The rights of a file that is there stay. Cut off, it
/// ends with 75, by Ctrl-C with 130, by SIGTERM with 143: the same call goes on, for a week also in a directory that it made.
/// Where a person is asked, that is once, before anything is made.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files put s-4fk app.tar.gz /srv/releases/
  sgw files put -r s-4fk ./site /var/www/site --exclude .git")]
pub struct Put {
    #[command(flatten)]
    there: There,
    /// One or more paths here, and the one there
    #[arg(value_name = "LOCAL… REMOTE", num_args = 2.., required = true)]
    paths: Vec<std::ffi::OsString>,
    #[command(flatten)]
    manner: Manner,
    /// On the server's disk before it counts as done
    #[arg(long)]
    fsync: bool,
}

impl Put {
    pub fn run(mut self, context: &Context) -> Outcome {
        let remote = path(self.paths.pop().unwrap_or_default()).0;
        let locals = self.paths.into_iter().map(PathBuf::from).collect();
        run(context, &self.there, locals, remote, &self.manner, self.fsync)
    }
}

pub fn run(
    context: &Context,
    there: &There,
    locals: Vec<PathBuf>,
    remote: Vec<u8>,
    manner: &Manner,
    fsync: bool,
) -> Outcome {
    to_its_end(context, there, async {
        manner.check()?;
        let unfinished = match locals.as_slice() {
            [one] => {
                let from = absolute(one);
                Some(Unfinished::of(context, "put", &there.session, &from, &remote))
            }
            _ => None,
        };
        let goes_on = unfinished.as_ref().is_some_and(Unfinished::is_known);
        let found = if goes_on { None } else { found(context, there, &remote).await? };
        let into = found == Some(Type::Directory);
        if !into {
            check_one(&locals, &remote, found)?;
        }
        let mut source = find(context, (locals, &remote), into, manner)?;
        let unfinished = unfinished.filter(|_| !into && !source.trees.is_empty());
        let known = Known::find(context, there, &source).await?;
        let gone = match manner.delete {
            true => known.gone(&source, &manner.excluded()?)?,
            false => Vec::new(),
        };
        let files = source.files.iter().map(|going| going.to().to_vec());
        let report = Report::new(context, there, files, source.bytes());
        for (path, failure) in source.failed.drain(..) {
            report.failed(&path, failure);
        }
        let same = unchanged(context, there, &source, &known, manner).await;
        let same = match same {
            Ok(same) => same,
            Err(stop) => return report.tell(context, Some(stop)),
        };
        let kept = |going: &Going| same.contains(going.to());
        let (left, files) = std::mem::take(&mut source.files).into_iter().partition(kept);
        source.files = files;
        let left: Vec<Going> = left;
        left.iter().for_each(|going| report.skipped(going.to(), going.size()));
        if manner.dry_run {
            return dry_run(context, &report, &source, &gone);
        }
        let putting = Putting { context, there, fsync, report: &report };
        if let Some(unfinished) = &unfinished {
            unfinished.begins(context);
        }
        let stopped = carry_out(&putting, source, gone, manner).await.err();
        let told = report.tell(context, stopped);
        if let (Ok(Exit::DONE), Some(unfinished)) = (&told, &unfinished) {
            unfinished.ends();
        }
        told
    })
}

/// Only one thing goes where no directory is.
fn check_one(locals: &[PathBuf], remote: &[u8], found: Option<Type>) -> Result<(), Failure> {
    if locals.len() == 1 && !remote.ends_with(b"/") {
        return Ok(());
    }
    let shown = escape::exact(remote, 300);
    Err(match found {
        None => {
            let message = format!("{shown} is not there, and it must be a directory");
            Failure::new(Code::FilesNotFound, message, "sgw files mkdir SESSION PATH makes it")
        }
        Some(_) => {
            let message = format!("{shown} is a file there, and it must be a directory");
            Failure::new(Code::FilesKind, message, "give the name of a directory, or another one")
        }
    })
}

/// What goes, and where.
fn find(
    context: &Context,
    (locals, remote): (Vec<PathBuf>, &[u8]),
    into: bool,
    manner: &Manner,
) -> Result<Source, Stop> {
    let mut source = Source::default();
    for local in locals {
        let to = match into {
            true if is_contents(local.as_os_str().as_bytes()) => remote.to_vec(),
            true => {
                let name = last_name(local.as_os_str().as_bytes()).ok_or_else(|| {
                    let message = "this has no name that it could have there: give REMOTE one";
                    Failure::new(Code::UsageArguments, message, "sgw files put -r SESSION . NEW")
                })?;
                let slash: &[u8] = if remote.ends_with(b"/") { b"" } else { b"/" };
                [remote, slash, name].concat()
            }
            false => remote.to_vec(),
        };
        source.walk(context, local, to, manner)?;
    }
    Ok(source)
}

/// What is there, behind links.
async fn found(context: &Context, there: &There, remote: &[u8]) -> Result<Option<Type>, Stop> {
    let operation = Operation::Stat { path: Bytes(remote.to_vec()), follow: true };
    match end(context, there, operation).await {
        Ok(Done::File(entry)) => Ok(Some(entry.r#type)),
        Ok(_) => Err(odd().into()),
        Err(Stop::Failure(failure)) if failure.code == Code::FilesNotFound => Ok(None),
        Err(stop) => Err(stop),
    }
}

/// What need not go: with `-p` what has size and time, else what has the content.
async fn unchanged(
    context: &Context,
    there: &There,
    source: &Source,
    known: &Known,
    manner: &Manner,
) -> Result<std::collections::HashSet<Vec<u8>>, Stop> {
    let files = source.files.iter();
    match manner {
        Manner { restart: true, .. } => Ok(Default::default()),
        Manner { preserve: true, .. } => {
            Ok(files.filter(|one| known.is_as_old(one)).map(|one| one.to().to_vec()).collect())
        }
        _ => {
            let long = files.filter(|one| known.is_as_long(one)).cloned().collect();
            equal(context, there, long).await
        }
    }
}

fn dry_run(context: &Context, report: &Report, source: &Source, gone: &[Going]) -> Outcome {
    for going in source.all() {
        let from = going.local.as_os_str().as_bytes();
        would(context, going.item.what.kind(), from, going.to());
    }
    gone.iter().for_each(|going| would_delete(context, going.to()));
    let (files, bytes) = (source.files.len() as u64, source.bytes());
    report.planned(context, &Planned { files, bytes, deleted: gone.len(), perhaps: 0 })
}

async fn carry_out(
    putting: &Putting<'_>,
    source: Source,
    gone: Vec<Going>,
    manner: &Manner,
) -> Result<(), Stop> {
    let Source { directories, links, files, .. } = source;
    let Putting { context, there, report, .. } = *putting;
    // What is closed to its owner is closed when all is in it.
    let mut opened = directories.clone();
    let closed: Vec<Going> = directories
        .into_iter()
        .filter(|going| going.item.mode.is_some_and(|mode| mode & 0o700 != 0o700))
        .collect();
    for going in &mut opened {
        going.item.mode = going.item.mode.map(|mode| mode | 0o700);
    }
    let verified: BTreeMap<Vec<u8>, PathBuf> = match manner.verify {
        true => files.iter().map(|going| (going.to().to_vec(), going.local.clone())).collect(),
        false => BTreeMap::new(),
    };
    // One thing alone is one question anyway.
    let several = opened.len() + links.len() + files.len() > 1;
    let all = || opened.iter().chain(&links).chain(&files).cloned().collect();
    if several && putting.asks(all()).await? {
        putting.whole(all()).await?;
    } else {
        bit_by_bit(putting, (opened, links, files), manner).await?;
    }
    putting.directories(closed, Counts::Not).await?;
    super::verify(context, there, verified, report).await.map_or(Ok(()), Err)?;
    if !gone.is_empty() && report.is_clean(context) {
        putting.all(gone, Counts::Removed).await.map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// Directories, then the rest, many calls at once.
async fn bit_by_bit(
    putting: &Putting<'_>,
    (directories, links, mut files): (Vec<Going>, Vec<Going>, Vec<Going>),
    manner: &Manner,
) -> Result<(), Stop> {
    let Putting { context, there, .. } = *putting;
    let made = putting.directories(directories, Counts::Copied).await?;
    for going in &mut files {
        going.item.fresh = made.contains(going.above());
        let may_go_on = !manner.restart && there.by.leaves_parts() && !going.item.fresh;
        if may_go_on && going.size() >= WORTH {
            going.go_on(context, there).await;
        }
    }
    files.extend(links);
    putting.all(files, Counts::Copied).await.map_or(Ok(()), Err)
}

impl Going {
    /// Looks whether a part of it is there, and whether SHA-256 proves that it is one.
    async fn go_on(&mut self, context: &Context, there: &There) {
        let What::File { size, offset, .. } = &mut self.item.what else { return };
        let path = self.item.path.as_slice();
        let Some(name) = last_name(path) else { return };
        let above = &path[..path.len() - name.len()];
        let part = Bytes([above, &part_name(name)].concat());
        let there = &there.without_asking();
        let stat = Operation::Stat { path: part.clone(), follow: false };
        let found = match end(context, there, stat).await {
            Ok(Done::File(entry)) if entry.r#type == Type::File => entry.size.unwrap_or(0),
            _ => return,
        };
        if found == 0 || found > *size {
            return;
        }
        let Ok(Done::Sum { size: summed, sha256, .. }) =
            end(context, there, Operation::Sum { path: part }).await
        else {
            return;
        };
        if sum_of(&self.local, summed).is_ok_and(|(length, sum)| length == summed && sum == sha256)
        {
            *offset = summed;
        }
    }
}
