//! `write`, `edit`, `mkdir`, `mv`, `rm`, `chmod`, `ln`.

use std::{
    ffi::OsString,
    io::{IsTerminal as _, Read as _},
    os::unix::ffi::OsStringExt,
    path::PathBuf,
};

use serde_json::json;

use super::{
    There, call, captured, check_unredacted, each, end, mode, name_directory, path, shown,
};
use crate::{
    cli::{Context, Outcome, ui::exit::Exit},
    client::stream::Feed,
    domain::{
        bytes::Bytes,
        escape,
        files::{
            self, How, Operation,
            edit::{self, EditError, Edited},
        },
    },
    protocol::{
        error::{Code, Failure},
        files::Done,
    },
};

/// The largest file that is edited, in bytes: what is written at once.
const MOST: usize = 16 * 1024 * 1024;

/// Write a file from standard input
///
/// All of it at once: under a temporary name beside it, onto the disk, then in its place; whoever reads it
/// meanwhile reads the old one. Its rights stay, and its owner where the account may. A link is followed. At
/// most 16 MiB: larger ones are put. Prints SHA-256 of the whole file, also with --append, but for one of more than
/// 16 MiB or one that may not be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files write s-4fk /srv/app/.env --mode 600 < .env
  sgw files write s-4fk --mkdir --no-clobber /srv/new/config.toml < config.toml
  sgw files write s-4fk /etc/hosts --if-sum \"$(sgw files sum s-4fk /etc/hosts | cut -c-64)\" < hosts
  echo 'one line more' | sgw files write s-4fk --append notes.txt")]
pub struct Write {
    #[command(flatten)]
    there: There,
    #[arg(value_name = "PATH")]
    path: OsString,
    /// Its rights, like 644 [default: those that it has; a new one's are the server's to say]
    #[arg(long, value_name = "MODE", value_parser = mode)]
    mode: Option<u32>,
    /// Make the directories that are missing
    #[arg(long)]
    mkdir: bool,
    /// Only where nothing is (files.exists)
    #[arg(long, conflicts_with_all = ["append", "if_sum"])]
    no_clobber: bool,
    /// Behind what is there, in place
    #[arg(long)]
    append: bool,
    /// Only where the file has this SHA-256 (files.changed): against lost updates
    #[arg(long, value_name = "SHA256")]
    if_sum: Option<String>,
}

impl Write {
    pub fn run(self, context: &Context) -> Outcome {
        if std::io::stdin().is_terminal() {
            context.ui.note("reading standard input, up to Ctrl-D");
        }
        let how = match (self.append, self.no_clobber) {
            (true, _) => How::Append,
            (_, true) => How::Create,
            _ => How::Replace,
        };
        let path = path(self.path);
        if path.as_slice().ends_with(b"/") {
            let message = format!("{} is a directory's name: give the file one", shown(&path));
            return Err(
                Failure::new(Code::UsageArguments, message, "sgw files mkdir --help").into()
            );
        }
        let operation = Operation::Write(files::Write {
            path,
            how,
            mode: self.mode,
            parents: self.mkdir,
            if_sum: self.if_sum,
        });
        let sink = Box::new(std::io::sink());
        let told = context.interactive(call(context, &self.there, operation, sink, Feed::Ours));
        let told = told.map_err(|stop| match self.mkdir {
            true => stop,
            false => name_directory(stop, "--mkdir"),
        })?;
        context.ui.result(&told.done, || written(&told.done));
        Ok(Exit::DONE)
    }
}

/// `SHA256  PATH`, as sha256sum(1) has it.
pub fn written(done: &Done) -> String {
    match done {
        Done::Written { path, sha256: Some(sum), .. } => format!("{sum}  {}", shown(path)),
        Done::Written { path, size, .. } => format!("{size} bytes  {}", shown(path)),
        _ => String::new(),
    }
}

