//! Tokens in memory: found by their hash, with what they did lately.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::domain::{
    grant::standing::{Usage, Used},
    id::{Id, Name},
    token::{Token, TokenHash},
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[derive(Default)]
pub struct Tokens {
    by_id: BTreeMap<Id, Arc<Held>>,
    /// Parts of hashes to the tokens that may have them.
    buckets: HashMap<[u8; 8], Vec<Id>>,
    /// Those that are not revoked.
    names: HashMap<Name, Id>,
}

/// A token with what it did.
pub struct Held {
    pub token: Token,
    /// It ends with the program that it was made for.
    pub with_program: bool,
    /// What ends with each of its secrets, once that is taken no more.
    lives: Vec<(TokenHash, CancellationToken)>,
    activity: Arc<Mutex<Activity>>,
}

/// What a token did lately.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    pub last_used: Option<Timestamp>,
    /// What the disk says of it.
    written: Option<Timestamp>,
    /// When it asked, in the last hour, as far as that is limited.
    asked: VecDeque<Timestamp>,
}

impl Activity {
    pub fn used(&mut self, now: Timestamp) {
        self.last_used = Some(now);
    }

    pub fn settled(&mut self) {
        self.written = self.last_used;
    }

    /// Whether it may ask once more in this hour; then it has.
    pub fn admit(&mut self, most: u32, now: Timestamp) -> bool {
        while self.asked.front().is_some_and(|first| *first + HOUR <= now) {
            self.asked.pop_front();
        }
        let free = self.asked.len() < most as usize;
        if free {
            self.asked.push_back(now);
        }
        free
    }
}

impl Held {
    pub fn new(token: Token, with_program: bool, last_used: Option<Timestamp>) -> Self {
        let activity = Activity { last_used, written: last_used, asked: VecDeque::new() };
        let activity = Arc::new(Mutex::new(activity));
        let lives = hashes(&token).map(|hash| (*hash, CancellationToken::new())).collect();
        Self { token, with_program, lives, activity }
    }

    /// Cancelled when this secret is taken no more.
    pub fn live(&self, hash: &TokenHash) -> CancellationToken {
        let known = self.lives.iter().find(|(one, _)| one.is(hash));
        known.map(|(_, live)| live.clone()).unwrap_or_else(|| {
            let over = CancellationToken::new();
            over.cancel();
            over
        })
    }

    /// Ends what rests on secrets that are taken no more.
    pub fn end_what_is_over(&self, now: Timestamp) {
        let over = |(hash, _): &&(TokenHash, _)| self.token.takes(hash, now).is_err();
        self.lives.iter().filter(over).for_each(|(_, live)| live.cancel());
    }

    /// Ends all that rests on it.
    pub fn end(&self) {
        self.lives.iter().for_each(|(_, live)| live.cancel());
    }

    /// What ends with the secrets of this token as it is now; what rests on others ends.
    fn lives_of(&self, token: &Token) -> Vec<(TokenHash, CancellationToken)> {
        let gone = |(hash, _): &&(TokenHash, _)| !hashes(token).any(|one| one.is(hash));
        self.lives.iter().filter(gone).for_each(|(_, live)| live.cancel());
        let kept = |hash| Some(self.live(hash)).filter(|live| !live.is_cancelled());
        hashes(token).map(|hash| (*hash, kept(hash).unwrap_or_default())).collect()
    }

