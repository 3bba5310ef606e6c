//! Whether an operation on files may happen.

use jiff::Timestamp;

use super::{Allowed, Decision, Denied, Leave, NotApproved, may};
use crate::domain::{
    action::Action,
    capability::Capability,
    digest::Digest,
    files::{Files, Look, Way},
    grant::Mode,
    guard,
    identity::Identity,
    judgement::UNJUDGED,
    kept::{DeniedRules, Kept},
    request::Request,
};

/// Leave to look where paths lead, for an operation that needs `needed`. What is found is nobody's but
/// sgw's until the operation itself is allowed, so that no mode asks.
pub fn authorize_look(
    identity: &Identity,
    leave: Leave<'_>,
    look: Look,
    needed: Capability,
    now: Timestamp,
) -> Result<Allowed<Look>, Denied> {
    may(needed, identity, leave, now).map(|()| Allowed(look))
}

/// Whether the session was given what a way needs.
fn may_go(way: Way, identity: &Identity, leave: Leave<'_>, now: Timestamp) -> Result<(), Denied> {
    way.needs().map_or(Ok(()), |needed| may(needed, identity, leave, now))
}

/// As [`super::authorize_exec`]: what changes something asks in the mode `read`, whatever the policy says.
pub fn authorize_files(
    identity: &Identity,
    leave: Leave<'_>,
    mut files: Files,
    kept: &mut Kept,
    denied: &DeniedRules,
    now: Timestamp,
) -> Decision<Files> {
    let given = may(files.operation.needs(), identity, leave, now);
    if let Err(denied) = given.and_then(|()| may_go(files.way, identity, leave, now)) {
        return Decision::Denied(denied);
    }
    let asks = |action, rule: &str| Decision::Ask { action, rule: rule.to_owned() };
    let judged = &files.judged;
    if judged.decision == guard::Decision::Block {
        let rule = judged.rule.clone().unwrap_or_default();
        let reason = judged.reason.clone().unwrap_or_default();
        return Decision::Blocked { action: files, rule, reason };
    }
    if !judged.is_of(&files.command()) || !judged.manner.fits(leave.grant) {
        return asks(files, UNJUDGED);
    }
    if let Some(rule) = denied.of(judged) {
        return Decision::Barred { rule: rule.to_owned() };
    }
    match leave.grant.mode {
        Mode::Each => asks(files, "mode.each"),
        Mode::Read if files.operation.changes() => asks(files, "mode.read"),
        Mode::Guarded | Mode::Read if judged.decision == guard::Decision::Allow => {
            Decision::Allowed(Allowed(files))
        }
        mode => match (mode, kept.pass(judged)) {
            (Mode::Guarded, Some(passed_by)) => {
                files.passed_by = passed_by;
                Decision::Allowed(Allowed(files))
            }
            _ => {
                let rule = judged.rule.clone().unwrap_or_else(|| UNJUDGED.to_owned());
                Decision::Ask { action: files, rule }
            }
        },
    }
}

