//! A disk that is soon full.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Sgw, user::is_root};

/// An instance on a file system of a few megabytes.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// For an instance that is not set up yet; none without root.
    pub fn under(sgw: &Sgw) -> Option<Self> {
        Self::at(&sgw.home())
    }

    /// A directory that is not there yet; none without root.
    pub fn at(directory: &Path) -> Option<Self> {
        if !is_root() {
            return None;
        }
        fs::create_dir(directory).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "sgw-test"]).arg(directory);
        let done = mount.output().unwrap();
        done.status.success().then(|| Self(directory.to_owned()))
    }

    /// Under an instance that is unlocked; none, which is said, without root.
    pub fn with_sgw() -> Option<(Sgw, Self)> {
        let sgw = Sgw::new();
        let Some(disk) = Self::under(&sgw) else {
            eprintln!("left out: a file system of one's own takes root");
            return None;
        };
        sgw.init();
        sgw.unlock();
        Some((sgw, disk))
    }

    /// Leaves not a byte, until the file that it made is removed.
    pub fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let of = format!("of={}", ballast.display());
        let mut dd = Command::new("dd");
        let done = dd.args(["if=/dev/zero", &of, "bs=4k"]).output().unwrap();
        assert!(!done.status.success(), "the disk is not full");
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
