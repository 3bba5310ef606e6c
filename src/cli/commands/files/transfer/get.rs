//! `get`: what is on the server comes here. What it says of names and sizes is checked against what it may mean.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

use super::{
    Manner, Report, There, batches, captured, each, end, is_contents,
    known::surplus,
    last_name,
    local::{Below, Tree},
    path,
    receive::{Landing, WORTH, Wanted, fetch, local_failure},
    report::{Planned, would, would_delete},
    to_its_end,
    unfinished::{Unfinished, absolute},
};
use crate::{
    cli::{
        Context, Outcome, Stop,
        ui::{self, exit::Exit, prompt},
    },
    domain::{
        bytes::Bytes,
        escape,
        files::{Operation, transfer::is_part_name},
    },
    protocol::{
        error::{Code, Failure},
        files::{Done, Entry, Type},
    },
};

/// What is kept of a listing, in bytes.
pub const LISTING: usize = 128 * 1024 * 1024;
pub const DEEP: u32 = 64;
/// So many of what would be deleted are shown to whoever is asked.
const SHOWN: usize = 20;

/// Copy files from a server
///
/// As `cp`: into LOCAL where that is a directory, else to that name; `DIR/.` is what is in DIR. `*`, `?` and `[…]` in the last name of REMOTE
/// stand for names, where they are quoted for your own shell. What is here with the same content is left as it is.
/// What was cut off goes on by itself: the part has the file's size and time in its name and its SHA-256 beside it,
/// and must end as the file does there. Links that lead out of what is copied are left out. Cut off, it ends with 75,
/// by Ctrl-C with 130, by SIGTERM with 143: the same call goes on, for a week also in a directory that it made.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sgw files get s-4fk /var/log/syslog .
  sgw files get -r s-4fk /etc/nginx ./nginx
  sgw files get s-4fk '/var/log/*.gz' logs/")]
pub struct Get {
    #[command(flatten)]
    there: There,
    /// One or more paths there, and the one here
    #[arg(value_name = "REMOTE… LOCAL", num_args = 2.., required = true)]
    paths: Vec<std::ffi::OsString>,
    #[command(flatten)]
    manner: Manner,
}

/// All that comes.
#[derive(Default)]
struct Plan {
    files: Vec<Wanted>,
    directories: Vec<Below>,
    /// Each with the directory that was named, and what it holds.
    links: Vec<(Below, Below, Vec<u8>)>,
    /// Where each directory that was named comes to.
    trees: Vec<Below>,
    /// What is there, whether it comes or not.
    there: HashSet<Below>,
    /// What could not be listed there.
    failed: Vec<(Vec<u8>, Failure)>,
}

impl Get {
    pub fn run(mut self, context: &Context) -> Outcome {
        let local = self.paths.pop().unwrap_or_default();
        let remotes = self.paths.into_iter().map(|given| path(given).0).collect();
        run(context, &self.there, remotes, PathBuf::from(local), &self.manner)
    }
}

pub fn run(
    context: &Context,
    there: &There,
    remotes: Vec<Vec<u8>>,
    local: PathBuf,
    manner: &Manner,
) -> Outcome {
    to_its_end(context, there, async {
        manner.check()?;
        let contents = matches!(remotes.as_slice(), [one] if is_contents(one));
        let from = remotes.join(&b'\n');
        let unfinished = Unfinished::of(context, "get", &there.session, &from, &absolute(&local));
        let sources = sources(context, there, remotes).await?;
        let (local, into) = match local.is_dir() {
            // By its own name, also where that is `.`.
            true if contents => (std::fs::canonicalize(&local).unwrap_or(local), false),
            into => (local, into && !unfinished.is_known()),
        };
        if !into && (sources.len() > 1 || local.as_os_str().as_bytes().ends_with(b"/")) {
            let shown = escape::exact(local.as_os_str().as_bytes(), 300);
            let (what, hint) = match local.exists() {
                true => ("is a file here, and it must be a directory", "give another name"),
                false => ("is not there, and it must be a directory", "mkdir it first"),
            };
            let message = format!("{shown} {what}");
            return Err(Failure::new(Code::UsageArguments, message, hint).into());
        }
        let mut plan = Plan::default();
        for (name, entry) in sources {
            let own = local.file_name().map(|name| name.as_bytes().to_vec());
            let name = if into { name } else { own };
            let to = name.as_deref().and_then(Below::new).ok_or_else(|| {
                let message = "this has no name that it could have here: give LOCAL one";
                Failure::new(Code::UsageArguments, message, "sgw files get -r SESSION / ./root")
            })?;
            plan.add(context, there, entry, to, manner).await?;
        }
        let root = match into {
            true => local.clone(),
            false => local
                .parent()
                .filter(|above| *above != Path::new(""))
                .unwrap_or(Path::new("."))
                .to_owned(),
        };
        let unfinished = (!into && !plan.trees.is_empty()).then_some(unfinished);
        if let Some(unfinished) = unfinished.as_ref().filter(|_| !manner.dry_run) {
            unfinished.begins(context);
        }
        let told = plan.carry_out(context, there, &root, manner).await;
        if let (Ok(Exit::DONE), Some(unfinished)) = (&told, &unfinished) {
            unfinished.ends();
        }
        told
    })
}

