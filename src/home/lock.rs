//! One daemon a home: whoever holds the lock file is it.

use std::{
    fs::File,
    io::{Read, Write},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock, fstat, ftruncate},
    io::Errno,
};

use super::{Home, HomeError, LOCK, io_error};

/// Held until it is dropped, or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another daemon holds this home{}", .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Held { pid: Option<u32> },
    #[error(transparent)]
    Home(#[from] HomeError),
}

impl Home {
    /// Takes the lock, or fails at once.
    pub fn lock(&self) -> Result<Lock, LockError> {
        let path = self.path_of(LOCK);
        let mut file = self.open_file(LOCK, OFlags::RDWR | OFlags::CREATE)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(LockError::Held { pid: holder(&mut file) }),
            Err(errno) => return Err(io_error("lock", &path)(errno.into()).into()),
        }
        // Removed between open and flock: ours would then be a lock that nobody else sees.
        let stat = fstat(&file).map_err(|errno| io_error("look at", &path)(errno.into()))?;
        if self.inode(LOCK)? != Some((stat.st_dev, stat.st_ino)) {
            return Err(LockError::Held { pid: None });
        }
        let pid = format!("{}\n", std::process::id());
        ftruncate(&file, 0)
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(pid.as_bytes()))
            .map_err(io_error("write", &path))?;
        Ok(Lock { _file: file })
    }
}

/// Who wrote its pid there. For a person to read: anyone of this uid can have changed it.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
