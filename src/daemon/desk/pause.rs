//! What the operator has stopped for a while: everyone, an identity, or a target.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, futures::Notified};

use crate::{
    domain::{id::Id, identity::Identity},
    protocol::{
        error::{Code, Failure},
        view::PausedBy,
    },
};

/// The most words that are paused at once.
const MOST: usize = 1000;

#[derive(Default)]
pub struct Pauses {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    everyone: bool,
    words: BTreeMap<String, Why>,
}

/// Who stopped it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Operator,
    /// It was refused too often.
    Refusals,
}

impl Pauses {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops an identity or a target by its name as shown; everyone without one. False where that is
    /// stopped already.
    pub fn pause(&self, what: Option<String>) -> Result<bool, Failure> {
        let is_new = self.set(what)?;
        self.changed.notify_waiters();
        Ok(is_new)
    }

    fn set(&self, what: Option<String>) -> Result<bool, Failure> {
        let mut state = self.lock();
        Ok(match what {
            None => !std::mem::replace(&mut state.everyone, true),
            Some(word) if state.words.contains_key(&word) => false,
            Some(_) if state.words.len() >= MOST => {
                return Err(Failure::new(
                    Code::LimitRequests,
                    "too much is paused one by one",
                    "pause everything: sgw pause --all",
                ));
            }
            Some(word) => state.words.insert(word, Why::Operator).is_none(),
        })
    }

    /// Stops a session by itself. False where it is stopped already.
    pub(super) fn refused_too_often(&self, session: &Id) -> bool {
        let mut state = self.lock();
        let is_new = !state.words.contains_key(session.as_str());
        if is_new {
            state.words.insert(session.to_string(), Why::Refusals);
        }
        drop(state);
        self.changed.notify_waiters();
        is_new
    }

    /// Lets go on. Without a name, everything that was paused.
    pub fn resume(&self, what: Option<&str>) -> Result<(), Failure> {
        let mut state = self.lock();
        match what {
            None => *state = State::default(),
            Some(word) if state.words.remove(word).is_none() => return Err(not_paused()),
            Some(_) => {}
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Refuses to resume what is not paused.
    pub fn check_paused(&self, what: Option<&str>) -> Result<(), Failure> {
        match what {
            Some(word) if !self.lock().words.contains_key(word) => Err(not_paused()),
            _ => Ok(()),
        }
    }

    /// Comes when something is stopped, or goes on again.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Refuses what is paused; `target` under any of its names.
    pub fn check<N: AsRef<str>>(&self, identity: &Identity, target: &[N]) -> Result<(), Failure> {
        let state = self.lock();
        let identity = identity.to_string();
        let words = target.iter().map(AsRef::as_ref).chain([identity.as_str()]);
        let named = words.filter_map(|word| Some((word, *state.words.get(word)?)));
        let why = named.chain(state.everyone.then_some(("", Why::Operator)));
        match why.max_by_key(|(_, why)| *why == Why::Operator) {
            None => Ok(()),
            Some((_, Why::Operator)) => Err(Failure::new(
                Code::ControlPaused,
                "the operator has paused this",
                "don't repeat it; the operator says when it goes on (sgw resume)",
            )),
            Some((session, Why::Refusals)) => Err(Failure::new(
                Code::LimitRefusals,
                "too much was refused here, so the session is paused until the operator lifts it",
                format!(
                    "change the plan, and tell your user; they lift it with: sgw resume {session}"
                ),
            )),
        }
    }
}

impl Pauses {
    /// Who stopped it, as [`Pauses::check`].
    pub fn by<N: AsRef<str>>(&self, identity: &Identity, target: &[N]) -> Option<PausedBy> {
        match self.check(identity, target) {
            Ok(()) => None,
            Err(why) if why.code == Code::LimitRefusals => Some(PausedBy::Refusals),
            Err(_) => Some(PausedBy::Operator),
        }
    }
}

fn not_paused() -> Failure {
    Failure::new(
        Code::UsageArguments,
        "that is not paused",
        "sgw resume --all lets everything go on",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Kind;

    #[test]
    fn a_pause_holds_for_what_it_names_until_it_is_resumed() {
        let (me, other) = (Identity { uid: 1, token: None }, Identity { uid: 2, token: None });
        let pauses = Pauses::default();
        assert!(pauses.pause(Some("uid:1".into())).unwrap());
        assert!(!pauses.pause(Some("uid:1".into())).unwrap());
        assert!(pauses.check(&me, &["web1"]).is_err());
        assert!(pauses.check(&other, &["web1"]).is_ok());
        pauses.resume(Some("uid:1")).unwrap();
        assert!(pauses.resume(Some("uid:1")).is_err());
        pauses.pause(Some("web1".into())).unwrap();
        assert!(pauses.check(&other, &["me@web1", "web1"]).is_err());
        assert!(pauses.pause(None).unwrap());
        assert!(!pauses.pause(None).unwrap());
        assert!(pauses.check(&me, &["web2"]).is_err());
        pauses.resume(None).unwrap();
        let session = Id::from_number(Kind::Session, 1);
        assert!(pauses.refused_too_often(&session) && !pauses.refused_too_often(&session));
        let code = || pauses.check(&me, &[session.as_str()]).unwrap_err().code;
        assert_eq!(code(), Code::LimitRefusals);
        pauses.pause(Some("uid:1".into())).unwrap();
        assert_eq!(code(), Code::ControlPaused);
        pauses.resume(Some("uid:1")).unwrap();
        pauses.resume(Some(session.as_str())).unwrap();
        assert!(pauses.check(&me, &["web1"]).is_ok());
    }
}
