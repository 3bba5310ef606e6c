//! The vault was replaced or taken into: what it no longer has is over, what it has as before goes on.

use std::collections::HashSet;

use super::{Authority, Held, Under};
use crate::domain::{
    grant::standing::{Standing, Usage},
    id::Id,
    token::Token,
};

impl Authority {
    /// Takes over what the vault has now. What lives with a program was never in it, and stays.
    pub fn reload(&self) {
        let (tokens, grants) = (self.vault.all::<Token>(), self.vault.all::<Standing>());
        let usage = |id: &Id| self.vault.get::<Usage>(id.as_str()).map(|one| one.record.clone());
        let known: HashSet<&Id> = tokens.iter().map(|one| &one.record.id).collect();
        let given: HashSet<&Id> = grants.iter().map(|one| &one.record.id).collect();
        let now = (self.now)();
        let mut state = self.write();
        let mut over = Vec::new();
        state.tokens.each(|held| {
            if !held.with_program && !known.contains(&held.token.id) {
                held.end();
                over.push(held.token.id.clone());
            }
        });
        over.iter().for_each(|id| state.tokens.forget(id));
        for token in tokens.iter().map(|one| one.record.clone()) {
            match state.tokens.get(&token.id) {
                None => {
                    let last_used = usage(&token.id).and_then(|usage| usage.last_used);
                    state.tokens.put(Held::new(token, false, last_used));
                }
                Some(_) => state.tokens.replace(token, now),
            }
        }
        for under in state.grants.all() {
            if under.is_kept() && !given.contains(&under.standing.id) {
                state.grants.remove(&under.standing.id);
            }
        }
        for standing in grants.iter().map(|one| one.record.clone()) {
            if state.grants.get(&standing.id).is_some_and(|under| under.standing == standing) {
                continue;
            }
            state.grants.remove(&standing.id);
            let used = usage(&standing.id).map(|usage| usage.used).unwrap_or_default();
            let under = Under::new(standing, used, Some(self.vault.clone()), self.shaken.clone());
            state.grants.put(std::sync::Arc::new(under));
        }
        drop(state);
        self.shaken.notify_one();
    }
}
