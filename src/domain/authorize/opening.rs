//! Whether a session opens by itself: some standing grant must hold all of what is wanted, alone.

use jiff::{SignedDuration, Timestamp};

use super::{Allowed, Denied};
use crate::domain::{
    action::Opening,
    capability::{Capabilities, Capability},
    grant::{
        Mode,
        standing::{Approval, Standing, Used},
    },
    id::Name,
    identity::Identity,
};

/// The longest that a session lives which opened by itself, also where it was asked for. The next
/// command opens another.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// A standing grant with what was used of it.
#[derive(Clone, Copy, Debug)]
pub struct Live<'g> {
    pub standing: &'g Standing,
    pub used: Used,
    /// Taken back: it gives nothing any more.
    pub removed: bool,
}

/// What is wanted of a target. What is absent is what the grant gives.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub target: Name,
    pub name: Option<Name>,
    /// All of these, or nothing.
    pub needs: Capabilities,
    /// No more than these.
    pub only: Option<Capabilities>,
    pub mode: Option<Mode>,
    pub duration_s: Option<u64>,
    pub max_commands: Option<u32>,
    pub reason: Option<String>,
}

/// Why no grant opens a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotOpened {
    /// None is for this identity and target.
    Missing,
    /// One is, and wants each session requested.
    EachSession,
    Capability(Capability),
    Expired,
    Exhausted,
}

impl Live<'_> {
    /// Whether a session that lives under it may still do something that needs `needed`.
    pub fn may(
        &self,
        identity: &Identity,
        needed: Capability,
        now: Timestamp,
    ) -> Result<(), Denied> {
        if self.removed || !self.standing.holder.is(identity) {
            return Err(Denied::StandingRemoved);
        }
        if self.standing.is_over(now) {
            return Err(Denied::StandingExpired);
        }
        if !self.standing.capabilities.contains(&needed) {
            return Err(Denied::StandingCapability(needed));
        }
        if !self.standing.budget.is_left(&self.used) {
            return Err(Denied::StandingExhausted);
        }
        Ok(())
    }

    /// Whether it opens a session as wanted.
    fn opens(&self, identity: &Identity, wanted: &Wanted, now: Timestamp) -> Result<(), NotOpened> {
        let standing = self.standing;
        if self.removed || !standing.holder.is(identity) {
            return Err(NotOpened::Missing);
        }
        if !standing.target.matches(wanted.target.as_str()) {
            return Err(NotOpened::Missing);
        }
        if let Some(lacks) = wanted.needs.difference(&standing.capabilities).next() {
            return Err(NotOpened::Capability(*lacks));
        }
        if standing.approval == Approval::EachSession {
            return Err(NotOpened::EachSession);
        }
        if standing.is_over(now) {
            return Err(NotOpened::Expired);
        }
        if !standing.budget.is_left(&self.used) {
            return Err(NotOpened::Exhausted);
        }
        Ok(())
    }
}

/// Picks the grant that asks least; grants are never added up. Of several that ask alike: the one for
/// this very name, then the one that lives longest, then the first by id.
pub fn authorize_opening<'g>(
    identity: &Identity,
    wanted: Wanted,
    grants: impl IntoIterator<Item = Live<'g>>,
    now: Timestamp,
) -> Result<Allowed<Opening>, NotOpened> {
    let mut best: Option<&Standing> = None;
    let mut why_not = NotOpened::Missing;
    for live in grants {
        match live.opens(identity, &wanted, now) {
            Ok(()) if best.is_none_or(|best| rank(live.standing) < rank(best)) => {
                best = Some(live.standing);
            }
            Ok(()) => {}
            Err(why) => why_not = why_not.max(why),
        }
    }
    let Some(standing) = best else { return Err(why_not) };
    let mut capabilities = standing.capabilities.clone();
    if let Some(only) = &wanted.only {
        capabilities.retain(|one| only.contains(one));
    }
    let asked = wanted.duration_s.and_then(|seconds| i64::try_from(seconds).ok());
    let lives = asked.map_or(LONGEST, |asked| SignedDuration::from_secs(asked).min(LONGEST));
    let until = now.saturating_add(lives).unwrap_or(now);
    Ok(Allowed(Opening {
        target: wanted.target,
        name: wanted.name,
        grant: standing.id.clone(),
        capabilities,
        mode: standing.effective_mode().at_least(wanted.mode),
        expires_at: standing.expires_at.map_or(until, |at| at.min(until)),
        max_commands: wanted.max_commands,
        opaque: standing.opaque,
        reason: wanted.reason,
    }))
}

/// Smaller is better.
fn rank(standing: &Standing) -> impl Ord + use<'_> {
    let asks = match standing.effective_mode() {
        Mode::Guarded => 0,
        Mode::Read => 1,
        Mode::Each => 2,
    };
    let until = standing.expires_at.unwrap_or(Timestamp::MAX);
    (asks, standing.target.is_glob(), std::cmp::Reverse(until), &standing.id)
}

#[cfg(test)]
mod tests;
