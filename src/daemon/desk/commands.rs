//! Commands and inputs: judged, asked about, and their yes used up.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

use jiff::civil::Date;

use super::{Asker, Desk, Ground, NotAsked, Permit, Verdict, approval_required, not_spent};
use crate::{
    domain::{
        action::{Action, Exec, Input},
        authorize::{self, Decision},
        guard::policy::Allow,
        id::Id,
        identity::Identity,
        judgement::Part,
        kept::{Kept, Pass},
        request::WAITS,
    },
    protocol::error::{Code, Failure},
};

/// What every refusal of a command says to do.
const NO: &str = "don't rephrase; change the plan or ask your user";

impl Desk {
    pub(super) fn kept(&self) -> MutexGuard<'_, BTreeMap<Id, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a command: a permit, a question for the operator, or a refusal.
    pub fn judge_exec(
        &self,
        asker: &Asker,
        ground: &Ground<'_>,
        exec: Exec,
        no_ask: bool,
    ) -> Result<Verdict<Exec>, NotAsked<Exec>> {
        let (now, session) = ((self.now)(), exec.session.clone());
        let mut all = self.kept();
        let mut none = Kept::default();
        let kept = all.get_mut(&session).unwrap_or(&mut none);
        let denied = self.bars.of(&asker.identity, ground.place);
        let (identity, leave) = (&asker.identity, ground.leave());
        let decision = authorize::authorize_exec(identity, leave, exec, kept, &denied, now);
        drop(all);
        Self::verdict(decision, no_ask, |exec, rule| {
            let sameness = exec.sameness(&asker.identity);
            let copy = exec.clone();
            let digest = |id: &Id, until| copy.digest(&asker.identity, id, until, ground.place);
            self.ask(asker, Action::Exec(exec), Some(rule), WAITS, sameness, digest)
        })
    }

    /// Judges what is to be typed, as [`Desk::judge_exec`].
    pub fn judge_input(
        &self,
        asker: &Asker,
        ground: &Ground<'_>,
        input: Input,
        no_ask: bool,
    ) -> Result<Verdict<Input>, Failure> {
        let now = (self.now)();
        let decision = authorize::authorize_input(&asker.identity, ground.leave(), input, now);
        Self::verdict(decision, no_ask, |input, rule| {
            let sameness = input.sameness(&asker.identity);
            let copy = input.clone();
            let digest = |id: &Id, until| copy.digest(&asker.identity, id, until, ground.place);
            self.ask(asker, Action::Input(input), Some(rule), WAITS, sameness, digest)
        })
        .map_err(|refused| refused.failure)
    }

    pub(super) fn verdict<A>(
        decision: Decision<A>,
        no_ask: bool,
        ask: impl FnOnce(A, String) -> Result<(Id, bool), Failure>,
    ) -> Result<Verdict<A>, NotAsked<A>> {
        match decision {
            Decision::Allowed(allowed) => Ok(Verdict::Permit(Permit::issue(allowed))),
            Decision::Denied(denied) => Err(Failure::from(denied).into()),
            Decision::Barred { rule } => Err(barred(&rule).into()),
            Decision::Blocked { action, rule, reason } => {
                let blocked = Some(Box::new(action));
                Err(NotAsked { failure: self::blocked(&rule, &reason), blocked })
            }
            Decision::Ask { .. } if no_ask => Err(approval_required().into()),
            Decision::Ask { action, rule } => {
                let (id, new) = ask(action, rule)?;
                Ok(Verdict::Asked { id, new })
            }
        }
    }

    /// What a yes to this request would let pass for the rest of its session.
    pub fn part_of(&self, id: &Id) -> Result<Vec<String>, Failure> {
        let part = self.entry(id, None, |entry| match &entry.request.action {
            Action::Exec(exec) => exec.judged.part().map(|part| part.argv.clone()),
            Action::Files(files) => files.judged.part().map(|part| part.argv.clone()),
            _ => None,
        })?;
        part.ok_or_else(|| {
            Failure::new(
                Code::UsageArguments,
                format!("nothing of {id} can be let pass again: it is not one known command"),
                format!("say yes to it once: sgw approve {id}"),
            )
            .about(id)
        })
    }

