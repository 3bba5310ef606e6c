//! What makes a no cheap: rules whose findings are denied until a session ends, and the pause of a session
//! that is refused too often.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use super::Desk;
use crate::{
    domain::{action::Action, id::Id, identity::Identity, kept::DeniedRules},
    protocol::{
        error::{Code, Failure},
        view::DeniedRule,
    },
};

/// So many refusals …
const REFUSALS: usize = 5;
/// … within this time pause a session.
const WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// The most rules that are denied at once.
const BARS: usize = 1000;

/// A rule whose findings are denied to an identity on an account of a machine.
struct Bar {
    identity: Identity,
    place: String,
    rule: String,
    /// Until this one ends.
    session: Id,
}

#[derive(Default)]
pub(super) struct Bars(Mutex<Vec<Bar>>);

impl Bars {
    fn lock(&self) -> MutexGuard<'_, Vec<Bar>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds for a command there.
    pub fn of(&self, identity: &Identity, place: &str) -> DeniedRules {
        let all = self.lock();
        let here = all.iter().filter(|bar| bar.identity == *identity && bar.place == place);
        DeniedRules(here.map(|bar| bar.rule.clone()).collect())
    }

    pub fn session_ended(&self, session: &Id) {
        self.lock().retain(|bar| bar.session != *session);
    }
}

/// When sessions were refused something, lately.
#[derive(Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Id, VecDeque<Timestamp>>>);

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Id, VecDeque<Timestamp>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more. True: it is one too many, and they are counted anew.
    fn add(&self, session: &Id, now: Timestamp) -> bool {
        let mut all = self.lock();
        let times = all.entry(session.clone()).or_default();
        while times.front().is_some_and(|at| *at + WITHIN <= now) {
            times.pop_front();
        }
        times.push_back(now);
        let too_many = times.len() >= REFUSALS;
        if too_many {
            times.clear();
        }
        too_many
    }

    pub fn session_ended(&self, session: &Id) {
        self.lock().remove(session);
    }
}

impl Desk {
    /// Counts a refusal in a session. True: the session is paused by it.
    pub fn refused(&self, session: &Id) -> bool {
        self.refusals.add(session, (self.now)()) && self.pauses.refused_too_often(session)
    }

    /// The rule that a no could be for: what the guard found in a command that waits.
    pub fn rule_of(&self, id: &Id) -> Result<String, Failure> {
        let rule = self.entry(id, None, |entry| match &entry.request.action {
            Action::Exec(exec) => exec.judged.rule.clone(),
            Action::Input(input) => input.judged.rule.clone(),
            Action::Forward(forward) => forward.judged.rule.clone(),
            _ => None,
        })?;
        rule.ok_or_else(|| {
            Failure::new(
                Code::UsageArguments,
                format!("no rule asks about {id}"),
                format!("without a rule: sgw deny {id}"),
            )
            .about(id)
        })
    }

    /// Denies what `rule` finds to whoever asked `id`, at `place`, until the session ends, which is named.
    pub fn bar(&self, id: &Id, rule: String, place: String) -> Result<Option<DeniedRule>, Failure> {
        let (identity, session) = self.entry(id, None, |entry| {
            (entry.request.identity.clone(), entry.request.action.session().cloned())
        })?;
        let Some(session) = session else { return Ok(None) };
        let mut all = self.bars.lock();
        if all.len() >= BARS {
            return Err(Failure::new(
                Code::LimitRequests,
                format!("{BARS} rules are denied already"),
                "end sessions that nobody needs: sgw sessions --all",
            ));
        }
        let denied = DeniedRule { rule: rule.clone(), until: session.to_string() };
        all.push(Bar { identity, place, rule, session });
        Ok(Some(denied))
    }

    /// Requests of whoever asked `id` that wait, in which `rule` found something; with their sessions.
    pub fn found_alike(&self, id: &Id, rule: &str) -> Result<Vec<(Id, Id)>, Failure> {
        let identity = self.owner(id)?;
        let denied = DeniedRules(vec![rule.to_owned()]);
        let finds = |action: &Action| match action {
            Action::Exec(exec) => denied.of(&exec.judged).is_some(),
            Action::Input(input) => denied.of(&input.judged).is_some(),
            Action::Files(files) => denied.of(&files.judged).is_some(),
            Action::Forward(forward) => denied.of(&forward.judged).is_some(),
            Action::Plan(plan) => plan.lines.iter().any(|line| denied.of(&line.judged).is_some()),
            Action::Access(_) | Action::Handoff(_) | Action::Login(_) => false,
        };
        let alike = self.waiting_of(|one| *one == identity).into_iter().filter_map(|other| {
            let action = self.action(&other, &identity).ok().filter(finds)?;
            Some((other, action.session()?.clone()))
        });
        Ok(alike.filter(|(other, _)| other != id).collect())
    }

    /// What is denied by its rule to an identity, at `place`.
    pub fn denied_rules(&self, identity: &Identity, place: &str) -> Vec<DeniedRule> {
        let all = self.bars.lock();
        let here = all.iter().filter(|bar| bar.identity == *identity && bar.place == place);
        here.map(|bar| DeniedRule { rule: bar.rule.clone(), until: bar.session.to_string() })
            .collect()
    }

    /// Denies no more by `rule` to an identity, at `place`.
    pub fn lift_bar(&self, identity: &Identity, place: &str, rule: &str) {
        let lifted =
            |bar: &Bar| bar.identity == *identity && bar.place == place && bar.rule == rule;
        self.bars.lock().retain(|bar| !lifted(bar));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Kind;

    #[test]
    fn five_refusals_within_ten_minutes_are_one_too_many() {
        let refusals = Refusals::default();
        let session = Id::from_number(Kind::Session, 1);
        let other = Id::from_number(Kind::Session, 2);
        let at = |minutes: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let add = |minutes| refusals.add(&session, at(minutes));
        assert!(!add(0) && !add(9) && !add(9) && !add(9));
        assert!(!refusals.add(&other, at(9)));
        assert!(!add(10), "the first is too long ago");
        assert!(add(10));
        assert!(!add(10), "they are counted anew");
    }
}
