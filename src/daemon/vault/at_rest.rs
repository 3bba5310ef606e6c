//! The vault as it is on the disk: rows sealed each for its place, and a sealed root that lists them and
//! holds a digest over all of them. What differs is refused, by name.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::Digest;

use super::{
    State, VaultError,
    records::{self, Row, Rows, Value, Writes, hash, open_row},
    tables::Table,
};
use crate::{
    daemon::store::database::{self, Database, Root, SCHEMA_DIGEST, StoreError},
    domain::{
        escape::visible,
        record::Hash,
        seal::{DataKey, Key, open, seal},
    },
    home::{Home, VAULT, random},
};

/// The sealed root.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content<'a> {
    state: Cow<'a, State>,
    /// Every record with its version, by table and id: so that one that is missing has a name.
    records: BTreeMap<Cow<'a, str>, BTreeMap<Cow<'a, str>, u64>>,
    /// Over the schema and every row.
    digest: Hash,
}

/// What rows and root are sealed under.
pub fn key(data_key: &DataKey) -> Key {
    data_key.derive("vault")
}

pub fn seal_root(key: &Key, state: &State, rows: &Rows) -> Result<Root, VaultError> {
    let of = |rows: &'_ BTreeMap<Arc<str>, Row>| {
        rows.iter().map(|(id, row)| (Cow::Owned(id.to_string()), row.version)).collect()
    };
    let content = Content {
        state: Cow::Borrowed(state),
        records: rows.iter().map(|(table, rows)| (Cow::Borrowed(&**table), of(rows))).collect(),
        digest: digest(rows),
    };
    let content =
        zeroize::Zeroizing::new(serde_json::to_vec(&content).map_err(std::io::Error::from)?);
    let sealed = seal(key, random()?, &bound(state.revision), &content);
    Ok(Root { revision: state.revision, sealed })
}

/// What a change does to the rows on the disk.
pub fn writes(before: &Rows, writes: &Writes) -> Vec<database::Write> {
    let of = |((table, id), write): (&(&'static str, String), &records::Write)| {
        let was = before.get(*table).and_then(|rows| rows.get(&**id)).map(|row| row.version);
        let (table, id) = ((*table).to_owned(), id.clone());
        match (write, was) {
            (records::Write::Put { row, sealed }, was) => {
                let row =
                    database::Row { table, id, version: row.version, sealed: sealed.to_vec() };
                Some(was.map_or(database::Write::Insert(row.clone()), |was| {
                    database::Write::Update { was, row }
                }))
            }
            (records::Write::Remove, Some(was)) => Some(database::Write::Delete { table, id, was }),
            // Added and removed within one change.
            (records::Write::Remove, None) => None,
        }
    };
    writes.iter().filter_map(of).collect()
}

/// Opens the file and everything in it.
pub fn read(home: &Arc<Home>, key: &Key) -> Result<(Database, State, Rows), StoreError> {
    let mut rows = Rows::new();
    let (database, root) = Database::open(
        home,
        VAULT,
        |root| open_root(key, &root),
        |root, row| {
            let (table, id, row) = open_one(key, root, row)?;
            let table = rows.entry(table).or_default();
            _ = Arc::make_mut(table).insert(id, row);
            Ok(())
        },
    )?;
    // Each row was taken out of the list as it was found.
    let missing = root.records.iter().find_map(|(table, ids)| Some((table, ids.keys().next()?)));
    if let Some((table, id)) = missing {
        return Err(StoreError::Damaged(named(table, id, "it is missing")));
    }
    if digest(&rows) != root.digest {
        return Err(StoreError::Damaged("its records are not those that its root has".into()));
    }
    Ok((database, root.state.into_owned(), rows))
}

/// Whether a file's root opens under this key: which of two belongs to the header.
pub fn opens(home: &Arc<Home>, name: &'static str, key: &Key) -> Result<bool, StoreError> {
    let opened = Database::open(
        home,
        name,
        |root| Ok(open(key, &bound(root.revision), &root.sealed).is_ok()),
        |_, _| Ok(()),
    );
    match opened {
        Ok((_, opens)) => Ok(opens),
        // Half written, or somebody's junk.
        Err(StoreError::Damaged(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn open_root(key: &Key, root: &Root) -> Result<Content<'static>, String> {
    let opened = open(key, &bound(root.revision), &root.sealed)
        .map_err(|_| "its root was changed, or is another vault's")?;
    let content: Content<'static> = serde_json::from_slice(opened.expose()).map_err(
        |_| "its root has a field that this sgw does not know (written by a newer one?)",
    )?;
    match content.state.revision == root.revision {
        true => Ok(content),
        false => Err("its root has another revision than it says".into()),
    }
}

fn open_one(
    key: &Key,
    root: &mut Content<'static>,
    found: database::Row,
) -> Result<(String, Arc<str>, Row), String> {
    let database::Row { table, id, version, sealed } = found;
    let wrong = |why: &str| named(&table, &id, why);
    let listed = root.records.get_mut(&*table).and_then(|ids| ids.remove(&*id));
    match listed {
        None => return Err(wrong("it was added by somebody else")),
        Some(listed) if listed != version => return Err(wrong("an older one was put back")),
        Some(_) => {}
    }
    let content = open_row(key, &table, &id, version, &sealed)
        .map_err(|_| wrong("it was changed, or is another record's"))?;
    let hash = hash(&sealed);
    let value = match Table::named(&table) {
        _ if Table::is_sealed(&table) => Value::Sealed(sealed.into()),
        None => return Err(wrong("a kind of record that this sgw does not know")),
        Some(known) => match (known.decode)(version, content.expose()) {
            Ok((called, record)) if called == id => Value::Record(record),
            Ok(_) => return Err(wrong("it calls itself otherwise")),
            Err(_) => return Err(wrong("it has a field that this sgw does not know")),
        },
    };
    Ok((table, id.into(), Row { version, hash, value }))
}

fn named(table: &str, id: &str, why: &str) -> String {
    format!("{} {}: {why}", visible(table, 64), visible(id, 300))
}

fn digest(rows: &Rows) -> Hash {
    let mut digest = SCHEMA_DIGEST();
    for (table, rows) in rows {
        for (id, row) in rows.iter() {
            for part in [table.as_bytes(), id.as_bytes()] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part);
            }
            digest.update(row.version.to_be_bytes());
            digest.update(row.hash);
        }
    }
    Hash(digest.finalize().into())
}

fn bound(revision: u64) -> Vec<u8> {
    [b"sgw root 1".as_slice(), &revision.to_be_bytes()].concat()
}
