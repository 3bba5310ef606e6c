//! The sealed state: settings, pinned host keys, numbers given out, and how far the audit went.
//! Whole in memory, one small file on disk, written durably before a change counts.

mod pin;
mod settings;
mod state;

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

pub use settings::{SettingError, Settings};
pub use state::Pin;

use state::State;

use crate::{
    domain::{
        pin as domain_pin,
        record::Tip,
        seal::{DataKey, FileError, Key, open_file, seal_file},
    },
    home::{Home, HomeError, STATE, random},
};

/// The largest state that is read or written.
const MAX_STATE_BYTES: u64 = 16 * 1024 * 1024;
/// The most keys pinned for one address.
const MAX_PINS: usize = 16;

/// The open vault. It is for one daemon, which holds the home's lock. Changes write to the disk and
/// wait for it (milliseconds): from async code call them on a blocking thread.
pub struct Vault {
    home: Arc<Home>,
    key: Key,
    pin_key: Key,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    /// The file as it was last read or written by us.
    inode: (u64, u64),
}

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// `vault.damaged`: never mended by itself.
    #[error("{} is damaged: {why}", .path.display())]
    Damaged { path: std::path::PathBuf, why: String },
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("{0}")]
    Limit(&'static str),
    #[error("no randomness from the kernel: {0}")]
    Random(#[from] std::io::Error),
}

/// What `unlock` shows, so that a person can see that an older state was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub revision: u64,
    pub changed_at: Option<Timestamp>,
    pub anchor: Tip,
}

impl Vault {
    /// Opens the state of a home that `init` has set up. A missing state is damage: `init` made one.
    pub fn open(home: Arc<Home>, data_key: &DataKey) -> Result<Self, VaultError> {
        let path = home.path_of(STATE);
        let damaged = |why: String| VaultError::Damaged { path: path.clone(), why };
        let file = match home.read(STATE, MAX_STATE_BYTES) {
            Ok(Some(file)) => file,
            Ok(None) => return Err(damaged("it is missing".into())),
            Err(error @ HomeError::TooLarge { .. }) => return Err(damaged(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let (key, pin_key) = (data_key.derive("state"), domain_pin::key(data_key));
        let content = open_file("state", &key, &file).map_err(|error| {
            damaged(match error {
                FileError::NotAuthentic(_) => "it was changed, or is another vault's".into(),
                other => other.to_string(),
            })
        })?;
        let state: State = serde_json::from_slice(content.expose()).map_err(|_| {
            damaged("it has a field that this sgw does not know (written by a newer one?)".into())
        })?;
        let inode =
            home.inode(STATE)?.ok_or_else(|| damaged("it went away while it was read".into()))?;
        Ok(Self { home, key, pin_key, inner: Mutex::new(Inner { state, inode }) })
    }

    pub fn summary(&self) -> Summary {
        let State { revision, changed_at, anchor, .. } = self.lock().state;
        Summary { revision, changed_at, anchor }
    }

    pub fn revision(&self) -> u64 {
        self.lock().state.revision
    }

    pub fn settings(&self) -> Settings {
        self.lock().state.settings.clone()
    }

    /// Sets one setting from its text form. Returns the settings as they are now.
    pub fn set(&self, name: &str, value: &str) -> Result<Settings, VaultError> {
        self.change(|state| {
            state.settings.set(name, value)?;
            Ok(state.settings.clone())
        })
    }

    /// Gives one setting its default again.
    pub fn unset(&self, name: &str) -> Result<Settings, VaultError> {
        self.change(|state| {
            state.settings.unset(name)?;
            Ok(state.settings.clone())
        })
    }

    /// The host keys accepted for an address (`host:port`, as `Hop::address` writes it).
    pub fn pins(&self, address: &str) -> Vec<Pin> {
        self.lock().state.pins.get(address).cloned().unwrap_or_default()
    }

    /// Every address with its pinned keys.
    pub fn all_pins(&self) -> Vec<(String, Vec<Pin>)> {
        self.lock().state.pins.iter().map(|(at, pins)| (at.clone(), pins.clone())).collect()
    }

    /// Accepts a host key. One that is pinned already stays as it is, with its date.
    pub fn pin(&self, address: &str, pin: Pin) -> Result<(), VaultError> {
        if self.pins(address).iter().any(|known| known.key == pin.key) {
            return Ok(());
        }
        self.change(|state| {
            let pins = state.pins.entry(address.to_owned()).or_default();
            if pins.len() >= MAX_PINS {
                return Err(VaultError::Limit("this address has 16 host keys already"));
            }
            pins.push(pin);
            Ok(())
        })
    }

    /// The next `count` numbers, for ids. They are given to nobody else, also after a crash.
    pub fn reserve_ids(&self, count: u64) -> Result<Range<u64>, VaultError> {
        self.change(|state| {
            let first = state.next_id;
            state.next_id = first.checked_add(count).ok_or(VaultError::Limit("no ids left"))?;
            Ok(first..state.next_id)
        })
    }

    pub fn anchored(&self) -> Tip {
        self.lock().state.anchor
    }

    /// Remembers how far the audit went, so that a cut one shows. Never backwards.
    pub fn anchor(&self, tip: Tip) -> Result<(), VaultError> {
        if tip.seq <= self.anchored().seq {
            return Ok(());
        }
        self.change(|state| {
            state.anchor = tip;
            Ok(())
        })
    }

    /// Changes a copy, writes it, and only then makes it the state.
    fn change<T>(
        &self,
        edit: impl FnOnce(&mut State) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let mut inner = self.lock();
        let mut state = inner.state.clone();
        let result = edit(&mut state)?;
        state.revision += 1;
        state.changed_at = Some(Timestamp::now());
        let content =
            zeroize::Zeroizing::new(serde_json::to_vec(&state).map_err(std::io::Error::from)?);
        if content.len() as u64 > MAX_STATE_BYTES / 2 {
            return Err(VaultError::Limit("the vault is full"));
        }
        if self.home.inode(STATE)? != Some(inner.inode) {
            let why = "it was replaced while the daemon ran".into();
            return Err(VaultError::Damaged { path: self.home.path_of(STATE), why });
        }
        let file = seal_file("state", &self.key, random()?, &content);
        self.home.replace(STATE, &file)?;
        inner.inode = self.home.inode(STATE)?.unwrap_or_default();
        inner.state = state;
        Ok(result)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked here left the state as it was: it is assigned whole, and last.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
