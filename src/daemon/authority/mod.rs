//! Who may do what on the operator's earlier word: tokens and standing grants. Sealed in the vault, and
//! indexed here so that judging a command never depends on how many there are.

mod grants;
mod refused;
mod reload;
mod tokens;
mod under;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::{
    grants::Grants,
    tokens::{Held, Tokens},
};
pub use self::{refused::Refusals, tokens::Activity, under::Under};
use crate::{
    daemon::vault::{Change, Vault, VaultError},
    domain::{
        grant::standing::{Holder, Standing, Usage, Used},
        id::{Id, Name},
        identity::Identity,
        secret::Secret,
        token::{Invalid, Token, TokenHash},
    },
    protocol::error::{Code, Failure},
};

/// The most tokens that are not revoked, and the most revoked ones that are remembered, so that the
/// audit can tell who still shows one.
const MOST_TOKENS: usize = 1_000;
const REVOKED: usize = 500;
/// The most standing grants.
const MOST_GRANTS: usize = 20_000;
/// How long the durable word of a token's last use may be behind.
const LAST_USED: SignedDuration = SignedDuration::from_hours(1);

/// Tokens and standing grants of this daemon.
pub struct Authority {
    vault: Arc<Vault>,
    state: RwLock<State>,
    /// Held by whoever checks, records and changes: what was recorded is what is changed.
    pub changing: tokio::sync::Mutex<()>,
    pub refusals: Refusals,
    /// Woken when something may rest on nothing any more.
    pub shaken: Arc<Notify>,
    now: fn() -> Timestamp,
}

#[derive(Default)]
struct State {
    tokens: Tokens,
    grants: Grants,
}

/// Who somebody is, and for how long.
#[derive(Clone)]
pub struct Known {
    pub identity: Identity,
    /// Cancelled when what was shown is taken no more: revoked, rotated, expired.
    pub live: CancellationToken,
    /// What was shown; nothing by who is a uid alone.
    shown: Option<TokenHash>,
}

/// Why what was shown is not taken, and whose it is or was, where that is known.
pub struct NotKnown {
    pub why: Invalid,
    pub name: Option<Name>,
}

