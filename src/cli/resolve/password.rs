//! Passwords and passphrases from files: `--password-file`, `--passphrase-file`.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::domain::{escape, secret::Secret};

use super::file::{self, FileError};

/// Longer than any that a person or a generator makes.
const MAX_BYTES: usize = 4 << 10;

#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", escape::visible_bytes(path.as_os_str().as_encoded_bytes(), 200))]
pub struct PasswordError {
    pub path: PathBuf,
    #[source]
    pub error: Reason,
}

#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("others can read it; run: chmod 600 {0}")]
    OpenToOthers(String),
    #[error("it is empty")]
    Empty,
    #[error("it is not UTF-8 text")]
    NotText,
    #[error("it holds a private key, which is no password")]
    Key,
}

/// The content without one trailing newline. `-` is `stdin`; who has read it once can't again.
pub fn read(path: &Path, stdin: &mut dyn Read) -> Result<Secret<String>, PasswordError> {
    read_up_to(path, stdin, MAX_BYTES)
}

/// The same, of so many bytes at most.
pub fn read_up_to(
    path: &Path,
    stdin: &mut dyn Read,
    most: usize,
) -> Result<Secret<String>, PasswordError> {
    let fail = |error| PasswordError { path: path.to_owned(), error };
    let bytes = if path.as_os_str() == "-" {
        file::read_open(stdin, most).map_err(|error| fail(error.into()))?
    } else {
        let (mut open, metadata) = file::open(path).map_err(|error| fail(error.into()))?;
        if file::open_to_others(&metadata) {
            let shown = escape::visible_bytes(path.as_os_str().as_encoded_bytes(), 200);
            return Err(fail(Reason::OpenToOthers(shown)));
        }
        file::read_open(&mut open, most).map_err(|error| fail(error.into()))?
    };
    text(bytes).map_err(fail)
}

fn text(bytes: Zeroizing<Vec<u8>>) -> Result<Secret<String>, Reason> {
    let text = std::str::from_utf8(&bytes).map_err(|_| Reason::NotText)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.starts_with("-----BEGIN ") {
        return Err(Reason::Key);
    }
    if text.is_empty() { Err(Reason::Empty) } else { Ok(Secret::new(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    fn from_stdin(mut bytes: &[u8]) -> Result<String, String> {
        let read = read("-".as_ref(), &mut bytes);
        read.map(|secret| secret.expose().clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn one_newline_at_the_end_is_not_part_of_it() {
        assert_eq!(from_stdin(b"a b\n"), Ok("a b".into()));
        assert_eq!(from_stdin(b"a b\r\n"), Ok("a b".into()));
        assert_eq!(from_stdin(b" a\n\n"), Ok(" a\n".into()));
        assert_eq!(from_stdin(b"a"), Ok("a".into()));
        assert_eq!(from_stdin(b"\n"), Err("-: it is empty".into()));
        assert!(from_stdin(b"-----BEGIN OPENSSH PRIVATE KEY-----\n").is_err());
        assert_eq!(from_stdin(b"\xff"), Err("-: it is not UTF-8 text".into()));
        assert_eq!(from_stdin(&[b'a'; 5000]), Err("-: it is longer than 4 KiB".into()));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "secret\n").unwrap();
        let read = || read(&path, &mut std::io::empty());
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(read().unwrap_err().to_string().contains("run: chmod 600 "));
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read().unwrap().expose(), "secret");
    }
}
