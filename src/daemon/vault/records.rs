//! Records: read from memory; added, edited and removed together with whatever must hold at once, in
//! one durable change.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    Memory, Settings, State, Vault, VaultError,
    state::Pins,
    tables::{Decoded, KEYS, MAX_RECORD_BYTES, MAX_RECORDS, Record, SECRETS, Stored, Table},
};
use crate::{
    domain::{
        seal::{Key, NONCE_BYTES, NotAuthentic, open, seal},
        secret::Secret,
    },
    home::random,
};

/// The most bytes of an id.
const MAX_ID_BYTES: usize = 255;

/// What is in memory of one row.
#[derive(Clone)]
pub struct Row {
    pub version: u64,
    /// Of what is on the disk.
    pub hash: [u8; 32],
    pub value: Value,
}

#[derive(Clone)]
pub enum Value {
    Record(Decoded),
    /// A secret's value, sealed as it is on the disk.
    Sealed(Arc<[u8]>),
}

/// Table and id to the row. A copy shares every table that is not changed in it.
pub type Rows = BTreeMap<String, Arc<BTreeMap<Arc<str>, Row>>>;

/// One change in the making: what it reads is what it has written so far. Nothing of it is there before
/// all of it is on the disk.
pub struct Change<'a> {
    memory: &'a Memory,
    key: &'a Key,
    pub(super) state: State,
    writes: Writes,
}

