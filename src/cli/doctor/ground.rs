//! Where the checks look: paths, the environment and the numbers of this machine, as values.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::process::{Resource, getrlimit};

use crate::{
    cli::resolve::account::Account,
    home::{Home, service::Service},
};

/// More sockets than a machine for people has.
const MOST_SOCKETS: usize = 4096;

#[derive(Clone, Debug)]
pub struct Ground {
    /// Whose uid it is, where ssh looks for their files, and the environment.
    pub account: Account,
    /// sgw's own directory, there or not.
    pub sgw: Option<PathBuf>,
    /// What root has set up, where this program belongs to a service; or why it can't be believed.
    pub service: Option<Result<Service, String>>,
    /// This very program.
    pub program: Option<PathBuf>,
    /// `/proc`
    pub proc: PathBuf,
    /// The container daemon's socket: who may write to it is root.
    pub containers: Vec<PathBuf>,
    pub now: SystemTime,
    pub limits: Limits,
    /// What the kernel calls itself.
    pub release: String,
    /// The version of Landlock's interface, 0 where there is none.
    pub landlock: u32,
    /// Whether the clock is kept by others' clocks; unknown where nobody says.
    pub synchronised: Option<bool>,
}

/// Soft limits of this process; `None` is without end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub open_files: Option<u64>,
    pub locked_memory: Option<u64>,
    pub core: Option<u64>,
    pub file_size: Option<u64>,
}

impl Ground {
    pub fn here(sgw_home: Option<std::ffi::OsString>) -> Self {
        Self {
            account: Account::current(),
            sgw: Home::locate(sgw_home).ok(),
            service: Service::here().map_err(|error| error.to_string()).transpose(),
            program: std::env::current_exe().ok(),
            proc: "/proc".into(),
            containers: [
                "/run/docker.sock",
                "/run/podman/podman.sock",
                "/run/containerd/containerd.sock",
            ]
            .map(PathBuf::from)
            .into(),
            now: SystemTime::now(),
            limits: Limits::here(),
            release: rustix::system::uname().release().to_string_lossy().into_owned(),
            landlock: crate::cli::sandbox::version(),
            synchronised: synchronised(),
        }
    }

    /// The directories that are home: what the user database says, which ssh goes by, and `HOME`.
    pub fn homes(&self) -> Vec<PathBuf> {
        let mut homes = vec![self.account.home.clone()];
        homes.extend(self.variable("HOME").map(PathBuf::from));
        homes.retain(|home| home.is_absolute());
        homes.dedup();
        homes
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.account.variable(name).filter(|value| !value.is_empty())
    }

    /// A number or a word that the kernel tells in a file.
    pub fn told(&self, name: &str) -> Option<String> {
        Some(fs::read_to_string(self.proc.join(name)).ok()?.trim().to_owned())
    }

    /// The paths at which something listens on a Unix socket (unix(7), /proc/net/unix).
    pub fn listening(&self) -> Vec<PathBuf> {
        /// `__SO_ACCEPTCON`
        const ACCEPTS: &str = "00010000";
        let table = fs::read(self.proc.join("net/unix")).unwrap_or_default();
        let table = String::from_utf8_lossy(&table).into_owned();
        let listening = table.lines().filter_map(|line| {
            let mut fields = line.splitn(8, ' ').map(str::trim);
            let flags = fields.nth(3)?;
            // The inode is padded, so that the path begins at the first slash.
            (flags == ACCEPTS).then(|| line.find('/').map(|at| PathBuf::from(&line[at..])))?
        });
        listening.take(MOST_SOCKETS).collect()
    }

    /// Whether a socket of this uid lies there.
    pub fn is_my_socket(&self, path: &Path) -> bool {
        path.metadata().is_ok_and(|metadata| {
            metadata.file_type().is_socket() && metadata.uid() == self.account.uid
        })
    }

    /// The first program of that name in the absolute directories of `PATH`.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.variable("PATH")?;
        let directories = std::env::split_paths(path).filter(|directory| directory.is_absolute());
        directories.map(|directory| directory.join(name)).find(|file| {
            file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
        })
    }
}

impl Limits {
    fn here() -> Self {
        let soft = |resource| getrlimit(resource).current;
        Self {
            open_files: soft(Resource::Nofile),
            locked_memory: soft(Resource::Memlock),
            core: soft(Resource::Core),
            file_size: soft(Resource::Fsize),
        }
    }
}

/// systemd-timesyncd and chrony leave a file behind once they have set the clock.
fn synchronised() -> Option<bool> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let kept = Path::new("/run/systemd/timesync");
    if kept.exists() {
        return Some(kept.join("synchronized").exists());
    }
    let drift = Path::new("/var/lib/chrony/drift").metadata().ok()?.modified().ok()?;
    drift.elapsed().map_or(Some(true), |age| Some(age < 30 * DAY))
}
