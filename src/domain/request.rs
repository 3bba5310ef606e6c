//! A request's life: pending -> approved | denied | expired | withdrawn; approved -> used | expired.

use jiff::{SignedDuration, Timestamp};

use super::{
    action::Action,
    digest::Digest,
    id::Id,
    identity::{Identity, Seen},
};

/// How long a request waits for a person unless it says otherwise.
pub const WAITS: SignedDuration = SignedDuration::from_hours(24);
/// How long a yes waits for the one who asked.
pub const COLLECTED_WITHIN: SignedDuration = SignedDuration::from_mins(15);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    /// `until`: a yes that nobody collected is void after this.
    Approved {
        until: Timestamp,
    },
    Denied {
        message: Option<String>,
    },
    Expired,
    Withdrawn,
    Used,
}

/// One asking. Immutable but for its state.
#[derive(Debug)]
pub struct Request {
    pub id: Id,
    pub identity: Identity,
    pub seen: Seen,
    pub action: Action,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// What an approval must carry.
    pub digest: Digest,
    /// Equal for askings that are one asking.
    pub sameness: Digest,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("it is no longer open")]
    NotPending(State),
    #[error("what was shown is not what is asked")]
    OtherDigest,
    #[error("it is not approved")]
    NotApproved(State),
}

/// What a request is made of.
#[derive(Debug)]
pub struct Parts {
    pub id: Id,
    pub identity: Identity,
    pub seen: Seen,
    pub action: Action,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub digest: Digest,
    pub sameness: Digest,
}

impl Request {
    pub fn new(parts: Parts) -> Self {
        let Parts { id, identity, seen, action, created_at, expires_at, digest, sameness } = parts;
        let state = State::Pending;
        Self { id, identity, seen, action, created_at, expires_at, digest, sameness, state }
    }

    /// The state at `now`: time alone ends a waiting request and an uncollected yes.
    pub fn state(&mut self, now: Timestamp) -> &State {
        let over = match self.state {
            State::Pending => now >= self.expires_at,
            State::Approved { until } => now >= until,
            _ => false,
        };
        if over {
            self.state = State::Expired;
        }
        &self.state
    }

    pub fn is_pending(&mut self, now: Timestamp) -> bool {
        *self.state(now) == State::Pending
    }

    /// `shown` is the digest of what the operator saw.
    pub fn check_shown(&mut self, shown: &Digest, now: Timestamp) -> Result<(), Refused> {
        let same = *shown == self.digest;
        match self.state(now) {
            State::Pending if same => Ok(()),
            State::Pending => Err(Refused::OtherDigest),
            other => Err(Refused::NotPending(other.clone())),
        }
    }

    pub fn approve(&mut self, shown: &Digest, now: Timestamp) -> Result<(), Refused> {
        self.approve_for(shown, COLLECTED_WITHIN, now)
    }

    /// A yes that holds for `long`.
    pub fn approve_for(
        &mut self,
        shown: &Digest,
        long: SignedDuration,
        now: Timestamp,
    ) -> Result<(), Refused> {
        self.check_shown(shown, now)?;
        self.state = State::Approved { until: now + long };
        Ok(())
    }

    pub fn deny(&mut self, message: Option<String>, now: Timestamp) -> Result<(), Refused> {
        self.end(State::Denied { message }, now)
    }

    pub fn withdraw(&mut self, now: Timestamp) -> Result<(), Refused> {
        self.end(State::Withdrawn, now)
    }

    /// Uses the yes up. It can be done once.
    pub fn spend(&mut self, now: Timestamp) -> Result<(), Refused> {
        match self.state(now) {
            State::Approved { .. } => {
                self.state = State::Used;
                Ok(())
            }
            other => Err(Refused::NotApproved(other.clone())),
        }
    }

    fn end(&mut self, to: State, now: Timestamp) -> Result<(), Refused> {
        match self.state(now) {
            State::Pending => {
                self.state = to;
                Ok(())
            }
            other => Err(Refused::NotPending(other.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        action::Access,
        capability::Capability,
        digest::Digester,
        grant::{Mode, Terms},
        id::Kind,
    };

    fn request() -> Request {
        let action = Action::Access(Access {
            destination: "web1".parse().unwrap(),
            name: None,
            terms: Terms {
                capabilities: Capability::usual(),
                mode: Mode::Guarded,
                duration_s: 60,
                max_commands: None,
                opaque: crate::domain::grant::Opaque::Ask,
            },
            reason: "r".into(),
            prolongs: None,
        });
        Request::new(Parts {
            id: Id::from_number(Kind::Request, 1),
            identity: Identity { uid: 1, token: None },
            seen: Seen::default(),
            action,
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH + WAITS,
            digest: Digester::new("this").finish(),
            sameness: Digester::new("same").finish(),
        })
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn a_yes_is_spent_once() {
        let mut request = request();
        let shown = request.digest;
        request.approve(&shown, at(1)).unwrap();
        assert_eq!(request.spend(at(2)), Ok(()));
        assert_eq!(request.spend(at(2)), Err(Refused::NotApproved(State::Used)));
        assert_eq!(request.approve(&shown, at(3)), Err(Refused::NotPending(State::Used)));
    }

    #[test]
    fn a_yes_to_something_else_is_no_yes() {
        let mut request = request();
        let other = Digester::new("other").finish();
        assert_eq!(request.approve(&other, at(1)), Err(Refused::OtherDigest));
        assert!(request.is_pending(at(1)));
    }

    #[test]
    fn time_ends_requests_and_uncollected_answers() {
        let mut waiting = request();
        assert!(waiting.is_pending(at(24 * 60 - 1)));
        assert_eq!(*waiting.state(at(24 * 60)), State::Expired);
        let mut approved = request();
        let shown = approved.digest;
        approved.approve(&shown, at(0)).unwrap();
        assert_eq!(approved.spend(at(15)), Err(Refused::NotApproved(State::Expired)));
    }

    #[test]
    fn a_no_stays_a_no() {
        let mut request = request();
        let shown = request.digest;
        request.deny(Some("not today".into()), at(1)).unwrap();
        assert!(matches!(
            request.approve(&shown, at(2)),
            Err(Refused::NotPending(State::Denied { .. }))
        ));
        assert!(request.withdraw(at(2)).is_err());
        assert!(request.spend(at(2)).is_err());
    }
}
