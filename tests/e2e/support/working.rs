//! An agent that works in a session, on a server that is its own.

use std::{fs, path::PathBuf};

use super::{Outcome, Running, Sgw, Sshd};

pub struct Working {
    pub sgw: Sgw,
    pub sshd: Sshd,
    pub session: String,
}

impl Working {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// With further flags of `request`.
    #[track_caller]
    pub fn with(more: &[&str]) -> Self {
        let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
        let session = sgw.session_with(&sshd, more);
        Self { sgw, sshd, session }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.sshd.directory().join(name)
    }

    /// What commands left in the file `ran`, a line each.
    pub fn ran(&self) -> Vec<String> {
        let ran = fs::read_to_string(self.file("ran")).unwrap_or_default();
        ran.lines().map(str::to_owned).collect()
    }

    pub fn exec(&self, flags: &[&str], line: &str) -> Outcome {
        let exec = ["exec", &self.session, "--json"].into_iter().chain(flags.iter().copied());
        self.sgw.agent(exec.chain(["--", line]))
    }

    /// The request's id.
    #[track_caller]
    pub fn asks(&self, line: &str) -> String {
        self.exec(&["--no-wait"], line).fails(75, "approval.pending").waits_on()
    }

    /// A command that reads its caller's standard input.
    pub fn reads(&self, flags: &[&str], line: &str) -> Running {
        let exec = ["exec", &self.session, "-i"].into_iter().chain(flags.iter().copied());
        self.sgw.start(exec.chain(["--", line]))
    }

    pub fn feeds(&self, flags: &[&str], line: &str, input: &[u8]) -> Outcome {
        let mut call = self.reads(flags, line);
        call.write(input);
        call.close_stdin();
        call.ends()
    }

    pub fn approves(&self, request: &str, more: &[&str]) -> Outcome {
        let words = ["approve", request, "--yes", "--json"].into_iter();
        self.sgw.operator(words.chain(more.iter().copied()))
    }
}
