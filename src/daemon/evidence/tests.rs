//! The audit against crashes, cuts, full disks, and hands that are not the daemon's.

mod full;

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    domain::{id::Id, record::Kind, seal::DataKey},
    home::AUDIT,
};

struct Place {
    _outer: TempDir,
    home: Arc<Home>,
}

impl Place {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let home = Arc::new(Home::open_or_create(&outer.path().join("home")).unwrap());
        Self { _outer: outer, home }
    }

    fn open(&self, anchor: Tip) -> (Evidence, Found) {
        Evidence::open(self.home.clone(), Keys::derive(&DataKey::new([5; 32])), anchor).unwrap()
    }

    /// An audit with `count` records, closed again; and its end.
    async fn with_records(count: u64) -> (Self, Tip) {
        let place = Self::new();
        let (evidence, found) = place.open(Tip::default());
        assert_eq!(
            (found.state, found.tip, found.torn_bytes),
            (AuditState::Whole, Tip::default(), 0)
        );
        for number in 1..=count {
            assert_eq!(evidence.append(intent("x-abc")).await, Ok(number));
        }
        let tip = evidence.sync().await.unwrap();
        (place, tip)
    }

    fn content(&self) -> Vec<u8> {
        fs::read(self.home.path_of(AUDIT)).unwrap()
    }

    fn put(&self, content: &[u8]) {
        fs::write(self.home.path_of(AUDIT), content).unwrap();
    }

    /// Lines with their newlines.
    fn lines(&self) -> Vec<Vec<u8>> {
        self.content().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn record(kind: Kind, exec: &str) -> Record {
    let mut record = Record::new(kind, "uid:1000");
    record.exec = Some(id(exec));
    record.session = Some(id("s-4fk"));
    record.action.insert("command".into(), "cat canary".into());
    record
}

fn intent(exec: &str) -> Record {
    record(Kind::ExecIntent, exec)
}

fn kinds(evidence: &Evidence) -> Vec<String> {
    evidence
        .list(Filter::default())
        .map(|record| record.map_or_else(|bad| bad.to_string(), |record| record.kind))
        .collect()
}

fn last_kind(evidence: &Evidence) -> String {
    kinds(evidence).pop().unwrap()
}

#[tokio::test]
async fn records_come_back_in_order_after_a_restart() {
    let (place, tip) = Place::with_records(3).await;
    let (evidence, found) = place.open(tip);
    assert_eq!((found.state, found.tip), (AuditState::Whole, tip));
    let mut approved = Record::new(Kind::AccessApproved, "operator");
    approved.request = Some(id("r-7k3"));
    assert_eq!(evidence.append(approved).await, Ok(4));
    let all: Vec<_> = evidence.list(Filter::default()).map(Result::unwrap).collect();
    assert_eq!(all.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(all[0].action["command"], "cat canary");
    assert_eq!(all[3].hash, evidence.tip().hash);
    let verified = evidence.verify(tip).unwrap();
    assert_eq!(verified, Verified { state: AuditState::Whole, records: 4, tip: evidence.tip() });
    assert!(!String::from_utf8(place.content()).unwrap().contains("canary"));
}

#[tokio::test]
async fn a_list_is_filtered() {
    let (place, _) = Place::with_records(2).await;
    let (evidence, _) = place.open(Tip::default());
    evidence.append(record(Kind::ExecResult, "x-abd")).await.unwrap();
    let seqs =
        |filter| -> Vec<u64> { evidence.list(filter).map(|record| record.unwrap().seq).collect() };
    assert_eq!(seqs(Filter { after: 1, ..Filter::default() }), [2, 3]);
    assert_eq!(seqs(Filter { exec: Some(id("x-abc")), ..Filter::default() }), [1, 2]);
    assert_eq!(seqs(Filter { kinds: vec!["exec.result"], ..Filter::default() }), [3]);
    let all: Vec<_> = evidence.list(Filter::default()).map(Result::unwrap).collect();
    let (begin, later) = (all[0].at, all[2].at + jiff::SignedDuration::from_secs(1));
    assert_eq!(seqs(Filter { since: Some(begin), ..Filter::default() }), [1, 2, 3]);
    assert!(seqs(Filter { since: Some(later), ..Filter::default() }).is_empty());
    assert!(seqs(Filter { session: Some(id("s-abc")), ..Filter::default() }).is_empty());
    assert!(seqs(Filter { request: Some(id("r-abc")), ..Filter::default() }).is_empty());
}

#[tokio::test]
async fn many_at_once_are_each_written_once() {
    let place = Place::new();
    let (evidence, _) = place.open(Tip::default());
    let evidence = Arc::new(evidence);
    let asking: Vec<_> = (0..1_000)
        .map(|number| {
            let evidence = evidence.clone();
            let kind = if number % 50 == 0 { Kind::HostkeyPinned } else { Kind::ExecIntent };
            tokio::spawn(async move { evidence.append(record(kind, "x-abc")).await.unwrap() })
        })
        .collect();
    let mut seqs = Vec::new();
    for one in asking {
        seqs.push(one.await.unwrap());
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=1_000).collect::<Vec<_>>());
    let verified = evidence.verify(Tip::default()).unwrap();
    assert_eq!((verified.state, verified.records), (AuditState::Whole, 1_000));
}

#[tokio::test]
async fn a_torn_end_is_cut_and_told() {
    let (place, tip) = Place::with_records(3).await;
    let whole = place.content();
    place.put(&whole[..whole.len() - 10]);
    // The anchor is older than the last record, as after a crash.
    let (evidence, found) = place.open(Tip::default());
    assert_eq!(found.state, AuditState::Whole);
    assert!(found.torn_bytes > 100);
    assert_eq!(last_kind(&evidence), "chain.torn");
    assert_eq!(evidence.append(intent("x-abd")).await, Ok(4));
    assert_eq!(evidence.verify(Tip::default()).unwrap().state, AuditState::Whole);
    drop(evidence);
    // With an anchor on the record that is gone it shows.
    let (_, found) = place.open(tip);
    assert_eq!(found.state, AuditState::Broken(Bad { seq: 3, why: Why::Anchor }));
}

#[tokio::test]
async fn a_cut_audit_is_behind_its_anchor_and_stays_marked() {
    let (place, tip) = Place::with_records(5).await;
    place.put(&place.lines()[..2].concat());
    let (evidence, found) = place.open(tip);
    assert_eq!(found.state, AuditState::Behind { last: 2, anchor: 5 });
    assert_eq!(last_kind(&evidence), "chain.broken");
    assert_eq!(evidence.append(intent("x-abd")).await, Ok(7), "numbers are not given twice");
    let broken = AuditState::Broken(Bad { seq: 3, why: Why::Noted });
    assert_eq!(evidence.verify(tip).unwrap().state, broken);
    let new_tip = evidence.sync().await.unwrap();
    drop(evidence);
    // Noted once: neither the old anchor nor the new one makes a second note.
    for anchor in [tip, new_tip] {
        let (evidence, found) = place.open(anchor);
        assert_eq!((found.state, found.tip), (broken, new_tip));
        assert_eq!(kinds(&evidence).len(), 4);
    }
}

#[tokio::test]
async fn a_removed_audit_is_behind_its_anchor() {
    let (place, tip) = Place::with_records(2).await;
    fs::remove_file(place.home.path_of(AUDIT)).unwrap();
    let (evidence, found) = place.open(tip);
    assert_eq!(found.state, AuditState::Behind { last: 0, anchor: 2 });
    assert_eq!(evidence.tip().seq, 3);
}

#[tokio::test]
async fn another_audit_with_as_many_records_is_not_this_one() {
    let (place, _) = Place::with_records(3).await;
    let (_, other_tip) = Place::with_records(3).await;
    let (_, found) = place.open(other_tip);
    assert_eq!(found.state, AuditState::Broken(Bad { seq: 3, why: Why::Anchor }));
}

#[tokio::test]
async fn a_changed_record_is_named_and_the_audit_goes_on() {
    let (place, tip) = Place::with_records(4).await;
    let mut lines = place.lines();
    lines[1] = vec![b'x'; 3 * 1024 * 1024];
    lines[1].push(b'\n');
    place.put(&lines.concat());
    let (evidence, found) = place.open(tip);
    let broken = AuditState::Broken(Bad { seq: 2, why: Why::Form });
    assert_eq!(found.state, broken);
    assert_eq!(evidence.append(intent("x-abd")).await, Ok(6));
    assert_eq!(evidence.verify(tip).unwrap().state, broken);
    let listed = kinds(&evidence);
    assert_eq!(listed[0], "exec.intent");
    assert_eq!(listed[1], "record 2: it is not a record");
    assert_eq!(listed[4..], ["chain.broken", "exec.intent"]);
    let tip = evidence.sync().await.unwrap();
    drop(evidence);
    let (evidence, found) = place.open(tip);
    assert_eq!((found.state, kinds(&evidence).len()), (broken, 6));
}

#[tokio::test]
async fn what_was_left_running_is_found() {
    let place = Place::new();
    let (evidence, _) = place.open(Tip::default());
    for exec in ["x-aaa", "x-bbb", "x-ccc"] {
        evidence.append(intent(exec)).await.unwrap();
    }
    evidence.append(record(Kind::ExecResult, "x-bbb")).await.unwrap();
    drop(evidence);
    let (evidence, found) = place.open(Tip::default());
    let execs: Vec<_> =
        found.unfinished.iter().map(|record| record.exec.clone().unwrap()).collect();
    assert_eq!(execs, [id("x-aaa"), id("x-ccc")]);
    assert_eq!(found.unfinished[0].action["command"], "cat canary");
    assert_eq!(found.unfinished[1].session, Some(id("s-4fk")));
    for exec in ["x-aaa", "x-ccc"] {
        evidence.append(record(Kind::ExecResult, exec)).await.unwrap();
    }
    drop(evidence);
    assert!(place.open(Tip::default()).1.unfinished.is_empty());
}

#[tokio::test]
async fn the_highest_revision_is_remembered() {
    let (place, _) = Place::with_records(1).await;
    let (evidence, found) = place.open(Tip::default());
    assert_eq!(found.revision, None);
    for revision in [3, 9, 7] {
        let record = Record { revision: Some(revision), ..Record::new(Kind::DaemonStarted, "sgw") };
        evidence.append(record).await.unwrap();
    }
    drop(evidence);
    assert_eq!(place.open(Tip::default()).1.revision, Some(9));
}

#[tokio::test]
async fn a_file_that_is_not_ours_any_more_takes_no_record() {
    let (place, _) = Place::with_records(2).await;
    let path = place.home.path_of(AUDIT);
    let (evidence, _) = place.open(Tip::default());
    let aside = place.home.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    let refused = Err(EvidenceFailed::Replaced);
    assert_eq!(evidence.append(intent("x-abd")).await, refused);
    fs::copy(&aside, &path).unwrap();
    assert_eq!(evidence.append(intent("x-abd")).await, refused);
    fs::rename(&aside, &path).unwrap();
    assert_eq!(evidence.append(intent("x-abd")).await, Ok(3));
    // Appended to, or cut, by someone else.
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"x\n").unwrap();
    assert_eq!(evidence.append(intent("x-abd")).await, refused);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(10).unwrap();
    assert_eq!(evidence.append(intent("x-abd")).await, refused);
}