/// Change a part of a file
///
/// The old text must be there exactly once, unless --all; or a unified diff must fit. What was to be changed
/// and is so already is done (`already`, exit 0): the old text is gone, and the new one is there, in 8 bytes at least or
/// whole lines. A text that is to be deleted and is not there is files.changed: nothing tells that it ever was. Prints
/// the change as a unified diff, and SHA-256 of the file; --dry-run says on stderr that nothing was written. Somebody
/// else's change meanwhile is files.changed, and nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files edit s-4fk /etc/nginx/nginx.conf --old 'listen 80;' --new 'listen 8080;'
  sgw files edit s-4fk app.py --old-file before.txt --new-file after.txt
  diff -u old.conf new.conf | sgw files edit s-4fk /etc/app.conf --patch -
  sgw files edit s-4fk .env --old DEBUG=1 --new DEBUG=0 --dry-run")]
pub struct Edit {
    #[command(flatten)]
    there: There,
    #[arg(value_name = "PATH")]
    path: OsString,
    #[command(flatten)]
    change: Change,
    /// Wherever the old text is, not only where it is once
    #[arg(long, conflicts_with = "patch")]
    all: bool,
    /// Show the change, and write nothing
    #[arg(long)]
    dry_run: bool,
}

// What is to be changed.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Change {
    /// The text that is there
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, requires = "new_text")]
    old: Option<OsString>,
    /// The text in its place
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, group = "new_text")]
    new: Option<OsString>,
    /// The text that is there, from a file of ours
    #[arg(long, value_name = "FILE", conflicts_with = "old", requires = "new_text")]
    old_file: Option<PathBuf>,
    /// The text in its place, from a file of ours
    #[arg(long, value_name = "FILE", group = "new_text")]
    new_file: Option<PathBuf>,
    /// A unified diff, from a file of ours; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["old", "new", "old_file", "new_file"])]
    patch: Option<PathBuf>,
}

enum Wanted {
    Replace { old: Vec<u8>, new: Vec<u8>, all: bool },
    Patch(Vec<u8>),
}

impl Change {
    fn wanted(self, all: bool) -> Result<Wanted, Failure> {
        let text = |given: Option<OsString>, file: Option<PathBuf>| match (given, file) {
            (Some(text), _) => Ok(Some(text.into_vec())),
            (_, Some(file)) => local(&file).map(Some),
            _ => Ok(None),
        };
        if let Some(patch) = &self.patch {
            return Ok(Wanted::Patch(local(patch)?));
        }
        match (text(self.old, self.old_file)?, text(self.new, self.new_file)?) {
            (Some(old), Some(new)) => Ok(Wanted::Replace { old, new, all }),
            _ => Err(Failure::new(
                Code::UsageArguments,
                "an edit needs the old text and the new one, or a patch",
                "sgw files edit --help",
            )),
        }
    }
}

/// A file of ours, or standard input.
fn local(file: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = MOST as u64 + 1;
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().take(most).read_to_end(&mut bytes),
        false => std::fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    let shown = escape::exact(file.as_os_str().as_encoded_bytes(), 200);
    let wrong = |code, why: String| {
        let hint = "give the name of a file on this machine that can be read";
        Failure::new(code, format!("{shown} on this machine: {why}"), hint).sent(false)
    };
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(wrong(Code::FilesNotFound, error.to_string()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(wrong(Code::FilesDenied, error.to_string()))
        }
        Err(error) => Err(wrong(Code::FilesFailed, error.to_string())),
        Ok(size) if size > MOST => {
            Err(wrong(Code::LimitContent, format!("more than {} MiB", MOST >> 20)))
        }
        Ok(_) => Ok(bytes),
    }
}

