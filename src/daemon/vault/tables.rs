//! Which records the vault knows: each type says here where it is kept and by which id.

use std::{any::Any, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

/// The most bytes that a record, or a secret's value, may have as it is written.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;
/// The most records of all tables.
pub const MAX_RECORDS: usize = 50_000;
/// Where the values of secrets are; nothing of them is ever decoded ahead of its use.
pub const SECRETS: &str = "secret-value";
/// Where the keys are that a rotation keeps.
pub const KEYS: &str = "key";

/// Something that the vault keeps: authority, or what authority names. A field that is unknown is to
/// be refused (`deny_unknown_fields`), because writing the record again would lose it.
pub trait Record: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Its table; one for each type.
    const TABLE: &'static str;
    /// Its name there, which never changes.
    fn id(&self) -> &str;
}

/// A record as it was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<R> {
    /// The vault's revision that wrote it: no two writes have the same.
    pub version: u64,
    pub record: R,
}

/// A decoded `Stored<R>` of some table.
pub type Decoded = Arc<dyn Any + Send + Sync>;

type Json<T> = Result<T, serde_json::Error>;
type Decode = fn(u64, &[u8]) -> Json<(String, Decoded)>;

/// What is known of a table without knowing its type.
pub struct Table {
    pub name: &'static str,
    /// Of version and content: the record's id, and the record.
    pub decode: Decode,
    /// The content that `decode` takes.
    pub encode: fn(&Decoded) -> Json<Vec<u8>>,
}

impl Table {
    const fn of<R: Record>() -> Self {
        Self {
            name: R::TABLE,
            decode: |version, content| {
                let record: R = serde_json::from_slice(content)?;
                Ok((record.id().to_owned(), Arc::new(Stored { version, record })))
            },
            encode: |record| match record.downcast_ref::<Stored<R>>() {
                Some(stored) => serde_json::to_vec(&stored.record),
                None => Err(serde::ser::Error::custom("it is another table's")),
            },
        }
    }

    /// Whether its rows are opened for their use alone.
    pub fn is_sealed(name: &str) -> bool {
        [SECRETS, KEYS].contains(&name)
    }

    /// A table's name as it is known here.
    pub fn name_of(name: &str) -> Option<&'static str> {
        let sealed = [SECRETS, KEYS].into_iter().find(|sealed| *sealed == name);
        sealed.or_else(|| Some(Self::named(name)?.name))
    }

    pub fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name == name)
    }
}

/// Every table. A vault with another one was written by a newer sgw, and is not opened by this one.
const TABLES: &[Table] = &[
    Table::of::<crate::domain::target::named::Target>(),
    Table::of::<crate::domain::secret::named::Named>(),
    #[cfg(test)]
    Table::of::<super::tests::Note>(),
    Table::of::<crate::domain::token::Token>(),
    Table::of::<crate::domain::grant::standing::Standing>(),
    Table::of::<crate::domain::grant::standing::Usage>(),
    Table::of::<crate::domain::guard::own::Own>(),
];
