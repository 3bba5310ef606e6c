//! Whether an action may happen: the only place that builds [`Allowed`].

mod files;
mod forward;
mod opening;

pub use files::{authorize_approved_files, authorize_files, authorize_look};
pub use forward::{authorize_approved_forward, authorize_forward};
pub use opening::{Live, NotOpened, Wanted, authorize_opening};

use jiff::Timestamp;

use super::{
    action::{Access, Action, Exec, Input, Login, Stdin},
    capability::Capability,
    digest::Digest,
    grant::{Grant, Mode, Terms},
    guard,
    identity::Identity,
    judgement::UNJUDGED,
    kept::{DeniedRules, Kept},
    plan,
    request::{Refused, Request, State},
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
    if let Err(denied) = may(exec.needs(), identity, leave, now) {
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
    let fits = judged.manner.fits(leave.grant) && judged.manner.stdin == exec.stdin;
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
        // It was judged by its paths, which say nothing of modes.
        Mode::Read
            if exec.is_served().is_some_and(|served| served.needs() == Capability::FilesWrite) =>
        {
            asks(exec, "mode.read")
        }
        // Where only reading passes the guard has judged by that.
        Mode::Guarded | Mode::Read => Decision::Allowed(Allowed(exec)),
        Mode::Each => asks(exec, "mode.each"),
    }
}

/// Judges what is typed into a session's terminal, as [`authorize_exec`]: an input counts as one command.
pub fn authorize_input(
    identity: &Identity,
    leave: Leave<'_>,
    input: Input,
    kept: &Kept,
    denied: &DeniedRules,
    now: Timestamp,
) -> Decision<Input> {
    if let Err(denied) = may(Capability::Pty, identity, leave, now) {
        return Decision::Denied(denied);
    }
    let asks = |action, rule: &str| Decision::Ask { action, rule: rule.to_owned() };
    let judged = &input.judged;
    if judged.decision == guard::Decision::Block {
        let rule = judged.rule.clone().unwrap_or_default();
        let reason = judged.reason.clone().unwrap_or_default();
        return Decision::Blocked { action: input, rule, reason };
    }
    if !judged.is_of(input.shown.as_slice()) || !judged.manner.fits(leave.grant) {
        return asks(input, UNJUDGED);
    }
    if let Some(rule) = denied.of(judged) {
        return Decision::Barred { rule: rule.to_owned() };
    }
    let passes = judged.decision == guard::Decision::Allow || kept.passes_terminal(judged);
    match leave.grant.mode {
        Mode::Guarded | Mode::Read if passes => Decision::Allowed(Allowed(input)),
        Mode::Each if passes => asks(input, "mode.each"),
        _ => {
            let rule = judged.rule.clone().unwrap_or_else(|| UNJUDGED.to_owned());
            asks(input, &rule)
        }
    }
}

/// Judges a signal for what runs in a terminal: it asks nobody, so that it goes where nobody is asked.
///
/// # Errors
/// Typing is not allowed; the flag of the other is whether it would ask.
pub fn authorize_signal(
    identity: &Identity,
    leave: Leave<'_>,
    now: Timestamp,
) -> Result<bool, Denied> {
    may(Capability::Pty, identity, leave, now)?;
    Ok(leave.grant.mode == Mode::Guarded)
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
    may(exec.needs(), &request.identity, leave, now).map_err(NotApproved::Denied)?;
    if exec.judged.policy != *policy {
        return Err(NotApproved::Policy);
    }
    request.spend(now).map_err(NotApproved::Request)?;
    Ok(Allowed(*exec))
}

/// A yes to a plan lets `next`, its next line, pass: the very bytes, while the session still gives leave and
/// the policy is the one that judged the plan. [`Decision::Ask`] where the yes is not for this command.
pub fn authorize_planned_exec(
    request: &mut Request,
    next: &plan::Line,
    leave: Leave<'_>,
    exec: Exec,
    denied: &DeniedRules,
    now: Timestamp,
) -> Decision<Exec> {
    let stands = matches!(request.state(now), State::Approved { .. });
    let full = exec.in_full();
    let judged = &exec.judged;
    let fits = judged.manner.fits(leave.grant)
        && judged.manner.stdin == Stdin::Empty
        && exec.stdin == Stdin::Empty;
    let same =
        full == next.full && judged.is_of(full.as_slice()) && judged.scripts == next.judged.scripts;
    let stricter = judged.decision == guard::Decision::Approve
        && next.judged.decision == guard::Decision::Allow;
    if !stands || !same || stricter || !fits || judged.policy != next.judged.policy {
        return Decision::Ask { action: exec, rule: UNJUDGED.to_owned() };
    }
    if let Err(denied) = may(Capability::Exec, &request.identity, leave, now) {
        return Decision::Denied(denied);
    }
    if judged.decision == guard::Decision::Block {
        let rule = judged.rule.clone().unwrap_or_default();
        let reason = judged.reason.clone().unwrap_or_default();
        return Decision::Blocked { action: exec, rule, reason };
    }
    if let Some(rule) = denied.of(judged) {
        return Decision::Barred { rule: rule.to_owned() };
    }
    Decision::Allowed(Allowed(exec))
}

