//! The one directory of an instance: where it is, that nobody else can write there, and its files.
//! A leaf that the client and the daemon both use: `init` makes the vault, the daemon lives in it.

mod file;
mod lock;
mod names;
mod random;
pub mod service;

use std::{
    ffi::OsString,
    io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::DirBuilderExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, FileType, Mode, OFlags, Stat},
    io::Errno,
    process::geteuid,
};

pub use lock::{Lock, LockError};
pub use names::is_ours;
pub use random::random;

use crate::domain::{
    pin::PinCheck,
    seal::{DataKey, Header, MAX_HEADER_BYTES, first_state},
};
use crate::protocol::error::Code;

/// The data key sealed under the passphrase. A home is set up when it has one.
pub const HEADER: &str = "vault.json";
/// What a new home begins with, sealed under the data key; the first daemon makes [`VAULT`] of it.
pub const STATE: &str = "state.sealed";
/// Settings, pinned host keys, records: all that is sealed under the data key.
pub const VAULT: &str = "vault.db";
/// The vault that is about to take [`VAULT`]'s place.
pub const NEW_VAULT: &str = "vault.db.new";
/// The chain of records.
pub const AUDIT: &str = "audit.log";
/// The operator's policy as they propose it; what they accepted is in the vault.
pub const POLICY: &str = "policy.toml";
/// What the daemon logs: ids, codes and sizes.
pub const LOG: &str = "sgw.log";
/// The log before it was turned over.
pub const OLD_LOG: &str = "sgw.log.1";
const LOCK: &str = "lock";
pub const RUN: &str = "run";

/// `sockaddr_un.sun_path` has 108 bytes, the last of them NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// An instance's directory, opened and found safe: ours, mode 0700, no symlink.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    dir: OwnedFd,
}

#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("there is no home directory to keep sgw's files in")]
    Nowhere,
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    #[error("{} is a symbolic link", .0.display())]
    Symlink(PathBuf),
    #[error("{} is not a {expected}", .path.display())]
    Type { path: PathBuf, expected: &'static str },
    #[error("{} belongs to uid {uid}, not to you", .path.display())]
    Owner { path: PathBuf, uid: u32 },
    #[error("{} has mode {mode:04o}: others could use it", .path.display())]
    Mode { path: PathBuf, mode: u32, expected: u32 },
    #[error("{} has {links} names (hard links)", .path.display())]
    Links { path: PathBuf, links: u64 },
    #[error("{} is larger than {limit} bytes", .path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    #[error("{} is there without {HEADER}", .0.display())]
    Leftover(PathBuf),
    #[error("the socket's path would have {length} bytes, more than {MAX_SOCKET_PATH}: {}", .path.display())]
    SocketPath { path: PathBuf, length: usize },
    /// Of a service: what root has set up is not as it has to be.
    #[error("{}: {why}", .path.display())]
    Service { path: PathBuf, why: String },
    #[error("can't {action} {}: {source}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl HomeError {
    /// The stable code under which callers are told.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::OperatorNone,
            Self::Exists(_) => Code::OperatorExists,
            Self::Nowhere | Self::SocketPath { .. } => Code::UsageHome,
            Self::Leftover(_) | Self::TooLarge { .. } => Code::VaultDamaged,
            Self::Symlink(_)
            | Self::Type { .. }
            | Self::Owner { .. }
            | Self::Mode { .. }
            | Self::Links { .. }
            | Self::Service { .. }
            | Self::Io { .. } => Code::HomeUnsafe,
        }
    }

    /// What the person can do about it: a command where there is one.
    pub fn hint(&self) -> Option<String> {
        let quoted = |path: &Path| {
            let text = path.to_string_lossy().into_owned();
            shlex::try_quote(&text).map(|text| text.into_owned()).unwrap_or(text)
        };
        Some(match self {
            Self::Nowhere => "set HOME, or SGW_HOME to a directory of your own".to_owned(),
            Self::Missing(_) => "sgw init".to_owned(),
            Self::Symlink(_) => "set SGW_HOME to the directory itself".to_owned(),
            Self::Type { path, .. } => format!("mv {0} {0}.aside", quoted(path)),
            Self::Owner { .. } => "set SGW_HOME to a directory of your own".to_owned(),
            Self::Mode { path, expected, .. } => format!("chmod {expected:o} {}", quoted(path)),
            Self::Links { path, .. } => {
                format!("find out who linked it: find / -samefile {}", quoted(path))
            }
            Self::Leftover(path) => format!(
                "put {HEADER} back from a backup, or start anew: mv {0} {0}.aside",
                quoted(path)
            ),
            Self::Service { .. } => "root sees to it: sgw init --service".to_owned(),
            Self::SocketPath { .. } => "set SGW_HOME to a shorter path".to_owned(),
            Self::TooLarge { .. } | Self::Exists(_) | Self::Io { .. } => return None,
        })
    }
}

