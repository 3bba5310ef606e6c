//! What becomes of the files of a transfer, and how that is told.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::json;

use crate::{
    cli::{
        Context, Outcome, Stop,
        commands::files::There,
        ui::{
            exit::{self, Exit, Owner},
            progress::Progress,
        },
    },
    domain::{bytes::Bytes, escape},
    protocol::error::{Class, Code, Failure},
};

/// Failures that are told one by one.
const TOLD: usize = 20;
/// So many paths of what is left to do stand in JSON.
const LEFT: usize = 1000;

#[derive(Debug)]
pub struct Report {
    pub progress: Progress,
    there: There,
    /// All of them; directories and links are none.
    files: u64,
    inner: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    /// Files that nothing has become of yet.
    left: BTreeSet<Vec<u8>>,
    done: u64,
    bytes: u64,
    /// So many of these bytes an earlier transfer had left.
    resumed: u64,
    /// Directories and links.
    made: u64,
    skipped: u64,
    removed: u64,
    failed: Vec<(Vec<u8>, Failure)>,
    /// What is said of parts that were left by what was broken off.
    parts: Vec<String>,
}

impl Counted {
    /// How it ends where not all is done: where nothing is, for what all of them failed for.
    fn failed_as(&self) -> Exit {
        let classes: Vec<_> = self.failed.iter().map(|(_, failure)| failure.code.class()).collect();
        match classes.split_first() {
            Some((first, others)) if self.done + self.skipped == 0 => {
                let alike = others.iter().all(|one| one == first);
                if alike { exit::of(*first, Owner::Sgw) } else { Exit::FAILED }
            }
            _ => Exit::FAILED,
        }
    }
}

/// What a dry run would do.
pub struct Planned {
    pub files: u64,
    pub bytes: u64,
    pub deleted: usize,
    /// So many of the files have the size of what is there, and need not go where they are the same.
    pub perhaps: usize,
}

impl Report {
    /// The files that are to go, by the paths that they are told by, and their bytes.
    pub fn new(
        context: &Context,
        there: &There,
        files: impl Iterator<Item = Vec<u8>>,
        bytes: u64,
    ) -> Arc<Self> {
        let (mut left, mut files_in_all) = (BTreeSet::new(), 0);
        for path in files {
            left.insert(path);
            files_in_all += 1;
        }
        let progress = Progress::new(context.ui, files_in_all, bytes);
        let inner = Mutex::new(Counted { left, ..Counted::default() });
        Arc::new(Self { progress, there: there.clone(), files: files_in_all, inner })
    }

    /// A file of so many bytes, of which `resumed` were there already.
    pub fn done(&self, path: &[u8], bytes: u64, resumed: u64) {
        let mut inner = self.lock();
        inner.left.remove(path);
        inner.done += 1;
        inner.bytes += bytes;
        inner.resumed += resumed;
        let mut told = json!({ "kind": "file", "path": Bytes(path.to_vec()), "bytes": bytes });
        if resumed > 0 {
            told["resumed_from"] = json!(resumed);
        }
        self.progress.file(&told, inner.done + inner.skipped);
    }

    /// A directory or a link.
    pub fn made(&self, path: &[u8], kind: &str) {
        let mut inner = self.lock();
        inner.made += 1;
        let told = json!({ "kind": kind, "path": Bytes(path.to_vec()) });
        self.progress.file(&told, inner.done + inner.skipped);
    }

    /// It is there already.
    pub fn skipped(&self, path: &[u8], bytes: u64) {
        let mut inner = self.lock();
        inner.left.remove(path);
        inner.skipped += 1;
        self.progress.had(bytes, inner.done + inner.skipped);
    }

    pub fn removed(&self, path: &[u8]) {
        let mut inner = self.lock();
        inner.removed += 1;
        let told = json!({ "kind": "file", "path": Bytes(path.to_vec()), "deleted": true });
        self.progress.file(&told, inner.done + inner.skipped);
    }

    pub fn failed(&self, path: &[u8], failure: Failure) {
        let failure = self.there.named(failure);
        let mut inner = self.lock();
        inner.left.remove(path);
        let told = json!({ "kind": "file", "path": Bytes(path.to_vec()), "error": failure });
        self.progress.file(&told, inner.done + inner.skipped);
        inner.failed.push((path.to_vec(), failure));
    }

    /// What counted as done is not.
    pub fn undone(&self, path: &[u8], failure: Failure) {
        let mut inner = self.lock();
        inner.done = inner.done.saturating_sub(1);
        drop(inner);
        self.failed(path, failure);
    }

    /// What is said of a file that was broken off.
    pub fn part(&self, text: String) {
        self.lock().parts.push(text);
    }

