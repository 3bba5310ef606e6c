//! Files of this machine, below one directory: nothing that a server says leads out of it. Each name is opened from
//! the directory before it, and no link is followed.

use std::{
    collections::HashSet,
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{
    fs::{
        self, AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, fchmod,
        futimens, mkdirat, openat, renameat, statat, symlinkat, unlinkat,
    },
    io::Errno,
};
use sha2::{Digest, Sha256};

/// A path below a directory: names that are names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Below(Vec<u8>);

impl Below {
    /// `None` for what could lead elsewhere: absolute, empty, `.`, `..`.
    pub fn new(path: &[u8]) -> Option<Self> {
        let plain = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
        path.split(|byte| *byte == b'/').all(plain).then(|| Self(path.to_vec()))
    }

    pub fn join(&self, path: &[u8]) -> Option<Self> {
        Self::new(&[self.0.as_slice(), b"/", path].concat())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The directories on the way, and the name.
    fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&self.0[..at], &self.0[at + 1..]),
            None => (b"", &self.0),
        }
    }
}

/// A directory, and what is written below it.
pub struct Tree {
    root: Arc<OwnedFd>,
    /// The directory that was opened last: files of one come one after the other.
    last: Mutex<Option<(Vec<u8>, Arc<OwnedFd>)>>,
    /// What was put in place: two names of a server may be one here.
    placed: Mutex<HashSet<(u64, u64)>>,
}

impl Tree {
    /// The directory that a person named: here links are followed.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root =
            openat(CWD, path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root: Arc::new(root), last: Mutex::default(), placed: Mutex::default() })
    }

    /// A directory below, made where it is missing.
    pub fn directory(&self, path: &[u8]) -> io::Result<Arc<OwnedFd>> {
        if path.is_empty() {
            return Ok(self.root.clone());
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((held, directory)) = &*last
            && held == path
        {
            return Ok(directory.clone());
        }
        let mut at = self.root.clone();
        for name in path.split(|byte| *byte == b'/') {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            let opened = match openat(&*at, name, flags, Mode::empty()) {
                Err(Errno::NOENT) => {
                    match mkdirat(&*at, name, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    openat(&*at, name, flags, Mode::empty())
                }
                opened => opened,
            };
            at = Arc::new(opened?);
        }
        *last = Some((path.to_vec(), at.clone()));
        Ok(at)
    }

    /// How much of a part is there, by its name.
    pub fn part(&self, path: &Below, identity: &str) -> u64 {
        let (above, name) = path.split();
        let part = part(name, identity);
        let found = self
            .look(above)
            .and_then(|at| Ok(statat(&*at, part.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?));
        found.map_or(0, |stat| match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => stat.st_size.max(0) as u64,
            _ => 0,
        })
    }

    /// Size and time of what has the name.
    pub fn there(&self, path: &Below) -> Option<(u64, i64)> {
        let (above, name) = path.split();
        let at = self.look(above).ok()?;
        let stat = statat(&*at, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        file.then_some((stat.st_size.max(0) as u64, stat.st_mtime))
    }

    /// A directory that is there already.
    fn look(&self, path: &[u8]) -> io::Result<Arc<OwnedFd>> {
        let mut at = self.root.clone();
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            at = Arc::new(openat(&*at, name, flags, Mode::empty())?);
        }
        Ok(at)
    }

    /// Begins a file, or goes on with its part from `keep` bytes on.
    pub fn begin(&self, path: &Below, identity: &str, mode: u32, keep: u64) -> io::Result<Writing> {
        let (above, name) = path.split();
        let directory = self.directory(above)?;
        let part = part(name, identity);
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = if keep > 0 {
            openat(&*directory, part.as_slice(), flags, Mode::empty())
        } else {
            match unlinkat(&*directory, part.as_slice(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            let mode = Mode::from_raw_mode(mode & 0o777);
            openat(&*directory, part.as_slice(), flags | OFlags::CREATE | OFlags::EXCL, mode)
        };
        let file = File::from(opened?);
        Ok(Writing { directory, part, name: name.to_vec(), file })
    }

    /// A link that leads to where it stays in the tree. `false`: it would not, and is not made.
    pub fn link(&self, path: &Below, target: &[u8]) -> io::Result<bool> {
        let (above, name) = path.split();
        let mut depth =
            above.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).count() as i64;
        for part in target.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => depth -= 1,
                _ => depth += 1,
            }
            if depth < 0 {
                return Ok(false);
            }
        }
        if target.starts_with(b"/") || target.is_empty() {
            return Ok(false);
        }
        let directory = self.directory(above)?;
        match statat(&*directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                unlinkat(&*directory, name, AtFlags::empty())?;
            }
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
        symlinkat(target, &*directory, name)?;
        Ok(true)
    }

    /// The part gets the name.
    pub fn place(&self, writing: Writing, keep: Option<(u32, i64)>) -> io::Result<()> {
        let Writing { directory, part, name, file } = writing;
        let before = statat(&*directory, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW).ok();
        let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &before
            && placed.contains(&(before.st_dev, before.st_ino))
        {
            let error = "another file of this transfer has this name here";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, error));
        }
        match keep {
            Some((mode, modified)) => {
                fchmod(&file, Mode::from_raw_mode(mode & 0o777))?;
                let time = Timespec { tv_sec: modified, tv_nsec: 0 };
                futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
            }
            None => {
                if let Some(before) = &before
                    && FileType::from_raw_mode(before.st_mode) == FileType::RegularFile
                {
                    fchmod(&file, Mode::from_raw_mode(before.st_mode & 0o777))?;
                }
                // A part that went on is as old as its last bytes.
                let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
                futimens(&file, &Timestamps { last_access: now, last_modification: now })?;
            }
        }
        let stat = fs::fstat(&file)?;
        renameat(&*directory, part.as_slice(), &*directory, name.as_slice())?;
        placed.insert((stat.st_dev, stat.st_ino));
        Ok(())
    }
}