/// What is meant, by the names that it was asked for by, which may be links: globs spelt out, each looked at.
async fn sources(
    context: &Context,
    there: &There,
    remotes: Vec<Vec<u8>>,
) -> Result<Vec<(Option<Vec<u8>>, Entry)>, Stop> {
    let mut found = Vec::new();
    for remote in remotes {
        let stat = |path: Vec<u8>| Operation::Stat { path: Bytes(path), follow: true };
        let name = last_name(&remote).unwrap_or_default();
        if !name.iter().any(|byte| b"*?[".contains(byte)) {
            match end(context, there, stat(remote.clone())).await? {
                Done::File(entry) => {
                    let led_to = || last_name(entry.path.as_slice()).map(<[u8]>::to_vec);
                    let own = last_name(&remote).map(<[u8]>::to_vec).or_else(led_to);
                    found.push((own, entry));
                }
                _ => return Err(crate::cli::commands::wait::odd().into()),
            }
            continue;
        }
        let directory = match remote.len() - name.len() {
            0 => b".".to_vec(),
            length => remote[..length].to_vec(),
        };
        let Listed { base, entries, .. } = list(context, there, &directory, 1).await?;
        let glob = String::from_utf8_lossy(name).into_owned();
        let before = found.len();
        for entry in entries {
            let own = String::from_utf8_lossy(entry.path.as_slice());
            let hidden = own.starts_with('.') && !glob.starts_with('.');
            if crate::domain::guard::files::name_fits(&glob, &own) && !hidden {
                let whole = [base.as_slice(), b"/", entry.path.as_slice()].concat();
                let own = last_name(&whole).map(<[u8]>::to_vec);
                if let Done::File(entry) = end(context, there, stat(whole)).await? {
                    found.push((own, entry));
                }
            }
        }
        if found.len() == before {
            let message = format!("nothing there fits {}", escape::exact(&remote, 300));
            let failure =
                Failure::new(Code::FilesNotFound, message, "sgw files ls SESSION DIRECTORY");
            return Err(failure.into());
        }
    }
    Ok(found)
}

/// A directory as the server resolved it.
struct Listed {
    base: Vec<u8>,
    entries: Vec<Entry>,
    /// Those in it that could not be read.
    unread: Vec<Bytes>,
}

async fn list(
    context: &Context,
    there: &There,
    directory: &[u8],
    depth: u32,
) -> Result<Listed, Stop> {
    let operation = Operation::List { path: Bytes(directory.to_vec()), depth };
    let (done, bytes, cut) = captured(context, there, operation, LISTING).await?;
    let Done::Listing { path, truncated, unread, .. } = done else {
        return Err(crate::cli::commands::wait::odd().into());
    };
    if cut > 0 || (truncated && unread.is_empty()) {
        return Err(too_much(directory).into());
    }
    let entries = crate::cli::commands::files::look::read(&bytes)?;
    Ok(Listed { base: path.0, entries, unread })
}

pub fn too_much(directory: &[u8]) -> Failure {
    let shown = escape::exact(directory, 300);
    let message =
        format!("{shown} can't be listed whole: there is too much, or it may not be read");
    Failure::new(Code::FilesDenied, message, "copy its directories one by one")
}

