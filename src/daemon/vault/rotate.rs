//! Another passphrase, and another data key. The header is what decides: until it is replaced the old
//! one opens the vault, and from then on the new one.

use std::sync::{Arc, PoisonError};

use super::{
    Memory, Vault, VaultError, at_rest, in_file,
    lasting::Lasting,
    move_in,
    records::{Row, Rows, Value, hash, open_row, seal_row},
    tables::{KEYS, Table},
};
use crate::{
    daemon::store::database::{self, Database},
    domain::{
        seal::{DataKey, Header, Key},
        secret::Secret,
    },
    home::{HEADER, Home, NEW_VAULT, random},
};

/// A header for the one that the operator saw.
pub struct NewHeader<'a> {
    pub was: &'a [u8],
    pub new: &'a [u8],
}

/// How far a rotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything is sealed anew, beside the old.
    Sealed,
    /// The header is the new one: from here on it is done.
    Header,
    /// The new file has the old one's place.
    InPlace,
}

impl Vault {
    /// Replaces the header by one that holds the same data key under another passphrase. Durable when it
    /// returns.
    pub fn replace_header(&self, header: &NewHeader) -> Result<(), VaultError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        header.check(&self.home)?;
        Ok(self.home.replace(HEADER, header.new)?)
    }

    /// Seals everything under another data key, which the new header holds. `reached` hears of each
    /// step, the moment that it is on the disk. Afterwards the old key opens nothing of the vault; the
    /// keys of the audit and the PIN stay.
    pub fn rotate(
        &self,
        header: &NewHeader,
        data_key: &DataKey,
        mut reached: impl FnMut(Step),
    ) -> Result<(), VaultError> {
        let mut changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if changing.is_none() {
            return Err(self.ahead());
        }
        header.check(&self.home)?;
        let key = at_rest::key(data_key);
        let (new, rows) = self.sealed_anew(&key)?;
        let root = at_rest::seal_root(&key, &new.state, &new.rows)?;
        Database::create(&self.home, NEW_VAULT, &root, &rows)
            .map_err(|error| in_file(&self.home, error))?;
        reached(Step::Sealed);
        if let Err(error) = self.home.replace(HEADER, header.new) {
            // Whatever failed, the file tells which of the two holds.
            if self.home.header()?.as_deref() != Some(header.new) {
                return Err(error.into());
            }
        }
        reached(Step::Header);
        // The old file and its key are nobody's any more.
        *changing = None;
        move_in::put(&self.home)?;
        reached(Step::InPlace);
        let (database, state, rows) =
            at_rest::read(&self.home, &key).map_err(|error| in_file(&self.home, error))?;
        *changing = Some(database);
        let mut memory = self.memory.write().unwrap_or_else(PoisonError::into_inner);
        (memory.key, memory.state, memory.rows) = (Arc::new(key), state, rows);
        Ok(())
    }

    /// The memory under another key, with its rows for the disk. What was written stays the version that
    /// it is.
    fn sealed_anew(&self, key: &Key) -> Result<(Memory, Vec<database::Row>), VaultError> {
        let memory = self.memory();
        let mut state = memory.state.clone();
        state.revision += 1;
        state.changed_at = Some(jiff::Timestamp::now());
        let (mut rows, mut on_disk) = (Rows::new(), Vec::new());
        let mut put = |table: &str, id: &str, version, content: &[u8]| {
            let sealed = seal_row(key, random()?, table, id, version, content);
            // What is opened for its use alone is in memory as it is on the disk, anyway.
            let row = Row { version, hash: hash(&sealed), value: Value::Sealed(Arc::default()) };
            let in_table = Arc::make_mut(rows.entry(table.to_owned()).or_default());
            in_table.insert(id.into(), row);
            on_disk.push(database::Row { table: table.into(), id: id.into(), version, sealed });
            Ok::<(), VaultError>(())
        };
        for purpose in Lasting::PURPOSES {
            put(KEYS, purpose, state.revision, self.lasting.get(purpose).expose())?;
        }
        for (table, in_table) in memory.rows.iter().filter(|(table, _)| *table != KEYS) {
            for (id, row) in in_table.iter() {
                put(table, id, row.version, content(&memory.key, table, id, row)?.expose())?;
            }
        }
        let changed = memory.changed.clone();
        Ok((Memory { key: memory.key.clone(), state, rows, changed }, on_disk))
    }
}

/// What a row holds.
pub fn content(key: &Key, table: &str, id: &str, row: &Row) -> Result<Secret<Vec<u8>>, VaultError> {
    let lost = || VaultError::Limit("a record in memory can't be written again");
    match &row.value {
        Value::Sealed(sealed) => open_row(key, table, id, row.version, sealed).map_err(|_| lost()),
        Value::Record(record) => {
            let encode = Table::named(table).ok_or_else(lost)?.encode;
            encode(record).map(Secret::new).map_err(|_| lost())
        }
    }
}

impl NewHeader<'_> {
    /// It is one, and nobody else has replaced the old one meanwhile.
    fn check(&self, home: &Home) -> Result<(), VaultError> {
        if Header::from_json(self.new).is_err() {
            return Err(VaultError::Limit("the new header is none"));
        }
        match home.header()?.as_deref() == Some(self.was) {
            true => Ok(()),
            false => Err(VaultError::HeaderChanged),
        }
    }
}
