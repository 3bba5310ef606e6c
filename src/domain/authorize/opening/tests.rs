//! A session never has more than one grant gives, whatever grants there are and whatever is wanted.

use proptest::prelude::*;

use super::*;
use crate::domain::{
    grant::standing::{Budget, Holder},
    id::{Id, Kind},
    identity::Shown,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn shown(number: u64) -> Shown {
    Shown { id: Id::from_number(Kind::Token, number), name: "ci".parse().unwrap() }
}

fn me() -> Identity {
    Identity { uid: 7, token: Some(shown(1)) }
}

fn standing(number: u64) -> Standing {
    Standing {
        id: Id::from_number(Kind::Grant, number),
        holder: Holder::Token { id: shown(1).id, name: shown(1).name },
        target: "web*".parse().unwrap(),
        capabilities: Capabilities::from([Capability::Exec, Capability::Pty]),
        mode: Mode::Guarded,
        opaque: crate::domain::grant::Opaque::Ask,
        approval: Approval::Standing,
        budget: Budget::default(),
        created_at: at(0),
        expires_at: Some(at(1_000)),
    }
}

fn wanted() -> Wanted {
    Wanted {
        target: "web1".parse().unwrap(),
        name: None,
        needs: Capabilities::from([Capability::Exec]),
        only: None,
        mode: None,
        duration_s: None,
        max_commands: None,
        reason: None,
    }
}

fn live(standing: &Standing) -> Live<'_> {
    Live { standing, used: Used::default(), removed: false }
}

fn opened(grants: &[Live<'_>], wanted: Wanted, second: i64) -> Result<Opening, NotOpened> {
    authorize_opening(&me(), wanted, grants.iter().copied(), at(second)).map(Allowed::into_action)
}

fn why_not(change: impl Fn(&mut Standing), used: Used, second: i64) -> Option<NotOpened> {
    let mut one = standing(1);
    change(&mut one);
    opened(&[Live { used, ..live(&one) }], wanted(), second).err()
}

#[test]
fn each_limit_of_a_standing_grant_holds_and_is_told() {
    let none = Used::default();
    assert_eq!(why_not(|_| (), none, 999), None);
    assert_eq!(why_not(|_| (), none, 1_000), Some(NotOpened::Expired));
    assert_eq!(why_not(|s| s.holder = Holder::Uid(8), none, 0), Some(NotOpened::Missing));
    assert_eq!(why_not(|s| s.holder = Holder::Uid(7), none, 0), None);
    assert_eq!(why_not(|s| s.target = "db*".parse().unwrap(), none, 0), Some(NotOpened::Missing));
    assert_eq!(
        why_not(|s| s.approval = Approval::EachSession, none, 0),
        Some(NotOpened::EachSession)
    );
    assert_eq!(
        why_not(|s| _ = s.capabilities.remove(&Capability::Exec), none, 0),
        Some(NotOpened::Capability(Capability::Exec))
    );
    let used = Used { commands: 2, bytes: 0 };
    assert_eq!(why_not(|s| s.budget.max_commands = Some(2), used, 0), Some(NotOpened::Exhausted));
    let one = standing(1);
    let removed = Live { removed: true, ..live(&one) };
    assert_eq!(opened(&[removed], wanted(), 0), Err(NotOpened::Missing));
}

#[test]
fn asking_for_each_command_opens_a_session_in_which_each_is_asked() {
    let one = Standing { approval: Approval::EachCommand, ..standing(1) };
    assert_eq!(opened(&[live(&one)], wanted(), 0).unwrap().mode, Mode::Each);
}

#[test]
fn the_grant_that_asks_least_is_taken_and_the_nearer_reason_told() {
    let each = Standing { approval: Approval::EachCommand, ..standing(1) };
    let guarded = standing(2);
    let both = [live(&each), live(&guarded)];
    assert_eq!(opened(&both, wanted(), 0).unwrap().grant, guarded.id);
    let named = Standing { target: "web1".parse().unwrap(), ..standing(3) };
    let all = [live(&each), live(&guarded), live(&named)];
    assert_eq!(opened(&all, wanted(), 0).unwrap().grant, named.id);
    let over = Standing { expires_at: Some(at(1)), ..standing(4) };
    let other = Standing { target: "db".parse().unwrap(), ..standing(5) };
    assert_eq!(opened(&[live(&over), live(&other)], wanted(), 2), Err(NotOpened::Expired));
}

#[test]
fn what_runs_is_judged_by_the_grant_again() {
    let one = standing(1);
    let judged = |live: Live<'_>, needed, second| live.may(&me(), needed, at(second)).err();
    assert_eq!(judged(live(&one), Capability::Exec, 0), None);
    assert_eq!(
        judged(live(&one), Capability::Sudo, 0),
        Some(Denied::StandingCapability(Capability::Sudo))
    );
    assert_eq!(judged(live(&one), Capability::Exec, 1_000), Some(Denied::StandingExpired));
    let removed = Live { removed: true, ..live(&one) };
    assert_eq!(judged(removed, Capability::Exec, 0), Some(Denied::StandingRemoved));
    let budget = Budget { max_commands: None, max_bytes: Some(10) };
    let spent = Standing { budget, ..standing(1) };
    let spent = Live { used: Used { commands: 0, bytes: 10 }, ..live(&spent) };
    assert_eq!(judged(spent, Capability::Exec, 0), Some(Denied::StandingExhausted));
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    prop::collection::btree_set(prop::sample::select(Capability::ALL.to_vec()), 0..4)
}

fn mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Guarded, Mode::Read, Mode::Each])
}

