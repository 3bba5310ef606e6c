//! The sealed state: settings, pinned host keys, numbers given out, and how far the audit went.
//! Whole in memory, one small file on disk, written durably before a change counts.

mod authority;
mod pin;
#[allow(dead_code, reason = "named targets, tokens and grants come next")]
mod records;
mod settings;
mod state;
#[allow(dead_code, reason = "the same")]
mod tables;
mod targets;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use jiff::Timestamp;

pub use records::Change;
pub use settings::{SettingError, Settings};
pub use state::Pin;
pub use tables::{Record, Stored};

use records::{Row, Rows, Value, Write, Writes, open_row};
use state::{Kept, State};
use tables::{SECRETS, Table};

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
    /// Held by whoever changes it; what the file was when we last read or wrote it.
    changing: Mutex<(u64, u64)>,
    memory: RwLock<Memory>,
}

/// What is read without the disk.
struct Memory {
    state: State,
    rows: Rows,
    /// Table to the revision that changed it last.
    changed: BTreeMap<String, u64>,
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
    #[error("there is a {table} {id} already")]
    Exists { table: &'static str, id: String },
    #[error("there is no {table} {id}")]
    Missing { table: &'static str, id: String },
    /// Not the version that was read: somebody else was first.
    #[error("{table} {id} was changed meanwhile")]
    Changed { table: &'static str, id: String },
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
        let rows = rows(&key, &state).map_err(damaged)?;
        let memory = RwLock::new(Memory { state, rows, changed: BTreeMap::new() });
        Ok(Self { home, key, pin_key, changing: Mutex::new(inode), memory })
    }

    pub fn summary(&self) -> Summary {
        let State { revision, changed_at, anchor, .. } = self.memory().state;
        Summary { revision, changed_at, anchor }
    }

    pub fn revision(&self) -> u64 {
        self.memory().state.revision
    }

    pub fn settings(&self) -> Settings {
        self.memory().state.settings.clone()
    }

    /// Sets one setting from its text form. Returns the settings as they are now.
    pub fn set(&self, name: &str, value: &str) -> Result<Settings, VaultError> {
        self.change_state(|state| {
            state.settings.set(name, value)?;
            Ok(state.settings.clone())
        })
    }

    /// Gives one setting its default again.
    pub fn unset(&self, name: &str) -> Result<Settings, VaultError> {
        self.change_state(|state| {
            state.settings.unset(name)?;
            Ok(state.settings.clone())
        })
    }

    /// The host keys accepted for an address (`host:port`, as `Hop::address` writes it).
    pub fn pins(&self, address: &str) -> Vec<Pin> {
        self.memory().state.pins.get(address).cloned().unwrap_or_default()
    }

    /// Every address with its pinned keys.
    pub fn all_pins(&self) -> Vec<(String, Vec<Pin>)> {
        self.memory().state.pins.iter().map(|(at, pins)| (at.clone(), pins.clone())).collect()
    }

    /// Accepts a host key. One that is pinned already stays as it is, with its date.
    pub fn pin(&self, address: &str, pin: Pin) -> Result<(), VaultError> {
        if self.pins(address).iter().any(|known| known.key == pin.key) {
            return Ok(());
        }
        self.change_state(|state| {
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
        self.change_state(|state| {
            let first = state.next_id;
            state.next_id = first.checked_add(count).ok_or(VaultError::Limit("no ids left"))?;
            Ok(first..state.next_id)
        })
    }

    pub fn anchored(&self) -> Tip {
        self.memory().state.anchor
    }

    /// Remembers how far the audit went, so that a cut one shows. Never backwards.
    pub fn anchor(&self, tip: Tip) -> Result<(), VaultError> {
        if tip.seq <= self.anchored().seq {
            return Ok(());
        }
        self.change_state(|state| {
            state.anchor = tip;
            Ok(())
        })
    }

    fn change_state<T>(
        &self,
        edit: impl FnOnce(&mut State) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        self.change(|change| edit(&mut change.state))
    }

    /// Several changes in one: on the disk, whole, before any of it counts. What `edit` says no to
    /// changes nothing.
    pub fn change<T>(
        &self,
        edit: impl FnOnce(&mut Change) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let mut inode = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = self.memory();
        let mut change = Change::new(&memory, &self.key);
        let result = edit(&mut change)?;
        let (mut state, writes) = change.finish();
        drop(memory);
        for ((table, id), write) in &writes {
            let rows = state.records.entry((*table).to_owned()).or_default();
            match write {
                Write::Put { row, sealed } => {
                    let sealed = sealed.to_vec().into();
                    rows.insert(id.clone(), Kept { version: row.version, sealed });
                }
                Write::Remove => _ = rows.remove(id),
            }
        }
        let content =
            zeroize::Zeroizing::new(serde_json::to_vec(&state).map_err(std::io::Error::from)?);
        if content.len() as u64 > MAX_STATE_BYTES / 2 {
            return Err(VaultError::Limit("the vault is full"));
        }
        if self.home.inode(STATE)? != Some(*inode) {
            let why = "it was replaced while the daemon ran".into();
            return Err(VaultError::Damaged { path: self.home.path_of(STATE), why });
        }
        let file = seal_file("state", &self.key, random()?, &content);
        self.home.replace(STATE, &file)?;
        *inode = self.home.inode(STATE)?.unwrap_or_default();
        self.memory.write().unwrap_or_else(PoisonError::into_inner).apply(state, writes);
        Ok(result)
    }

    fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        // Whoever panicked here left it as it was: nothing of a change can fail while it is applied.
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn apply(&mut self, state: State, writes: Writes) {
        for ((table, id), write) in writes {
            self.changed.insert(table.to_owned(), state.revision);
            let rows = self.rows.entry(table.to_owned()).or_default();
            match write {
                Write::Put { row, .. } => _ = rows.insert(id, row),
                Write::Remove => _ = rows.remove(&id),
            }
        }
        self.state = state;
    }
}

/// Every record decoded; secrets are only seen to open.
fn rows(key: &Key, state: &State) -> Result<Rows, String> {
    let mut rows = Rows::new();
    for (table, kept) in &state.records {
        for (id, Kept { version, sealed }) in kept {
            let wrong = |why: &str| format!("{table} {id}: {why}");
            let content = open_row(key, table, id, *version, sealed.as_slice())
                .map_err(|_| wrong("it was changed"))?;
            let value = match Table::named(table) {
                _ if table == SECRETS => Value::Sealed(sealed.as_slice().into()),
                None => return Err(wrong("a kind of record that this sgw does not know")),
                Some(known) => match (known.decode)(*version, content.expose()) {
                    Ok((named, record)) if named == *id => Value::Record(record),
                    Ok(_) => return Err(wrong("it calls itself otherwise")),
                    Err(_) => return Err(wrong("a field that this sgw does not know")),
                },
            };
            let row = Row { version: *version, value };
            rows.entry(table.clone()).or_default().insert(id.clone(), row);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