impl Edit {
    pub fn run(self, context: &Context) -> Outcome {
        let Self { there, path: given, change, all, dry_run } = self;
        let wanted = change.wanted(all)?;
        let path = path(given);
        context.interactive(async {
            let read =
                Operation::Read { path: path.clone(), offset: 0, limit: Some(MOST as u64 + 1) };
            let (found, before, cut) = captured(context, &there, read, MOST).await?;
            let Done::Content { path: at, .. } = found else {
                return Err(super::odd().into());
            };
            if cut > 0 {
                return Err(there.named(too_large(&at)).into());
            }
            let edited = match &wanted {
                Wanted::Replace { old, new, all } => edit::replace(&before, old, new, *all),
                Wanted::Patch(patch) => edit::patch(&before, patch),
            };
            let edited = edited.map_err(|error| there.named(not_edited(&error, &at)))?;
            let sum = files::sum(&before);
            let Edited::Now(after) = edited else {
                context.ui.result(
                    &json!({
                        "kind": "edited",
                        "path": at,
                        "already": true,
                        "dry_run": dry_run,
                        "diff": "",
                        "sha256": sum,
                        "written": null,
                    }),
                    || {
                        context.ui.note("already");
                        format!("{sum}  {}", shown(&at))
                    },
                );
                return Ok(Exit::DONE);
            };
            if !dry_run {
                check_unredacted_part(&before, &after).map_err(|failure| there.named(failure))?;
            }
            let diff = diff(&before, &after);
            let new_sum = files::sum(&after);
            let mut request = None;
            if !dry_run {
                let write = Operation::Write(files::Write {
                    path,
                    how: How::Replace,
                    mode: None,
                    parents: false,
                    if_sum: Some(sum),
                });
                let (sink, feed) = (Box::new(std::io::sink()), Feed::Content(after));
                request = Some(call(context, &there, write, sink, feed).await?.done);
            }
            let done = json!({
                "kind": "edited",
                "path": at,
                "already": false,
                "dry_run": dry_run,
                "diff": diff,
                "sha256": new_sum,
                "written": request,
            });
            context.ui.result(&done, || format!("{}{new_sum}  {}", escaped(&diff), shown(&at)));
            if dry_run {
                context.ui.note("nothing was written");
            }
            Ok(Exit::DONE)
        })
    }
}

/// A mark that was there before is nobody's new one.
fn check_unredacted_part(before: &[u8], after: &[u8]) -> Result<(), Failure> {
    match check_unredacted(before) {
        Ok(()) => check_unredacted(after),
        Err(_) => Ok(()),
    }
}

fn diff(before: &[u8], after: &[u8]) -> Bytes {
    let binary = || format!("binary: {} bytes, then {}\n", before.len(), after.len()).into_bytes();
    Bytes(edit::unified_bytes(before, after).unwrap_or_else(binary))
}

/// For people: what a line of the file holds does nothing to their terminal.
fn escaped(diff: &Bytes) -> String {
    let line = |line: &[u8]| {
        let cells: Vec<_> = line
            .split(|byte| *byte == b'\t')
            .map(|cell| escape::visible_bytes(cell, usize::MAX).replace("\\\\", "\\"))
            .collect();
        cells.join("\t") + "\n"
    };
    let lines = diff.as_slice().split_inclusive(|byte| *byte == b'\n');
    lines.map(|whole| line(whole.strip_suffix(b"\n").unwrap_or(whole))).collect()
}

fn too_large(at: &Bytes) -> Failure {
    let message = format!("{} has more than {} MiB", shown(at), MOST >> 20);
    let hint = "edit it with a command: sgw exec SESSION -- sed -i …";
    Failure::new(Code::LimitContent, message, hint).sent(false)
}

fn not_edited(error: &EditError, at: &Bytes) -> Failure {
    let message = format!("{}: {error}", shown(at));
    let (code, hint) = match error {
        EditError::Nothing | EditError::NoPatch(_) | EditError::SeveralFiles | EditError::Empty => {
            (Code::UsageArguments, "sgw files edit --help")
        }
        EditError::Often(..) => (Code::FilesChanged, "give more of the text around it, or --all"),
        EditError::Perhaps => (
            Code::FilesChanged,
            "give more of the text around it, or look: sgw files read SESSION PATH",
        ),
        EditError::Missing | EditError::Gone | EditError::Hunk(_) => {
            (Code::FilesChanged, "read it again: sgw files read SESSION PATH")
        }
    };
    Failure::new(code, message, hint).sent(false)
}

