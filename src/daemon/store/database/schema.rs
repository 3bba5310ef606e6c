//! What the file looks like. Anything else in it (a trigger, a view, one column more) is damage: a
//! trigger can make a write vanish.

use sha2::{Digest, Sha256};

/// Type, name and text of everything in it, by name; no text for what SQLite makes itself.
/// `WITHOUT ROWID`: the table is its own index, so that there is no second one that could differ.
pub const SCHEMA: [(&str, &str, &str); 2] = [
    (
        "table",
        "record",
        "CREATE TABLE record (kind TEXT NOT NULL, id TEXT NOT NULL, version BIGINT NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID",
    ),
    (
        "table",
        "root",
        "CREATE TABLE root (number INTEGER NOT NULL PRIMARY KEY, revision BIGINT NOT NULL, sealed BLOB NOT NULL)",
    ),
];

/// Begins whatever is a digest of the file's content.
pub const DIGEST: fn() -> Sha256 = || {
    SCHEMA.iter().fold(Sha256::new(), |digest, (kind, name, text)| {
        [kind, name, text].iter().fold(digest, |digest, part| {
            digest.chain_update((part.len() as u64).to_be_bytes()).chain_update(part)
        })
    })
};

// Portable SQL: what other databases take as it is.
pub const OBJECTS: &str = "SELECT type, name, sql FROM sqlite_schema ORDER BY name";
pub const ROOT: &str = "SELECT revision, sealed FROM root WHERE number = 1";
pub const ROOTS: &str = "SELECT COUNT(*) FROM root";
pub const ROWS: &str = "SELECT kind, id, version, sealed FROM record ORDER BY kind, id";
pub const INSERT_ROOT: &str = "INSERT INTO root (number, revision, sealed) VALUES (1, ?1, ?2)";
pub const UPDATE_ROOT: &str =
    "UPDATE root SET revision = ?1, sealed = ?2 WHERE number = 1 AND revision = ?3";
pub const INSERT: &str = "INSERT INTO record (kind, id, version, sealed) VALUES (?1, ?2, ?3, ?4)";
pub const UPDATE: &str =
    "UPDATE record SET version = ?3, sealed = ?4 WHERE kind = ?1 AND id = ?2 AND version = ?5";
pub const DELETE: &str = "DELETE FROM record WHERE kind = ?1 AND id = ?2 AND version = ?3";
