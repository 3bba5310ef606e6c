//! Standing grants in memory: found by whose they are and what they are for, however many there are.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::Under;
use crate::domain::{grant::standing::Holder, id::Id, identity::Identity};

#[derive(Default)]
pub struct Grants {
    by_id: BTreeMap<Id, Arc<Under>>,
    by_holder: HashMap<Key, ByTarget>,
}

/// Whose: the name of a token tells nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Token(Id),
    Uid(u32),
}

#[derive(Default)]
struct ByTarget {
    names: HashMap<String, Vec<Arc<Under>>>,
    /// By what every name that they match begins with.
    globs: HashMap<String, Vec<Arc<Under>>>,
}

impl Key {
    fn of(holder: &Holder) -> Self {
        match holder {
            Holder::Token { id, .. } => Key::Token(id.clone()),
            Holder::Uid(uid) => Key::Uid(*uid),
        }
    }

    /// A uid's grants are everybody's of that uid.
    fn all_of(identity: &Identity) -> impl Iterator<Item = Self> {
        let token = identity.token.as_ref().map(|shown| Key::Token(shown.id.clone()));
        token.into_iter().chain([Key::Uid(identity.uid)])
    }
}

impl ByTarget {
    fn list(&mut self, under: &Under) -> (&mut HashMap<String, Vec<Arc<Under>>>, String) {
        let target = &under.standing.target;
        match target.is_glob() {
            true => (&mut self.globs, target.literal_start().to_owned()),
            false => (&mut self.names, target.as_str().to_owned()),
        }
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.globs.is_empty()
    }
}

impl Grants {
    pub fn put(&mut self, under: Arc<Under>) {
        let by_target = self.by_holder.entry(Key::of(&under.standing.holder)).or_default();
        let (lists, key) = by_target.list(&under);
        lists.entry(key).or_default().push(under.clone());
        self.by_id.insert(under.standing.id.clone(), under);
    }

    pub fn remove(&mut self, id: &Id) {
        let Some(under) = self.by_id.remove(id) else { return };
        under.remove();
        let holder = Key::of(&under.standing.holder);
        let Some(by_target) = self.by_holder.get_mut(&holder) else { return };
        let (lists, key) = by_target.list(&under);
        if let Some(list) = lists.get_mut(&key) {
            list.retain(|one| one.standing.id != *id);
            if list.is_empty() {
                lists.remove(&key);
            }
        }
        if by_target.is_empty() {
            self.by_holder.remove(&holder);
        }
    }

    /// Those of an identity that may match a target's name: of a glob only its beginning was looked at.
    pub fn candidates(&self, identity: &Identity, target: &str) -> Vec<Arc<Under>> {
        let mut found = Vec::new();
        for by_target in Key::all_of(identity).filter_map(|key| self.by_holder.get(&key)) {
            found.extend(by_target.names.get(target).into_iter().flatten().cloned());
            if by_target.globs.is_empty() {
                continue;
            }
            for end in 0..=target.len() {
                let start = target.get(..end).and_then(|start| by_target.globs.get(start));
                found.extend(start.into_iter().flatten().cloned());
            }
        }
        found
    }

    pub fn of_token(&self, token: &Id) -> Vec<Arc<Under>> {
        let held = self.by_holder.get(&Key::Token(token.clone()));
        let lists =
            held.into_iter().flat_map(|held| held.names.values().chain(held.globs.values()));
        let mut all: Vec<_> = lists.flatten().cloned().collect();
        all.sort_by(|one, other| one.standing.id.cmp(&other.standing.id));
        all
    }

    pub fn get(&self, id: &Id) -> Option<Arc<Under>> {
        self.by_id.get(id).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Under>> {
        self.by_id.values().cloned().collect()
    }

    pub fn count(&self) -> usize {
        self.by_id.len()
    }
}

#[cfg(test)]
mod tests;
