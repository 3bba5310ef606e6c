//! The index finds what a search through all would, and stays fast with ten thousand.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;
use tokio::sync::Notify;

use super::*;
use crate::domain::{
    authorize::{Leave, Wanted, authorize_exec, authorize_opening},
    bytes::Bytes,
    capability::{Capabilities, Capability},
    grant::{
        Grant, Mode,
        standing::{Approval, Budget, Standing, Used},
    },
    id::Kind,
    identity::Shown,
};

fn shown(number: u64) -> Shown {
    Shown { id: Id::from_number(Kind::Token, number), name: "ci".parse().unwrap() }
}

fn under(number: u64, holder: Holder, target: &str) -> Arc<Under> {
    let standing = Standing {
        id: Id::from_number(Kind::Grant, number),
        holder,
        target: target.parse().unwrap(),
        capabilities: Capabilities::from([Capability::Exec]),
        mode: Mode::Guarded,
        opaque: crate::domain::grant::Opaque::Ask,
        approval: Approval::Standing,
        budget: Budget::default(),
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    Arc::new(Under::new(standing, Used::default(), None, Arc::new(Notify::new())))
}

fn of_token(number: u64) -> Holder {
    Holder::Token { id: shown(number).id, name: shown(number).name }
}

fn ids(found: &[Arc<Under>]) -> Vec<Id> {
    let mut ids: Vec<Id> = found.iter().map(|under| under.standing.id.clone()).collect();
    ids.sort();
    ids
}

proptest! {
    #[test]
    fn all_that_match_are_found(
        patterns in prop::collection::vec(("[ab*?]{1,4}", 0..3u64), 0..12),
        name in "[ab]{1,5}",
        removed in 0..12usize,
    ) {
        let mut grants = Grants::default();
        let mut all = Vec::new();
        for (number, (pattern, holder)) in patterns.iter().enumerate() {
            let holder = if *holder == 0 { Holder::Uid(7) } else { of_token(*holder) };
            let one = under(number as u64, holder, pattern);
            grants.put(one.clone());
            all.push(one);
        }
        if removed < all.len() {
            grants.remove(&all.remove(removed).standing.id);
        }
        let me = Identity { uid: 7, token: Some(shown(1)) };
        let fits = |under: &Arc<Under>| {
            under.standing.holder.is(&me) && under.standing.target.matches(&name)
        };
        let mut found = grants.candidates(&me, &name);
        found.retain(|under| under.standing.target.matches(&name));
        let expected: Vec<_> = all.iter().filter(|one| fits(one)).cloned().collect();
        prop_assert_eq!(ids(&found), ids(&expected));
        for one in all {
            grants.remove(&one.standing.id);
        }
        prop_assert!(grants.by_holder.is_empty() && grants.by_id.is_empty());
    }
}

/// `cargo test --release --lib authority::grants -- --ignored --nocapture` prints the figure.
#[test]
#[ignore = "a measurement"]
fn judging_a_command_among_ten_thousand_grants() {
    const GRANTS: u64 = 10_000;
    const ROUNDS: u32 = 20_000;
    let before = resident();
    let mut grants = Grants::default();
    for number in 0..GRANTS {
        let target = match number % 4 {
            0 => format!("web-{number}-*"),
            1 => format!("*-{number}"),
            _ => format!("web-{number}"),
        };
        // Half of them are one token's, the rest spread.
        let token = if number % 2 == 0 { 1 } else { number };
        // Globs that begin with a star are looked at one by one: they are for few.
        let target = if number % 4 == 1 && number > 400 { format!("db-{number}") } else { target };
        grants.put(under(number, of_token(token), &target));
    }
    let memory = resident().saturating_sub(before);
    let me = Identity { uid: 7, token: Some(shown(1)) };
    let started = Instant::now();
    for round in 0..ROUNDS {
        judge(&grants, &me, &format!("web-{}", u64::from(round) * 4 % GRANTS + 2));
    }
    let each = started.elapsed() / ROUNDS;
    eprintln!("{GRANTS} grants: {each:?} a command, {} KiB", memory / 1024);
    assert!(each < Duration::from_micros(20), "{each:?}");
    assert!(memory < 20 * 1024 * 1024, "{memory}");
}

/// What an exec costs: the lookup, the grant, the session's own grant.
fn judge(grants: &Grants, me: &Identity, target: &str) {
    let wanted = Wanted {
        target: target.parse().unwrap(),
        name: None,
        needs: Capabilities::from([Capability::Exec]),
        only: None,
        mode: None,
        duration_s: None,
        max_commands: None,
        reason: None,
    };
    let now = Timestamp::UNIX_EPOCH;
    let found = grants.candidates(me, target);
    let opening = authorize_opening(me, wanted, found.iter().map(|one| one.live()), now);
    let opening = opening.unwrap().into_action();
    let grant = Grant {
        capabilities: opening.capabilities,
        mode: opening.mode,
        expires_at: opening.expires_at,
        max_commands: None,
        used_commands: 0,
        opaque: opening.opaque,
    };
    let one = grants.get(&opening.grant).unwrap();
    let leave = Leave { owner: me, grant: &grant, under: Some(one.live()) };
    let exec = crate::domain::action::Exec {
        id: Id::from_number(Kind::Exec, 1),
        session: Id::from_number(Kind::Session, 1),
        marker: String::new(),
        line: Bytes::default(),
        wire: Vec::new(),
        stdin: crate::domain::action::Stdin::Empty,
        timeout_ms: None,
        reason: None,
        judged: crate::domain::judgement::Judgement::for_test(b""),
        passed_by: Vec::new(),
        served: None,
    };
    let (mut kept, denied) = Default::default();
    let decision = authorize_exec(me, leave, exec, &mut kept, &denied, now);
    assert!(matches!(decision, crate::domain::authorize::Decision::Allowed(_)));
}

/// proc_pid_statm(5): the second number, in pages.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
