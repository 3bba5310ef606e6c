//! Tokens that were not taken, told to the audit without letting anybody fill it: each reason once a
//! minute, with how often it came.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::domain::{id::Name, token::Invalid};

const PACE: SignedDuration = SignedDuration::from_mins(1);
/// The most tokens that are told apart at once.
const MOST: usize = 256;

#[derive(Default)]
pub struct Refusals(Mutex<BTreeMap<What, Told>>);

/// What was refused: why, and whose token it is or was.
pub type What = (Invalid, Option<Name>);

struct Told {
    at: Timestamp,
    /// Since it was told last.
    untold: u64,
}

impl Refusals {
    /// Counts one. What to tell now of it: how many, itself among them.
    pub fn count(&self, why: Invalid, name: Option<Name>, now: Timestamp) -> Option<(What, u64)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut what = (why, name);
        if !all.contains_key(&what) && all.len() >= MOST {
            what.1 = None;
        }
        match all.get_mut(&what) {
            None => {
                all.insert(what.clone(), Told { at: now, untold: 0 });
                Some((what, 1))
            }
            Some(told) => {
                told.untold += 1;
                None
            }
        }
    }

    /// What is due: those that came again since they were told.
    pub fn due(&self, now: Timestamp) -> Vec<(What, u64)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        all.retain(|what, told| {
            if told.at + PACE > now {
                return true;
            }
            if told.untold == 0 {
                return false;
            }
            due.push((what.clone(), std::mem::take(&mut told.untold)));
            told.at = now;
            true
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_flood_is_told_once_a_minute_with_its_number() {
        let refusals = Refusals::default();
        let first = refusals.count(Invalid::Unknown, None, at(0));
        assert_eq!(first, Some(((Invalid::Unknown, None), 1)));
        for second in 1..60 {
            assert_eq!(refusals.count(Invalid::Unknown, None, at(second)), None);
            assert!(refusals.due(at(second)).is_empty());
        }
        assert_eq!(refusals.due(at(60)), [((Invalid::Unknown, None), 59)]);
        assert!(refusals.due(at(120)).is_empty());
        assert!(refusals.count(Invalid::Unknown, None, at(121)).is_some());
    }

    #[test]
    fn reasons_and_tokens_are_told_apart_and_not_without_end() {
        let refusals = Refusals::default();
        let name = |number: usize| Some(format!("n{number}").parse().unwrap());
        assert!(refusals.count(Invalid::Malformed, None, at(0)).is_some());
        let told = (0..1_000).filter_map(|n| refusals.count(Invalid::Revoked, name(n), at(0)));
        assert!(told.count() <= MOST);
    }
}
