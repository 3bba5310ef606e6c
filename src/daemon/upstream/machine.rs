//! Which machine answered: one has many names, addresses and host keys.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use russh::keys::{HashAlg, PublicKey};

/// The most host keys of one machine that are remembered.
const KEYS: usize = 16;

/// What a machine showed of itself. What it announces is its own word: believed where it only takes
/// something away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Where the connection went; none through a jump.
    pub address: Option<SocketAddr>,
    /// The fingerprints of the host keys that it says are its own.
    pub keys: Vec<String>,
}

impl Machine {
    /// Whether both seem to be one machine.
    pub fn is_like(&self, other: &Self) -> bool {
        let address = self.address.is_some() && self.address == other.address;
        address || self.keys.iter().any(|key| other.keys.contains(key))
    }
}

/// A machine as it becomes known, between who connects and who listens.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<Mutex<Machine>>);

impl Known {
    pub fn at(address: Option<SocketAddr>) -> Self {
        Self(Arc::new(Mutex::new(Machine { address, keys: Vec::new() })))
    }

    pub fn get(&self) -> Machine {
        self.lock().clone()
    }

    /// Further host keys: the one that was judged, and those that are announced after the login
    /// (`hostkeys-00@openssh.com`).
    pub fn has(&self, keys: &[PublicKey]) {
        let mut machine = self.lock();
        for key in keys {
            let key = key.fingerprint(HashAlg::Sha256).to_string();
            if machine.keys.len() < KEYS && !machine.keys.contains(&key) {
                machine.keys.push(key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
