//! Ids that are never given twice, also after a crash: numbers are reserved in the vault first.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use super::vault::Vault;
use crate::{
    domain::id::{Id, Kind},
    protocol::error::{Code, Failure},
};

/// So many numbers are reserved with one write.
const BLOCK: u64 = 4096;

pub struct Ids {
    vault: Arc<Vault>,
    left: Mutex<Range<u64>>,
}

impl Ids {
    pub fn new(vault: Arc<Vault>) -> Self {
        Self { vault, left: Mutex::new(0..0) }
    }

    /// The vault was taken into: what it gives to nobody else is not given here either.
    pub fn begin_anew(&self) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = 0..0;
    }

    /// Writes to the disk once every 4,096 ids.
    pub fn next(&self, kind: Kind) -> Result<Id, Failure> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.is_empty() {
            *left =
                tokio::task::block_in_place(|| self.vault.reserve_ids(BLOCK)).map_err(|error| {
                    Failure::new(
                        Code::DaemonFailed,
                        format!("no id could be reserved: {error}"),
                        "the operator should look at the disk that holds sgw's home",
                    )
                })?;
        }
        let number = left.start;
        left.start += 1;
        Ok(Id::from_number(kind, number))
    }
}
