//! Inputs that a person was asked for: how far each is to be read, and where its answer begins, so that
//! whoever comes back for it gets what the first call would have got.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use regex::Regex;

use super::{Before, Pty, Typing};
use crate::domain::id::Id;

/// The most inputs of a session that are remembered.
const MOST: usize = 16;
/// How long a terminal is silent before what came is taken for the answer.
const SETTLE: Duration = Duration::from_millis(300);
/// How long is read at most.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Until when to read on.
#[derive(Clone)]
pub struct Until {
    pub pattern: Option<Regex>,
    pub settle: Duration,
    pub timeout: Duration,
}

impl Default for Until {
    fn default() -> Self {
        Self { pattern: None, settle: SETTLE, timeout: TIMEOUT }
    }
}

/// By their requests, the oldest first. A terminal that is gone takes its answers along.
#[derive(Default)]
pub struct Asked(Mutex<VecDeque<One>>);

struct One {
    request: Id,
    until: Until,
    typed: Option<(Weak<Pty>, Vec<u8>, Before)>,
}

impl Asked {
    fn lock(&self) -> MutexGuard<'_, VecDeque<One>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is asked for, perhaps again: the last call says how it is to be read.
    pub fn add(&self, request: &Id, until: Until) {
        let mut all = self.lock();
        match all.iter_mut().find(|one| one.request == *request) {
            Some(one) => one.until = until,
            None => all.push_back(One { request: request.clone(), until, typed: None }),
        }
        while all.len() > MOST {
            all.pop_front();
        }
    }

    /// How it is to be read.
    pub fn until(&self, request: &Id) -> Until {
        let all = self.lock();
        all.iter()
            .find(|one| one.request == *request)
            .map(|one| one.until.clone())
            .unwrap_or_default()
    }

    pub(super) fn typed(&self, request: &Id, typing: &Typing) {
        if let Some(one) = self.lock().iter_mut().find(|one| one.request == *request) {
            let Typing { pty, bytes, before, .. } = typing;
            one.typed = Some((Arc::downgrade(pty), bytes.clone(), *before));
        }
    }

    /// What was typed for it.
    pub fn typing(&self, request: &Id) -> Option<Typing> {
        let all = self.lock();
        let one = all.iter().find(|one| one.request == *request)?;
        let (pty, bytes, before) = one.typed.as_ref()?;
        let (pty, bytes, before) = (pty.upgrade()?, bytes.clone(), *before);
        Some(Typing { pty, bytes, before, instead: false })
    }
}
