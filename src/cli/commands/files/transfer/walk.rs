//! What is to go: the files, directories and links that are named here, and those in them.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::PathBuf,
};

use super::{Manner, receive::local_failure};
use crate::{
    cli::{Context, Stop},
    domain::{
        bytes::Bytes,
        escape,
        files::transfer::{Item, What, is_part_name},
    },
    protocol::error::{Code, Failure},
};

/// Directories within each other.
const DEEP: usize = 64;

/// Something that goes.
#[derive(Clone, Debug)]
pub struct Going {
    pub local: PathBuf,
    pub item: Item,
}

/// All that goes.
#[derive(Debug, Default)]
pub struct Source {
    pub directories: Vec<Going>,
    pub links: Vec<Going>,
    pub files: Vec<Going>,
    /// What can't be read here.
    pub failed: Vec<(Vec<u8>, Failure)>,
    /// Where each directory that was named goes.
    pub trees: Vec<Vec<u8>>,
    /// … and each file that was.
    pub single: Vec<Vec<u8>>,
}

impl Going {
    pub fn size(&self) -> u64 {
        match self.item.what {
            What::File { size, .. } => size,
            _ => 0,
        }
    }

    pub fn to(&self) -> &[u8] {
        self.item.path.as_slice()
    }

    /// The directory that it goes into, as far as its path names it.
    pub fn above(&self) -> &[u8] {
        let path = self.to();
        path.iter().rposition(|byte| *byte == b'/').map_or(b"", |end| &path[..end])
    }
}

impl Source {
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(Going::size).fold(0, u64::saturating_add)
    }

    pub fn all(&self) -> impl Iterator<Item = &Going> {
        self.directories.iter().chain(&self.links).chain(&self.files)
    }

    /// The paths that it has on the other side.
    pub fn paths(&self) -> HashSet<&[u8]> {
        self.all().map(Going::to).collect()
    }

    /// What a path here is, and with `-r` all that is in it.
    pub fn walk(
        &mut self,
        context: &Context,
        local: PathBuf,
        to: Vec<u8>,
        manner: &Manner,
    ) -> Result<(), Stop> {
        let excluded = manner.excluded()?;
        // What a person names is followed; links below are copied as links.
        let top = fs::metadata(&local)
            .map_err(|error| local_failure(local.as_os_str().as_bytes(), &error))?;
        if top.is_dir() && !manner.recursive {
            let shown = escape::exact(local.as_os_str().as_bytes(), 300);
            let message = format!("{shown} is a directory: -r copies it");
            return Err(Failure::new(Code::FilesKind, message, "sgw files put -r …").into());
        }
        match top.is_dir() {
            true => self.trees.push(to.clone()),
            false => self.single.push(to.clone()),
        }
        let mut left = vec![(local, to, PathBuf::new(), top, 0)];
        while let Some((local, to, below, metadata, depth)) = left.pop() {
            let kind = metadata.file_type();
            let is_link = kind.is_symlink();
            let what = match kind {
                kind if kind.is_file() => What::File { size: metadata.len(), offset: 0, sum: None },
                kind if kind.is_symlink() => match fs::read_link(&local) {
                    Ok(target) => What::Link { target: Bytes(target.into_os_string().into_vec()) },
                    Err(error) => {
                        self.unread(&local, &error);
                        continue;
                    }
                },
                kind if kind.is_dir() => {
                    if depth >= DEEP {
                        let message = "directories too deep within each other";
                        let hint = "copy the deeper ones by themselves";
                        return Err(Failure::new(Code::UsageArguments, message, hint).into());
                    }
                    let read =
                        fs::read_dir(&local).and_then(Iterator::collect::<io::Result<Vec<_>>>);
                    // One that may not be read is no reason to leave the others out.
                    let mut entries = read.unwrap_or_else(|error| {
                        self.unread(&local, &error);
                        Vec::new()
                    });
                    entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
                    for entry in entries {
                        let below = below.join(entry.file_name());
                        let part = is_part_name(entry.file_name().as_bytes());
                        if part || excluded.is_match(&below) {
                            continue;
                        }
                        let to = [to.as_slice(), b"/", entry.file_name().as_bytes()].concat();
                        match entry.metadata() {
                            Ok(metadata) => {
                                left.push((entry.path(), to, below, metadata, depth + 1))
                            }
                            Err(error) => self.unread(&entry.path(), &error),
                        }
                    }
                    What::Directory
                }
                _ => {
                    let shown = escape::visible_bytes(local.as_os_str().as_bytes(), 300);
                    context.ui.note(&format!("{shown} is no ordinary file, and is left out"));
                    continue;
                }
            };
            let is_file = matches!(what, What::File { .. });
            let mode = Some(metadata.mode() & 0o777).filter(|_| manner.preserve && !is_link);
            let modified = u32::try_from(metadata.mtime()).ok();
            let into = match &what {
                What::Directory => &mut self.directories,
                What::File { .. } => &mut self.files,
                _ => &mut self.links,
            };
            let item = Item {
                path: Bytes(to),
                what,
                mode,
                modified: modified.filter(|_| manner.preserve && is_file),
                executable: is_file && metadata.mode() & 0o111 != 0,
                ..Item::default()
            };
            into.push(Going { local, item });
        }
        Ok(())
    }

    fn unread(&mut self, local: &std::path::Path, error: &io::Error) {
        let path = local.as_os_str().as_bytes();
        self.failed.push((path.to_vec(), local_failure(path, error)));
    }
}