    pub fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokens {
    pub fn put(&mut self, held: Held) {
        let id = held.token.id.clone();
        self.forget(&id);
        for hash in hashes(&held.token) {
            self.buckets.entry(hash.bucket()).or_default().push(id.clone());
        }
        if held.token.revoked_at.is_none() {
            self.names.insert(held.token.name.clone(), id.clone());
        }
        self.by_id.insert(id, Arc::new(held));
    }

    /// The same token, changed; what it did goes on, and so does what rests on a secret that is still
    /// taken.
    pub fn replace(&mut self, token: Token, now: Timestamp) {
        let Some(before) = self.by_id.get(&token.id).cloned() else { return };
        let (lives, activity) = (before.lives_of(&token), before.activity.clone());
        let held = Held { token, with_program: before.with_program, lives, activity };
        held.end_what_is_over(now);
        self.put(held);
    }

    pub fn forget(&mut self, id: &Id) {
        let Some(held) = self.by_id.remove(id) else { return };
        for hash in hashes(&held.token) {
            if let Some(ids) = self.buckets.get_mut(&hash.bucket()) {
                ids.retain(|one| one != id);
                if ids.is_empty() {
                    self.buckets.remove(&hash.bucket());
                }
            }
        }
        if self.names.get(&held.token.name) == Some(id) {
            self.names.remove(&held.token.name);
        }
    }

    pub fn get(&self, id: &Id) -> Option<Arc<Held>> {
        self.by_id.get(id).cloned()
    }

    pub fn named(&self, name: &Name) -> Option<&Arc<Held>> {
        self.names.get(name).and_then(|id| self.by_id.get(id))
    }

    pub fn find(&self, word: &str) -> Option<Arc<Held>> {
        if let Ok(id) = word.parse::<Id>() {
            return self.get(&id);
        }
        let name = word.parse::<Name>().ok()?;
        self.named(&name).cloned().or_else(|| {
            let ended = self.by_id.values().filter(|held| held.token.name == name);
            ended.max_by_key(|held| held.token.revoked_at).cloned()
        })
    }

    /// The token whose hash this is or was.
    pub fn of_hash(&self, hash: &TokenHash) -> Option<Arc<Held>> {
        let ids = self.buckets.get(&hash.bucket())?;
        let mut held = ids.iter().filter_map(|id| self.by_id.get(id));
        held.find(|held| hashes(&held.token).any(|one| one.is(hash))).cloned()
    }

    pub fn all(&self) -> Vec<(Token, Activity, bool)> {
        let one =
            |held: &Arc<Held>| (held.token.clone(), held.activity().clone(), held.with_program);
        self.by_id.values().map(one).collect()
    }

    pub fn each(&self, mut with: impl FnMut(&Held)) {
        self.by_id.values().for_each(|held| with(held));
    }

    pub fn live_count(&self) -> usize {
        self.names.len()
    }

    /// Revoked ones that are too many, beside the `kept` that were revoked last.
    pub fn revoked_before_the_last(&self, kept: usize) -> Vec<Id> {
        let revoked = self
            .by_id
            .values()
            .filter_map(|held| held.token.revoked_at.map(|at| (at, held.token.id.clone())));
        let mut revoked: Vec<_> = revoked.collect();
        revoked.sort();
        let surplus = revoked.len().saturating_sub(kept);
        revoked.into_iter().take(surplus).map(|(_, id)| id).collect()
    }

    /// Tokens whose last use the disk is behind with by `behind` or more, and what to write.
    pub fn to_settle(&self, behind: SignedDuration) -> Vec<(Arc<Held>, Usage)> {
        let due = |held: &&Arc<Held>| {
            let activity = held.activity();
            let Some(last_used) = activity.last_used else { return false };
            let late = activity.written.is_none_or(|at| at + behind <= last_used);
            late && activity.written != activity.last_used && !held.with_program
        };
        let usage = |held: &Arc<Held>| Usage {
            id: held.token.id.clone(),
            used: Used::default(),
            last_used: held.activity().last_used,
        };
        self.by_id.values().filter(due).map(|held| (held.clone(), usage(held))).collect()
    }
}

fn hashes(token: &Token) -> impl Iterator<Item = &TokenHash> {
    std::iter::once(&token.hash).chain(token.previous.as_ref().map(|previous| &previous.hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{id::Kind, secret::Secret, token::Limits};

    fn hash(byte: u8) -> TokenHash {
        TokenHash::of(&Secret::new([byte; 32]))
    }

    fn token(number: u8, name: &str) -> Token {
        Token {
            id: Id::from_number(Kind::Token, number.into()),
            name: name.parse().unwrap(),
            hash: hash(number),
            previous: None,
            limits: Limits::default(),
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: None,
            revoked_at: None,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_is_found_by_each_of_its_secrets_and_by_no_other() {
        let mut tokens = Tokens::default();
        tokens.put(Held::new(token(1, "ci"), false, None));
        let mut rotated = token(1, "ci");
        rotated.rotate(hash(9), SignedDuration::ZERO, at(0));
        tokens.replace(rotated, at(0));
        for byte in [1, 9] {
            assert!(tokens.of_hash(&hash(byte)).is_some_and(|one| one.token.name.as_str() == "ci"));
        }
        assert!(tokens.of_hash(&hash(2)).is_none());
        tokens.forget(&token(1, "ci").id);
        assert!(tokens.of_hash(&hash(9)).is_none() && tokens.buckets.is_empty());
    }

    #[test]
    fn what_rests_on_a_secret_ends_with_that_secret() {
        let mut tokens = Tokens::default();
        tokens.put(Held::new(token(1, "ci"), false, None));
        let id = token(1, "ci").id;
        let live = |tokens: &Tokens, byte| tokens.get(&id).unwrap().live(&hash(byte));
        let rotate = |tokens: &mut Tokens, byte, overlap, now| {
            let mut rotated = tokens.get(&id).unwrap().token.clone();
            rotated.rotate(hash(byte), SignedDuration::from_secs(overlap), at(now));
            tokens.replace(rotated, at(now));
        };
        let first = live(&tokens, 1);
        rotate(&mut tokens, 2, 6, 100);
        let second = live(&tokens, 2);
        tokens.get(&id).unwrap().end_what_is_over(at(105));
        assert!(!first.is_cancelled() && !second.is_cancelled());
        tokens.get(&id).unwrap().end_what_is_over(at(106));
        assert!(first.is_cancelled() && !second.is_cancelled());
        // Without an overlap at once, and so does one that is two rotations old.
        rotate(&mut tokens, 3, 60, 200);
        rotate(&mut tokens, 4, 0, 201);
        assert!(second.is_cancelled() && live(&tokens, 3).is_cancelled());
        let last = live(&tokens, 4);
        assert!(!last.is_cancelled() && live(&tokens, 9).is_cancelled());
        // Put back as it was, it is taken again.
        tokens.replace(token(1, "ci"), at(300));
        assert!(last.is_cancelled() && !live(&tokens, 1).is_cancelled());
        let again = live(&tokens, 1);
        tokens.replace(Token { revoked_at: Some(at(301)), ..token(1, "ci") }, at(301));
        assert!(again.is_cancelled());
    }

    #[test]
    fn a_revoked_token_s_name_is_free_and_its_hash_is_known_for_a_while() {
        let mut tokens = Tokens::default();
        for number in 1..=4 {
            let revoked_at = Some(at(number.into()));
            tokens.put(Held::new(Token { revoked_at, ..token(number, "ci") }, false, None));
        }
        tokens.put(Held::new(token(5, "ci"), false, None));
        assert_eq!(tokens.live_count(), 1);
        assert!(tokens.of_hash(&hash(1)).is_some());
        let old = tokens.revoked_before_the_last(2);
        assert_eq!(old, [1, 2].map(|number| token(number, "ci").id));
        old.iter().for_each(|id| tokens.forget(id));
        let found = |tokens: &Tokens| tokens.find("ci").map(|held| held.token.id.clone());
        assert_eq!(found(&tokens), Some(token(5, "ci").id));
        // Without one that lives, a name is that of the one that ended last.
        tokens.forget(&token(5, "ci").id);
        assert_eq!(found(&tokens), Some(token(4, "ci").id));
        assert!(tokens.named(&token(4, "ci").name).is_none());
    }

    #[test]
    fn an_hour_has_so_many_requests_and_then_others() {
        let mut activity = Activity::default();
        assert!(activity.admit(2, at(0)) && activity.admit(2, at(10)));
        assert!(!activity.admit(2, at(3_599)));
        assert!(activity.admit(2, at(3_600)) && !activity.admit(2, at(3_601)));
    }

    #[test]
    fn last_use_is_written_seldom() {
        let mut tokens = Tokens::default();
        tokens.put(Held::new(token(1, "ci"), false, Some(at(0))));
        let held = tokens.get(&token(1, "ci").id).unwrap();
        held.activity().used(at(3_599));
        assert!(tokens.to_settle(HOUR).is_empty());
        assert_eq!(tokens.to_settle(SignedDuration::ZERO).len(), 1);
        held.activity().used(at(3_600));
        assert_eq!(tokens.to_settle(HOUR)[0].1.last_used, Some(at(3_600)));
        held.activity().settled();
        assert!(tokens.to_settle(SignedDuration::ZERO).is_empty());
    }
}
