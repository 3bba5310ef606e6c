//! Whether a forward may be opened.

use jiff::Timestamp;

use super::{Allowed, Decision, Leave, NotApproved, may};
use crate::domain::{
    action::Action,
    capability::Capability,
    digest::Digest,
    forward::Forward,
    grant::Mode,
    guard::{
        self,
        files::{EACH, READ_ONLY},
    },
    identity::Identity,
    judgement::UNJUDGED,
    kept::{DeniedRules, Kept},
    request::Request,
};

/// As [`super::authorize_exec`]. A forward does more than read, so that the mode `read` asks, whatever the policy
/// says; a yes that was kept for its end lets it pass in the mode `guarded` alone.
pub fn authorize_forward(
    identity: &Identity,
    leave: Leave<'_>,
    mut forward: Forward,
    kept: &mut Kept,
    denied: &DeniedRules,
    now: Timestamp,
) -> Decision<Forward> {
    if let Err(denied) = may(Capability::Forward, identity, leave, now) {
        return Decision::Denied(denied);
    }
    let asks = |action, rule: &str| Decision::Ask { action, rule: rule.to_owned() };
    let judged = &forward.judged;
    if judged.decision == guard::Decision::Block {
        let rule = judged.rule.clone().unwrap_or_default();
        let reason = judged.reason.clone().unwrap_or_default();
        return Decision::Blocked { action: forward, rule, reason };
    }
    if !judged.is_of(&Forward::line(&forward.way)) || !judged.manner.fits(leave.grant) {
        return asks(forward, UNJUDGED);
    }
    if let Some(rule) = denied.of(judged) {
        return Decision::Barred { rule: rule.to_owned() };
    }
    match leave.grant.mode {
        Mode::Each => asks(forward, EACH),
        Mode::Read => asks(forward, READ_ONLY),
        Mode::Guarded if judged.decision == guard::Decision::Allow => {
            Decision::Allowed(Allowed(forward))
        }
        Mode::Guarded => match kept.pass(judged) {
            Some(passed_by) => {
                forward.passed_by = passed_by;
                Decision::Allowed(Allowed(forward))
            }
            None => {
                let rule = judged.rule.clone().unwrap_or_else(|| UNJUDGED.to_owned());
                Decision::Ask { action: forward, rule }
            }
        },
    }
}

