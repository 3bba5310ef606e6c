//! The vault: settings, pinned host keys, records, secrets, numbers given out, and how far the audit
//! went. All of it in memory (secrets sealed there too), and durably on the disk before it counts.

mod at_rest;
mod authority;
mod lasting;
mod move_in;
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
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use jiff::Timestamp;

pub use records::Change;
pub use settings::{SettingError, Settings};
pub use state::Pin;
pub use tables::{Record, Stored};

use lasting::Lasting;
use records::{Rows, Write, Writes};
use state::State;

use crate::{
    daemon::store::database::{Batch, Database, StoreError},
    domain::{
        record::Tip,
        seal::{DataKey, Key},
    },
    home::{Home, HomeError, VAULT},
};

/// The most keys pinned for one address.
const MAX_PINS: usize = 16;

/// The open vault. It is for one daemon, which holds the home's lock. Changes write to the disk and
/// wait for it (milliseconds): from async code call them on a blocking thread.
pub struct Vault {
    home: Arc<Home>,
    lasting: Lasting,
    /// Held by whoever changes it. `None` after a failure that leaves the disk ahead of the memory:
    /// from then on nothing changes until the next unlock.
    changing: Mutex<Option<Database>>,
    memory: RwLock<Memory>,
}

/// What is read without the disk.
struct Memory {
    /// What root and rows are sealed under.
    key: Arc<Key>,
    state: State,
    rows: Rows,
    /// Table to the revision that changed it last.
    changed: BTreeMap<String, u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// `vault.damaged`: never mended by itself.
    #[error("{} is damaged: {why}", .path.display())]
    Damaged { path: PathBuf, why: String },
    /// Nothing was changed.
    #[error("{} can't be written: {why}", .path.display())]
    Unwritten { path: PathBuf, why: String },
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
    /// Opens the vault of a home that `init` has set up, and finishes what a crash interrupted: the
    /// first start, a rotation. A missing one is damage: `init` made one.
    pub fn open(home: Arc<Home>, data_key: &DataKey) -> Result<Self, VaultError> {
        let key = at_rest::key(data_key);
        crate::daemon::memory::lock(key.expose());
        move_in::settle(&home, data_key, &key)?;
        let (database, state, rows) =
            at_rest::read(&home, &key).map_err(|error| in_file(&home, error))?;
        move_in::clear(&home)?;
        let lasting = Lasting::of(data_key, &key, &rows);
        let key = Arc::new(key);
        let memory = RwLock::new(Memory { key, state, rows, changed: BTreeMap::new() });
        Ok(Self { home, lasting, changing: Mutex::new(Some(database)), memory })
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
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let database = changing.as_ref().ok_or_else(|| self.ahead())?;
        // Readers go on meanwhile: it is a copy that is changed and written, and then put in its place.
        let memory = self.memory();
        let (key, was) = (memory.key.clone(), memory.state.revision);
        let mut change = Change::new(&memory, &key);
        let result = edit(&mut change)?;
        let (state, writes) = change.finish();
        let mut rows = memory.rows.clone();
        let on_disk = at_rest::writes(&rows, &writes);
        drop(memory);
        let touched: Vec<&str> = writes.keys().map(|(table, _)| *table).collect();
        let touched: Vec<String> = touched.into_iter().map(str::to_owned).collect();
        apply(&mut rows, writes);
        let root = at_rest::seal_root(&key, &state, &rows)?;
        database
            .write(Batch { was, root, writes: on_disk })
            .map_err(|error| in_file(&self.home, error))?;
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        let changed = touched.into_iter().map(|table| (table, state.revision));
        memory.changed.extend(changed);
        (memory.state, memory.rows) = (state, rows);
        Ok(result)
    }

    fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        // Whoever panicked here left it as it was: what is assigned is whole.
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn ahead(&self) -> VaultError {
        let why =
            "a change reached the disk and could not be read back; sgw lock and sgw unlock read it";
        VaultError::Damaged { path: self.home.path_of(VAULT), why: why.into() }
    }
}

fn apply(rows: &mut Rows, writes: Writes) {
    for ((table, id), write) in writes {
        let table = Arc::make_mut(rows.entry(table.to_owned()).or_default());
        match write {
            Write::Put { row, .. } => _ = table.insert(id.into(), row),
            Write::Remove => _ = table.remove(&*id),
        }
    }
}

/// What a store's failure is for the vault.
fn in_file(home: &Home, error: StoreError) -> VaultError {
    let path = home.path_of(VAULT);
    match error {
        StoreError::Home(error) => VaultError::Home(error),
        StoreError::Write(why) => VaultError::Unwritten { path, why },
        StoreError::Damaged(_) | StoreError::Replaced | StoreError::Ended => {
            VaultError::Damaged { path, why: error.to_string() }
        }
    }
}

#[cfg(test)]
mod tests;
