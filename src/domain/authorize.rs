//! Whether an action may happen: the only place that builds [`Allowed`].

mod files;
mod opening;

pub use files::{authorize_approved_files, authorize_files, authorize_look};
pub use opening::{Live, NotOpened, Wanted, authorize_opening};

use jiff::Timestamp;

use super::{
    action::{Access, Action, Exec, Input, Login},
    capability::Capability,
    digest::Digest,
    grant::{Grant, Mode, Terms},
    guard,
    identity::Identity,
    judgement::UNJUDGED,
    kept::{DeniedRules, Kept},
    request::{Refused, Request},
};

/// Proof that `action` was allowed. Only this file builds one; it is taken apart by the desk.
#[must_use = "an allowed action that nobody performs was judged for nothing"]
#[derive(Debug)]
pub struct Allowed<A>(A);

impl<A> Allowed<A> {
    pub fn into_action(self) -> A {
        self.0
    }
}

#[must_use]
#[derive(Debug)]
pub enum Decision<A> {
    Allowed(Allowed<A>),
    /// A person decides; `rule` says why they are asked.
    Ask {
        action: A,
        rule: String,
    },
    /// The policy blocks it, and nobody can say yes.
    Blocked {
        action: A,
        rule: String,
        reason: String,
    },
    /// The operator said no to what this rule finds, until the session ends.
    Barred {
        rule: String,
    },
    Denied(Denied),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("the session is another identity's")]
    NotYours,
    #[error("the session's grant does not hold this capability")]
    Capability(Capability),
    #[error("the session's time is over")]
    Expired,
    #[error("the session's commands are used up")]
    Exhausted,
    #[error("the standing grant does not hold this capability")]
    StandingCapability(Capability),
    #[error("the standing grant is taken back")]
    StandingRemoved,
    #[error("the standing grant's time is over")]
    StandingExpired,
    #[error("the standing grant's budget is used up")]
    StandingExhausted,
}

/// What a session rests on.
#[derive(Clone, Copy)]
pub struct Leave<'a> {
    pub owner: &'a Identity,
    pub grant: &'a Grant,
    /// The standing grant that it lives under, where it does.
    pub under: Option<Live<'a>>,
}

/// Judges a command against the grant of the session that it runs in, what the guard said of it, and
/// what the operator said before.
pub fn authorize_exec(
    identity: &Identity,
    leave: Leave<'_>,
    mut exec: Exec,
    kept: &mut Kept,
    denied: &DeniedRules,
    now: Timestamp,
) -> Decision<Exec> {
    if let Err(denied) = may(Capability::Exec, identity, leave, now) {
        return Decision::Denied(denied);
    }
    let asks = |action, rule: &str| Decision::Ask { action, rule: rule.to_owned() };
    if exec.judged.decision == guard::Decision::Block {
        let rule = exec.judged.rule.clone().unwrap_or_default();
        let reason = exec.judged.reason.clone().unwrap_or_default();
        return Decision::Blocked { action: exec, rule, reason };
    }
    // A verdict on other bytes, on other input, or for a session that was given more, is none.
    let judged = &exec.judged;
    let fits = judged.manner.fits(leave.grant) && judged.manner.stdin_open == exec.stdin;
    if !judged.is_of(exec.in_full().as_slice()) || !fits {
        return asks(exec, UNJUDGED);
    }
    if let Some(rule) = denied.of(&exec.judged) {
        return Decision::Barred { rule: rule.to_owned() };
    }
    if exec.judged.decision == guard::Decision::Approve {
        let rule = exec.judged.rule.clone().unwrap_or_else(|| UNJUDGED.to_owned());
        return match leave.grant.mode {
            Mode::Guarded => match kept.pass(&exec.judged) {
                Some(passed_by) => {
                    exec.passed_by = passed_by;
                    Decision::Allowed(Allowed(exec))
                }
                None => Decision::Ask { action: exec, rule },
            },
            Mode::Each | Mode::Read => Decision::Ask { action: exec, rule },
        };
    }
    match leave.grant.mode {
        // Where only reading passes the guard has judged by that.
        Mode::Guarded | Mode::Read => Decision::Allowed(Allowed(exec)),
        Mode::Each => asks(exec, "mode.each"),
    }
}

/// Judges what is typed into a session's terminal: an input counts as one command.
pub fn authorize_input(
    identity: &Identity,
    leave: Leave<'_>,
    input: Input,
    now: Timestamp,
) -> Decision<Input> {
    judge(input, Capability::Pty, identity, leave, now)
}

