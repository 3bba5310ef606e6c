//! `sgw files get`, `sgw files put` and `sgw cp`: files and trees to and fro.

pub mod cp;
mod get;
mod known;
mod local;
mod put;
mod receive;
mod report;
mod send;
mod unfinished;
mod walk;

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

pub use get::Get;
pub use put::Put;
use report::Report;

use super::{There, call, captured, end, path};
use crate::{
    cli::{Context, Outcome, Stop, ui::exit::Exit},
    client::{self, Error},
    domain::{bytes::Bytes, escape, files::Operation},
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// Calls that are under way at once.
const AT_ONCE: usize = 6;
/// Files of one call.
const FILES: usize = 1024;
/// Bytes of their names, so that they fit into a frame however they are written there.
const NAMES: usize = 128 * 1024;
/// … and bytes: what is larger goes by itself.
const BYTES: u64 = 16 * 1024 * 1024;
/// How long what was broken off may take to say what is done; another Ctrl-C ends it at once.
const GRACE: Duration = Duration::from_secs(15);

// What a transfer is like, in either direction.
#[derive(Clone, Debug, clap::Args)]
pub struct Manner {
    /// Directories with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Rights and times too; what has size and time already is left as it is, without looking into it
    #[arg(short, long)]
    preserve: bool,
    /// Leave out what this fits: a name anywhere, or a path below what is copied
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Say what would be copied, and copy nothing
    #[arg(long)]
    dry_run: bool,
    /// Copy anew, whatever is there or was left by an earlier transfer
    #[arg(long)]
    restart: bool,
    /// With -r: delete, in directories that are copied, what the source does not have; nothing where something failed
    #[arg(long)]
    delete: bool,
    /// With --delete: delete here without being asked
    #[arg(long)]
    yes: bool,
    /// Compare SHA-256 of each file at both ends afterwards
    #[arg(long)]
    verify: bool,
}

impl Manner {
    fn check(&self) -> Result<(), Failure> {
        match self.delete && !self.recursive {
            true => {
                let message = "--delete is about directories: it needs -r";
                Err(Failure::new(Code::UsageArguments, message, "sgw files put -r --delete …"))
            }
            false => Ok(()),
        }
    }

    fn excluded(&self) -> Result<GlobSet, Failure> {
        let wrong = |glob: &str| {
            let message = format!("this pattern can't be read: {}", escape::visible(glob, 100));
            Failure::new(Code::UsageArguments, message, "sgw files get --exclude '*.log' …")
        };
        let mut all = GlobSetBuilder::new();
        for glob in &self.exclude {
            let anywhere = if glob.contains('/') { glob.clone() } else { format!("**/{glob}") };
            let built = GlobBuilder::new(&anywhere).literal_separator(true).build();
            all.add(built.map_err(|_| wrong(glob))?);
        }
        all.build().map_err(|_| wrong("--exclude"))
    }
}

/// To its end, on Ctrl-C too: that ends the calls that are under way, and then what is done is told.
fn to_its_end(
    context: &Context,
    there: &There,
    transfer: impl Future<Output = Outcome>,
) -> Outcome {
    let runtime = client::runtime().map_err(Error::local("start"))?;
    let outcome = runtime.block_on(async {
        let interrupts = signal(SignalKind::interrupt());
        let mut interrupts = interrupts.map_err(Error::local("watch for Ctrl-C"))?;
        let given_up = async {
            interrupts.recv().await;
            let again = interrupts.recv();
            let _which = timeout(GRACE, again).await;
        };
        let ends = signal(SignalKind::terminate());
        let mut ends = ends.map_err(Error::local("watch for signals"))?;
        tokio::select! {
            biased;
            outcome = transfer => outcome,
            _told = ends.recv() => {
                context.ui.note("ended by SIGTERM: what was on its way is a part (….sgw-part) beside its place; \
                                 the same call goes on with the rest");
                Ok(Exit::TERMINATED)
            }
            () = given_up => {
                context.ui.note("broken off; the same call goes on with the rest");
                Ok(Exit::INTERRUPTED)
            }
        }
    });
    runtime.shutdown_background();
    outcome.map_err(|stop| there.stopped(stop))
}

/// Things of one call each: small ones together, a large one by itself.
fn batches<T>(all: Vec<T>, size: impl Fn(&T) -> u64, name: impl Fn(&T) -> &[u8]) -> Vec<Vec<T>> {
    batches_of(FILES, all, size, name)
}

fn batches_of<T>(
    most: usize,
    all: Vec<T>,
    size: impl Fn(&T) -> u64,
    name: impl Fn(&T) -> &[u8],
) -> Vec<Vec<T>> {
    let (mut batches, mut open) = (Vec::new(), Vec::new());
    let (mut bytes, mut names) = (0, 0);
    for one in all {
        let (more, longer) = (size(&one), name(&one).len());
        let full = open.len() >= most || bytes + more > BYTES || names + longer > NAMES;
        if full && !open.is_empty() {
            batches.push(std::mem::take(&mut open));
            (bytes, names) = (0, 0);
        }
        (bytes, names) = (bytes + more, names + longer);
        open.push(one);
    }
    if !open.is_empty() {
        batches.push(open);
    }
    batches
}

/// A few at once, until one says that no more is to begin.
async fn each<F: Future<Output = Result<(), Stop>>>(
    calls: impl Iterator<Item = F>,
) -> Option<Stop> {
    let (mut calls, mut flying) = (calls, FuturesUnordered::new());
    let mut stopped: Option<Stop> = None;
    loop {
        while stopped.is_none() && flying.len() < AT_ONCE {
            let Some(call) = calls.next() else { break };
            flying.push(call);
        }
        match flying.next().await {
            Some(Err(stop)) => stopped = Some(stopped.unwrap_or(stop)),
            Some(Ok(())) => {}
            None => return stopped,
        }
    }
}

/// The last name of a path; `None` where it has none (`/`, `.`, `..`).
fn last_name(path: &[u8]) -> Option<&[u8]> {
    let end = path.iter().rposition(|byte| *byte != b'/')? + 1;
    let name = path[..end].rsplit(|byte| *byte == b'/').next()?;
    (!matches!(name, b"." | b".." | b"~")).then_some(name)
}

/// `DIR/.`, as for cp(1): what is in the directory, and not the directory by its name.
fn is_contents(path: &[u8]) -> bool {
    path == b"." || path.ends_with(b"/.")
}

/// SHA-256 of files at both ends; what differs is told as a failure.
async fn verify(
    context: &Context,
    there: &There,
    files: BTreeMap<Vec<u8>, std::path::PathBuf>,
    report: &Report,
) -> Option<Stop> {
    let one = |(remote, local): (Vec<u8>, std::path::PathBuf)| async move {
        let operation = Operation::Sum { path: Bytes(remote.clone()) };
        let Done::Sum { sha256, .. } = end(context, there, operation).await? else {
            return Err(crate::cli::commands::wait::odd().into());
        };
        let own = send::sum_of(&local, u64::MAX).map(|(_, sum)| sum);
        if own.as_ref().ok() != Some(&sha256) {
            let message = "its content is not the same at both ends";
            let hint = "the same call with --restart copies it again";
            let failure = Failure::new(Code::FilesChanged, message, hint);
            report.undone(&remote, failure);
        }
        Ok(())
    };
    each(files.into_iter().map(one)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_share_a_call_and_a_large_one_has_its_own() {
        let sizes = |all: Vec<u64>| {
            batches(all, |size| *size, |_| b"x").iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(vec![1; FILES + 1]), [FILES, 1]);
        assert_eq!(sizes(vec![1, BYTES, 1, 1]), [1, 1, 2]);
        assert_eq!(sizes(vec![]), [0; 0]);
    }

    #[test]
    fn the_last_name_is_one() {
        assert_eq!(last_name(b"/a/b//"), Some(&b"b"[..]));
        assert_eq!(last_name(b"a"), Some(&b"a"[..]));
        for none in [&b"/"[..], b"", b"a/..", b".", b"~"] {
            assert_eq!(last_name(none), None);
        }
    }
}