impl Home {
    /// Where the home is: `SGW_HOME`'s value when there is one, or the platform's state directory.
    pub fn locate(sgw_home: Option<OsString>) -> Result<PathBuf, HomeError> {
        match sgw_home.filter(|value| !value.is_empty()) {
            Some(path) => std::path::absolute(&path)
                .map_err(|source| io_error("find", Path::new(&path))(source)),
            None => directories::ProjectDirs::from("", "", "sgw")
                .and_then(|places| places.state_dir().map(Path::to_owned))
                .ok_or(HomeError::Nowhere),
        }
    }

    /// Opens an existing home, or refuses it with the reason.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        // Without a slash at the end, which would have a symlink followed after all.
        let path: PathBuf = path.components().collect();
        let dir = open_directory(&path)?;
        Ok(Self { path, dir })
    }

    /// Opens a home, made first where there is none.
    pub fn open_or_create(path: &Path) -> Result<Self, HomeError> {
        // Parents as other programs make them; only the last is sgw's own.
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(io_error("create", parent))?;
        }
        make_directory(path)?;
        Self::open(path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file of this home is.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn agent_socket(&self) -> Result<PathBuf, HomeError> {
        self.socket("agent.sock")
    }

    pub fn operator_socket(&self) -> Result<PathBuf, HomeError> {
        self.socket("operator.sock")
    }

    fn socket(&self, name: &str) -> Result<PathBuf, HomeError> {
        let path = self.path.join(RUN).join(name);
        match path.as_os_str().as_bytes().len() {
            length @ ..=MAX_SOCKET_PATH => {
                debug_assert!(length > 0);
                Ok(path)
            }
            length => Err(HomeError::SocketPath { path, length }),
        }
    }

    /// The directory of the sockets, made where there is none. Call it before binding one.
    pub fn make_run(&self) -> Result<PathBuf, HomeError> {
        self.agent_socket()?;
        self.operator_socket()?;
        let path = self.path.join(RUN);
        make_directory(&path)?;
        open_directory(&path)?;
        Ok(path)
    }

    /// The vault's header as it is on disk; `None` where the home is not set up.
    pub fn header(&self) -> Result<Option<Vec<u8>>, HomeError> {
        self.read(HEADER, MAX_HEADER_BYTES)
    }

    /// Sets the home up, once: the empty sealed state first, then the header, which makes it a vault.
    /// `nonce` is for the state.
    pub fn create_vault(
        &self,
        header: &Header,
        data_key: &DataKey,
        nonce: [u8; 24],
        pin: Option<&PinCheck>,
    ) -> Result<(), HomeError> {
        if self.header()?.is_some() {
            return Err(HomeError::Exists(self.path_of(HEADER)));
        }
        for name in [STATE, VAULT, NEW_VAULT, AUDIT] {
            if self.has(name)? {
                return Err(HomeError::Leftover(self.path_of(name)));
            }
        }
        self.create(STATE, &first_state(data_key, nonce, pin))?;
        self.create(HEADER, &header.to_json()).inspect_err(|_| {
            // Without its header nobody can open it; a second try must not stumble over it.
            let _ = self.remove(STATE);
        })
    }
}

fn make_directory(path: &Path) -> Result<(), HomeError> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(io_error("create", path)(error))
        }
        _ => Ok(()),
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd, HomeError> {
    // With O_PATH first: a symlink is then told apart from any other thing that is no directory.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let seen = fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => HomeError::Missing(path.to_owned()),
        errno => io_error("open", path)(errno.into()),
    })?;
    let stat = fs::fstat(&seen).map_err(|errno| io_error("look at", path)(errno.into()))?;
    check_type(path, &stat, FileType::Directory, "directory")?;
    check_owner(path, &stat)?;
    let mode = stat.st_mode & 0o777;
    if mode != 0o700 {
        return Err(HomeError::Mode { path: path.to_owned(), mode, expected: 0o700 });
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match fs::openat(&seen, ".", flags, Mode::empty()) {
        // A sandboxed agent may not list it, and needs only the way to its socket.
        Err(Errno::ACCESS) => Ok(seen),
        opened => opened.map_err(|errno| io_error("open", path)(errno.into())),
    }
}

fn check_type(
    path: &Path,
    stat: &Stat,
    wanted: FileType,
    expected: &'static str,
) -> Result<(), HomeError> {
    match FileType::from_raw_mode(stat.st_mode) {
        found if found == wanted => Ok(()),
        FileType::Symlink => Err(HomeError::Symlink(path.to_owned())),
        _ => Err(HomeError::Type { path: path.to_owned(), expected }),
    }
}

fn check_owner(path: &Path, stat: &Stat) -> Result<(), HomeError> {
    if stat.st_uid == geteuid().as_raw() {
        return Ok(());
    }
    Err(HomeError::Owner { path: path.to_owned(), uid: stat.st_uid })
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    let path = path.to_owned();
    move |source| HomeError::Io { action, path, source }
}

#[cfg(test)]
mod tests;
