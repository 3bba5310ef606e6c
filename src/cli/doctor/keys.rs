//! Private keys that need no passphrase: where ssh has them, and where ssh_config says that they are.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{Check, Finding, Ground, quoted, shown};
use crate::{
    cli::resolve::{
        file,
        keys::{KeyError, LoadedKey, read},
        said,
    },
    domain::key::{MAX_BYTES, Unfit},
};

const CHECK: Check = Check {
    id: "ssh.keys",
    why: "whoever shares your uid logs in with such a key without asking sgw or you",
};
const READABLE: Check =
    Check { id: "ssh.keys", why: "another user of this machine can copy the key" };
/// More files than anyone keeps keys in.
const MOST_FILES: usize = 1024;

pub fn check(ground: &Ground) -> Vec<Finding> {
    let files = candidates(ground);
    let mut found = Vec::new();
    let mut closed = 0;
    for path in &files {
        match look(path) {
            Some(Held::Plain) => found.push(CHECK.warn(
                format!("{} is a private key without a passphrase", shown(path)),
                format!("ssh-keygen -p -f {}", quoted(path)),
            )),
            Some(Held::Closed) => closed += 1,
            None => continue,
        }
        if path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
            found.push(READABLE.warn(
                format!("others may use {}", shown(path)),
                format!("chmod 600 {}", quoted(path)),
            ));
        }
    }
    let well = match closed {
        0 => "no private keys in ~/.ssh, nor where ssh_config points".to_owned(),
        1 => "the one private key that ssh uses has a passphrase".to_owned(),
        more => format!("each of the {more} private keys that ssh uses has a passphrase"),
    };
    CHECK.all(found, well)
}

enum Held {
    Plain,
    /// Encrypted, or of no use without the device that it is for.
    Closed,
}

fn look(path: &Path) -> Option<Held> {
    let bytes = file::read(path, MAX_BYTES).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    match read(text) {
        Ok(LoadedKey::Ready(_)) => Some(Held::Plain),
        Ok(LoadedKey::Encrypted(_)) | Err(KeyError::Unfit(Unfit::SecurityKey)) => {
            Some(Held::Closed)
        }
        // Too weak or too old for sgw, but not for whoever finds it.
        Err(KeyError::Unfit(Unfit::WeakRsa { .. } | Unfit::Type(_))) => Some(Held::Plain),
        Err(_) => None,
    }
}

/// Files that may be keys, each once: two names of one file are one.
fn candidates(ground: &Ground) -> BTreeSet<PathBuf> {
    let mut named = Vec::new();
    for home in ground.homes() {
        files_under(&home.join(".ssh"), 1, &mut named);
    }
    named.extend(said::paths(&ground.account, "identityfile"));
    let mut seen = BTreeSet::new();
    let once = |path: &PathBuf| match path.metadata() {
        Ok(metadata) => metadata.is_file() && seen.insert((metadata.dev(), metadata.ino())),
        Err(_) => false,
    };
    named.into_iter().filter(once).collect()
}

pub fn files_under(directory: &Path, deeper: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if found.len() >= MOST_FILES {
            return;
        }
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && deeper > 0 => files_under(&path, deeper - 1, found),
            Ok(kind) if !kind.is_dir() => found.push(path),
            _ => {}
        }
    }
}