/// Table and id to what becomes of the row.
pub type Writes = BTreeMap<(&'static str, String), Write>;

/// What becomes of a row.
pub enum Write {
    Put { row: Row, sealed: Arc<[u8]> },
    Remove,
}

impl Vault {
    /// Every record of a table, by id. From memory.
    pub fn all<R: Record>(&self) -> Vec<Arc<Stored<R>>> {
        let memory = self.memory();
        let rows = memory.rows.get(R::TABLE);
        rows.into_iter().flat_map(|rows| rows.values()).filter_map(typed).collect()
    }

    /// From memory, by a search among the ids.
    pub fn get<R: Record>(&self, id: &str) -> Option<Arc<Stored<R>>> {
        self.memory().rows.get(R::TABLE)?.get(id).and_then(typed)
    }

    /// The revision that changed this table last: what was made of its records holds until then.
    pub fn changed<R: Record>(&self) -> u64 {
        self.memory().changed.get(R::TABLE).copied().unwrap_or_default()
    }

    pub fn add<R: Record>(&self, record: R) -> Result<(), VaultError> {
        self.change(|change| change.add(record))
    }

    /// Replaces the version that was read; `Changed` when somebody else was first.
    pub fn edit<R: Record>(&self, version: u64, record: R) -> Result<(), VaultError> {
        self.change(|change| change.edit(version, record))
    }

    /// Removes a record, whatever its version where none is named.
    pub fn remove<R: Record>(&self, id: &str, version: Option<u64>) -> Result<(), VaultError> {
        self.change(|change| change.remove::<R>(id, version))
    }

    /// Keeps a secret's value, in place of the one before it. Only its use opens it.
    pub fn keep_secret(&self, id: &str, value: &Secret<Vec<u8>>) -> Result<(), VaultError> {
        self.change(|change| change.keep_secret(id, value))
    }

    /// Opens a secret's value for its use; drop it afterwards.
    pub fn open_secret(&self, id: &str) -> Result<Secret<Vec<u8>>, VaultError> {
        let memory = self.memory();
        open_value(&memory.key, memory.rows.get(SECRETS).and_then(|rows| rows.get(id)), id)
    }

    pub fn remove_secret(&self, id: &str) -> Result<(), VaultError> {
        self.change(|change| change.remove_secret(id))
    }
}

impl<'a> Change<'a> {
    pub(super) fn new(memory: &'a Memory, key: &'a Key) -> Self {
        let mut state = memory.state.clone();
        state.revision += 1;
        state.changed_at = Some(Timestamp::now());
        Self { memory, key, state, writes: BTreeMap::new() }
    }

    /// What is to be written.
    pub(super) fn finish(self) -> (State, Writes) {
        (self.state, self.writes)
    }

    pub fn all<R: Record>(&self) -> Vec<Arc<Stored<R>>> {
        let known = self.memory.rows.get(R::TABLE).into_iter().flat_map(|rows| rows.iter());
        let mut rows: BTreeMap<&str, &Row> = known.map(|(id, row)| (&**id, row)).collect();
        for ((table, id), write) in &self.writes {
            match write {
                _ if *table != R::TABLE => {}
                Write::Put { row, .. } => _ = rows.insert(id, row),
                Write::Remove => _ = rows.remove(&**id),
            }
        }
        rows.into_values().filter_map(typed).collect()
    }

    pub fn get<R: Record>(&self, id: &str) -> Option<Arc<Stored<R>>> {
        self.row(R::TABLE, id).and_then(typed)
    }

    pub fn add<R: Record>(&mut self, record: R) -> Result<(), VaultError> {
        let id = record.id().to_owned();
        if self.row(R::TABLE, &id).is_some() {
            return Err(VaultError::Exists { table: R::TABLE, id });
        }
        self.put(record)
    }

    pub fn edit<R: Record>(&mut self, version: u64, record: R) -> Result<(), VaultError> {
        self.check::<R>(record.id(), Some(version))?;
        self.put(record)
    }

    pub fn remove<R: Record>(&mut self, id: &str, version: Option<u64>) -> Result<(), VaultError> {
        self.check::<R>(id, version)?;
        self.writes.insert((R::TABLE, id.to_owned()), Write::Remove);
        Ok(())
    }

    pub fn keep_secret(&mut self, id: &str, value: &Secret<Vec<u8>>) -> Result<(), VaultError> {
        let sealed = self.seal(SECRETS, id, value.expose())?;
        self.write(SECRETS, id.to_owned(), Value::Sealed(sealed.clone()), sealed)
    }

    pub fn open_secret(&self, id: &str) -> Result<Secret<Vec<u8>>, VaultError> {
        open_value(self.key, self.row(SECRETS, id), id)
    }

    pub fn remove_secret(&mut self, id: &str) -> Result<(), VaultError> {
        if self.row(SECRETS, id).is_none() {
            return Err(VaultError::Missing { table: SECRETS, id: id.to_owned() });
        }
        self.writes.insert((SECRETS, id.to_owned()), Write::Remove);
        Ok(())
    }

    /// What a table had before.
    pub fn all_before<R: Record>(&self) -> Vec<Arc<Stored<R>>> {
        let rows = self.memory.rows.get(R::TABLE);
        rows.into_iter().flat_map(|rows| rows.values()).filter_map(typed).collect()
    }

    /// The settings before, and as they become.
    pub fn settings(&self) -> (&Settings, &Settings) {
        (&self.memory.state.settings, &self.state.settings)
    }

    /// The accepted host keys of every address, before and as they become.
    pub fn host_keys(&self) -> (&Pins, &Pins) {
        (&self.memory.state.pins, &self.state.pins)
    }

    /// Removes every record and secret.
    pub(super) fn remove_all(&mut self) {
        for (table, rows) in self.memory.rows.iter().filter(|(table, _)| *table != KEYS) {
            let Some(table) = Table::name_of(table) else { continue };
            for id in rows.keys() {
                self.writes.insert((table, id.to_string()), Write::Remove);
            }
        }
    }

    /// Adds a record of any table from its content; false where it is there already, and the same.
    pub(super) fn take_in(
        &mut self,
        table: &'static Table,
        id: &str,
        content: &[u8],
    ) -> Result<bool, VaultError> {
        let foreign = |why: &str| VaultError::Foreign(format!("its {} {id:?} {why}", table.name));
        let version = self.state.revision;
        let (called, record) = (table.decode)(version, content)
            .map_err(|_| foreign("has a field that this sgw does not know"))?;
        if called != id {
            return Err(foreign("calls itself otherwise"));
        }
        // As this sgw writes it, whatever the order of its fields was.
        let content = (table.encode)(&record).map_err(std::io::Error::from)?;
        if let Some(Row { value: Value::Record(known), .. }) = self.row(table.name, id) {
            return match (table.encode)(known).is_ok_and(|known| known == content) {
                true => Ok(false),
                false => Err(VaultError::Exists { table: table.name, id: id.to_owned() }),
            };
        }
        let sealed = self.seal(table.name, id, &content)?;
        self.write(table.name, id.to_owned(), Value::Record(record), sealed)?;
        Ok(true)
    }

    fn row(&self, table: &'static str, id: &str) -> Option<&Row> {
        match self.writes.get(&(table, id.to_owned())) {
            Some(Write::Put { row, .. }) => Some(row),
            Some(Write::Remove) => None,
            None => self.memory.rows.get(table)?.get(id),
        }
    }

    fn check<R: Record>(&self, id: &str, version: Option<u64>) -> Result<(), VaultError> {
        match self.row(R::TABLE, id) {
            None => Err(VaultError::Missing { table: R::TABLE, id: id.to_owned() }),
            Some(row) if version.is_some_and(|version| version != row.version) => {
                Err(VaultError::Changed { table: R::TABLE, id: id.to_owned() })
            }
            Some(_) => Ok(()),
        }
    }

    fn put<R: Record>(&mut self, record: R) -> Result<(), VaultError> {
        if Table::named(R::TABLE).is_none() {
            return Err(VaultError::Limit("the vault has no table for this kind of record"));
        }
        let content = serde_json::to_vec(&record).map_err(std::io::Error::from)?;
        let sealed = self.seal(R::TABLE, record.id(), &content)?;
        let (id, version) = (record.id().to_owned(), self.state.revision);
        let value = Value::Record(Arc::new(Stored { version, record }));
        self.write(R::TABLE, id, value, sealed)
    }

    fn seal(&self, table: &str, id: &str, content: &[u8]) -> Result<Arc<[u8]>, VaultError> {
        if content.len() > MAX_RECORD_BYTES {
            return Err(VaultError::Limit("this is larger than a record may be (256 KiB)"));
        }
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(VaultError::Limit("an id has 1 to 255 bytes"));
        }
        Ok(seal_row(self.key, random()?, table, id, self.state.revision, content).into())
    }

    fn write(
        &mut self,
        table: &'static str,
        id: String,
        value: Value,
        sealed: Arc<[u8]>,
    ) -> Result<(), VaultError> {
        let known: usize = self.memory.rows.values().map(|rows| rows.len()).sum();
        if known + self.writes.len() >= MAX_RECORDS {
            return Err(VaultError::Limit("the vault holds 50,000 records, and takes no more"));
        }
        let row = Row { version: self.state.revision, hash: hash(&sealed), value };
        self.writes.insert((table, id), Write::Put { row, sealed });
        Ok(())
    }
}

