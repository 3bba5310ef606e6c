//! Which trees were begun under a name that was new, and are not whole yet: the same call goes on in them, and not
//! beside itself in a directory that it made.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::cli::Context;

/// How long what was not gone on with is known.
const KNOWN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A tree on its way, by an empty file whose name is the digest of the call.
pub struct Unfinished(Option<PathBuf>);

impl Unfinished {
    /// `way`: `get` or `put`. Paths here are absolute, whatever the directory of the call.
    pub fn of(context: &Context, way: &str, session: &str, from: &[u8], to: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for field in [way.as_bytes(), session.as_bytes(), from, to] {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        Self(directory(context).map(|all| all.join(hex::encode(&hash.finalize()[..16]))))
    }

    /// An earlier call like this began it.
    pub fn is_known(&self) -> bool {
        self.0.as_deref().is_some_and(is_young)
    }

    /// Written before anything is made.
    pub fn begins(&self, context: &Context) {
        let written = match &self.0 {
            Some(path) => write(path),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        if written.is_err() {
            context.ui.note(
                "it can't be noted that this begins: cut off, it goes on with SOURCE/. in SOURCE's place",
            );
        }
    }

    /// All of it is done.
    pub fn ends(&self) {
        if let Some(path) = &self.0 {
            let _gone = fs::remove_file(path);
        }
    }
}

pub fn absolute(path: &Path) -> Vec<u8> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.into_os_string().as_bytes().to_vec()
}

fn is_young(path: &Path) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|found| found.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < KNOWN))
}

fn write(path: &Path) -> io::Result<()> {
    let above = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(above)?;
    for old in fs::read_dir(above)?.flatten().map(|entry| entry.path()) {
        if !is_young(&old) {
            let _gone = fs::remove_file(old);
        }
    }
    fs::write(path, b"")
}

/// Beside the instance; a service's own directory is no caller's.
fn directory(context: &Context) -> Option<PathBuf> {
    match context.place() {
        Ok(place) if place.service().is_none() => Some(place.path().join("unfinished")),
        _ => Some(Path::new(&std::env::var_os("HOME")?).join(".local/state/sgw/unfinished")),
    }
}
