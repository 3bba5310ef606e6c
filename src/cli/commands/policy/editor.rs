//! The operator's editor, on a copy that is theirs alone. It runs in this program, never in the daemon, and
//! what it leaves is only a proposal.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    domain::guard::own::MAX_BYTES,
    home::{POLICY, random},
    protocol::error::{Code, Failure},
};

/// Where neither VISUAL nor EDITOR says which.
const USUAL: &str = "vi";

/// A copy in a directory of its own. It stays, unless it is dropped by [`Copy::remove`]: nobody's work is
/// thrown away.
pub struct Copy {
    directory: PathBuf,
    file: PathBuf,
}

impl Copy {
    pub fn of(text: &str) -> Result<Self, Failure> {
        let made = || -> io::Result<Self> {
            let name = format!("sgw-policy-{}", hex::encode(random::<8>()?));
            let directory = std::env::temp_dir().join(name);
            // Ours from the first moment; one that is there already is somebody else's.
            DirBuilder::new().mode(0o700).create(&directory)?;
            let file = directory.join(POLICY);
            let mut open = OpenOptions::new();
            open.write(true)
                .create_new(true)
                .mode(0o600)
                .open(&file)?
                .write_all(text.as_bytes())?;
            Ok(Self { directory, file })
        };
        made().map_err(|error| failed(format!("no copy to edit could be made: {error}")))
    }

    /// Runs the editor on it, with the terminal, until it ends; then what it holds.
    pub fn edited(&self) -> Result<String, Failure> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| USUAL.into());
        // As git does: it may come with arguments, and is the operator's own word.
        let mut line = editor;
        line.push(" \"$@\"");
        let ended = Command::new("/bin/sh")
            .arg("-c")
            .arg(line)
            .arg(USUAL)
            .arg(&self.file)
            .status()
            .map_err(|error| failed(format!("the editor could not be started: {error}")))?;
        if !ended.success() {
            return Err(failed(format!("the editor ended with {ended}; nothing was changed")));
        }
        self.read()
    }

    fn read(&self) -> Result<String, Failure> {
        let is_file = fs::symlink_metadata(&self.file).is_ok_and(|metadata| metadata.is_file());
        match is_file {
            true => super::text(&self.file, MAX_BYTES as u64),
            false => Err(failed(format!("{} is no file any more", self.file.display()))),
        }
    }

    pub fn path(&self) -> &Path {
        &self.file
    }

    /// It was taken, or nothing in it differs.
    pub fn remove(self) {
        // What an editor left beside it goes, too.
        let _left = fs::remove_dir_all(&self.directory);
    }
}

fn failed(what: String) -> Failure {
    Failure::new(
        Code::PolicyEditor,
        what,
        "EDITOR=nano sgw policy edit, or: sgw policy accept FILE",
    )
}