/// A yes for this very operation, used up here, as [`super::authorize_approved_exec`].
pub fn authorize_approved_files(
    request: &mut Request,
    leave: Leave<'_>,
    policy: &Digest,
    now: Timestamp,
) -> Result<Allowed<Files>, NotApproved> {
    let Action::Files(files) = request.action.clone() else {
        return Err(NotApproved::OtherKind);
    };
    may(files.operation.needs(), &request.identity, leave, now)
        .and_then(|()| may_go(files.way, &request.identity, leave, now))
        .map_err(NotApproved::Denied)?;
    if files.judged.policy != *policy {
        return Err(NotApproved::Policy);
    }
    request.spend(now).map_err(NotApproved::Request)?;
    Ok(Allowed(*files))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        capability::Capabilities,
        files::Operation,
        grant::{Grant, Opaque},
        id::{Id, Kind},
        judgement::{Judgement, Manner},
    };

    fn grant(mode: Mode, capabilities: &[Capability]) -> Grant {
        Grant {
            capabilities: capabilities.iter().copied().collect::<Capabilities>(),
            mode,
            expires_at: Timestamp::from_second(100).unwrap(),
            max_commands: None,
            used_commands: 0,
            opaque: Opaque::Ask,
        }
    }

    fn files(operation: Operation, at: &str, grant: &Grant) -> Files {
        let at = vec![at.as_bytes().to_vec()];
        let mut judged = Judgement::for_test(&operation.command(&at));
        judged.manner = Manner::of(grant);
        let session = Id::from_number(Kind::Session, 1);
        Files {
            session,
            operation,
            way: Way::Sftp,
            at,
            content: None,
            replaced: Vec::new(),
            caps: Vec::new(),
            tells_sum: false,
            judged,
            passed_by: Vec::new(),
        }
    }

    fn decides(grant: &Grant, files: Files) -> Decision<Files> {
        let owner = Identity { uid: 1, token: None };
        let leave = Leave { owner: &owner, grant, under: None };
        let (kept, denied) = (&mut Kept::default(), &DeniedRules::default());
        authorize_files(&owner, leave, files, kept, denied, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn as_root_needs_the_capability_too() {
        for (capabilities, allowed) in [
            (&[Capability::FilesRead][..], false),
            (&[Capability::Sudo], false),
            (&[Capability::FilesRead, Capability::Sudo], true),
        ] {
            let grant = grant(Mode::Guarded, capabilities);
            let mut files = files(read(), "/srv/x", &grant);
            files.way = Way::Sudo;
            files.judged = Judgement::for_test(&files.command());
            files.judged.manner = Manner::of(&grant);
            let decided = decides(&grant, files);
            assert_eq!(matches!(decided, Decision::Allowed(_)), allowed, "{capabilities:?}");
            assert_eq!(matches!(decided, Decision::Denied(_)), !allowed, "{capabilities:?}");
        }
    }

    fn read() -> Operation {
        Operation::Read { path: "x".into(), offset: 0, limit: None }
    }

    fn mkdir() -> Operation {
        Operation::MakeDirectory { path: "x".into(), parents: false, mode: None }
    }

    const BOTH: &[Capability] = &[Capability::FilesRead, Capability::FilesWrite];

    #[test]
    fn reading_and_writing_are_given_apart() {
        let reads = grant(Mode::Guarded, &[Capability::FilesRead]);
        let denied = decides(&reads, files(mkdir(), "/srv/x", &reads));
        let missing = Denied::Capability(Capability::FilesWrite);
        assert!(matches!(denied, Decision::Denied(what) if what == missing));
        assert!(matches!(decides(&reads, files(read(), "/srv/x", &reads)), Decision::Allowed(_)));
        let exec = grant(Mode::Guarded, &[Capability::Exec]);
        assert!(matches!(decides(&exec, files(read(), "/srv/x", &exec)), Decision::Denied(_)));
    }

    #[test]
    fn modes_ask_as_they_do_for_commands() {
        let asked = |mode, operation: fn() -> Operation, at: &str| {
            let grant = grant(mode, BOTH);
            match decides(&grant, files(operation(), at, &grant)) {
                Decision::Ask { rule, .. } => Some(rule),
                Decision::Allowed(_) => None,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(asked(Mode::Guarded, read, "/srv/x"), None);
        assert_eq!(asked(Mode::Read, read, "/srv/x"), None);
        assert_eq!(asked(Mode::Each, read, "/srv/x").as_deref(), Some("mode.each"));
        assert_eq!(asked(Mode::Guarded, mkdir, "/srv/x"), None);
        assert_eq!(asked(Mode::Read, mkdir, "/srv/x").as_deref(), Some("mode.read"));
        let cron = || Operation::Link { target: "/tmp/x".into(), path: "x".into(), leads: None };
        assert_eq!(asked(Mode::Guarded, cron, "/etc/cron.d/x").as_deref(), Some("fs.write-system"));
    }

    #[test]
    fn what_the_policy_blocks_happens_in_no_mode() {
        for mode in [Mode::Guarded, Mode::Read, Mode::Each] {
            let grant = grant(mode, BOTH);
            let blocked = decides(&grant, files(read(), "/etc/shadow", &grant));
            assert!(matches!(blocked, Decision::Blocked { .. }));
        }
    }

    #[test]
    fn a_verdict_on_other_paths_lets_nothing_pass() {
        let grant = grant(Mode::Guarded, BOTH);
        let mut other = files(mkdir(), "/srv/x", &grant);
        other.at[0] = b"/etc/cron.d".to_vec();
        assert!(matches!(decides(&grant, other), Decision::Ask { rule, .. } if rule == UNJUDGED));
    }
}