fn judge<A>(
    action: A,
    needed: Capability,
    identity: &Identity,
    leave: Leave<'_>,
    now: Timestamp,
) -> Decision<A> {
    if let Err(denied) = may(needed, identity, leave, now) {
        return Decision::Denied(denied);
    }
    match leave.grant.mode {
        Mode::Guarded => Decision::Allowed(Allowed(action)),
        Mode::Each => Decision::Ask { action, rule: "mode.each".to_owned() },
        Mode::Read => Decision::Ask { action, rule: "mode.read".to_owned() },
    }
}

/// A yes for this very command, used up here. The grant must still hold, and the policy be the one
/// that the question was asked by.
pub fn authorize_approved_exec(
    request: &mut Request,
    leave: Leave<'_>,
    policy: &Digest,
    now: Timestamp,
) -> Result<Allowed<Exec>, NotApproved> {
    let Action::Exec(exec) = request.action.clone() else {
        return Err(NotApproved::OtherKind);
    };
    may(Capability::Exec, &request.identity, leave, now).map_err(NotApproved::Denied)?;
    if exec.judged.policy != *policy {
        return Err(NotApproved::Policy);
    }
    request.spend(now).map_err(NotApproved::Request)?;
    Ok(Allowed(exec))
}

/// As [`authorize_approved_exec`], for an input.
pub fn authorize_approved_input(
    request: &mut Request,
    leave: Leave<'_>,
    now: Timestamp,
) -> Result<Allowed<Input>, NotApproved> {
    let Action::Input(input) = request.action.clone() else {
        return Err(NotApproved::OtherKind);
    };
    may(Capability::Pty, &request.identity, leave, now).map_err(NotApproved::Denied)?;
    request.spend(now).map_err(NotApproved::Request)?;
    Ok(Allowed(input))
}

/// The operator said yes to what `shown` stands for, and gives `terms`, which may be less than was
/// asked.
pub fn authorize_shown_access(
    request: &mut Request,
    shown: &Digest,
    terms: &Terms,
    now: Timestamp,
) -> Result<Allowed<Access>, NotApproved> {
    let Action::Access(access) = request.action.clone() else {
        return Err(NotApproved::OtherKind);
    };
    if !terms.within(&access.terms) {
        return Err(NotApproved::Wider);
    }
    request.check_shown(shown, now).map_err(NotApproved::Request)?;
    Ok(Allowed(Access { terms: terms.clone(), ..access }))
}

/// Whether a person may be asked to log in again for a session, by somebody who then needs
/// `capability` in it.
pub fn check_login(
    identity: &Identity,
    leave: Leave<'_>,
    capability: Capability,
    now: Timestamp,
) -> Result<(), Denied> {
    may(capability, identity, leave, now)
}

/// The operator said yes to what `shown` stands for: logging in again. The grant must still hold.
pub fn authorize_shown_login(
    request: &mut Request,
    shown: &Digest,
    leave: Leave<'_>,
    now: Timestamp,
) -> Result<Allowed<Login>, NotApproved> {
    let Action::Login(login) = request.action.clone() else {
        return Err(NotApproved::OtherKind);
    };
    may_use(&request.identity, leave, now).map_err(NotApproved::Denied)?;
    request.check_shown(shown, now).map_err(NotApproved::Request)?;
    Ok(Allowed(login))
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    #[error("the approval is for another kind of action")]
    OtherKind,
    #[error("the approval gives more than was asked")]
    Wider,
    #[error("the policy has changed since it was asked")]
    Policy,
    #[error(transparent)]
    Denied(Denied),
    #[error(transparent)]
    Request(Refused),
}

fn may(
    needed: Capability,
    identity: &Identity,
    leave: Leave<'_>,
    now: Timestamp,
) -> Result<(), Denied> {
    may_use(identity, leave, now)?;
    if !leave.grant.capabilities.contains(&needed) {
        return Err(Denied::Capability(needed));
    }
    if !leave.grant.has_commands_left() {
        return Err(Denied::Exhausted);
    }
    match leave.under {
        Some(live) => live.may(identity, needed, now),
        None => Ok(()),
    }
}

