//! An exported vault: sealed under a passphrase, to be opened by any vault that is given it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Base64, Cost, Key, OpenError, SALT_BYTES, TAG_BYTES};
use crate::domain::secret::Secret;

/// The largest file that is read or written.
pub const MAX_BYTES: usize = 24 * 1024 * 1024;
const VERSION: u32 = 1;
const KIND: &str = "sgw export ";
const CHECK_BYTES: usize = 32;
const MAX_HEAD_BYTES: usize = 512;

/// How the key is made of the passphrase. In clear, and what the seal is bound to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    argon2id: Cost,
    salt: Base64<SALT_BYTES>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExportError {
    #[error("it is no export of a vault")]
    Kind,
    #[error("it has version {0}, which this sgw does not know")]
    UnknownVersion(u32),
    #[error("it is damaged")]
    Damaged,
}

/// The parts of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    pub envelope: Envelope,
    /// What the seal is bound to.
    pub head: &'a [u8],
    pub sealed: &'a [u8],
}

impl Envelope {
    pub fn new(argon2id: Cost, salt: [u8; SALT_BYTES]) -> Self {
        Self { argon2id, salt: Base64(salt) }
    }

    /// Two lines: what the file is, and how it opens.
    pub fn head(&self) -> Vec<u8> {
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{KIND}{VERSION}\n{json}\n").into_bytes()
    }

    /// Takes as long as opening a vault.
    pub fn key(&self, passphrase: &Secret<String>) -> Result<Key, OpenError> {
        if !self.argon2id.within(Cost::LEAST) {
            return Err(OpenError::Damaged("its argon2id cost is not one that sgw writes"));
        }
        self.argon2id.key(passphrase, &self.salt.0)
    }
}

/// The whole file. Its end tells damage from a wrong passphrase, and proves nothing.
pub fn write(head: &[u8], sealed: &[u8]) -> Vec<u8> {
    let mut file = [head, sealed].concat();
    let check = Sha256::digest(&file);
    file.extend(check);
    file
}

pub fn read(file: &[u8]) -> Result<Parts<'_>, ExportError> {
    let line = |from: usize| {
        let end = file.iter().skip(from).take(MAX_HEAD_BYTES).position(|byte| *byte == b'\n');
        end.map(|end| from + end + 1)
    };
    let first = line(0).ok_or(ExportError::Kind)?;
    let version = std::str::from_utf8(&file[..first])
        .ok()
        .and_then(|line| line.trim_end().strip_prefix(KIND)?.parse().ok())
        .ok_or(ExportError::Kind)?;
    if version != VERSION {
        return Err(ExportError::UnknownVersion(version));
    }
    let (content, check) = file.split_last_chunk::<CHECK_BYTES>().ok_or(ExportError::Damaged)?;
    let second = line(first).filter(|end| end + TAG_BYTES <= content.len());
    let second = second.ok_or(ExportError::Damaged)?;
    if Sha256::digest(content).as_slice() != check {
        return Err(ExportError::Damaged);
    }
    let envelope =
        serde_json::from_slice(&file[first..second]).map_err(|_| ExportError::Damaged)?;
    Ok(Parts { envelope, head: &content[..second], sealed: &content[second..] })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file() -> Vec<u8> {
        let envelope = Envelope::new(Cost::USUAL, [7; SALT_BYTES]);
        write(&envelope.head(), &[9; 100])
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let file = file();
        let read = read(&file).unwrap();
        assert_eq!(read.envelope, Envelope::new(Cost::USUAL, [7; SALT_BYTES]));
        assert_eq!((read.head, read.sealed), (&*read.envelope.head(), &[9; 100][..]));
    }

    #[test]
    fn what_is_no_export_is_told_apart() {
        for other in [&b""[..], b"sgw state 1\nxxx", b"sgw export one\n", &[0; 4096]] {
            assert_eq!(read(other), Err(ExportError::Kind));
        }
        assert_eq!(read(b"sgw export 2\n{}\n"), Err(ExportError::UnknownVersion(2)));
        assert_eq!(read(b"sgw export 1\n"), Err(ExportError::Damaged));
    }

    #[test]
    fn a_cost_that_sgw_does_not_write_is_not_paid() {
        let cheap = Cost { m_kib: 64, t: 1, p: 1 };
        for cost in [cheap, Cost { m_kib: u32::MAX, t: 1, p: 1 }] {
            let error = Envelope::new(cost, [0; 16]).key(&Secret::new("x".into())).unwrap_err();
            assert!(matches!(error, OpenError::Damaged(_)));
        }
    }

    proptest! {
        #[test]
        fn any_byte_changed_or_cut_is_seen(at: prop::sample::Index, flip in 1u8..) {
            let whole = file();
            let at = at.index(whole.len());
            let mut changed = whole.clone();
            changed[at] ^= flip;
            prop_assert!(read(&changed).is_err());
            prop_assert!(read(&whole[..at]).is_err());
        }

        #[test]
        fn junk_is_refused_in_peace(junk: Vec<u8>) {
            prop_assert!(read(&[b"sgw export 1\n", &*junk].concat()).is_err());
            prop_assert!(read(&junk).is_err());
        }
    }
}
