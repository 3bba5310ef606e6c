//! Service mode: sgw as a service of the machine, whose daemon, operator and agents are three users.
//! Root has set it up (`sgw init --service`); nothing that root does not own alone is believed here.

use std::{
    fs::File,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{HomeError, io_error};

/// The names of the two sockets, and of the descriptors that systemd hands over for them.
pub const AGENT: &str = "agent";
pub const OPERATOR: &str = "operator";
/// A file in the home of a service whose operator has locked it: no credential opens it again.
pub const LOCKED: &str = "locked";

const CONFIG: &str = "service.toml";
const MAX_CONFIG_BYTES: u64 = 64 * 1024;

/// Where an installation has its things. The program finds them by where it lies itself: in `/usr`
/// and `/usr/local` they are where the machine keeps such things, else below the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The program.
    pub program: PathBuf,
    /// What root says.
    pub etc: PathBuf,
    /// The daemon's home.
    pub home: PathBuf,
    /// The sockets.
    pub run: PathBuf,
    /// Above what systemd, sysusers and tmpfiles read.
    pub systemd: PathBuf,
}

/// Who is who, as numbers: nothing that is looked up at run time can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// The daemon's uid.
    pub daemon: u32,
    /// The operator's uid.
    pub operator: u32,
    /// The group that the installed program has, and nobody else: `operator.sock` is its.
    pub operator_group: u32,
    /// The group that may connect to `agent.sock`.
    pub agents_group: u32,
}

/// The service that this program belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub layout: Layout,
    pub who: Who,
}

impl Layout {
    /// Of an absolute prefix.
    pub fn below(prefix: &Path) -> Self {
        let top = match prefix.to_str() {
            Some("/usr" | "/usr/local") => Path::new("/"),
            _ => prefix,
        };
        Self {
            program: prefix.join("bin/sgw"),
            etc: top.join("etc/sgw"),
            home: top.join("var/lib/sgw"),
            run: top.join("run/sgw"),
            systemd: top.join("etc"),
        }
    }

    /// The prefix of this very program; none where it does not lie in a `bin`.
    pub fn prefix_of_this_program() -> Option<PathBuf> {
        // What the kernel says of a program that was replaced ends in " (deleted)": its directory is
        // the same.
        let program = std::fs::read_link("/proc/self/exe").ok()?;
        let directory = program.parent()?;
        (directory.file_name()? == "bin").then(|| Some(directory.parent()?.to_owned()))?
    }

    pub fn config(&self) -> PathBuf {
        self.etc.join(CONFIG)
    }

    /// The path of [`AGENT`]'s or [`OPERATOR`]'s socket.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.run.join(format!("{name}.sock"))
    }
}

impl Service {
    /// The service of this program; none where it is an ordinary one. What others than root could
    /// have written is an error.
    pub fn here() -> Result<Option<Self>, HomeError> {
        match Layout::prefix_of_this_program() {
            Some(prefix) => Self::of(Layout::below(&prefix)),
            None => Ok(None),
        }
    }

    pub fn of(layout: Layout) -> Result<Option<Self>, HomeError> {
        let path = layout.config();
        let Some(text) = read(&path)? else { return Ok(None) };
        roots_alone(&layout.etc)?;
        let who = toml::from_str(&text).map_err(|error: toml::de::Error| HomeError::Service {
            path,
            why: error.message().to_owned(),
        })?;
        Ok(Some(Self { layout, who }))
    }

    /// The way to the sockets is root's alone: whoever listens there was put there by root.
    pub fn check_way(&self) -> Result<(), HomeError> {
        roots_alone(&self.layout.run)
    }
}

fn read(path: &Path) -> Result<Option<String>, HomeError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(Errno::LOOP) => return Err(HomeError::Symlink(path.to_owned())),
        Err(errno) => return Err(io_error("open", path)(errno.into())),
    };
    let metadata = file.metadata().map_err(io_error("look at", path))?;
    if !metadata.is_file() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        return Err(not_roots(path));
    }
    let mut text = String::new();
    let read = file.take(MAX_CONFIG_BYTES).read_to_string(&mut text);
    read.map_err(io_error("read", path))?;
    Ok(Some(text))
}

/// Whether a directory, and each that leads to it, is a real one that only root can write to.
pub fn roots_alone(directory: &Path) -> Result<(), HomeError> {
    let mut ways: Vec<_> = directory.ancestors().collect();
    ways.reverse();
    for way in ways {
        let metadata = std::fs::symlink_metadata(way).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                HomeError::Service { path: way.to_owned(), why: "it is not there".to_owned() }
            }
            _ => io_error("look at", way)(error),
        })?;
        if !metadata.is_dir() || metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
            return Err(not_roots(way));
        }
    }
    Ok(())
}

fn not_roots(path: &Path) -> HomeError {
    let why = "it is not root's alone (owner root, no link, closed to the writing of others)";
    HomeError::Service { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_keeps_such_things_in_their_places() {
        let usual = Layout::below(Path::new("/usr"));
        assert_eq!(usual.program, Path::new("/usr/bin/sgw"));
        assert_eq!(usual.config(), Path::new("/etc/sgw/service.toml"));
        assert_eq!(usual.socket(OPERATOR), Path::new("/run/sgw/operator.sock"));
        let local = Layout::below(Path::new("/usr/local"));
        assert_eq!((local.etc, local.home), (usual.etc, usual.home));
        let other = Layout::below(Path::new("/opt/sgw"));
        assert_eq!(other.program, Path::new("/opt/sgw/bin/sgw"));
        assert_eq!(other.home, Path::new("/opt/sgw/var/lib/sgw"));
    }

    #[test]
    fn what_others_can_write_is_not_believed() {
        let outer = tempfile::tempdir().unwrap();
        let layout = Layout::below(outer.path());
        assert_eq!(Service::of(layout.clone()).unwrap(), None);
        std::fs::create_dir_all(&layout.etc).unwrap();
        let who = Who { daemon: 1, operator: 2, operator_group: 3, agents_group: 4 };
        std::fs::write(layout.config(), toml::to_string(&who).unwrap()).unwrap();
        // The way leads through a directory where anybody may write.
        let error = Service::of(layout.clone()).unwrap_err();
        assert!(matches!(error, HomeError::Service { .. }), "{error}");
        std::fs::remove_file(layout.config()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", layout.config()).unwrap();
        assert!(matches!(Service::of(layout).unwrap_err(), HomeError::Symlink(_)));
        roots_alone(Path::new("/proc")).unwrap();
        assert!(roots_alone(Path::new("/tmp")).is_err());
        assert!(roots_alone(Path::new("/no/where")).is_err());
    }
}