impl Plan {
    async fn add(
        &mut self,
        context: &Context,
        there: &There,
        entry: Entry,
        to: Below,
        manner: &Manner,
    ) -> Result<(), Stop> {
        match entry.r#type {
            Type::File | Type::Unknown => self.file(entry.path.0.clone(), &entry, to),
            Type::Directory if manner.recursive => {
                let excluded = manner.excluded()?;
                let listed = list(context, there, entry.path.as_slice(), DEEP).await?;
                let Listed { base, mut entries, unread } = listed;
                entries.sort_by(|a, b| a.path.cmp(&b.path));
                for path in unread {
                    let message = "this directory may not be read there";
                    let hint = "sgw files stat SESSION PATH shows whose it is";
                    let failure = Failure::new(Code::FilesDenied, message, hint);
                    self.failed.push((path.0, failure));
                }
                self.directories.push(to.clone());
                self.trees.push(to.clone());
                let top = to.clone();
                let mut left_out: Option<Vec<u8>> = None;
                for entry in entries {
                    let own = entry.path.as_slice();
                    // The daemon says no other names; whoever speaks in its place may.
                    let to = to.join(own).ok_or_else(crate::cli::commands::wait::odd)?;
                    self.there.insert(to.clone());
                    let below = |above: &Vec<u8>| {
                        own.starts_with(above) && own.get(above.len()) == Some(&b'/')
                    };
                    if left_out.as_ref().is_some_and(below) {
                        continue;
                    }
                    if last_name(own).is_some_and(is_part_name) {
                        continue;
                    }
                    if excluded.is_match(Path::new(std::ffi::OsStr::from_bytes(own))) {
                        left_out = Some(own.to_vec());
                        continue;
                    }
                    let slash: &[u8] = if base == b"/" { b"" } else { b"/" };
                    let remote = [base.as_slice(), slash, own].concat();
                    match entry.r#type {
                        Type::File | Type::Unknown => self.file(remote, &entry, to),
                        Type::Directory => self.directories.push(to),
                        Type::Link => {
                            let target = entry.target.map(|target| target.0).unwrap_or_default();
                            self.links.push((top.clone(), to, target));
                        }
                        _ => {
                            let shown = escape::visible_bytes(&remote, 300);
                            context
                                .ui
                                .note(&format!("{shown} is no ordinary file, and is left out"));
                        }
                    }
                }
            }
            Type::Directory => {
                let shown = escape::exact(entry.path.as_slice(), 300);
                let message = format!("{shown} is a directory: -r copies it");
                return Err(Failure::new(Code::FilesKind, message, "sgw files get -r …").into());
            }
            _ => {
                let shown = escape::exact(entry.path.as_slice(), 300);
                let message = format!("{shown} is no ordinary file");
                return Err(
                    Failure::new(Code::FilesKind, message, "sgw files stat SESSION PATH").into()
                );
            }
        }
        Ok(())
    }

    fn file(&mut self, remote: Vec<u8>, entry: &Entry, to: Below) {
        let mode = entry.mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok());
        self.files.push(Wanted {
            remote,
            to,
            size: entry.size.unwrap_or(0),
            modified: entry.modified_at.map_or(0, |time| time.as_second()),
            mode: mode.unwrap_or(0o644),
            keep: None,
            compare: false,
        });
    }

    async fn carry_out(
        mut self,
        context: &Context,
        there: &There,
        root: &Path,
        manner: &Manner,
    ) -> Outcome {
        let here = |error: io::Error| local_failure(root.as_os_str().as_bytes(), &error);
        let tree = Arc::new(Tree::open(root).map_err(here)?);
        let gone = if manner.delete { self.surplus(&tree, manner)? } else { Vec::new() };
        if !manner.dry_run && !gone.is_empty() && !manner.yes {
            confirm(context, &gone).await?;
        }
        let bytes = self.files.iter().map(|file| file.size).fold(0, u64::saturating_add);
        let files = self.files.iter().map(|file| file.remote.clone());
        let report = Report::new(context, there, files, bytes);
        for (path, failure) in self.failed.drain(..) {
            report.failed(&path, failure);
        }
        if manner.dry_run {
            let wanted = self.wanted(&tree, &report, manner);
            return dry_run(context, &report, &wanted, &gone);
        }
        for directory in &self.directories {
            tree.directory(directory.as_bytes())
                .map_err(|error| local_failure(directory.as_bytes(), &error))?;
        }
        let wanted = self.wanted(&tree, &report, manner);
        let verified: BTreeMap<Vec<u8>, PathBuf> = match manner.verify {
            true => wanted
                .iter()
                .map(|file| {
                    let to = std::ffi::OsString::from_vec(file.to.as_bytes().to_vec());
                    (file.remote.clone(), root.join(to))
                })
                .collect(),
            false => BTreeMap::new(),
        };
        let anew = Arc::default();
        let preserve = manner.preserve;
        let landing = Landing { tree: tree.clone(), report: report.clone(), anew, preserve };
        let mut stopped = land(context, there, &landing, wanted).await.err();
        if stopped.is_none() {
            self.link(context, &tree);
        }
        if stopped.is_none() && manner.verify {
            stopped = super::verify(context, there, verified, &report).await;
        }
        if stopped.is_none() && !gone.is_empty() && report.is_clean(context) {
            for path in &gone {
                match tree.remove(path) {
                    Ok(()) => report.removed(path.as_bytes()),
                    Err(error) => {
                        report.failed(path.as_bytes(), local_failure(path.as_bytes(), &error));
                    }
                }
            }
        }
        report.tell(context, stopped)
    }

    /// All but what is here already; what is here of the others.
    fn wanted(&mut self, tree: &Tree, report: &Report, manner: &Manner) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for mut file in std::mem::take(&mut self.files) {
            if manner.restart {
                wanted.push(file);
                continue;
            }
            let here = tree.there(&file.to);
            if manner.preserve && here == Some((file.size, file.modified)) {
                report.skipped(&file.remote, file.size);
                continue;
            }
            file.compare = !manner.preserve && here.is_some_and(|(size, _)| size == file.size);
            if !file.compare && file.size >= WORTH {
                file.keep = tree.part(&file.to, &file.identity(), file.size);
                report.progress.bytes(file.keep.as_ref().map_or(0, |(length, _)| *length));
            }
            wanted.push(file);
        }
        wanted
    }

    /// What is here, in directories that come, and not there: the highest of it.
    fn surplus(&self, tree: &Tree, manner: &Manner) -> Result<Vec<Below>, Failure> {
        if let Some((path, _)) = self.failed.first() {
            return Err(too_much(path));
        }
        let excluded = manner.excluded()?;
        let mut found = Vec::new();
        for top in &self.trees {
            let here = tree.below(top).map_err(|error| local_failure(top.as_bytes(), &error))?;
            let has = |own: &[u8]| top.join(own).is_some_and(|path| self.there.contains(&path));
            let all = here.iter().map(|(own, directory)| (own.as_slice(), *directory));
            let gone = surplus(all, has, &excluded);
            found.extend(gone.into_iter().filter_map(|(own, _)| top.join(&own)));
        }
        Ok(found)
    }

    fn link(&self, context: &Context, tree: &Tree) {
        for (top, path, target) in &self.links {
            match tree.link(top, path, target) {
                Ok(true) => {}
                Ok(false) => {
                    let shown = escape::visible_bytes(path.as_bytes(), 300);
                    context.ui.note(&format!(
                        "{shown} is a link that leads out of what is copied, and is left out"
                    ));
                }
                Err(error) => {
                    let failure = local_failure(path.as_bytes(), &error);
                    context.ui.note(&failure.message);
                }
            }
        }
    }
}

