//! How the vault's file comes to its place: from what `init` wrote, or after a rotation. At every step
//! one file is there that opens under the header's key.

use std::sync::Arc;

use super::{VaultError, at_rest, in_file, records::Rows, state::State};
use crate::{
    daemon::store::database::{self, Database},
    domain::seal::{DataKey, FileError, Key, open_file},
    home::{Home, HomeError, NEW_VAULT, STATE, VAULT},
};

/// The largest state that is read.
const MAX_STATE_BYTES: u64 = 16 * 1024 * 1024;

/// Puts the file in its place where it is not there yet.
pub fn settle(home: &Arc<Home>, data_key: &DataKey, key: &Key) -> Result<(), VaultError> {
    let opens = |name| at_rest::opens(home, name, key).map_err(|error| in_file(home, error));
    match (home.has(VAULT)?, home.has(NEW_VAULT)?) {
        (true, false) => Ok(()),
        // A rotation that was broken off: the header says which of the two it belongs to.
        (true, true) if opens(VAULT)? => Ok(()),
        (true, true) if opens(NEW_VAULT)? => put(home),
        (true, true) => Ok(()),
        (false, _) => first(home, data_key, key),
    }
}

/// What is of no use once the vault is open.
pub fn clear(home: &Home) -> Result<(), VaultError> {
    if home.has(NEW_VAULT)? {
        database::remove(home, NEW_VAULT)?;
    }
    Ok(home.remove(STATE)?)
}

/// Gives the new file its name, in the place of the old one.
pub fn put(home: &Home) -> Result<(), VaultError> {
    // The old one's journal would be taken for the new one's.
    home.remove(&format!("{VAULT}-journal"))?;
    home.rename(NEW_VAULT, VAULT)?;
    Ok(home.sync()?)
}

/// Makes the vault of what `init` wrote.
fn first(home: &Arc<Home>, data_key: &DataKey, key: &Key) -> Result<(), VaultError> {
    let state = state(home, data_key)?;
    let rows = Rows::new();
    let root = at_rest::seal_root(key, &state, &rows)?;
    Database::create(home, NEW_VAULT, &root, &[]).map_err(|error| in_file(home, error))?;
    put(home)
}

fn state(home: &Home, data_key: &DataKey) -> Result<State, VaultError> {
    let damaged = |name, why: String| VaultError::Damaged { path: home.path_of(name), why };
    let file = match home.read(STATE, MAX_STATE_BYTES) {
        Ok(Some(file)) => file,
        Ok(None) => return Err(damaged(VAULT, "it is missing".into())),
        Err(error @ HomeError::TooLarge { .. }) => return Err(damaged(STATE, error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let content = open_file("state", &data_key.derive("state"), &file).map_err(|error| {
        let why = match error {
            FileError::NotAuthentic(_) => "it was changed, or is another vault's".into(),
            other => other.to_string(),
        };
        damaged(STATE, why)
    })?;
    serde_json::from_slice(content.expose()).map_err(|_| {
        let why = "it has a field that this sgw does not know (written by a newer one?)";
        damaged(STATE, why.into())
    })
}
