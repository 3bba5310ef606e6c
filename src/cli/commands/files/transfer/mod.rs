//! `sgw files get`, `sgw files put` and `sgw cp`: files and trees to and fro.

pub mod cp;
mod get;
mod local;
mod put;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, stream::FuturesUnordered};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde_json::json;

pub use get::Get;
pub use put::Put;

use super::{There, call, captured, end, path};
use crate::{
    cli::{
        Context, Outcome, Stop,
        ui::{exit::Exit, progress::Progress},
    },
    domain::escape,
    protocol::error::{Code, Failure},
};

/// Calls that are under way at once.
const AT_ONCE: usize = 4;
/// Files of one call.
const FILES: usize = 512;
/// … and bytes: what is larger goes by itself.
const BYTES: u64 = 16 * 1024 * 1024;
/// Failures that are told one by one.
const TOLD: usize = 20;

// What a transfer is like, in either direction.
#[derive(Clone, Debug, clap::Args)]
pub struct Manner {
    /// Directories with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Rights and times too; what has size and time already is left as it is
    #[arg(short, long)]
    preserve: bool,
    /// Leave out what this fits: a name anywhere, or a path below what is copied
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Say what would be copied, and copy nothing
    #[arg(long)]
    dry_run: bool,
    /// Begin anew, whatever an earlier transfer left
    #[arg(long)]
    restart: bool,
    /// Compare SHA-256 of each file at both ends afterwards
    #[arg(long)]
    verify: bool,
}

impl Manner {
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

/// What became of the files of a transfer.
#[derive(Debug)]
struct Report {
    progress: Progress,
    files: u64,
    inner: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    done: u64,
    bytes: u64,
    skipped: u64,
    failed: Vec<(Vec<u8>, Failure)>,
}

impl Report {
    fn new(context: &Context, files: u64, bytes: u64) -> Arc<Self> {
        let progress = Progress::new(context.ui, files, bytes);
        Arc::new(Self { progress, files, inner: Mutex::default() })
    }

    fn done(&self, path: &[u8], bytes: u64) {
        let mut inner = self.lock();
        (inner.done, inner.bytes) = (inner.done + 1, inner.bytes + bytes);
        let told = json!({ "kind": "file", "path": crate::domain::bytes::Bytes(path.to_vec()), "bytes": bytes });
        self.progress.file(&told, inner.done, self.files);
    }

    fn skipped(&self) {
        self.lock().skipped += 1;
    }

    fn failed(&self, path: &[u8], failure: Failure) {
        let mut inner = self.lock();
        let told = json!({ "kind": "file", "path": crate::domain::bytes::Bytes(path.to_vec()), "error": failure });
        self.progress.file(&told, inner.done, self.files);
        inner.failed.push((path.to_vec(), failure));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end: what is done, what is not, and how the process ends.
    fn tell(&self, context: &Context, stopped: Option<Stop>) -> Outcome {
        self.progress.end();
        let inner = self.lock();
        let Counted { done, bytes, skipped, failed } = &*inner;
        let missing = self.files.saturating_sub(done + skipped);
        if !context.ui.json {
            for (path, failure) in failed.iter().take(TOLD) {
                let shown = escape::visible_bytes(path, 300);
                context.ui.note(&format!(
                    "{shown}: [{}] {}",
                    failure.code.as_str(),
                    failure.message
                ));
            }
            if failed.len() > TOLD {
                context.ui.note(&format!("and {} more", failed.len() - TOLD));
            }
        }
        let said = format!("{done} of {} files done, {bytes} bytes", self.files);
        let said = if *skipped > 0 { format!("{said}, {skipped} left as they are") } else { said };
        match stopped {
            Some(Stop::Failure(failure)) => {
                let message = format!("{}; {said}", failure.message);
                // What waits for a person is waited for; everything else goes on with the same call.
                let hint = match failure.code.class() {
                    crate::protocol::error::Class::NotYet => {
                        format!("{}; then the same call again", failure.hint)
                    }
                    _ => failure.hint.clone(),
                };
                return Err(Failure { message, hint, ..failure }.into());
            }
            Some(Stop::Exit(exit)) => {
                context
                    .ui
                    .note(&format!("broken off: {said}; the same call goes on with the rest"));
                return Ok(exit);
            }
            None => {}
        }
        if context.ui.json {
            context.ui.object(&json!({
                "kind": "transfer", "files": done, "bytes": bytes, "skipped": skipped, "failed": missing,
            }));
        } else if missing > 0 || self.files > 1 {
            context.ui.note(&said);
        }
        Ok(if missing == 0 { Exit::DONE } else { Exit::FAILED })
    }
}

/// Things of one call each: small ones together, a large one by itself.
fn batches<T>(all: Vec<T>, size: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    let (mut batches, mut open, mut bytes) = (Vec::new(), Vec::new(), 0);
    for one in all {
        let more = size(&one);
        if !open.is_empty() && (open.len() >= FILES || bytes + more > BYTES) {
            batches.push(std::mem::take(&mut open));
            bytes = 0;
        }
        bytes += more;
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

/// SHA-256 of files at both ends; what differs is told as a failure.
async fn verify(
    context: &Context,
    there: &There,
    files: BTreeMap<Vec<u8>, std::path::PathBuf>,
    report: &Report,
) -> Option<Stop> {
    let one = |(remote, local): (Vec<u8>, std::path::PathBuf)| async move {
        let operation = crate::domain::files::Operation::Sum {
            path: crate::domain::bytes::Bytes(remote.clone()),
        };
        let crate::protocol::files::Done::Sum { sha256, .. } =
            end(context, there, operation).await?
        else {
            return Err(crate::cli::commands::wait::odd().into());
        };
        let own = put::sum_of(&local, u64::MAX).map(|(_, sum)| sum);
        if own.as_ref().ok() != Some(&sha256) {
            let message = "its content is not the same at both ends";
            let hint = "the same call with --restart copies it again";
            let failure = Failure::new(Code::FilesChanged, message, hint);
            let mut inner = report.lock();
            inner.done = inner.done.saturating_sub(1);
            drop(inner);
            report.failed(&remote, failure);
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
        let sizes =
            |all: Vec<u64>| batches(all, |size| *size).iter().map(Vec::len).collect::<Vec<_>>();
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
