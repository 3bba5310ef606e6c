//! Stories against a real sshd, and against servers that misbehave.

mod channels;
mod ending;
mod hostile;
mod interview;
mod login;
mod pool;
mod relay;
mod sshd;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use russh::keys::{Algorithm, PublicKey};
use tokio::time::timeout;

pub use relay::Relay;
pub use sshd::{Account, Sshd};

use super::*;
use crate::domain::target::Hop;

/// Takes the given keys and no others, or any; remembers what it was shown.
#[derive(Default)]
pub struct Judge {
    pinned: Option<Vec<PublicKey>>,
    pub shown: Mutex<Vec<(Hop, PublicKey)>>,
}

impl Judge {
    pub fn trusting() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub fn pinned(keys: &[PublicKey]) -> Arc<Self> {
        Arc::new(Self { pinned: Some(keys.to_vec()), ..Self::default() })
    }
}

impl HostKeyJudge for Judge {
    fn preferred(&self, _: &Hop) -> Vec<Algorithm> {
        self.pinned.iter().flatten().map(PublicKey::algorithm).collect()
    }

    fn judge<'a>(
        &'a self,
        hop: &'a Hop,
        key: &'a PublicKey,
    ) -> BoxFuture<'a, Result<(), HostKeyRefusal>> {
        self.shown.lock().unwrap().push((hop.clone(), key.clone()));
        let print = |key: &PublicKey| key.fingerprint(Default::default()).to_string();
        let verdict = match &self.pinned {
            Some(pinned) if pinned.iter().all(|pin| pin.key_data() != key.key_data()) => {
                Err(HostKeyRefusal::Changed {
                    known: pinned.iter().map(print).collect(),
                    presented: print(key),
                })
            }
            _ => Ok(()),
        };
        Box::pin(async move { verdict })
    }
}

/// What one exec did, all in all.
#[derive(Debug, Default)]
pub struct Ran {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub status: Option<u32>,
    pub signal: Option<String>,
    pub end: Option<Event>,
}

/// Reads until the last event.
pub async fn read_all(reader: &mut Reader) -> Ran {
    let mut ran = Ran::default();
    loop {
        match soon(reader.next()).await {
            Event::Stdout(bytes) => ran.stdout.extend_from_slice(&bytes),
            Event::Stderr(bytes) => ran.stderr.extend_from_slice(&bytes),
            Event::ExitStatus(status) => ran.status = Some(status),
            Event::ExitSignal { name, .. } => ran.signal = Some(name),
            end => {
                ran.end = Some(end);
                return ran;
            }
        }
    }
}

pub async fn run(pool: &Pool, command: &str) -> Ran {
    let (mut reader, writer) = soon(pool.exec(command.as_bytes())).await.unwrap();
    writer.eof().await.unwrap();
    read_all(&mut reader).await
}

/// No step of a test takes this long.
pub async fn soon<T>(doing: impl std::future::Future<Output = T>) -> T {
    timeout(Duration::from_secs(40), doing).await.expect("it hangs")
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