fn dry_run(context: &Context, report: &Report, files: &[Wanted], gone: &[Below]) -> Outcome {
    for file in files {
        would(context, "file", &file.remote, file.to.as_bytes());
    }
    gone.iter().for_each(|path| would_delete(context, path.as_bytes()));
    let bytes = files.iter().map(|file| file.size).fold(0, u64::saturating_add);
    let perhaps = files.iter().filter(|file| file.compare).count();
    let files = files.len() as u64;
    report.planned(context, &Planned { files, bytes, deleted: gone.len(), perhaps })
}

/// What turns out to be no part of the file begins anew, once.
async fn land(
    context: &Context,
    there: &There,
    landing: &Landing,
    mut wanted: Vec<Wanted>,
) -> Result<(), Stop> {
    for _ in 0..2 {
        let all = std::mem::take(&mut wanted);
        let calls = batches(all, |file| file.size, |file| &file.remote).into_iter();
        let stopped = each(calls.map(|batch| fetch(context, there, landing, batch))).await;
        if let Some(stop) = stopped {
            return Err(stop);
        }
        wanted = std::mem::take(&mut *landing.anew.lock().unwrap_or_else(PoisonError::into_inner));
        if wanted.is_empty() {
            break;
        }
    }
    Ok(())
}

/// A person's word before anything here is deleted.
async fn confirm(context: &Context, gone: &[Below]) -> Result<(), Stop> {
    let count = gone.len();
    if context.ui.json || !ui::can_prompt() {
        let message = format!("{count} things here would be deleted, and nobody can be asked");
        let hint = "--dry-run shows them; the same call with --yes deletes them";
        return Err(Failure::new(Code::UsageArguments, message, hint).into());
    }
    for path in gone.iter().take(SHOWN) {
        context.ui.note(&format!("delete {}", escape::visible_bytes(path.as_bytes(), 300)));
    }
    if count > SHOWN {
        context.ui.note(&format!("and {} more (--dry-run shows all)", count - SHOWN));
    }
    let mut signals =
        prompt::Signals::watch().map_err(crate::client::Error::local("watch for signals"))?;
    let question = format!("Delete {count} here, when all is copied?");
    tokio::select! {
        biased;
        exit = signals.any() => Err(Stop::Exit(exit)),
        answer = prompt::confirm(&question) => match answer? {
            true => Ok(()),
            false => {
                context.ui.note("nothing was copied or deleted");
                Err(Stop::Exit(Exit::FAILED))
            }
        }
    }
}
