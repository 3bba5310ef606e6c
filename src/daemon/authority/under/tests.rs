//! A budget is spent once, whoever asks at once, and no restart gives any of it back.

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::{
    domain::{
        capability::{Capabilities, Capability},
        grant::{
            Mode,
            standing::{Approval, Budget, Holder},
        },
        id::{Id, Kind},
        seal::{Cost, DataKey, Header, HeaderSeed},
        secret::Secret,
    },
    home::{Home, random},
};

struct Place {
    _outer: TempDir,
    home: Arc<Home>,
    key: DataKey,
}

impl Place {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::open_or_create(&outer.path().join("home")).unwrap());
        let seed = HeaderSeed {
            data_key: random().unwrap(),
            salt: random().unwrap(),
            nonce: random().unwrap(),
        };
        let cheap = Cost { m_kib: 64, t: 1, p: 1 };
        let (header, key) = Header::create(&Secret::new("x".into()), cheap, seed).unwrap();
        home.create_vault(&header, &key, random().unwrap(), None).unwrap();
        Self { _outer: outer, home, key }
    }

    /// As after a restart.
    fn under(&self, budget: Budget) -> (Arc<Vault>, Under) {
        let vault = Arc::new(Vault::open(self.home.clone(), &self.key).unwrap());
        let standing = standing(budget);
        let used = vault.get::<Usage>(standing.id.as_str()).map(|stored| stored.record.used);
        let keeper = Some(vault.clone());
        (vault, Under::new(standing, used.unwrap_or_default(), keeper, Arc::default()))
    }
}

fn standing(budget: Budget) -> Standing {
    Standing {
        id: Id::from_number(Kind::Grant, 1),
        holder: Holder::Uid(7),
        target: "web1".parse().unwrap(),
        capabilities: Capabilities::from([Capability::Exec]),
        mode: Mode::Guarded,
        opaque: crate::domain::grant::Opaque::Ask,
        approval: Approval::Standing,
        budget,
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    }
}

fn commands(most: u64) -> Budget {
    Budget { max_commands: Some(most), max_bytes: None }
}

/// Writing to the vault gives up the thread, which only such a runtime has others for.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap()
}

#[test]
fn of_many_at_once_no_more_pass_than_the_budget_has() {
    let under = Arc::new(Under::new(standing(commands(10)), Used::default(), None, Arc::default()));
    let passed: usize = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..8).filter(|_| under.take_command().is_ok()).count()))
            .collect();
        all.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 10);
    under.give_back_command();
    assert!(under.take_command().is_ok() && under.take_command().is_err());
}

#[test]
fn a_crash_gives_nothing_of_a_budget_back() {
    let place = Place::new();
    runtime().block_on(async {
        tokio::spawn(async move {
            let (_, under) = place.under(commands(3));
            under.take_command().unwrap();
            under.take_command().unwrap();
            drop(under);
            let (_, under) = place.under(commands(3));
            assert_eq!(under.live().used.commands, 2);
            under.take_command().unwrap();
            let error = under.take_command().unwrap_err();
            assert_eq!(error.code, Code::GrantExhausted);
            drop(under);
            assert!(place.under(commands(3)).1.take_command().is_err());
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_crash_costs_a_large_budget_one_part_at_most_and_a_clean_end_nothing() {
    let place = Place::new();
    runtime().block_on(async {
        tokio::spawn(async move {
            let most = 6_400;
            let (vault, under) = place.under(commands(most));
            let before = vault.revision();
            (0..150).for_each(|_| under.take_command().unwrap());
            assert!(vault.revision() - before <= 3, "{}", vault.revision() - before);
            drop((vault, under));
            let (vault, under) = place.under(commands(most));
            let lost = under.live().used.commands - 150;
            assert!(lost <= most / PARTS, "{lost}");
            under.take_command().unwrap();
            let used = under.live().used;
            let usage = under.to_settle().unwrap();
            vault.change(|change| put(change, usage)).unwrap();
            drop((vault, under));
            assert_eq!(place.under(commands(most)).1.live().used, used);
        })
        .await
        .unwrap();
    });
}

#[test]
fn of_many_at_once_no_more_bytes_pass_than_the_budget_has() {
    let budget = Budget { max_commands: None, max_bytes: Some(1_000) };
    let under = Arc::new(Under::new(standing(budget), Used::default(), None, Arc::default()));
    let passed: usize = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..100).map(|_| under.take_bytes(7)).sum::<usize>()))
            .collect();
        all.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 1_000);
}

#[test]
fn what_goes_whole_or_not_at_all_takes_nothing_where_it_does_not_fit() {
    let budget = Budget { max_commands: None, max_bytes: Some(100) };
    let under = Under::new(standing(budget), Used::default(), None, Arc::default());
    let error = under.take_all_bytes(101).unwrap_err();
    assert_eq!(error.code, Code::GrantExhausted);
    under.take_all_bytes(100).unwrap();
    under.give_back_bytes(40);
    assert_eq!(under.take_bytes(1_000), 40);
}

#[test]
fn the_last_byte_ends_what_runs_and_the_last_command_does_not() {
    let budget = Budget { max_commands: Some(1), max_bytes: Some(100) };
    let under = Under::new(standing(budget), Used::default(), None, Arc::default());
    let now = Timestamp::UNIX_EPOCH;
    under.take_command().unwrap();
    assert_eq!(under.take_bytes(99), 99);
    assert_eq!(under.over(now), None);
    assert!(under.take_command().is_err());
    assert_eq!(under.take_bytes(usize::MAX), 1);
    assert_eq!(under.over(now).unwrap().code, Code::GrantExhausted);
    under.remove();
    assert_eq!(under.over(now).unwrap().code, Code::GrantMissing);
    assert_eq!(under.take_command().unwrap_err().code, Code::GrantMissing);
}
