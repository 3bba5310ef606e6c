//! Commands and inputs: judged, asked about, and their yes used up.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

use jiff::civil::Date;

use super::typed::NO_TERMINAL;
use super::{
    Asker, Desk, Entry, Ground, NotAsked, Permit, Same, Verdict, approval_required, not_spent,
};
use crate::{
    domain::{
        action::{Action, Exec, Input, Stdin},
        authorize::{self, Decision},
        digest::Digest,
        grant::Mode,
        guard::{
            Files,
            policy::{Allow, Terminal},
        },
        id::Id,
        identity::Identity,
        judgement::{Judgement, OFF, Part, SESSION},
        kept::{Kept, Pass},
        request::{State, WAITS},
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
        Self::verdict(
            decision,
            no_ask,
            |exec| &exec.judged,
            |exec, rule| {
                let sameness = exec.sameness(&asker.identity);
                let copy = exec.clone();
                let digest = |id: &Id, until| copy.digest(&asker.identity, id, until, ground.place);
                self.ask(asker, Action::Exec(Box::new(exec)), Some(rule), WAITS, sameness, digest)
            },
        )
    }

    /// Judges what is to be typed, as [`Desk::judge_exec`].
    pub fn judge_input(
        &self,
        asker: &Asker,
        ground: &Ground<'_>,
        input: Input,
        no_ask: bool,
    ) -> Result<Verdict<Input>, NotAsked<Input>> {
        let (now, session) = ((self.now)(), input.session.clone());
        let kept = self.kept().get(&session).cloned().unwrap_or_default();
        let denied = self.bars.of(&asker.identity, ground.place);
        let (identity, leave) = (&asker.identity, ground.leave());
        let decision = authorize::authorize_input(identity, leave, input, &kept, &denied, now);
        Self::verdict(
            decision,
            no_ask,
            |input| &input.judged,
            |input, rule| {
                let sameness = input.sameness(&asker.identity);
                let copy = input.clone();
                let digest = |id: &Id, until| copy.digest(&asker.identity, id, until, ground.place);
                self.ask(asker, Action::Input(Box::new(input)), Some(rule), WAITS, sameness, digest)
            },
        )
    }

    /// Judges a signal for what runs in a terminal on `target`, which asks nobody.
    pub fn judge_signal(
        &self,
        asker: &Asker,
        ground: &Ground<'_>,
        target: &str,
    ) -> Result<(), Failure> {
        match self.may_type(asker, ground, target)? {
            true => Ok(()),
            false => Err(approval_required()),
        }
    }

    /// Whether something may be typed on `target` at all; true where not each key would be asked about.
    ///
    /// # Errors
    /// There are no terminals, or not for this identity.
    pub fn may_type(
        &self,
        asker: &Asker,
        ground: &Ground<'_>,
        target: &str,
    ) -> Result<bool, Failure> {
        if self.guard.terminal(target, &asker.identity)? == Terminal::Off {
            return Err(blocked(OFF, NO_TERMINAL));
        }
        let typing = authorize::authorize_signal(&asker.identity, ground.leave(), (self.now)());
        typing.map_err(Failure::from)
    }

    pub(super) fn verdict<A>(
        decision: Decision<A>,
        no_ask: bool,
        judged: impl Fn(&A) -> &Judgement,
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
            Decision::Ask { action, rule } if no_ask => {
                let why = asked_because(&rule, judged(&action));
                let failure = approval_required();
                let message = format!("{}: {rule}, {why}", failure.message);
                Err(Failure { message, ..failure }.by_rule(rule).into())
            }
            Decision::Ask { action, rule } => {
                let (id, new) = ask(action, rule)?;
                Ok(Verdict::Asked { id, new })
            }
        }
    }

    /// Whether a yes to a command may still come, or be used.
    pub fn waits_for(&self, exec: &Id) -> bool {
        let now = (self.now)();
        let open = |state: &State| matches!(state, State::Pending | State::Approved { .. });
        let mut queue = self.queue();
        let of =
            |entry: &Entry| matches!(&entry.request.action, Action::Exec(one) if one.id == *exec);
        let found = queue.all(now, of);
        found.iter().any(|id| queue.get(id).is_some_and(|entry| open(entry.request.state(now))))
    }

    /// What a yes to this request would let pass from now on, in a session of `mode`.
    pub fn part_of(&self, id: &Id, mode: Option<Mode>) -> Result<Vec<String>, Failure> {
        let (part, why) = self.entry(id, None, |entry| {
            let action = &entry.request.action;
            let part = match action {
                Action::Exec(exec) => exec.judged.part().map(|part| part.argv.clone()),
                Action::Files(files) => files.judged.part().map(|part| part.argv.clone()),
                Action::Forward(forward) => forward.judged.part().map(|part| part.argv.clone()),
                _ => None,
            };
            (part, only_once(action, mode))
        })?;
        match (part, why) {
            (Some(part), None) => Ok(part),
            (_, why) => Err(Failure::new(
                Code::UsageArguments,
                format!(
                    "a yes to {id} can be for this once only: {}",
                    why.unwrap_or("it is no command")
                ),
                format!("sgw approve {id}"),
            )
            .about(id)),
        }
    }

    /// The dated rules that a yes to this request would be, for its identity on `target`.
    pub fn allows_of(&self, id: &Id, target: &str, expires: Date) -> Result<Vec<Allow>, Failure> {
        let found = self.entry(id, None, |entry| match &entry.request.action {
            Action::Exec(exec) => {
                // What stands around a command or before it is nothing that a rule can say.
                let bare = |part: &&Part| part.chain.is_empty() && part.place.is_empty();
                exec.judged.part().filter(bare).map(|_| exec.judged.parts.clone())
            }
            Action::Forward(forward) => forward.judged.part().map(|_| forward.judged.parts.clone()),
            _ => None,
        })?;
        let token = self.owner(id)?.token.map(|token| token.name.to_string());
        let parts = found.ok_or_else(|| {
            Failure::new(
                Code::UsageArguments,
                format!("{id} can be no rule: other commands stand around it or before it"),
                format!("sgw approve {id}"),
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

    /// Refuses a yes where the policy is another than the one that asked: the request is withdrawn, whoever
    /// waits for it hears of it, and asking again asks by the policy of now.
    pub fn check_policy(&self, id: &Id) -> Result<(), Failure> {
        let revision = self.guard.revision();
        if self.entry(id, None, |entry| is_by(&entry.request.action, &revision))? {
            return Ok(());
        }
        self.outdate(id);
        Err(policy_changed(id))
    }

    /// A question that waits and that another policy asked is none that could be joined.
    pub(super) fn outdate_same(&self, identity: &Identity, sameness: &Digest) {
        let (now, revision) = ((self.now)(), self.guard.revision());
        let mut queue = self.queue();
        let Some(Same::Pending(id)) = queue.same(identity, sameness, now) else { return };
        let other = queue.get(&id).is_some_and(|entry| !is_by(&entry.request.action, &revision));
        drop(queue);
        if other {
            self.outdate(&id);
        }
    }

    fn outdate(&self, id: &Id) {
        let _unknown = self.entry(id, None, |entry| entry.outdated = true);
        let _decided_already = self.withdraw(id);
    }

    /// The operator's word made the policy what it is now, and was the yes to `id` with it.
    pub fn asked_by_policy_now(&self, id: &Id) {
        let revision = self.guard.revision();
        let _unknown = self.entry(id, None, |entry| match &mut entry.request.action {
            Action::Exec(exec) => exec.judged.policy = revision,
            Action::Files(files) => files.judged.policy = revision,
            Action::Forward(forward) => forward.judged.policy = revision,
            _ => {}
        });
    }

    /// Keeps a yes to the part of `id` that was asked about, `times` more or until the session ends.
    /// Without room a person is asked again.
    pub fn keep(&self, id: &Id, times: Option<u32>) {
        let parts = self.entry(id, None, |entry| match &entry.request.action {
            Action::Exec(exec) if exec.judged.part().is_some() => {
                let with_input = exec.stdin == Stdin::Open;
                Some((exec.session.clone(), exec.judged.parts.clone(), with_input))
            }
            Action::Files(files) if files.judged.part().is_some() => {
                Some((files.session.clone(), files.judged.parts.clone(), false))
            }
            Action::Forward(forward) if forward.judged.part().is_some() => {
                Some((forward.session.clone(), forward.judged.parts.clone(), false))
            }
            _ => None,
        });
        let Ok(Some((session, parts, with_input))) = parts else { return };
        let mut all = self.kept();
        let kept = all.entry(session).or_default();
        for part in parts {
            let _full = kept.keep(Pass { part, left: times, request: id.clone(), with_input });
        }
    }

    /// Uses up the yes to a command; the grant must still hold, and what is known of the scripts that it runs
    /// be what it was. `exec` remembers what it became.
    pub fn permit_approved(
        &self,
        id: &Id,
        identity: &Identity,
        ground: &Ground<'_>,
        files: &Files,
    ) -> Result<Permit<Exec>, Failure> {
        let (now, leave) = ((self.now)(), ground.leave());
        let policy = self.guard.revision();
        self.entry(id, Some(identity), |entry| {
            if let Action::Exec(exec) = &entry.request.action
                && !exec.judged.scripts.iter().all(|script| script.is_same(files))
            {
                return Err(rewritten(id));
            }
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
        let (now, policy) = ((self.now)(), self.guard.revision());
        let (asks_once, permit) = self.entry(id, Some(identity), |entry| {
            let leave = ground.leave();
            let asks_once = match &entry.request.action {
                Action::Input(input) if input.judged.rule.as_deref() == Some(SESSION) => {
                    Some(input.session.clone())
                }
                _ => None,
            };
            authorize::authorize_approved_input(&mut entry.request, leave, &policy, now)
                .map(|allowed| (asks_once, Permit::issue(allowed)))
                .map_err(|why| not_spent(id, why))
        })??;
        if let Some(session) = asks_once {
            self.kept().entry(session).or_default().keep_terminal(policy);
        }
        Ok(permit)
    }
}

/// Why a yes to it can be for this once only, where it can.
pub(super) fn only_once(action: &Action, mode: Option<Mode>) -> Option<&'static str> {
    match action {
        Action::Exec(_) | Action::Files(_) | Action::Forward(_) if mode != Some(Mode::Guarded) => {
            Some("its session's mode asks again whatever was said (mode each, or read)")
        }
        Action::Exec(exec) => exec.judged.only_once(),
        Action::Files(files) => files.judged.only_once(),
        Action::Forward(forward) => forward.judged.only_once(),
        Action::Input(_) => Some("it is typed into a terminal, where what runs there counts"),
        _ => Some("it is no command"),
    }
}

/// Whether this policy asked.
fn is_by(action: &Action, revision: &Digest) -> bool {
    match action {
        Action::Exec(exec) => exec.judged.policy == *revision,
        Action::Input(input) => input.judged.policy == *revision,
        Action::Files(files) => files.judged.policy == *revision,
        Action::Forward(forward) => forward.judged.policy == *revision,
        Action::Plan(plan) => plan.policy() == Some(*revision),
        Action::Access(_) | Action::Handoff(_) | Action::Login(_) => true,
    }
}

/// The rule by which a person is asked about a command, and why in the policy's words: none of the command's.
pub(super) fn why_asked(action: &Action, rule: String) -> Option<(String, String)> {
    let why = match action {
        Action::Exec(exec) => asked_because(&rule, &exec.judged),
        Action::Input(input) => asked_because(&rule, &input.judged),
        Action::Files(files) => asked_because(&rule, &files.judged),
        Action::Forward(forward) => asked_because(&rule, &forward.judged),
        Action::Plan(_) | Action::Access(_) | Action::Handoff(_) | Action::Login(_) => return None,
    };
    Some((rule, why))
}

fn asked_because(rule: &str, judged: &Judgement) -> String {
    let own = judged.reason.clone().filter(|_| judged.rule.as_deref() == Some(rule));
    own.unwrap_or_else(|| {
        let why = match rule {
            "mode.each" => "each command of this session is asked about",
            _ => "nobody could judge it",
        };
        why.to_owned()
    })
}

/// What those hear who wait for it.
pub(super) fn outdated(id: &Id) -> Failure {
    let message = format!("the policy has changed since {id} was asked, so nobody decides on it");
    Failure::new(Code::ApprovalExpired, message, "run it again: it is judged anew").about(id)
}

pub(super) fn policy_changed(id: &Id) -> Failure {
    let message = format!("the policy has changed since {id} was asked; nothing was approved");
    let hint = "it is withdrawn, and whoever asked is told to ask anew: sgw requests";
    Failure::new(Code::RequestChanged, message, hint).about(id)
}

/// The policy's own words: nothing of the command.
pub(super) fn blocked(rule: &str, reason: &str) -> Failure {
    let message = format!("the policy blocks it: {rule}, {reason}");
    let hint = match rule {
        OFF => "run commands one by one: sgw exec SESSION -- COMMAND; or ask your user",
        _ => NO,
    };
    Failure::new(Code::GuardBlocked, message, hint).sent(false)
}

fn rewritten(id: &Id) -> Failure {
    let message = format!("a script that {id} runs was written anew since it was asked about");
    Failure::new(Code::ApprovalExpired, message, "run it again: it is judged anew").about(id)
}

pub(super) fn barred(rule: &str) -> Failure {
    let message =
        format!("the operator denied what {rule} finds on this target until the session ends");
    Failure::new(Code::ApprovalDenied, message, NO).sent(false)
}