fn typed<R: Record>(row: &Row) -> Option<Arc<Stored<R>>> {
    match &row.value {
        Value::Record(record) => record.clone().downcast().ok(),
        Value::Sealed(_) => None,
    }
}

fn open_value(key: &Key, row: Option<&Row>, id: &str) -> Result<Secret<Vec<u8>>, VaultError> {
    let missing = || VaultError::Missing { table: SECRETS, id: id.to_owned() };
    let row = row.ok_or_else(missing)?;
    let Value::Sealed(sealed) = &row.value else { return Err(missing()) };
    // It opened when it was read or written, and has been in our own memory since.
    open_row(key, SECRETS, id, row.version, sealed).map_err(|_| missing())
}

/// A row's content, bound to its table, id and version.
pub fn seal_row(
    key: &Key,
    nonce: [u8; NONCE_BYTES],
    table: &str,
    id: &str,
    version: u64,
    content: &[u8],
) -> Vec<u8> {
    seal(key, nonce, &bound(table, id, version), content)
}

pub fn hash(sealed: &[u8]) -> [u8; 32] {
    Sha256::digest(sealed).into()
}

pub fn open_row(
    key: &Key,
    table: &str,
    id: &str,
    version: u64,
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, NotAuthentic> {
    open(key, &bound(table, id, version), sealed)
}

/// Each part with its length, so that no two rows are bound alike.
fn bound(table: &str, id: &str, version: u64) -> Vec<u8> {
    let mut bound = b"sgw row 1".to_vec();
    for part in [table, id] {
        bound.extend((part.len() as u64).to_be_bytes());
        bound.extend(part.as_bytes());
    }
    bound.extend(version.to_be_bytes());
    bound
}
