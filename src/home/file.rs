//! Files of a home: read only when nobody else can have written them, replaced whole or not at all.

use std::{fs::File, io::Read, io::Write};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use super::{Home, HomeError, check_owner, check_type, io_error};

const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

impl Home {
    /// Opens a file of this home, made with mode 0600 where `flags` has `CREATE`. What is not a
    /// regular file with one name, of ours and closed to others, is refused.
    pub fn open_file(&self, name: &str, flags: OFlags) -> Result<File, HomeError> {
        let (file, stat) = self.open_ours(name, flags)?;
        let path = self.path_of(name);
        let mode = stat.st_mode & 0o777;
        #[allow(clippy::useless_conversion)] // 32 bits on aarch64
        let links = u64::from(stat.st_nlink);
        if mode & 0o077 != 0 {
            return Err(HomeError::Mode { path, mode, expected: 0o600 });
        }
        // None: unlinked since it was opened, which whoever needs the name finds out.
        if links > 1 {
            return Err(HomeError::Links { path, links });
        }
        Ok(file)
    }

    /// A regular file of ours, whatever its mode: the directory is closed to others.
    fn open_ours(&self, name: &str, flags: OFlags) -> Result<(File, Stat), HomeError> {
        let path = self.path_of(name);
        // NONBLOCK: opening a FIFO that someone put there must not wait.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = fs::openat(&self.dir, name, flags, PRIVATE).map_err(|errno| match errno {
            Errno::NOENT => HomeError::Missing(path.clone()),
            Errno::LOOP => HomeError::Symlink(path.clone()),
            Errno::NXIO => HomeError::Type { path: path.clone(), expected: "regular file" },
            errno => io_error("open", &path)(errno.into()),
        })?;
        let stat = fs::fstat(&file).map_err(|errno| io_error("look at", &path)(errno.into()))?;
        check_type(&path, &stat, FileType::RegularFile, "regular file")?;
        check_owner(&path, &stat)?;
        Ok((File::from(file), stat))
    }

    /// The whole file, at most `limit` bytes; `None` where there is none.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, HomeError> {
        self.read_whole(name, limit, self.open_file(name, OFlags::RDONLY))
    }

    /// As `read`, for what the person writes here with programs of theirs: a proposal, never authority.
    pub fn read_proposal(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, HomeError> {
        self.read_whole(name, limit, self.open_ours(name, OFlags::RDONLY).map(|(file, _)| file))
    }

    fn read_whole(
        &self,
        name: &str,
        limit: u64,
        opened: Result<File, HomeError>,
    ) -> Result<Option<Vec<u8>>, HomeError> {
        let file = match opened {
            Ok(file) => file,
            Err(HomeError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let path = self.path_of(name);
        let mut content = Vec::new();
        file.take(limit + 1).read_to_end(&mut content).map_err(io_error("read", &path))?;
        if content.len() as u64 > limit {
            return Err(HomeError::TooLarge { path, limit });
        }
        Ok(Some(content))
    }

    /// Whether anything has this name.
    pub fn has(&self, name: &str) -> Result<bool, HomeError> {
        Ok(self.inode(name)?.is_some())
    }

    /// Device and inode that the name leads to now.
    pub fn inode(&self, name: &str) -> Result<Option<(u64, u64)>, HomeError> {
        match fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((stat.st_dev, stat.st_ino))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(io_error("look at", &self.path_of(name))(errno.into())),
        }
    }

    /// Puts a file in the place of the old one, so that at every moment, a power cut included, one
    /// of the two is there whole. Durable when it returns. One writer at a time: hold the lock.
    pub fn replace(&self, name: &str, content: &[u8]) -> Result<(), HomeError> {
        let new = self.write_new(name, content)?;
        fs::renameat(&self.dir, &*new, &self.dir, name)
            .and_then(|()| fs::fsync(&self.dir))
            .map_err(|errno| self.failed("replace", name, &new, errno))
    }

    /// As `replace`, but fails where the name is taken.
    pub fn create(&self, name: &str, content: &[u8]) -> Result<(), HomeError> {
        let new = self.write_new(name, content)?;
        // link(2), unlike rename(2), never replaces.
        fs::linkat(&self.dir, &*new, &self.dir, name, AtFlags::empty())
            .and_then(|()| fs::unlinkat(&self.dir, &*new, AtFlags::empty()))
            .and_then(|()| fs::fsync(&self.dir))
            .map_err(|errno| self.failed("create", name, &new, errno))
    }

    /// Gives a file another name, replacing what had it.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), HomeError> {
        fs::renameat(&self.dir, from, &self.dir, to)
            .map_err(|errno| io_error("rename", &self.path_of(from))(errno.into()))
    }

    pub fn remove(&self, name: &str) -> Result<(), HomeError> {
        match fs::unlinkat(&self.dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(io_error("remove", &self.path_of(name))(errno.into())),
        }
    }

    /// Makes the directory's names durable.
    pub fn sync(&self) -> Result<(), HomeError> {
        fs::fsync(&self.dir).map_err(|errno| io_error("sync", self.path())(errno.into()))
    }

    fn write_new(&self, name: &str, content: &[u8]) -> Result<String, HomeError> {
        let new = format!(".{name}.new");
        // Left by a crash, or planted: either way not what is written now.
        self.remove(&new)?;
        let mut file = self.open_file(&new, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        // The umask can only have taken from the mode: see that we can read it again.
        let written = written.and_then(|()| Ok(fs::fchmod(&file, PRIVATE)?));
        written.map_err(|source| {
            let _ = self.remove(&new);
            io_error("write", &self.path_of(name))(source)
        })?;
        Ok(new)
    }

    fn failed(&self, action: &'static str, name: &str, new: &str, errno: Errno) -> HomeError {
        let _ = self.remove(new);
        match errno {
            Errno::EXIST => HomeError::Exists(self.path_of(name)),
            errno => io_error(action, &self.path_of(name))(errno.into()),
        }
    }
}