/// What holds for whatever is done in a session.
fn may_use(identity: &Identity, leave: Leave<'_>, now: Timestamp) -> Result<(), Denied> {
    if identity != leave.owner {
        return Err(Denied::NotYours);
    }
    if now >= leave.grant.expires_at {
        return Err(Denied::Expired);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        capability::Capabilities,
        grant::Opaque,
        id::{Id, Kind},
        judgement::{Judgement, Manner},
    };

    fn exec() -> Exec {
        Exec {
            id: Id::from_number(Kind::Exec, 1),
            session: Id::from_number(Kind::Session, 1),
            marker: "m".into(),
            line: "ls".into(),
            wire: b"ls".to_vec(),
            stdin: false,
            timeout_ms: None,
            reason: None,
            judged: Judgement::for_test(b"ls"),
            passed_by: Vec::new(),
        }
    }

    fn grant() -> Grant {
        Grant {
            capabilities: Capabilities::from([Capability::Exec]),
            mode: Mode::Guarded,
            expires_at: Timestamp::from_second(100).unwrap(),
            max_commands: Some(2),
            used_commands: 0,
            opaque: Opaque::Ask,
        }
    }

    fn leave<'a>(owner: &'a Identity, grant: &'a Grant) -> Leave<'a> {
        Leave { owner, grant, under: None }
    }

    fn judged(grant: &Grant, exec: Exec) -> Decision<Exec> {
        let owner = Identity { uid: 1, token: None };
        let (leave, now) = (leave(&owner, grant), Timestamp::UNIX_EPOCH);
        authorize_exec(&owner, leave, exec, &mut Kept::default(), &DeniedRules::default(), now)
    }

    fn line(line: &str) -> Exec {
        let wire = line.as_bytes().to_vec();
        Exec { judged: Judgement::for_test(&wire), wire, ..exec() }
    }

    #[test]
    fn what_the_policy_blocks_runs_in_no_mode_and_what_it_asks_for_asks_in_each() {
        for mode in [Mode::Guarded, Mode::Each, Mode::Read] {
            let grant = Grant { mode, ..grant() };
            assert!(matches!(judged(&grant, line("rm -rf /")), Decision::Blocked { .. }));
            let mut asks = line("systemctl stop nginx");
            asks.judged.manner = Manner::of(&grant);
            let asked = judged(&grant, asks);
            assert!(matches!(asked, Decision::Ask { rule, .. } if rule == "service.change"));
        }
        assert!(matches!(judged(&grant(), line("ls")), Decision::Allowed(_)));
    }

    #[test]
    fn a_verdict_on_other_bytes_lets_nothing_run() {
        let other = Exec { wire: b"reboot".to_vec(), ..line("ls") };
        let asked = judged(&grant(), other);
        assert!(matches!(asked, Decision::Ask { rule, .. } if rule == UNJUDGED));
        let with_input = Exec { stdin: true, ..line("sh") };
        assert!(matches!(judged(&grant(), with_input), Decision::Ask { .. }));
        // One that was not asked whether it only reads.
        let reading = Grant { mode: Mode::Read, ..grant() };
        assert!(matches!(judged(&reading, line("ls")), Decision::Ask { .. }));
    }

    fn denied(change: fn(&mut Grant), uid: u32, second: i64) -> Option<Denied> {
        let mut grant = grant();
        change(&mut grant);
        let owner = Identity { uid: 1, token: None };
        let asking = Identity { uid, token: None };
        let now = Timestamp::from_second(second).unwrap();
        let (kept, denied) = (&mut Kept::default(), &DeniedRules::default());
        match authorize_exec(&asking, leave(&owner, &grant), exec(), kept, denied, now) {
            Decision::Denied(denied) => Some(denied),
            _ => None,
        }
    }

    #[test]
    fn each_limit_of_a_grant_holds() {
        assert_eq!(denied(|_| (), 1, 0), None);
        assert_eq!(denied(|_| (), 2, 0), Some(Denied::NotYours));
        assert_eq!(denied(|_| (), 1, 100), Some(Denied::Expired));
        assert_eq!(denied(|g| g.used_commands = 2, 1, 0), Some(Denied::Exhausted));
        assert_eq!(
            denied(|g| g.capabilities.clear(), 1, 0),
            Some(Denied::Capability(Capability::Exec))
        );
    }

    #[test]
    fn the_modes_that_ask_ask() {
        for mode in [Mode::Each, Mode::Read] {
            let grant = Grant { mode, ..grant() };
            let decision = judged(&grant, exec());
            assert!(matches!(decision, Decision::Ask { .. }));
        }
    }

    #[test]
    fn typing_needs_leave_of_its_own_and_asks_where_commands_ask() {
        let owner = Identity { uid: 1, token: None };
        let input =
            || Input { session: Id::from_number(Kind::Session, 1), bytes: b"ls\r".to_vec() };
        let judged = |grant: &Grant| {
            authorize_input(&owner, leave(&owner, grant), input(), Timestamp::UNIX_EPOCH)
        };
        let with_pty = Grant { capabilities: Capabilities::from([Capability::Pty]), ..grant() };
        assert!(matches!(judged(&with_pty), Decision::Allowed(_)));
        let without = judged(&grant());
        assert!(matches!(without, Decision::Denied(Denied::Capability(Capability::Pty))));
        let used = Grant { used_commands: 2, ..with_pty.clone() };
        assert!(matches!(judged(&used), Decision::Denied(Denied::Exhausted)));
        for mode in [Mode::Each, Mode::Read] {
            let grant = Grant { mode, ..with_pty.clone() };
            assert!(matches!(judged(&grant), Decision::Ask { .. }));
        }
    }
}