impl Authority {
    pub fn load(vault: Arc<Vault>, now: fn() -> Timestamp) -> Self {
        let shaken = Arc::new(Notify::new());
        let mut state = State::default();
        let usage = |id: &Id| vault.get::<Usage>(id.as_str()).map(|usage| usage.record.clone());
        for stored in vault.all::<Token>() {
            let token = stored.record.clone();
            let last_used = usage(&token.id).and_then(|usage| usage.last_used);
            state.tokens.put(Held::new(token, false, last_used));
        }
        for stored in vault.all::<Standing>() {
            let standing = stored.record.clone();
            let used = usage(&standing.id).map(|usage| usage.used).unwrap_or_default();
            let keeper = Some(vault.clone());
            state.grants.put(Arc::new(Under::new(standing, used, keeper, shaken.clone())));
        }
        let (changing, refusals) = (tokio::sync::Mutex::default(), Refusals::default());
        Self { vault, state: RwLock::new(state), changing, refusals, shaken, now }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who `uid` is with what it shows.
    pub fn who(&self, uid: u32, shown: Option<&Secret<Vec<u8>>>) -> Result<Known, NotKnown> {
        let not = |why| NotKnown { why, name: None };
        let Some(text) = shown else {
            if self.vault.settings().require_token {
                return Err(not(Invalid::Missing));
            }
            let identity = Identity { uid, token: None };
            return Ok(Known { identity, live: CancellationToken::new(), shown: None });
        };
        let hash = TokenHash::of_text(text).ok_or_else(|| not(Invalid::Malformed))?;
        let held = self.read().tokens.of_hash(&hash).ok_or_else(|| not(Invalid::Unknown))?;
        let now = (self.now)();
        held.token
            .takes(&hash, now)
            .map_err(|why| NotKnown { why, name: Some(held.token.name.clone()) })?;
        held.activity().used(now);
        Ok(Known { identity: held.token.identity(uid), live: held.live(&hash), shown: Some(hash) })
    }

    /// Whether what somebody showed is still taken: the secret itself, not only its token.
    pub fn knows(&self, known: &Known) -> bool {
        let (Some(token), Some(hash)) = (&known.identity.token, &known.shown) else {
            return self.is_live(&known.identity);
        };
        let held = self.read().tokens.get(&token.id);
        held.is_some_and(|held| held.token.takes(hash, (self.now)()).is_ok())
    }

    /// Whether this identity may still act: its token lives, or none is needed.
    pub fn is_live(&self, identity: &Identity) -> bool {
        match &identity.token {
            None => !self.vault.settings().require_token,
            Some(shown) => {
                self.read().tokens.get(&shown.id).is_some_and(|one| one.token.is_live((self.now)()))
            }
        }
    }

    /// Counts one request of an identity against its token's limit.
    pub fn admit(&self, identity: &Identity) -> Result<(), Failure> {
        let Some(shown) = &identity.token else { return Ok(()) };
        let held = self.read().tokens.get(&shown.id).ok_or_else(invalid)?;
        let Some(most) = held.token.limits.requests_per_hour else { return Ok(()) };
        match held.activity().admit(most, (self.now)()) {
            true => Ok(()),
            false => Err(Failure::new(
                Code::LimitRequests,
                format!("this token may ask {most} times an hour, and has"),
                "wait, or do without: repeating it does not help",
            )),
        }
    }

    /// How many sessions an identity may have at once, where it is limited.
    pub fn most_sessions(&self, identity: &Identity) -> Option<u32> {
        let shown = identity.token.as_ref()?;
        self.read().tokens.get(&shown.id)?.token.limits.sessions
    }

    /// The standing grants for an identity on a target; which of them hold, `authorize` says.
    pub fn grants_for(&self, identity: &Identity, target: &str) -> Vec<Arc<Under>> {
        self.read().grants.candidates(identity, target)
    }

    pub fn grants_of_token(&self, token: &Id) -> Vec<Arc<Under>> {
        self.read().grants.of_token(token)
    }

    pub fn grants(&self) -> Vec<Arc<Under>> {
        self.read().grants.all()
    }

    pub fn grant(&self, id: &Id) -> Option<Arc<Under>> {
        self.read().grants.get(id)
    }

    pub fn tokens(&self) -> Vec<(Token, Activity, bool)> {
        self.read().tokens.all()
    }

    /// A token by its id or name; a name leads to the one that is not revoked, or else to the one that
    /// was revoked last.
    pub fn token(&self, word: &str) -> Option<(Token, Activity, bool)> {
        let held = self.read().tokens.find(word)?;
        let activity = held.activity().clone();
        Some((held.token.clone(), activity, held.with_program))
    }

    pub fn is_free(&self, name: &Name) -> bool {
        self.read().tokens.named(name).is_none()
    }

    /// Refuses a name that another token has.
    pub fn check_free(&self, name: &Name) -> Result<(), Failure> {
        let state = self.read();
        if state.tokens.named(name).is_some() {
            return Err(Failure::new(
                Code::TokenExists,
                format!("there is a token {name} already"),
                format!("choose another name, or sgw token revoke {name}"),
            ));
        }
        if state.tokens.live_count() >= MOST_TOKENS {
            return Err(Failure::new(
                Code::TokenExists,
                format!("there are {MOST_TOKENS} tokens, and no more are taken"),
                "sgw token list; sgw token revoke NAME",
            ));
        }
        Ok(())
    }

    /// Keeps a token; one that lives with a program, and its grants, in memory alone.
    pub fn add_token(&self, token: Token, with_program: bool) -> Result<(), VaultError> {
        if !with_program {
            self.vault.add(token.clone())?;
        }
        self.write().tokens.put(Held::new(token, with_program, None));
        Ok(())
    }

    pub fn rotate(
        &self,
        id: &Id,
        hash: TokenHash,
        overlap: SignedDuration,
    ) -> Result<Token, VaultError> {
        let now = (self.now)();
        let token = self.vault.change(|change| {
            let stored = kept::<Token>(change, id)?;
            let mut token = stored.record.clone();
            token.rotate(hash, overlap, now);
            change.edit(stored.version, token.clone())?;
            Ok(token)
        })?;
        self.write().tokens.replace(token.clone(), now);
        Ok(token)
    }

    /// Whether the vault says what memory says of a token's end. It doesn't where the disk was full.
    pub fn end_is_kept(&self, token: &Token) -> bool {
        let kept = self.vault.get::<Token>(token.id.as_str());
        token.revoked_at.is_some() && kept.is_none_or(|kept| kept.record.revoked_at.is_some())
    }

    /// Ends a token in memory alone: what can't be written must not keep it alive.
    pub fn end_now(&self, id: &Id) {
        let now = (self.now)();
        let mut state = self.write();
        let Some(held) = state.tokens.get(id) else { return };
        state.grants.of_token(id).iter().for_each(|grant| state.grants.remove(&grant.standing.id));
        state.tokens.replace(Token { revoked_at: Some(now), ..held.token.clone() }, now);
        drop(state);
        self.shaken.notify_one();
    }

    /// Ends a token, and takes its grants back. What runs on its word rests on nothing from here on.
    pub fn revoke(&self, id: &Id) -> Result<(), VaultError> {
        let now = (self.now)();
        let Some(held) = self.read().tokens.get(id) else { return Ok(()) };
        let token = Token { revoked_at: Some(now), ..held.token.clone() };
        if !held.with_program {
            let oldest = self.read().tokens.revoked_before_the_last(REVOKED);
            self.vault.change(|change| {
                // One that the vault does not have ends all the same.
                if let Some(stored) = change.get::<Token>(id.as_str()) {
                    change.edit(stored.version, token.clone())?;
                }
                for stored in change.all::<Standing>() {
                    if matches!(&stored.record.holder, Holder::Token { id: of, .. } if of == id) {
                        forget::<Standing>(change, &stored.record.id)?;
                        forget::<Usage>(change, &stored.record.id)?;
                    }
                }
                for old in &oldest {
                    forget::<Token>(change, old)?;
                    forget::<Usage>(change, old)?;
                }
                Ok(())
            })?;
        }
        let mut state = self.write();
        // The token first: whoever has a session by it is told the cause, not what follows from it.
        state.tokens.replace(token, now);
        state.grants.of_token(id).iter().for_each(|grant| state.grants.remove(&grant.standing.id));
        let too_old = state.tokens.revoked_before_the_last(REVOKED);
        too_old.iter().for_each(|old| state.tokens.forget(old));
        drop(state);
        self.shaken.notify_one();
        Ok(())
    }

    pub fn check_room_for_grants(&self, more: usize) -> Result<(), Failure> {
        if self.read().grants.count() + more <= MOST_GRANTS {
            return Ok(());
        }
        Err(Failure::new(
            Code::LimitGrants,
            format!("there are {MOST_GRANTS} standing grants, and no more are taken"),
            "sgw grant list; sgw grant rm g-…; one with a glob stands for many",
        ))
    }

    /// Gives a grant; in memory alone where it is for a program's token.
    pub fn add_grant(&self, standing: Standing, with_program: bool) -> Result<(), VaultError> {
        let keeper = match with_program {
            true => None,
            false => {
                self.vault.add(standing.clone())?;
                Some(self.vault.clone())
            }
        };
        let under = Under::new(standing, Used::default(), keeper, self.shaken.clone());
        self.write().grants.put(Arc::new(under));
        Ok(())
    }

    /// Takes a grant back. What runs under it rests on nothing from here on.
    pub fn remove_grant(&self, id: &Id) -> Result<(), VaultError> {
        // One that is not in memory was taken back while the disk was full.
        let held = self.read().grants.get(id);
        if held.is_none_or(|under| under.is_kept()) {
            self.vault.change(|change| {
                forget::<Standing>(change, id)?;
                forget::<Usage>(change, id)
            })?;
        }
        self.remove_grant_now(id);
        Ok(())
    }

    /// Takes a grant back in memory alone: what can't be written must not keep it.
    pub fn remove_grant_now(&self, id: &Id) {
        self.write().grants.remove(id);
        self.shaken.notify_one();
    }

    /// A grant that was taken back, but that the vault still has.
    pub fn grant_left(&self, id: &Id) -> Option<Arc<Under>> {
        let standing = self.vault.get::<Standing>(id.as_str())?.record.clone();
        Some(Arc::new(Under::new(standing, Used::default(), None, self.shaken.clone())))
    }

    /// Ends the connections of secrets whose time is over: their token's, or their overlap's.
    pub fn end_expired(&self) {
        let now = (self.now)();
        self.read().tokens.each(|held| held.end_what_is_over(now));
    }

    /// Writes what changed since: when tokens were used last, where that is long behind; with `whole`,
    /// at the daemon's end, all of it, and budgets as they were used in place of what was reserved.
    pub fn settle(&self, whole: bool) -> Result<(), VaultError> {
        let (tokens, grants) = {
            let state = self.read();
            (state.tokens.to_settle(if whole { SignedDuration::ZERO } else { LAST_USED }), {
                if whole { state.grants.all() } else { Vec::new() }
            })
        };
        let grants: Vec<_> = grants.iter().filter_map(|under| under.to_settle()).collect();
        if tokens.is_empty() && grants.is_empty() {
            return Ok(());
        }
        self.vault.change(|change| {
            for usage in tokens.iter().map(|(_, usage)| usage).chain(&grants) {
                under::put(change, usage.clone())?;
            }
            Ok(())
        })?;
        tokens.iter().for_each(|(held, _)| held.activity().settled());
        Ok(())
    }
}

/// What everybody hears whose token is not taken, whatever the reason.
pub fn invalid() -> Failure {
    Failure::new(
        Code::TokenInvalid,
        "this token is not valid",
        "ask your user for a new one; repeating it does not help",
    )
}

/// Why somebody is sent away. Who showed nothing may know that.
pub fn not_taken(nothing_shown: bool) -> Failure {
    match nothing_shown {
        false => invalid(),
        true => Failure::new(
            Code::TokenInvalid,
            "a token is needed: SGW_TOKEN",
            "ask your user for one, and set SGW_TOKEN or SGW_TOKEN_FILE",
        ),
    }
}

/// Something ended, and no disk says so.
pub fn ended_unkept(what: &str, why: &Failure, again: String) -> Failure {
    Failure::new(
        why.code,
        format!(
            "{what} has ended, but that is not on record, and after a restart it is back: {}",
            why.message
        ),
        format!("make room on the disk, then: {again}"),
    )
}

/// A token as records show it: without its hashes.
pub fn told(token: &Token) -> serde_json::Value {
    serde_json::json!({
        "id": token.id,
        "name": token.name,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "overlap_until": token.previous.as_ref().map(|previous| previous.until),
        "limits": token.limits,
    })
}

/// A change that the vault did not take.
pub fn not_kept(error: &VaultError) -> Failure {
    match error {
        VaultError::Damaged { .. } => Failure::new(
            Code::VaultDamaged,
            error.to_string(),
            "nothing was changed; put back a copy of the file that you trust",
        ),
        VaultError::Changed { .. } | VaultError::Missing { .. } | VaultError::Exists { .. } => {
            Failure::new(Code::GrantChanged, error.to_string(), "look at it again: sgw grant list")
        }
        _ => Failure::new(
            Code::DaemonFailed,
            error.to_string(),
            "nothing was changed; look at the disk that holds sgw's home",
        ),
    }
}

fn kept<R: crate::daemon::vault::Record>(
    change: &Change<'_>,
    id: &Id,
) -> Result<Arc<crate::daemon::vault::Stored<R>>, VaultError> {
    let missing = || VaultError::Missing { table: R::TABLE, id: id.to_string() };
    change.get::<R>(id.as_str()).ok_or_else(missing)
}

/// Removes what may not be there.
fn forget<R: crate::daemon::vault::Record>(
    change: &mut Change<'_>,
    id: &Id,
) -> Result<(), VaultError> {
    match change.get::<R>(id.as_str()) {
        Some(_) => change.remove::<R>(id.as_str(), None),
        None => Ok(()),
    }
}
