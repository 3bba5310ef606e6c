//! One step of setting up a service: what it does, whether it is done, and doing it. Each can be done
//! again.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use super::accounts;
use crate::protocol::error::{Code, Failure};

/// The program's mode: whoever runs it has its group (setgid, inode(7)).
pub const PROGRAM_MODE: u32 = 0o2755;
const FILE_MODE: u32 = 0o644;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Group {
        name: String,
    },
    User {
        name: String,
        home: PathBuf,
    },
    Member {
        user: String,
        group: String,
    },
    /// Of this user and their group.
    Directory {
        path: PathBuf,
        owner: String,
        mode: u32,
    },
    /// Root's, which everybody may read.
    File {
        path: PathBuf,
        content: String,
    },
    /// This very program, root's, with this group.
    Program {
        path: PathBuf,
        group: String,
    },
    /// A command that may run any number of times.
    Command {
        argv: Vec<String>,
    },
}

impl Step {
    /// What it does, in a line.
    pub fn line(&self) -> String {
        match self {
            Self::Group { name } => format!("group {name} (system)"),
            Self::User { name, home } => {
                format!("user {name} (system, group {name}, home {}, no login)", home.display())
            }
            Self::Member { user, group } => format!("user {user} joins group {group}"),
            Self::Directory { path, owner, mode } => {
                format!("directory {} (owner {owner}:{owner}, mode {mode:04o})", path.display())
            }
            Self::File { path, .. } => {
                format!("file {} (owner root:root, mode {FILE_MODE:04o})", path.display())
            }
            Self::Program { path, group } => format!(
                "program {} (owner root:{group}, mode {PROGRAM_MODE:04o}: setgid)",
                path.display()
            ),
            Self::Command { argv } => format!("run {}", argv.join(" ")),
        }
    }

    pub fn is_done(&self) -> bool {
        match self {
            Self::Group { name } => accounts::group(name).is_some(),
            Self::User { name, .. } => accounts::user(name).is_some(),
            Self::Member { user, group } => accounts::group(group).is_some_and(|group| {
                let primary = accounts::user(user).is_some_and(|user| user.gid == group.gid);
                primary || group.members.contains(user)
            }),
            Self::Directory { path, owner, mode } => accounts::user(owner).is_some_and(|owner| {
                let is = fs::symlink_metadata(path);
                is.is_ok_and(|is| is.is_dir() && as_it_is(&is) == (owner.uid, owner.gid, *mode))
            }),
            Self::File { path, content } => {
                let is = fs::symlink_metadata(path);
                is.is_ok_and(|is| is.is_file() && as_it_is(&is) == (0, 0, FILE_MODE))
                    && fs::read(path).is_ok_and(|kept| kept == content.as_bytes())
            }
            Self::Program { path, group } => accounts::group(group).is_some_and(|group| {
                let is = fs::symlink_metadata(path);
                is.is_ok_and(|is| is.is_file() && as_it_is(&is) == (0, group.gid, PROGRAM_MODE))
                    && is_this_program(path).unwrap_or(false)
            }),
            Self::Command { .. } => false,
        }
    }

    /// Does it. Root's to do.
    pub fn apply(&self) -> Result<(), Failure> {
        let run = |words: &[&str]| {
            accounts::run(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        match self {
            Self::Group { name } => run(&["groupadd", "--system", "--", name]),
            Self::User { name, home } => {
                let home = home.to_string_lossy();
                let (shell, about) = ("/usr/sbin/nologin", "sgw daemon");
                let made = ["useradd", "--system", "--gid", name, "--home-dir", &home];
                let rest = ["--no-create-home", "--shell", shell, "--comment", about, "--", name];
                run(&[made.as_slice(), &rest].concat())
            }
            Self::Member { user, group } => {
                run(&["usermod", "--append", "--groups", group, "--", user])
            }
            Self::Directory { path, owner, mode } => {
                make_directory(path, owner, *mode).map_err(failed("make", path))
            }
            Self::File { path, content } => {
                put(path, &mut content.as_bytes(), 0, FILE_MODE).map_err(failed("write", path))
            }
            Self::Program { path, group } => install(path, group).map_err(failed("install", path)),
            Self::Command { argv } => accounts::run(argv),
        }
    }
}

fn as_it_is(metadata: &fs::Metadata) -> (u32, u32, u32) {
    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |error| {
        let message = format!("can't {what} {}: {error}", path.display());
        Failure::new(Code::ServiceFailed, message, "mend it, and run the same line again")
    }
}

fn unknown(name: &str) -> io::Error {
    io::Error::other(format!("there is no {name}"))
}

fn make_directory(path: &Path, owner: &str, mode: u32) -> io::Result<()> {
    let owner = accounts::user(owner).ok_or_else(|| unknown(owner))?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // By a handle: whoever owned it must not have us change what they put in its place.
    let directory = fs::OpenOptions::new()
        .read(true)
        .custom_flags(
            (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::DIRECTORY).bits().cast_signed(),
        )
        .open(path)?;
    fchown(&directory, Some(owner.uid), Some(owner.gid))?;
    directory.set_permissions(fs::Permissions::from_mode(mode))
}

/// Puts a file of root's in its place, whole or not at all.
fn put(path: &Path, content: &mut impl io::Read, gid: u32, mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = io::copy(content, &mut file)
        .and_then(|_| file.flush())
        // The mode comes last: a change of owner takes setgid away.
        .and_then(|()| fchown(&file, Some(0), Some(gid)))
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn install(path: &Path, group: &str) -> io::Result<()> {
    let gid = accounts::group(group).ok_or_else(|| unknown(group))?.gid;
    put(path, &mut File::open("/proc/self/exe")?, gid, PROGRAM_MODE)
}

/// Whether a file holds what runs here.
fn is_this_program(path: &Path) -> io::Result<bool> {
    let (this, there) = (fs::metadata("/proc/self/exe")?, fs::metadata(path)?);
    if (this.dev(), this.ino()) == (there.dev(), there.ino()) {
        return Ok(true);
    }
    Ok(this.len() == there.len() && fs::read("/proc/self/exe")? == fs::read(path)?)
}
