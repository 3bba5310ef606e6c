//! The vault taken elsewhere: all that the operator has set up, and none of what belongs to this home
//! alone (its keys, its PIN, its audit).

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{
    Change, Settings, Vault, VaultError,
    rotate::content,
    state::Pins,
    tables::{KEYS, SECRETS, Table},
};
use crate::{
    domain::{
        seal::{Key, export::MAX_BYTES, open, seal},
        secret::Secret,
    },
    home::random,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Export<'a> {
    made_at: Timestamp,
    revision: u64,
    settings: Settings,
    pins: Pins,
    /// Ids that records have are given to nobody else.
    next_id: u64,
    #[serde(borrow)]
    records: BTreeMap<String, BTreeMap<String, &'a RawValue>>,
    secrets: BTreeMap<String, Value>,
}

/// A secret's value, in base64, in memory for a moment.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
struct Value(String);

/// How much there is, or was taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub records: u64,
    pub secrets: u64,
}

impl Vault {
    /// Everything, sealed under the key of a passphrase and bound to the file's head.
    pub fn export(&self, key: &Key, head: &[u8]) -> Result<(Vec<u8>, Count), VaultError> {
        let memory = self.memory();
        let mut contents: BTreeMap<&str, BTreeMap<&str, Secret<Vec<u8>>>> = BTreeMap::new();
        for (table, rows) in memory.rows.iter().filter(|(table, _)| *table != KEYS) {
            let of = contents.entry(table).or_default();
            for (id, row) in rows.iter() {
                of.insert(id, content(&memory.key, table, id, row)?);
            }
        }
        let state = &memory.state;
        let mut export = Export {
            made_at: Timestamp::now(),
            revision: state.revision,
            settings: state.settings.clone(),
            pins: state.pins.clone(),
            next_id: state.next_id,
            records: BTreeMap::new(),
            secrets: BTreeMap::new(),
        };
        let (mut count, mut size) = (Count::default(), 4096);
        for (table, rows) in &contents {
            for (id, content) in rows {
                size += 2 * content.expose().len() + 2 * id.len() + 64;
                if *table == SECRETS {
                    let value = Value(STANDARD.encode(content.expose()));
                    export.secrets.insert((*id).to_owned(), value);
                    count.secrets += 1;
                } else {
                    let json =
                        serde_json::from_slice(content.expose()).map_err(std::io::Error::from)?;
                    let table = export.records.entry((*table).to_owned()).or_default();
                    table.insert((*id).to_owned(), json);
                    count.records += 1;
                }
            }
        }
        // Large enough from the start: growing would leave copies behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(size));
        serde_json::to_writer(&mut *plain, &export).map_err(std::io::Error::from)?;
        if plain.len() > MAX_BYTES - 4096 {
            return Err(VaultError::Limit("the vault is too large for an export"));
        }
        Ok((seal(key, random()?, head, &plain), count))
    }

    /// Takes an export in, whole or not at all. What is here under the same name must be the same; with
    /// `replace` the vault becomes what the export is, and keeps only what belongs to this home.
    pub fn import(
        &self,
        key: &Key,
        head: &[u8],
        sealed: &[u8],
        replace: bool,
    ) -> Result<Count, VaultError> {
        let plain = open(key, head, sealed).map_err(|_| VaultError::WrongPassphrase)?;
        let export = read(&plain)?;
        self.change(|change| become_or_take_in(change, &export, replace))
    }

    /// What an import would do, as `look` sees it. Nothing of it is there, then or afterwards; `look`
    /// must not ask the vault itself.
    pub fn import_would<T>(
        &self,
        key: &Key,
        head: &[u8],
        sealed: &[u8],
        replace: bool,
        look: impl FnOnce(&Change) -> T,
    ) -> Result<(Count, T), VaultError> {
        let plain = open(key, head, sealed).map_err(|_| VaultError::WrongPassphrase)?;
        let export = read(&plain)?;
        let memory = self.memory();
        let mut change = Change::new(&memory, &memory.key);
        let count = become_or_take_in(&mut change, &export, replace)?;
        Ok((count, look(&change)))
    }
}

fn read(plain: &Secret<Vec<u8>>) -> Result<Export<'_>, VaultError> {
    serde_json::from_slice(plain.expose())
        .map_err(|_| VaultError::Foreign("it has a field that this sgw does not know".into()))
}

fn become_or_take_in(
    change: &mut Change,
    export: &Export,
    replace: bool,
) -> Result<Count, VaultError> {
    if replace {
        change.remove_all();
        change.state.settings = export.settings.clone();
        change.state.pins.clear();
    }
    take_in(change, export)
}

fn take_in(change: &mut Change, export: &Export) -> Result<Count, VaultError> {
    let mut count = Count::default();
    for (name, records) in &export.records {
        let unknown = || VaultError::Foreign(format!("it has records of a kind {name:?}"));
        let table = Table::named(name).ok_or_else(unknown)?;
        for (id, record) in records {
            count.records += u64::from(change.take_in(table, id, record.get().as_bytes())?);
        }
    }
    for (id, value) in &export.secrets {
        let value = STANDARD
            .decode(value.0.as_bytes())
            .map(Secret::new)
            .map_err(|_| VaultError::Foreign(format!("its secret {id:?} is not base64")))?;
        match change.open_secret(id) {
            Ok(known) if known.expose() == value.expose() => {}
            Ok(_) => return Err(VaultError::Exists { table: SECRETS, id: id.clone() }),
            Err(_) => {
                change.keep_secret(id, &value)?;
                count.secrets += 1;
            }
        }
    }
    for (address, pins) in &export.pins {
        let known = change.state.pins.entry(address.clone()).or_default();
        let new = pins.iter().filter(|pin| known.iter().all(|known| known.key != pin.key));
        let new: Vec<_> = new.cloned().collect();
        known.extend(new);
        if known.len() > super::MAX_PINS {
            return Err(VaultError::Limit("an address would have more than 16 host keys"));
        }
    }
    change.state.next_id = change.state.next_id.max(export.next_id);
    Ok(count)
}
