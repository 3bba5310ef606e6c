//! The operator's ssh-agent: lists what it holds and hands its connection on, so that the daemon can
//! have signatures without a path to open (draft-ietf-sshm-ssh-agent).

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use ssh_key::PublicKey;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use crate::domain::hostkey::fingerprint;

use super::{file, route};

/// An agent lists its keys without asking a person; only signing may.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// As in OpenSSH (`AGENT_MAX_LEN`, `MAX_AGENT_IDENTITIES`).
const MAX_MESSAGE: u32 = 256 << 10;
const MAX_KEYS: u32 = 2048;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;

/// A connected agent and its keys.
#[derive(Debug)]
pub struct Agent {
    stream: UnixStream,
    pub keys: Vec<AgentKey>,
    /// Certificates and keys of types that sgw does not know.
    pub skipped: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentKey {
    pub key: PublicKey,
    pub fingerprint: String,
    /// From whoever added the key: escape it before showing.
    pub comment: String,
}

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("no ssh-agent listens at {}: {error}", path.display())]
    Connect { path: PathBuf, error: io::Error },
    #[error("the ssh-agent did not answer within 5 seconds")]
    TimeLimit,
    #[error("the connection to the ssh-agent broke: {0}")]
    Io(#[from] io::Error),
    #[error("the ssh-agent refuses to list its keys; it may be locked")]
    Refused,
    #[error("the ssh-agent's answer makes no sense")]
    Nonsense,
}

impl Agent {
    /// Connects and lists the keys, within 5 seconds.
    pub async fn connect(path: &Path) -> Result<Self, AgentError> {
        Self::connect_within(path, TIME_LIMIT).await
    }

    async fn connect_within(path: &Path, limit: Duration) -> Result<Self, AgentError> {
        let listed = tokio::time::timeout(limit, async {
            let connected = UnixStream::connect(path).await;
            let mut stream =
                connected.map_err(|error| AgentError::Connect { path: path.to_owned(), error })?;
            let answer = list(&mut stream).await?;
            let (keys, skipped) = read_answer(&answer).ok_or(AgentError::Nonsense)?;
            Ok(Self { stream, keys, skipped })
        });
        listed.await.map_err(|_| AgentError::TimeLimit)?
    }

    /// The connection, nonblocking and with nothing under way on it, to be sent to the daemon.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        self.stream.into_std().map(OwnedFd::from)
    }

    /// The key with this fingerprint (`SHA256:…`).
    pub fn by_fingerprint(&self, wanted: &str) -> Option<&AgentKey> {
        let wanted = wanted.trim_end_matches('=');
        self.keys.iter().find(|key| key.fingerprint == wanted)
    }

    /// The key whose public half lies beside an IdentityFile, or is that file.
    pub fn by_identity(&self, identity: &route::Identity) -> Option<&AgentKey> {
        let candidates = identity.public.iter().chain(identity.file.then_some(&identity.path));
        let wanted = candidates.filter_map(|path| public_key(path)).next()?;
        self.keys.iter().find(|key| key.key.key_data() == wanted.key_data())
    }

    /// The keys to propose for a hop, in the order that ssh tries them: those that it has an
    /// IdentityFile for, then the others unless IdentitiesOnly is set.
    pub fn proposed(&self, hop: &route::Proposal) -> Vec<&AgentKey> {
        let mut keys: Vec<&AgentKey> = Vec::new();
        for key in hop.identities.iter().filter_map(|identity| self.by_identity(identity)) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if !hop.identities_only {
            let named = keys.clone();
            keys.extend(self.keys.iter().filter(|key| !named.contains(key)));
        }
        keys
    }
}

fn public_key(path: &Path) -> Option<PublicKey> {
    let bytes = file::read(path, 64 << 10).ok()?;
    PublicKey::from_openssh(std::str::from_utf8(&bytes).ok()?.trim()).ok()
}

async fn list(stream: &mut UnixStream) -> Result<Vec<u8>, AgentError> {
    stream.write_all(&[0, 0, 0, 1, REQUEST_IDENTITIES]).await?;
    let length = stream.read_u32().await?;
    if length == 0 || length > MAX_MESSAGE {
        return Err(AgentError::Nonsense);
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await?;
    match answer.first() {
        Some(&IDENTITIES_ANSWER) => Ok(answer),
        Some(&FAILURE) => Err(AgentError::Refused),
        _ => Err(AgentError::Nonsense),
    }
}

/// `byte 12 · uint32 count · (string key, string comment)…`
fn read_answer(answer: &[u8]) -> Option<(Vec<AgentKey>, usize)> {
    let mut rest = answer.get(1..)?;
    let count = number(&mut rest)?;
    if count > MAX_KEYS {
        return None;
    }
    let (mut keys, mut skipped) = (Vec::new(), 0);
    for _ in 0..count {
        let (blob, comment) = (string(&mut rest)?, string(&mut rest)?);
        match PublicKey::from_bytes(blob) {
            Ok(key) if !key.key_data().is_certificate() && !key.key_data().is_other() => {
                let comment = String::from_utf8_lossy(&comment[..comment.len().min(256)]);
                let fingerprint = fingerprint(&key);
                keys.push(AgentKey { key, fingerprint, comment: comment.into_owned() });
            }
            _ => skipped += 1,
        }
    }
    rest.is_empty().then_some((keys, skipped))
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*bytes))
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)? as usize;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests;
