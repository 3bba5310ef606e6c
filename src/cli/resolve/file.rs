//! Opens a file that a person or their ssh_config names, which can be anything: never waits for a FIFO,
//! never reads without end.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("there is no such file")]
    Missing,
    #[error("it is {0}, not a file")]
    NotAFile(&'static str),
    #[error("it is longer than {} KiB", .0 >> 10)]
    TooLong(usize),
    #[error("it can't be read: {0}")]
    Unreadable(io::Error),
}

/// Opens a regular file, whatever stands at the path now and later.
pub fn open(path: &Path) -> Result<(File, Metadata), FileError> {
    // Without NONBLOCK the open of a FIFO waits for a writer; NOCTTY: a terminal stays a mere device.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(FileError::Missing),
        // A socket can't be opened at all.
        Err(error) => {
            return Err(match path.metadata() {
                Ok(metadata) if metadata.file_type().is_socket() => FileError::NotAFile("a socket"),
                _ => FileError::Unreadable(error),
            });
        }
    };
    let metadata = file.metadata().map_err(FileError::Unreadable)?;
    let kind = metadata.file_type();
    let other = match () {
        () if kind.is_file() => return Ok((file, metadata)),
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a FIFO",
        () => "a device",
    };
    Err(FileError::NotAFile(other))
}

/// All of a file that has at most `cap` bytes, in memory that is wiped.
pub fn read(path: &Path, cap: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_open(&mut open(path)?.0, cap)
}

/// All that comes, if it is at most `cap` bytes.
pub fn read_open(source: &mut dyn Read, cap: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // Grown by copying: a Vec that grows by itself would leave unwiped pieces behind.
    let mut bytes = Zeroizing::new(Vec::new());
    let mut piece = Zeroizing::new([0; 8 << 10]);
    loop {
        let count = match source.read(&mut *piece) {
            Ok(0) => return Ok(bytes),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(FileError::Unreadable(error)),
        };
        if bytes.len() + count > cap {
            return Err(FileError::TooLong(cap));
        }
        if bytes.capacity() < bytes.len() + count {
            let mut wider = Zeroizing::new(Vec::with_capacity((bytes.len() + count) * 2));
            wider.extend_from_slice(&bytes);
            bytes = wider;
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}

/// The permission bits for others than the owner, if there are any: ssh refuses such a private key.
pub fn open_to_others(metadata: &Metadata) -> bool {
    metadata.mode() & 0o077 != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn files_are_read_whole_up_to_the_cap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
        std::fs::write(&path, &content).unwrap();
        assert_eq!(*read(&path, 100_000).unwrap(), content);
        assert!(matches!(read(&path, 99_999), Err(FileError::TooLong(99_999))));
    }

    #[test]
    fn what_is_no_file_is_named_and_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let said = |path: &Path| read(path, 10).unwrap_err().to_string();
        assert_eq!(said(&fifo), "it is a FIFO, not a file");
        assert_eq!(said(&socket), "it is a socket, not a file");
        assert_eq!(said(folder.path()), "it is a directory, not a file");
        assert_eq!(said("/dev/zero".as_ref()), "it is a device, not a file");
        assert_eq!(said(&folder.path().join("none")), "there is no such file");
    }
}
