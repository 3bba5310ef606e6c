//! A session on the scripted server, whose calls can be counted, with a directory here.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use sgw::domain::sftp::Call;

use crate::support::{
    Outcome, Running, Sgw,
    sftp::{ScriptedSftp, Turn},
};

pub struct Scripted {
    pub server: ScriptedSftp,
    pub sgw: Sgw,
    pub session: String,
    pub here: tempfile::TempDir,
}

impl Scripted {
    pub fn new() -> Self {
        let (sgw, server) = (Sgw::unlocked(), ScriptedSftp::start());
        let session = sgw.session(&server.sshd);
        let here = tempfile::Builder::new().prefix("here").tempdir_in("/tmp").unwrap();
        server.tree(|tree| _ = tree.directory("/srv"));
        Self { server, sgw, session, here }
    }

    pub fn here(&self, name: &str) -> PathBuf {
        self.here.path().join(name)
    }

    /// A tree here, by paths and contents.
    pub fn plant(&self, files: &[(&str, &[u8])]) {
        for (path, content) in files {
            let path = self.here(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    fn words(&self, verb: &str, more: &[&str], paths: &[&str]) -> Vec<String> {
        let words = [&["files", verb], more, &[&self.session], paths].concat();
        words.into_iter().map(str::to_owned).collect()
    }

    pub fn put(&self, more: &[&str], local: &Path, remote: &str) -> Outcome {
        self.sgw.agent(self.words("put", more, &[local.to_str().unwrap(), remote]))
    }

    pub fn get(&self, more: &[&str], remote: &str, local: &Path) -> Outcome {
        self.sgw.agent(self.words("get", more, &[remote, local.to_str().unwrap()]))
    }

    pub fn starts(&self, verb: &str, paths: &[&str]) -> Running {
        self.sgw.start(self.words(verb, &[], paths))
    }

    /// What was asked of the server while something was done.
    pub fn calls<T>(&self, doing: impl FnOnce() -> T) -> (T, Vec<Call>) {
        let before = self.server.calls().len();
        let done = doing();
        (done, self.server.calls().split_off(before))
    }

    /// What is written or read takes a while each, so that there is a middle.
    pub fn goes_slowly(&self) {
        self.server.follows(|call, _| {
            if matches!(call, Call::Write { .. } | Call::Read { .. }) {
                thread::sleep(Duration::from_millis(60));
            }
            Turn::Honest
        });
    }

    pub fn is_honest_again(&self) {
        self.server.follows(|_, _| Turn::Honest);
    }

    /// How much of a file there is there.
    pub fn length(&self, path: &str) -> usize {
        self.server.tree(|tree| tree.content(path).map_or(0, <[u8]>::len))
    }

    pub fn is_there(&self, path: &str, content: &[u8]) -> bool {
        self.server.tree(|tree| tree.content(path) == Some(content))
    }
}

/// The lowest offset that was written or read.
pub fn first_offset(calls: &[Call]) -> Option<u64> {
    let offset = |call: &Call| match call {
        Call::Write { offset, .. } | Call::Read { offset, .. } => Some(*offset),
        _ => None,
    };
    calls.iter().filter_map(offset).min()
}

pub fn writes(calls: &[Call]) -> usize {
    calls.iter().filter(|call| matches!(call, Call::Write { .. })).count()
}

pub fn reads(calls: &[Call]) -> usize {
    calls.iter().filter(|call| matches!(call, Call::Read { .. })).count()
}
