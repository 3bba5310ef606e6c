//! Files on a real server with its internal-sftp: looking, reading, writing, changing, and who is asked.

mod asked;
mod brought;
mod caps;
mod changing;
mod editing;
mod ends;
mod following;
mod held_up;
mod looking;
mod names;
mod odd;
mod questions;
mod reading;
mod refusing;
mod via;
mod writing;

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::support::{Outcome, Sgw, Sshd};

/// A session, and a directory on its server.
struct There {
    sgw: Sgw,
    sshd: Sshd,
    session: String,
}

impl There {
    fn new() -> Self {
        Self::with(&[])
    }

    /// With further flags of `request`.
    fn with(more: &[&str]) -> Self {
        Self::on(Sshd::start(), more)
    }

    fn on(sshd: Sshd, more: &[&str]) -> Self {
        let sgw = Sgw::unlocked();
        let session = sgw.session_with(&sshd, more);
        let there = Self { sgw, sshd, session };
        fs::create_dir(there.directory()).unwrap();
        there
    }

    /// As the server has it: without links.
    fn directory(&self) -> PathBuf {
        self.sshd.directory().canonicalize().unwrap().join("files")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    fn has(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn words<A: AsRef<OsStr>>(&self, verb: &str, more: &[A]) -> Vec<OsString> {
        let mut words: Vec<OsString> = ["files", verb, &self.session].map(OsString::from).into();
        words.extend(more.iter().map(|word| word.as_ref().to_owned()));
        words
    }

    /// `sgw files VERB SESSION …`
    #[track_caller]
    fn files<A: AsRef<OsStr>>(&self, verb: &str, more: &[A]) -> Outcome {
        self.sgw.agent(self.words(verb, more))
    }

    /// The same, fed.
    #[track_caller]
    fn fed<A: AsRef<OsStr>>(&self, verb: &str, more: &[A], input: &[u8]) -> Outcome {
        let mut running = self.sgw.start(self.words(verb, more));
        running.try_write(input);
        running.close_stdin();
        running.ends()
    }

    /// What is in the directory, in order.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// As sha256sum(1) says it.
fn sum(path: &Path) -> String {
    let said = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(said.stdout).unwrap()[..64].to_owned()
}