prop_compose! {
    fn any_standing()(
        number in 0..50u64,
        holder in 0..4u64,
        target in prop::sample::select(vec!["web1", "web*", "*", "db", "w?b1"]),
        capabilities in capabilities(),
        mode in mode(),
        approval in prop::sample::select(
            vec![Approval::EachSession, Approval::EachCommand, Approval::Standing]),
        max_commands in prop::option::of(1..4u64),
        expires in prop::option::of(1..200i64),
        used in 0..4u64,
    ) -> (Standing, Used) {
        let holder = match holder {
            0 => Holder::Uid(7),
            1 => Holder::Uid(8),
            other => Holder::Token { id: shown(other - 1).id, name: shown(1).name },
        };
        let budget = Budget { max_commands, max_bytes: None };
        let standing = Standing {
            holder, target: target.parse().unwrap(), capabilities, mode, approval, budget,
            expires_at: expires.map(at), ..standing(number)
        };
        (standing, Used { commands: used, bytes: 0 })
    }
}

proptest! {
    #[test]
    fn a_session_has_never_more_than_its_one_grant_gives_nor_than_was_wanted(
        grants in prop::collection::vec(any_standing(), 0..6),
        needs in capabilities(),
        only in prop::option::of(capabilities()),
        wanted_mode in prop::option::of(mode()),
        duration in prop::option::of(1..500u64),
        now in 0..200i64,
    ) {
        let wanted = Wanted {
            needs: needs.clone(), only: only.clone(), mode: wanted_mode, duration_s: duration,
            ..wanted()
        };
        let lives: Vec<Live<'_>> = grants
            .iter()
            .map(|(standing, used)| Live { standing, used: *used, removed: false })
            .collect();
        let all = lives.iter().copied();
        if let Ok(opening) = authorize_opening(&me(), wanted, all, at(now)) {
            let opening = opening.into_action();
            let given = |one: &&Live<'_>| {
                let standing = one.standing;
                let no_longer = standing.expires_at.is_none_or(|end| opening.expires_at <= end);
                standing.id == opening.grant
                    && standing.holder.is(&me())
                    && standing.target.matches("web1")
                    && standing.approval != Approval::EachSession
                    && opening.capabilities.is_subset(&standing.capabilities)
                    && needs.is_subset(&standing.capabilities)
                    && opening.mode == opening.mode.at_least(Some(standing.effective_mode()))
                    && standing.budget.is_left(&one.used)
                    && no_longer
            };
            prop_assert!(lives.iter().any(|one| given(&one)));
            prop_assert!(only.is_none_or(|only| opening.capabilities.is_subset(&only)));
            prop_assert!(wanted_mode.is_none_or(|mode| opening.mode.at_least(Some(mode)) == opening.mode));
            prop_assert!(opening.expires_at > at(now));
            let most = duration.map_or(LONGEST, |seconds| SignedDuration::from_secs(seconds as i64));
            prop_assert!(opening.expires_at <= at(now) + most);
        }
    }

    #[test]
    fn further_grants_take_nothing_away(
        grants in prop::collection::vec(any_standing(), 0..5),
        more in any_standing(),
        now in 0..200i64,
    ) {
        let open = |grants: &[(Standing, Used)]| {
            let lives =
                grants.iter().map(|(standing, used)| Live { standing, used: *used, removed: false });
            authorize_opening(&me(), wanted(), lives, at(now)).is_ok()
        };
        let before = open(&grants);
        let mut with = grants;
        with.push(more);
        prop_assert!(!before || open(&with));
    }
}
