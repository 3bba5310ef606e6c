//! What an SFTP client has open: where each handle leads, and how far it may be read or written.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::domain::{guard::files::Canonical, sftp::OpenFlags};

/// The most files that one client has open at once.
pub const MOST: usize = 1024;

#[derive(Default)]
pub struct Handles(Mutex<HashMap<Vec<u8>, Open>>);

/// A file or directory as it was judged.
#[derive(Clone)]
pub struct Open {
    pub path: Canonical,
    pub home: Canonical,
    /// None of a directory.
    pub flags: Option<OpenFlags>,
    /// What was said holds for so many bytes of it; beyond, it is judged anew.
    pub up_to: Option<u64>,
}

impl Handles {
    pub fn is_full(&self) -> bool {
        self.lock().len() >= MOST
    }

    pub fn get(&self, handle: &[u8]) -> Option<Open> {
        self.lock().get(handle).cloned()
    }

    pub fn has(&self, handle: &[u8]) -> bool {
        self.lock().contains_key(handle)
    }

    pub fn insert(&self, handle: Vec<u8>, open: Open) {
        self.lock().insert(handle, open);
    }

    pub fn remove(&self, handle: &[u8]) {
        self.lock().remove(handle);
    }

    /// It was judged anew.
    pub fn goes_on(&self, handle: &[u8], up_to: Option<u64>) {
        if let Some(open) = self.lock().get_mut(handle) {
            open.up_to = up_to;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