/// A yes for this very forward, used up here, as [`super::authorize_approved_exec`].
pub fn authorize_approved_forward(
    request: &mut Request,
    leave: Leave<'_>,
    policy: &Digest,
    now: Timestamp,
) -> Result<Allowed<Forward>, NotApproved> {
    let Action::Forward(forward) = request.action.clone() else {
        return Err(NotApproved::OtherKind);
    };
    may(Capability::Forward, &request.identity, leave, now).map_err(NotApproved::Denied)?;
    if forward.judged.policy != *policy {
        return Err(NotApproved::Policy);
    }
    request.spend(now).map_err(NotApproved::Request)?;
    Ok(Allowed(*forward))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        authorize::Denied,
        capability::Capabilities,
        digest::Digester,
        grant::{Grant, Opaque},
        guard::{Context, Policy, forward::Way},
        id::{Id, Kind},
        judgement::{Judgement, Manner},
        kept::Pass,
    };

    fn grant(mode: Mode, capability: Capability) -> Grant {
        Grant {
            capabilities: Capabilities::from([capability]),
            mode,
            expires_at: Timestamp::from_second(100).unwrap(),
            max_commands: None,
            used_commands: 0,
            opaque: Opaque::Ask,
        }
    }

    fn forward(way: &str, grant: &Grant) -> Forward {
        let own = "version = 1\n[[forward]]\nid = \"db\"\ndecision = \"allow\"\nhost = [\"db\"]\n";
        let policy = Policy::built_in().over(own).unwrap();
        let way = Way::read(way).unwrap();
        let verdict = guard::forward::judge(&way, &Context::default(), Mode::Guarded, &policy);
        let policy = Digester::new("policy").finish();
        let judged =
            Judgement::of_forward(&Forward::line(&way), Manner::of(grant), verdict, policy);
        let session = Id::from_number(Kind::Session, 1);
        Forward { session, way, judged, passed_by: Vec::new() }
    }

    fn decides(grant: &Grant, forward: Forward, kept: &mut Kept) -> Decision<Forward> {
        let owner = Identity { uid: 1, token: None };
        let leave = Leave { owner: &owner, grant, under: None };
        let denied = DeniedRules::default();
        authorize_forward(&owner, leave, forward, kept, &denied, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn it_takes_the_capability_and_an_allowed_end() {
        let mut kept = Kept::default();
        let exec = grant(Mode::Guarded, Capability::Exec);
        let denied = decides(&exec, forward("local db:1", &exec), &mut kept);
        let missing = Denied::Capability(Capability::Forward);
        assert!(matches!(denied, Decision::Denied(what) if what == missing));
        let given = grant(Mode::Guarded, Capability::Forward);
        let judged = |way: &str| decides(&given, forward(way, &given), &mut Kept::default());
        assert!(matches!(judged("local db:1"), Decision::Allowed(_)));
        assert!(
            matches!(judged("local other:1"), Decision::Ask { rule, .. } if rule == guard::forward::UNMATCHED)
        );
        assert!(matches!(judged("local 169.254.169.254:80"), Decision::Blocked { .. }));
    }

    #[test]
    fn every_mode_but_guarded_asks_each_time() {
        for mode in [Mode::Each, Mode::Read] {
            let given = grant(mode, Capability::Forward);
            let asked = decides(&given, forward("local db:1", &given), &mut Kept::default());
            assert!(matches!(asked, Decision::Ask { .. }));
            let other = forward("local other:1", &given);
            assert!(other.judged.part().is_none() || mode == Mode::Each);
        }
    }

    #[test]
    fn a_yes_that_is_kept_is_for_this_end_alone() {
        let given = grant(Mode::Guarded, Capability::Forward);
        let mut kept = Kept::default();
        let asked = forward("local other:1", &given);
        let part = asked.judged.part().cloned().unwrap();
        let request = Id::from_number(Kind::Request, 1);
        assert!(kept.keep(Pass { part, left: None, request, with_input: false }));
        for (way, passes) in [
            ("local other:1", true),
            ("local OTHER.:1", true),
            ("local other:2", false),
            ("remote other:1", false),
            ("local another:1", false),
        ] {
            let decision = decides(&given, forward(way, &given), &mut kept);
            assert_eq!(matches!(decision, Decision::Allowed(_)), passes, "{way}");
        }
    }

    #[test]
    fn a_verdict_on_another_end_lets_nothing_pass() {
        let given = grant(Mode::Guarded, Capability::Forward);
        let mut other = forward("local db:1", &given);
        other.way = Way::read("local other:1").unwrap();
        let asked = decides(&given, other, &mut Kept::default());
        assert!(matches!(asked, Decision::Ask { rule, .. } if rule == UNJUDGED));
    }

    #[test]
    fn every_field_of_a_forward_is_bound() {
        let (me, id) = (Identity { uid: 1, token: None }, Id::from_number(Kind::Request, 7));
        let given = grant(Mode::Guarded, Capability::Forward);
        let digest =
            |forward: &Forward, place: &str| forward.digest(&me, &id, Timestamp::UNIX_EPOCH, place);
        let whole = forward("local db:1", &given);
        assert_ne!(digest(&whole, "web1"), digest(&whole, "web2"));
        for way in ["local db:2", "remote db:1", "local other:1"] {
            let other = Forward { way: Way::read(way).unwrap(), ..whole.clone() };
            assert_ne!(digest(&other, "web1"), digest(&whole, "web1"), "{way}");
            assert_ne!(other.sameness(&me), whole.sameness(&me), "{way}");
        }
        let session = Id::from_number(Kind::Session, 9);
        assert_ne!(digest(&Forward { session, ..whole.clone() }, "web1"), digest(&whole, "web1"));
    }
}