    /// The dated rules that a yes to this request would be, for its identity on `target`.
    pub fn allows_of(&self, id: &Id, target: &str, expires: Date) -> Result<Vec<Allow>, Failure> {
        let found = self.entry(id, None, |entry| match &entry.request.action {
            Action::Exec(exec) => {
                // What stands around a command or before it is nothing that a rule can say.
                let bare = |part: &&Part| part.chain.is_empty() && part.place.is_empty();
                exec.judged.part().filter(bare).map(|_| exec.judged.parts.clone())
            }
            _ => None,
        })?;
        let token = self.owner(id)?.token.map(|token| token.name.to_string());
        let parts = found.ok_or_else(|| {
            Failure::new(
                Code::UsageArguments,
                format!("{id} can be no rule: it is not one known command with nothing around it"),
                format!("say yes to it once: sgw approve {id}"),
            )
            .about(id)
        })?;
        let allow = |part: Part| Allow {
            rule: part.rule,
            target: Some(target.to_owned()),
            token: token.clone(),
            argv: part.argv,
            expires,
        };
        Ok(parts.into_iter().map(allow).collect())
    }

    /// Refuses where the policy is another than the one that asked.
    pub fn check_policy(&self, id: &Id) -> Result<(), Failure> {
        let revision = self.guard.revision();
        let same = self.entry(id, None, |entry| match &entry.request.action {
            Action::Exec(exec) => exec.judged.policy == revision,
            Action::Files(files) => files.judged.policy == revision,
            _ => true,
        })?;
        if same {
            return Ok(());
        }
        let message = format!("the policy has changed since {id} was asked");
        let hint = format!("refuse it, and the agent can ask anew: sgw deny {id}");
        Err(Failure::new(Code::RequestChanged, message, hint).about(id))
    }

    /// The operator's word made the policy what it is now, and was the yes to `id` with it.
    pub fn asked_by_policy_now(&self, id: &Id) {
        let revision = self.guard.revision();
        let _unknown = self.entry(id, None, |entry| match &mut entry.request.action {
            Action::Exec(exec) => exec.judged.policy = revision,
            Action::Files(files) => files.judged.policy = revision,
            _ => {}
        });
    }

    /// Keeps a yes to the part of `id` that was asked about, `times` more or until the session ends.
    /// Without room a person is asked again.
    pub fn keep(&self, id: &Id, times: Option<u32>) {
        let parts = self.entry(id, None, |entry| match &entry.request.action {
            Action::Exec(exec) if exec.judged.part().is_some() => {
                Some((exec.session.clone(), exec.judged.parts.clone()))
            }
            Action::Files(files) if files.judged.part().is_some() => {
                Some((files.session.clone(), files.judged.parts.clone()))
            }
            _ => None,
        });
        let Ok(Some((session, parts))) = parts else { return };
        let mut all = self.kept();
        let kept = all.entry(session).or_default();
        for part in parts {
            let _full = kept.keep(Pass { part, left: times, request: id.clone() });
        }
    }

    /// Uses up the yes to a command; the grant must still hold. `exec` remembers what it became.
    pub fn permit_approved(
        &self,
        id: &Id,
        identity: &Identity,
        ground: &Ground<'_>,
    ) -> Result<Permit<Exec>, Failure> {
        let (now, leave) = ((self.now)(), ground.leave());
        let policy = self.guard.revision();
        self.entry(id, Some(identity), |entry| {
            let allowed =
                authorize::authorize_approved_exec(&mut entry.request, leave, &policy, now);
            if let (Ok(_), Action::Exec(exec)) = (&allowed, &entry.request.action) {
                entry.exec = Some(exec.id.clone());
            }
            allowed.map(Permit::issue).map_err(|why| not_spent(id, why))
        })?
    }

    /// Uses up the yes to an input, as [`Desk::permit_approved`].
    pub fn permit_approved_input(
        &self,
        id: &Id,
        identity: &Identity,
        ground: &Ground<'_>,
    ) -> Result<Permit<Input>, Failure> {
        let now = (self.now)();
        self.entry(id, Some(identity), |entry| {
            authorize::authorize_approved_input(&mut entry.request, ground.leave(), now)
                .map(Permit::issue)
                .map_err(|why| not_spent(id, why))
        })?
    }
}

/// The policy's own words: nothing of the command.
fn blocked(rule: &str, reason: &str) -> Failure {
    let message = format!("the policy blocks it: {rule}, {reason}");
    Failure::new(Code::GuardBlocked, message, NO).sent(false)
}

fn barred(rule: &str) -> Failure {
    let message =
        format!("the operator denied what {rule} finds on this target until the session ends");
    Failure::new(Code::ApprovalDenied, message, NO).sent(false)
}