/// A file under its part's name.
pub struct Writing {
    directory: Arc<OwnedFd>,
    part: Vec<u8>,
    name: Vec<u8>,
    pub file: File,
}

impl Writing {
    /// Nothing is left of it.
    pub fn abandon(self) {
        let _gone = unlinkat(self.directory.as_fd(), self.part.as_slice(), AtFlags::empty());
    }

    pub fn part_name(&self) -> &[u8] {
        &self.part
    }
}

/// The name of a part says of what: the same path, size and time on the server.
fn part(name: &[u8], identity: &str) -> Vec<u8> {
    // 255 bytes are the most that a name has.
    let name = &name[..name.len().min(220)];
    [b".", name, b".", identity.as_bytes(), b".sgw-part"].concat()
}

/// What a part is told by.
pub fn identity(path: &[u8], size: u64, modified: i64) -> String {
    let mut hash = Sha256::new();
    for field in [path, &size.to_be_bytes(), &modified.to_be_bytes()] {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hex::encode(&hash.finalize()[..6])
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::symlink};

    use super::*;

    fn below(path: &str) -> Below {
        Below::new(path.as_bytes()).unwrap()
    }

    #[test]
    fn only_names_lead_below() {
        for wrong in ["", "/", "/etc", "..", "a/../b", "a//b", "a/", ".", "a/.", "a\0b"] {
            assert_eq!(Below::new(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(below("a").join(b"b c\n/d").unwrap().as_bytes(), b"a/b c\n/d");
        assert_eq!(below("a").join(b"../b"), None);
    }

    #[test]
    fn no_link_on_the_way_is_followed() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), inside.path().join("link")).unwrap();
        let tree = Tree::open(inside.path()).unwrap();
        assert!(tree.begin(&below("link/x"), "i", 0o644, 0).is_err());
        // Nor is one that has the part's own name, or the file's.
        symlink(outside.path().join("y"), inside.path().join(".x.i.sgw-part")).unwrap();
        symlink(outside.path().join("z"), inside.path().join("x")).unwrap();
        let mut writing = tree.begin(&below("x"), "i", 0o644, 0).unwrap();
        writing.file.write_all(b"in").unwrap();
        tree.place(writing, None).unwrap();
        assert_eq!(std::fs::read(inside.path().join("x")).unwrap(), b"in");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn links_are_made_only_where_they_stay_inside() {
        let inside = tempfile::tempdir().unwrap();
        let tree = Tree::open(inside.path()).unwrap();
        for (path, target, made) in [
            ("a", "b", true),
            ("d/a", "../b", true),
            ("d/a", "../../b", false),
            ("a", "/etc", false),
            ("a", "..", false),
            ("a", "x/../../y", false),
            ("e", "", false),
        ] {
            assert_eq!(
                tree.link(&below(path), target.as_bytes()).unwrap(),
                made,
                "{path} {target}"
            );
        }
    }

    #[test]
    fn two_names_that_are_one_here_do_not_replace_each_other() {
        let inside = tempfile::tempdir().unwrap();
        let tree = Tree::open(inside.path()).unwrap();
        let begin = || tree.begin(&below("x"), "i", 0o644, 0).unwrap();
        tree.place(begin(), Some((0o640, 1_000_000))).unwrap();
        assert_eq!(tree.there(&below("x")), Some((0, 1_000_000)));
        assert!(tree.place(begin(), None).is_err());
    }
}