/// Make directories
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files mkdir s-4fk /srv/new
  sgw files mkdir s-4fk -p --mode 750 /srv/a/b/c")]
pub struct Mkdir {
    #[command(flatten)]
    there: There,
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
    /// Those above it too; one that is there is no failure
    #[arg(short, long)]
    parents: bool,
    /// Its rights, like 750 [default: the server's to say]
    #[arg(short, long, value_name = "MODE", value_parser = mode)]
    mode: Option<u32>,
}

impl Mkdir {
    pub fn run(self, context: &Context) -> Outcome {
        let (parents, mode) = (self.parents, self.mode);
        let operation = |given| Operation::MakeDirectory { path: path(given), parents, mode };
        each(context, &self.there, self.paths, operation, super::said)
    }
}

/// Give a file or directory another name
///
/// TO is the whole new name, never a directory to move into.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files mv s-4fk app.conf app.conf.old
  sgw files mv s-4fk --replace app.conf.new app.conf")]
pub struct Mv {
    #[command(flatten)]
    there: There,
    #[arg(value_name = "FROM")]
    from: OsString,
    #[arg(value_name = "TO")]
    to: OsString,
    /// Also where something has that name, which is gone then
    #[arg(short = 'f', long)]
    replace: bool,
}

impl Mv {
    pub fn run(self, context: &Context) -> Outcome {
        let Self { there, from, to, replace } = self;
        let operation = Operation::Move { from: path(from), to: path(to), replace };
        changed(context, &there, operation)
    }
}

/// Remove files, and with -r directories
///
/// A link is removed, never what it leads to. A name is taken as it is, also where it holds `*`: `sgw files ls` tells
/// what fits a pattern. The operator is asked where the policy asks about rm.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files rm s-4fk /tmp/upload.tar.gz
  sgw files rm s-4fk -r /srv/old")]
pub struct Rm {
    #[command(flatten)]
    there: There,
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
    /// A directory with all that is in it
    #[arg(short, long)]
    recursive: bool,
}

impl Rm {
    pub fn run(self, context: &Context) -> Outcome {
        let recursive = self.recursive;
        let operation = |given| Operation::Remove { path: path(given), recursive };
        each(context, &self.there, self.paths, operation, super::said)
    }
}

/// Change rights
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files chmod s-4fk 755 /srv/app/run.sh")]
pub struct Chmod {
    #[command(flatten)]
    there: There,
    /// In octal digits, like 644
    #[arg(value_name = "MODE", value_parser = mode)]
    mode: u32,
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
}

impl Chmod {
    pub fn run(self, context: &Context) -> Outcome {
        let mode = self.mode;
        let operation = |given| Operation::SetMode { path: path(given), mode };
        each(context, &self.there, self.paths, operation, super::said)
    }
}

/// Make a symbolic link
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files ln s-4fk -s releases/42 /srv/app/current")]
pub struct Ln {
    #[command(flatten)]
    there: There,
    /// What the link holds, as it is
    #[arg(value_name = "TARGET")]
    target: OsString,
    /// The link itself
    #[arg(value_name = "LINK")]
    link: OsString,
    /// A symbolic link: the only kind that is made
    #[arg(short, long, required = true)]
    symbolic: bool,
}

impl Ln {
    pub fn run(self, context: &Context) -> Outcome {
        let operation =
            Operation::Link { target: path(self.target), path: path(self.link), leads: None };
        changed(context, &self.there, operation)
    }
}

fn changed(context: &Context, there: &There, operation: Operation) -> Outcome {
    let done: Done = context.interactive(async { end(context, there, operation).await })?;
    context.ui.result(&done, || super::said(&done));
    Ok(Exit::DONE)
}