    /// Whether nothing failed: else nothing is deleted, which is said.
    pub fn is_clean(&self, context: &Context) -> bool {
        let clean = self.lock().failed.is_empty();
        if !clean {
            context.ui.note("something failed, so nothing is deleted");
        }
        clean
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end: what is done, what is not, and how the process ends.
    pub fn tell(&self, context: &Context, stopped: Option<Stop>) -> Outcome {
        self.progress.end();
        let inner = self.lock();
        let missing = self.files.saturating_sub(inner.done + inner.skipped);
        let Counted { done, bytes, skipped, removed, failed, parts, .. } = &*inner;
        let said = format!(
            "{done} of {} files done, {bytes} bytes{}{}{}",
            self.files,
            and(inner.resumed, "of them had come before"),
            and(*skipped, "left as they are"),
            and(*removed, "were deleted"),
        );
        // Where nothing was begun the error alone says all.
        let begun = *done + inner.made + *skipped > 0 || !failed.is_empty() || !parts.is_empty();
        if context.ui.json && (begun || stopped.is_none()) {
            let left = inner.left.iter().take(LEFT).map(|path| Bytes(path.clone()));
            let mut object = json!({
                "kind": "transfer", "files": done, "bytes": bytes, "resumed_from": inner.resumed,
                "skipped": skipped, "deleted": removed, "failed": failed.len(), "missing": missing,
                "left": left.collect::<Vec<_>>(), "parts": parts,
            });
            let error = match &stopped {
                // It is told by itself.
                Some(Stop::Failure(_)) => None,
                Some(Stop::Exit(_)) => Some(broken_off()),
                None => failed.first().map(|(_, failure)| failure.clone()),
            };
            if let Some(error) = error {
                object["error"] = json!(error);
            }
            context.ui.object(&object);
        }
        let failure = match stopped {
            Some(Stop::Failure(failure)) => failure,
            Some(Stop::Exit(exit)) => {
                self.tell_parts(context, &inner);
                context
                    .ui
                    .note(&format!("broken off: {said}; the same call goes on with the rest"));
                return Ok(exit);
            }
            None => {
                let whole = missing == 0 && failed.is_empty();
                if !context.ui.json && (!whole || *skipped > 0 || self.files > 1) {
                    context.ui.note(&said);
                }
                self.tell_parts(context, &inner);
                return Ok(if whole { Exit::DONE } else { inner.failed_as() });
            }
        };
        self.tell_parts(context, &inner);
        stopped_by(context, self.there.named(failure), &said)
    }

    /// What was left, and what failed: one hint is enough for all that it is for, and stands last.
    fn tell_parts(&self, context: &Context, inner: &Counted) {
        if context.ui.json {
            return;
        }
        inner.parts.iter().for_each(|text| context.ui.note(text));
        if inner.failed.len() > TOLD {
            context.ui.note(&format!("{} failed; the first {TOLD}:", inner.failed.len()));
        }
        let mut told = inner.failed.iter().take(TOLD).peekable();
        while let Some((path, failure)) = told.next() {
            let path = escape::visible_bytes(path, 300);
            let message = match failure.message.contains(&path) {
                true => failure.message.clone(),
                false => format!("{path}: {}", failure.message),
            };
            let again = told.peek().is_some_and(|(_, next)| next.hint == failure.hint);
            let hint = if again { String::new() } else { failure.hint.clone() };
            context.ui.failure_text(&Failure { message, hint, ..failure.clone() });
        }
    }

    /// The end of a dry run.
    pub fn planned(&self, context: &Context, planned: &Planned) -> Outcome {
        self.progress.end();
        let inner = self.lock();
        let Planned { files, bytes, deleted, perhaps } = planned;
        if context.ui.json {
            context.ui.object(&json!({
                "kind": "transfer", "dry_run": true, "files": files, "bytes": bytes,
                "skipped": inner.skipped, "deleted": deleted, "failed": inner.failed.len(),
            }));
        } else {
            context.ui.note(&format!(
                "{files} of {} files, {bytes} bytes{}{}{}; nothing was copied",
                self.files,
                and(*perhaps as u64, "only where they differ"),
                and(inner.skipped, "left as they are"),
                and(*deleted as u64, "would be deleted"),
            ));
            self.tell_parts(context, &inner);
        }
        Ok(if inner.failed.is_empty() { Exit::DONE } else { Exit::FAILED })
    }
}

/// One line of a dry run.
pub fn would(context: &Context, kind: &str, from: &[u8], to: &[u8]) {
    if context.ui.json {
        let bytes = |path: &[u8]| Bytes(path.to_vec());
        let told = json!({ "kind": kind, "from": bytes(from), "path": bytes(to), "dry_run": true });
        return context.ui.object(&told);
    }
    let shown = |path: &[u8]| escape::visible_bytes(path, usize::MAX);
    context.ui.line(&format!("{} -> {}", shown(from), shown(to)));
}

/// One that would be deleted.
pub fn would_delete(context: &Context, path: &[u8]) {
    if context.ui.json {
        let path = Bytes(path.to_vec());
        let told = json!({ "kind": "file", "path": path, "deleted": true, "dry_run": true });
        return context.ui.object(&told);
    }
    context.ui.line(&format!("delete {}", escape::visible_bytes(path, usize::MAX)));
}

/// What ended it before its time.
fn stopped_by(context: &Context, failure: Failure, said: &str) -> Outcome {
    let class = failure.code.class();
    let message = format!("{}; {said}", failure.message);
    // What waits for a person is waited for; everything else goes on with the same call.
    let hint = match class {
        Class::NotYet => format!("{}; then the same call again", failure.hint),
        Class::Lost | Class::Unreachable => "the same call goes on with the rest".to_owned(),
        _ => failure.hint.clone(),
    };
    let failure = Failure { message, hint, ..failure };
    match class {
        // Cut off in the middle.
        Class::Lost | Class::Unreachable => {
            context.ui.failure(&failure);
            Ok(Exit::NOT_YET)
        }
        _ => Err(failure.into()),
    }
}

fn broken_off() -> Failure {
    let hint = "the same call goes on with the rest";
    Failure::new(Code::RequestClosed, "it was broken off", hint)
}

/// `, 3 were deleted`, where it is something.
fn and(count: u64, what: &str) -> String {
    match count {
        0 => String::new(),
        count => format!(", {count} {what}"),
    }
}
