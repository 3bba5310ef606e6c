//! What `unlock` hands to the daemon that it starts, and the daemon's first word back. It travels over
//! an inherited socketpair, never over a path: `u32 length · JSON`, and before it, towards the daemon,
//! the 32 bytes of the data key.

use std::{
    ffi::OsStr,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::error::Failure;
use crate::domain::{
    bytes::Bytes,
    seal::{DataKey, KEY_BYTES},
};

/// The most bytes of JSON either way.
const MAX_JSON: u32 = 64 * 1024;

/// How a daemon's life begins.
#[derive(Debug)]
pub enum Start {
    /// `unlock` has started it, and hands it its key over this socket.
    Handed(OwnedFd),
    /// The machine has started it, and hands it its sockets; the key comes over one of them.
    Service,
}

/// All that a daemon needs to begin its one life.
#[derive(Debug)]
pub struct Handover {
    pub data_key: DataKey,
    /// The instance's directory.
    pub home: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    home: Bytes,
}

/// The daemon's first word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Ready(Ready),
    Failed(Failure),
}

/// What the operator is shown at unlock, since a whole older state can be put back between runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    pub pid: u32,
    pub version: String,
    /// Counts the changes of the sealed state.
    pub revision: u64,
    pub changed_at: Option<Timestamp>,
    /// How many records the audit has, and the last one's hash.
    pub audit_records: u64,
    pub audit_head: Option<String>,
    /// When the last record was written.
    pub audit_at: Option<Timestamp>,
    /// What the operator should know before trusting the record.
    pub warning: Option<String>,
}

impl Handover {
    /// Makes no copy of the key.
    pub fn write(data_key: &DataKey, home: &Path, to: &mut impl Write) -> io::Result<()> {
        to.write_all(data_key.expose())?;
        write_json(to, &Words { home: Bytes(home.as_os_str().as_bytes().to_vec()) })
    }

    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        from.read_exact(&mut *key)?;
        let words: Words = read_json(from)?;
        let home = PathBuf::from(OsStr::from_bytes(words.home.as_slice()));
        Ok(Self { data_key: DataKey::new(*key), home })
    }
}

impl Answer {
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        write_json(to, self)
    }

    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        read_json(from)
    }
}

fn write_json(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(value)?;
    let length = u32::try_from(json.len()).ok().filter(|length| *length <= MAX_JSON);
    to.write_all(&length.ok_or(io::ErrorKind::InvalidInput)?.to_be_bytes())?;
    to.write_all(&json)?;
    to.flush()
}

fn read_json<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_JSON {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut json = vec![0; length as usize];
    from.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::error::Code;

    #[test]
    fn key_and_home_arrive_whatever_the_path_is_made_of() {
        let home = Path::new(OsStr::from_bytes(b"/tmp/\xff/sgw"));
        let mut wire = Vec::new();
        Handover::write(&DataKey::new([7; KEY_BYTES]), home, &mut wire).unwrap();
        let read = Handover::read(&mut wire.as_slice()).unwrap();
        assert_eq!(read.home, home);
        assert_eq!(read.data_key.expose(), &[7; KEY_BYTES]);
        for cut in 0..wire.len() {
            assert!(Handover::read(&mut &wire[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn both_answers_come_back_and_an_endless_one_is_refused() {
        let ready = Ready {
            pid: 1,
            version: "0.1.0".into(),
            revision: 3,
            changed_at: Some(Timestamp::UNIX_EPOCH),
            audit_records: 2,
            audit_head: None,
            audit_at: None,
            warning: None,
        };
        for answer in [
            Answer::Ready(ready),
            Answer::Failed(Failure::new(Code::HomeBusy, "another", "sgw lock")),
        ] {
            let mut wire = Vec::new();
            answer.write(&mut wire).unwrap();
            assert_eq!(Answer::read(&mut wire.as_slice()).unwrap(), answer);
        }
        assert!(Answer::read(&mut u32::MAX.to_be_bytes().as_slice()).is_err());
    }
}