/// Whether a plan may be asked for in a session.
pub fn check_plan(identity: &Identity, leave: Leave<'_>, now: Timestamp) -> Result<(), Denied> {
    may(Capability::Exec, identity, leave, now)
}

/// As [`authorize_approved_exec`], for an input.
pub fn authorize_approved_input(
    request: &mut Request,
    leave: Leave<'_>,
    policy: &Digest,
    now: Timestamp,
) -> Result<Allowed<Input>, NotApproved> {
    let Action::Input(input) = request.action.clone() else {
        return Err(NotApproved::OtherKind);
    };
    may(Capability::Pty, &request.identity, leave, now).map_err(NotApproved::Denied)?;
    if input.judged.policy != *policy {
        return Err(NotApproved::Policy);
    }
    request.spend(now).map_err(NotApproved::Request)?;
    Ok(Allowed(*input))
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
        bytes::Bytes,
        capability::Capabilities,
        grant::Opaque,
        id::{Id, Kind},
        judgement::{Judgement, Manner},
        typed::{Line, Reader},
    };

    fn exec() -> Exec {
        Exec {
            id: Id::from_number(Kind::Exec, 1),
            session: Id::from_number(Kind::Session, 1),
            marker: "m".into(),
            line: "ls".into(),
            wire: b"ls".to_vec(),
            stdin: Stdin::Empty,
            timeout_ms: None,
            reason: None,
            judged: Judgement::for_test(b"ls"),
            passed_by: Vec::new(),
            served: None,
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
        let with_input = Exec { stdin: Stdin::Open, ..line("sh") };
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
        let input = |line: &str, grant: &Grant| {
            let mut judged = Judgement::for_test(line.as_bytes());
            judged.manner = Manner::of(grant);
            let step = Line::default().take(line.as_bytes(), &Reader::Unseen);
            Input {
                session: Id::from_number(Kind::Session, 1),
                bytes: line.as_bytes().to_vec(),
                shown: Bytes(line.as_bytes().to_vec()),
                before: Line::default(),
                after: step.after,
                judged,
            }
        };
        let types = |line: &str, grant: &Grant, kept: &Kept| {
            let (leave, denied) = (leave(&owner, grant), DeniedRules::default());
            let input = input(line, grant);
            authorize_input(&owner, leave, input, kept, &denied, Timestamp::UNIX_EPOCH)
        };
        let judged = |grant: &Grant| types("ls", grant, &Kept::default());
        let with_pty = Grant { capabilities: Capabilities::from([Capability::Pty]), ..grant() };
        assert!(matches!(judged(&with_pty), Decision::Allowed(_)));
        let without = judged(&grant());
        assert!(matches!(without, Decision::Denied(Denied::Capability(Capability::Pty))));
        let used = Grant { used_commands: 2, ..with_pty.clone() };
        assert!(matches!(judged(&used), Decision::Denied(Denied::Exhausted)));
        let each = Grant { mode: Mode::Each, ..with_pty.clone() };
        assert!(matches!(judged(&each), Decision::Ask { rule, .. } if rule == "mode.each"));
        for mode in [Mode::Guarded, Mode::Each, Mode::Read] {
            let grant = Grant { mode, ..with_pty.clone() };
            let typed = |line| types(line, &grant, &Kept::default());
            assert!(matches!(typed("rm -rf /"), Decision::Blocked { .. }));
            let asked = typed("systemctl stop nginx");
            assert!(matches!(asked, Decision::Ask { rule, .. } if rule == "service.change"));
        }
        // A verdict on other bytes is none.
        let mut other = input("ls", &with_pty);
        other.shown = "rm -rf /".into();
        let (leave, denied) = (leave(&owner, &with_pty), DeniedRules::default());
        let now = Timestamp::UNIX_EPOCH;
        let asked = authorize_input(&owner, leave, other, &Kept::default(), &denied, now);
        assert!(matches!(asked, Decision::Ask { rule, .. } if rule == UNJUDGED));
    }
}
