//! Files of this machine, below one directory: nothing that a server says leads out of it. Each name is opened from
//! the directory before it, and no link is followed.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{
    fs::{
        self, AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps, fchmod,
        futimens, mkdirat, openat, renameat, renameat_with, statat, symlinkat, unlinkat,
    },
    io::Errno,
};
use sha2::{Digest, Sha256};

/// After so many bytes of a part its hash is written down beside it.
const STEP: u64 = 4 * 1024 * 1024;
/// Length and hash as they are written down.
const SUM: usize = 20 + 1 + 64 + 1;
/// Directories within each other that are removed.
const DEEP: usize = 512;
/// Directories that are open at once while all is looked at.
const OPEN: usize = 4096;
/// Into a directory, not through a link.
const INTO: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);

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
        self.opened(path, true)
    }

    /// A directory that is there already.
    fn look(&self, path: &[u8]) -> io::Result<Arc<OwnedFd>> {
        self.opened(path, false)
    }

    fn opened(&self, path: &[u8], make: bool) -> io::Result<Arc<OwnedFd>> {
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
                Err(Errno::NOENT) if make => {
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

    /// How much of a part is there by its name, and its hash, which is the one that stands beside it.
    pub fn part(&self, path: &Below, identity: &str, most: u64) -> Option<(u64, Sha256)> {
        let (above, name) = path.split();
        let at = self.look(above).ok()?;
        let part = part(name, identity);
        let mut beside = Vec::new();
        let open = |name: &[u8]| -> io::Result<File> {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            Ok(File::from(openat(&*at, name, flags, Mode::empty())?))
        };
        open(&summed(&part)).ok()?.take(SUM as u64 + 1).read_to_end(&mut beside).ok()?;
        let (length, sum) = std::str::from_utf8(&beside).ok()?.trim_end().split_once(' ')?;
        let length: u64 = length.parse().ok().filter(|length| *length <= most)?;
        let (mut file, mut hash) = (open(&part).ok()?.take(length), Sha256::new());
        let (mut buffer, mut read) = (vec![0; 256 * 1024], 0);
        loop {
            match file.read(&mut buffer).ok()? {
                0 => break,
                more => {
                    hash.update(&buffer[..more]);
                    read += more as u64;
                }
            }
        }
        (read == length && hex::encode(hash.clone().finalize()) == sum).then_some((length, hash))
    }

    /// What has the name, to read.
    pub fn read(&self, path: &Below) -> io::Result<File> {
        let (above, name) = path.split();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(openat(&*self.look(above)?, name, flags, Mode::empty())?))
    }

    /// What is in a directory, however deep, in order of its paths, each with whether it is a directory. Nothing
    /// where that is not there.
    pub fn below(&self, path: &Below) -> io::Result<Vec<(Vec<u8>, bool)>> {
        let top = match self.look(path.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            top => top?,
        };
        let (mut found, mut left) = (Vec::new(), vec![(Vec::new(), top)]);
        while let Some((within, directory)) = left.pop() {
            for (name, is_directory) in entries(&directory)? {
                let own = match within.as_slice() {
                    b"" => name.clone(),
                    within => [within, b"/", &name].concat(),
                };
                if is_directory {
                    left.push((
                        own.clone(),
                        Arc::new(openat(&*directory, &*name, INTO, Mode::empty())?),
                    ));
                }
                found.push((own, is_directory));
            }
            if left.len() > OPEN {
                return Err(io::Error::other("too many directories beside each other"));
            }
        }
        found.sort();
        Ok(found)
    }

    /// What has the name is gone, a directory with all that is in it. No link is followed.
    pub fn remove(&self, path: &Below) -> io::Result<()> {
        let (above, name) = path.split();
        let at = self.look(above)?;
        let stat = statat(&*at, name, AtFlags::SYMLINK_NOFOLLOW)?;
        remove_in(&at, name, FileType::from_raw_mode(stat.st_mode) == FileType::Directory, 0)
    }

    /// Size and time of what has the name.
    pub fn there(&self, path: &Below) -> Option<(u64, i64)> {
        let (above, name) = path.split();
        let at = self.look(above).ok()?;
        let stat = statat(&*at, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        file.then_some((stat.st_size.max(0) as u64, stat.st_mtime))
    }

    /// Begins a file, or goes on with its part behind what is kept of it.
    pub fn begin(
        &self,
        path: &Below,
        identity: &str,
        mode: u32,
        keep: Option<(u64, Sha256)>,
    ) -> io::Result<Writing> {
        let (above, name) = path.split();
        let directory = self.directory(above)?;
        let part = part(name, identity);
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (file, end, hash) = match keep {
            Some((end, hash)) => {
                let file = File::from(openat(&*directory, &*part, flags, Mode::empty())?);
                // What came after the last hash is not proved.
                file.set_len(end)?;
                (file, end, hash)
            }
            None => {
                let mode = Mode::from_raw_mode(mode & 0o777);
                let flags = flags | OFlags::CREATE | OFlags::EXCL;
                let opened = match openat(&*directory, &*part, flags, mode) {
                    // What an earlier transfer left, and is no part of this file.
                    Err(Errno::EXIST) => {
                        unlinkat(&*directory, &*part, AtFlags::empty())?;
                        openat(&*directory, &*part, flags, mode)
                    }
                    opened => opened,
                };
                (File::from(opened?), 0, Sha256::new())
            }
        };
        let beside = None;
        Ok(Writing { directory, part, name: name.to_vec(), file, end, hash, told: end, beside })
    }

    /// A link that leads to where it stays below `top`, which is what is copied. `false`: it would not, or may not,
    /// and is not made.
    pub fn link(&self, top: &Below, path: &Below, target: &[u8]) -> io::Result<bool> {
        let (above, name) = path.split();
        let within = above.strip_prefix(top.as_bytes());
        let Some(within) = within.filter(|rest| rest.is_empty() || rest.starts_with(b"/")) else {
            return Ok(false);
        };
        let mut depth = within.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).count();
        let mut named = false;
        for part in target.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                // After a name, which may be a link, it leads to above wherever that leads.
                b".." if named || depth == 0 => return Ok(false),
                b".." => depth -= 1,
                _ => named = true,
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
        let placed = self.place_one(&writing, keep);
        match &placed {
            Ok(()) => writing.forget(),
            Err(_) => writing.abandon(),
        }
        placed
    }

    fn place_one(&self, writing: &Writing, keep: Option<(u32, i64)>) -> io::Result<()> {
        let Writing { directory, part, name, file, .. } = writing;
        let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((mode, modified)) = keep {
            fchmod(file, Mode::from_raw_mode(mode & 0o777))?;
            let time = Timespec { tv_sec: modified, tv_nsec: 0 };
            futimens(file, &Timestamps { last_access: time, last_modification: time })?;
        }
        let stat = fs::fstat(file)?;
        match renameat_with(&**directory, &**part, &**directory, &**name, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            // Something has the name, or this file system does not know.
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => {
                let before = statat(&**directory, &**name, AtFlags::SYMLINK_NOFOLLOW).ok();
                if let Some(before) = &before {
                    if placed.contains(&(before.st_dev, before.st_ino)) {
                        let error = "another file of this transfer has this name here";
                        return Err(io::Error::new(io::ErrorKind::AlreadyExists, error));
                    }
                    let is_file = FileType::from_raw_mode(before.st_mode) == FileType::RegularFile;
                    if keep.is_none() && is_file {
                        fchmod(file, Mode::from_raw_mode(before.st_mode & 0o777))?;
                    }
                }
                renameat(&**directory, &**part, &**directory, &**name)?;
            }
            Err(error) => return Err(error.into()),
        }
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
    end: u64,
    /// Of all up to its end.
    hash: Sha256,
    /// So much of it the hash beside it is of.
    told: u64,
    beside: Option<File>,
}

impl Writing {
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.end += bytes.len() as u64;
        self.hash.update(bytes);
        if self.end - self.told >= STEP {
            self.remember()?;
        }
        Ok(())
    }

    /// Writes length and hash beside the part, so that it can be gone on with from here, whatever ends us.
    pub fn remember(&mut self) -> io::Result<()> {
        let line = format!("{:020} {}\n", self.end, hex::encode(self.hash.clone().finalize()));
        let beside = match self.beside.take() {
            Some(beside) => beside,
            None => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(0o600);
                File::from(openat(&*self.directory, &*summed(&self.part), flags, mode)?)
            }
        };
        beside.write_all_at(line.as_bytes(), 0)?;
        (self.told, self.beside) = (self.end, Some(beside));
        Ok(())
    }

    /// Nothing is left of it.
    pub fn abandon(self) {
        let _gone = unlinkat(self.directory.as_fd(), self.part.as_slice(), AtFlags::empty());
        self.forget();
    }

    /// Nothing is left beside it.
    fn forget(self) {
        if self.end >= STEP || self.beside.is_some() {
            let beside = summed(&self.part);
            let _gone = unlinkat(self.directory.as_fd(), beside.as_slice(), AtFlags::empty());
        }
    }

    pub fn part_name(&self) -> &[u8] {
        &self.part
    }
}