#[tokio::test]
async fn a_record_that_is_too_large_leaves_no_trace() {
    let (place, _) = Place::with_records(1).await;
    let (evidence, _) = place.open(Tip::default());
    let mut large = intent("x-abd");
    large.action.insert("command".into(), "x".repeat(2 << 20).into());
    let error = evidence.append(large).await.unwrap_err();
    assert!(matches!(error, EvidenceFailed::TooLarge(_)));
    assert_eq!(evidence.append(intent("x-abd")).await, Ok(2));
}

/// Two records in one line make the audit end early, too: what is named is the first of them.
#[tokio::test]
async fn two_records_run_together_are_named_by_the_first() {
    let (place, tip) = Place::with_records(4).await;
    let mut lines = place.lines();
    *lines[2].last_mut().unwrap() = b' ';
    place.put(&lines.concat());
    let (evidence, found) = place.open(tip);
    let broken = AuditState::Broken(Bad { seq: 3, why: Why::Hash });
    assert_eq!(found.state, broken);
    assert_eq!(evidence.append(intent("x-abd")).await, Ok(6), "numbers are not given twice");
    assert_eq!(evidence.verify(tip).unwrap().state.first_bad().unwrap().seq, 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_byte_changed_is_named(place: prop::sample::Index, flip in 1u8..) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (audit, tip) = Place::with_records(4).await;
            let mut content = audit.content();
            let place = place.index(content.len());
            content[place] ^= flip;
            let which = content_line(&audit.content(), place);
            audit.put(&content);
            let (_, found) = audit.open(tip);
            let bad = found.state.first_bad().unwrap();
            assert_eq!(bad.seq, which);
        });
    }
}

/// The number of the record that a byte belongs to.
fn content_line(content: &[u8], place: usize) -> u64 {
    content[..place].iter().filter(|byte| **byte == b'\n').count() as u64 + 1
}
