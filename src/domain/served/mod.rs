//! Programs of a server that a client at the other end speaks to: rsync, scp, git. Their command lines, in the very
//! forms that those clients write, read as what they do to which paths. Whatever else a line says makes it a
//! command like any other.
//!
//! What such a program does it does beneath its paths, as its client tells it. An honest client keeps to them;
//! what others could have the program do is in `docs/policy.md`, and why each is asked about.

mod borg;
mod git;
mod rsync;
mod scp;
mod words;

use serde::Serialize;

use super::{bytes::Bytes, capability::Capability, files::Ending, shell};

pub use words::{Word, words};

/// A program that serves a client. Only [`recognise`] makes one, so that what it says of itself is what its line
/// does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Served {
    program: Program,
    /// What stands before the paths.
    argv: Vec<Bytes>,
    paths: Vec<Named>,
    /// Something there is made or changed.
    changes: bool,
    /// What the client has not is removed, or what was sent.
    removes: bool,
    /// Directories with all that is in them.
    tree: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    Rsync,
    Scp,
    /// `git fetch`, `clone`, `ls-remote`, `archive`.
    Fetch,
    /// `git push`, which runs the repository's hooks.
    Push,
}

/// A path of its line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// `~/` at its beginning is the account's home.
    pub path: Bytes,
    pub kind: Kind,
}

/// What a path of a line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file, link or directory, itself.
    Itself,
    /// What is in the directory: a slash at the end.
    Content,
    /// Where something is put, which may not be there yet; with a slash at its end or not.
    Into { slash: bool },
    /// As git finds it, with `.git` behind it where it must be.
    Repository,
}

/// What a line is, where it is exactly one of these. Its words are to mean the same in every shell.
pub fn recognise(line: &[u8]) -> Option<Served> {
    let words = words(line)?;
    let (program, rest) = words.split_first()?;
    match program.plain()? {
        b"rsync" => rsync::read(rest),
        b"scp" => scp::read(rest),
        b"git-upload-pack" | b"git-upload-archive" | b"git-receive-pack" | b"git" => {
            git::read(program.plain()?, rest)
        }
        _ => None,
    }
}

/// Whether a line is a server's program in the very words that a client writes, and none that make it run anything
/// else. Accounts that run nothing but one of these read its first word, and take nothing in front of it.
pub fn is_server(line: &[u8]) -> bool {
    recognise(line).is_some() || borg::is_server(line)
}

impl Served {
    pub fn needs(&self) -> Capability {
        match self.changes || self.removes {
            true => Capability::FilesWrite,
            false => Capability::FilesRead,
        }
    }

    pub fn program(&self) -> Program {
        self.program
    }

    pub fn paths(&self) -> &[Named] {
        &self.paths
    }

    pub fn changes(&self) -> bool {
        self.changes
    }

    pub fn removes(&self) -> bool {
        self.removes
    }

    /// What a yes to it is for.
    pub fn verb(&self) -> &'static str {
        match (self.program, self.changes, self.removes) {
            (Program::Rsync, false, false) => "rsync-read",
            (Program::Rsync, true, false) => "rsync-write",
            (Program::Rsync, _, true) => "rsync-remove",
            (Program::Scp, false, _) => "scp-read",
            (Program::Scp, true, _) => "scp-write",
            (Program::Fetch, ..) => "fetch",
            (Program::Push, ..) => "push",
        }
    }

    /// What is there is read by the client: of what is put there it learns no more than sums.
    pub fn reads(&self) -> bool {
        !self.changes || self.program == Program::Push
    }

    /// Whether it goes into the directories below its own.
    pub fn goes_deep(&self) -> bool {
        self.tree
    }

    /// Whether it does what a link leads to, where it comes across one.
    pub fn follows_links(&self) -> bool {
        self.program == Program::Scp
    }

    /// Whether it opens just what its path names: then no more is to be said than the rules for paths say.
    /// `configures`: whoever it is for may write what the program reads as its settings.
    pub fn is_exact(&self, configures: bool) -> bool {
        match self.program {
            Program::Rsync | Program::Push => false,
            Program::Scp => !self.changes && !self.tree,
            Program::Fetch => !configures,
        }
    }

    /// The line with the paths as the server resolved them. None where one can't be sent.
    pub fn line(&self, at: &[Vec<u8>]) -> Option<Vec<u8>> {
        if at.len() < self.paths.len() {
            return None;
        }
        let mut argv: Vec<Vec<u8>> = self.argv.iter().map(|word| word.0.clone()).collect();
        for (named, at) in self.paths.iter().zip(at) {
            let slash = matches!(named.kind, Kind::Content | Kind::Into { slash: true });
            let end: &[u8] = if slash && at.as_slice() != b"/" { b"/" } else { b"" };
            // Absolute, so that none is a flag.
            argv.push([at.as_slice(), end].concat());
        }
        shell::quote_argv(&argv).ok()
    }
}

impl Kind {
    /// How it is resolved.
    pub fn ending(self) -> Ending {
        match self {
            Self::Itself => Ending::Itself,
            Self::Content | Self::Repository => Ending::Followed,
            Self::Into { .. } => Ending::New,
        }
    }
}

impl Program {
    /// As rules for paths have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsync => "rsync",
            Self::Scp => "scp",
            Self::Fetch => "fetch",
            Self::Push => "push",
        }
    }
}

#[cfg(test)]
mod tests;