fn remove_in(at: &OwnedFd, name: &[u8], directory: bool, depth: usize) -> io::Result<()> {
    if !directory {
        return Ok(unlinkat(at, name, AtFlags::empty())?);
    }
    if depth > DEEP {
        return Err(io::Error::other("directories too deep within each other"));
    }
    let inside = openat(at, name, INTO, Mode::empty())?;
    for (own, directory) in entries(&inside)? {
        remove_in(&inside, &own, directory, depth + 1)?;
    }
    Ok(unlinkat(at, name, AtFlags::REMOVEDIR)?)
}

/// Names, each with whether it is a directory.
fn entries(directory: &OwnedFd) -> io::Result<Vec<(Vec<u8>, bool)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Unknown => {
                let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            }
            known => known == FileType::Directory,
        };
        found.push((name.to_vec(), is_directory));
    }
    Ok(found)
}

/// Where the hash of a part stands.
fn summed(part: &[u8]) -> Vec<u8> {
    [part.strip_suffix(b"part").unwrap_or(part), b"sum"].concat()
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
        assert!(tree.begin(&below("link/x"), "i", 0o644, None).is_err());
        // Nor is one that has the part's own name, or the file's.
        symlink(outside.path().join("y"), inside.path().join(".x.i.sgw-part")).unwrap();
        symlink(outside.path().join("z"), inside.path().join("x")).unwrap();
        let mut writing = tree.begin(&below("x"), "i", 0o644, None).unwrap();
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
            ("t/a", "b", true),
            ("t/d/a", "../b", true),
            ("t/d/a", "../../b", false),
            ("t/a", "/etc", false),
            ("t/a", "..", false),
            ("t/refused", "../out", false),
            ("t/a", "x/../../y", false),
            ("t/p/q/l", "../..", true),
            // Where `p/q/l` is a link it would lead above what is copied.
            ("t/a1", "p/q/l/..", false),
            ("t/a2", "./p/../x", false),
            ("t/e", "", false),
            ("tt/a", "b", false),
        ] {
            let made_is = tree.link(&below("t"), &below(path), target.as_bytes()).unwrap();
            assert_eq!(made_is, made, "{path} {target}");
        }
    }

    #[test]
    fn two_names_that_are_one_here_do_not_replace_each_other() {
        let inside = tempfile::tempdir().unwrap();
        let tree = Tree::open(inside.path()).unwrap();
        let begin = || tree.begin(&below("x"), "i", 0o644, None).unwrap();
        tree.place(begin(), Some((0o640, 1_000_000))).unwrap();
        assert_eq!(tree.there(&below("x")), Some((0, 1_000_000)));
        assert!(tree.place(begin(), None).is_err());
    }
}
