//! A record comes back as it was, in its place only; any change is named.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::seal::DataKey;

fn keys() -> Keys {
    Keys::derive(&DataKey::new([5; 32]))
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn record(kind: Kind, exec: &str) -> Record {
    let Value::Object(action) = json!({"command": "cat /etc/shadow", "marker": "m"}) else {
        unreachable!()
    };
    Record {
        target: Some("web1".into()),
        session: Some(id("s-4fk")),
        exec: Some(id(exec)),
        outcome: Some("done".into()),
        action,
        ..Record::new(kind, "uid:1000")
    }
}

/// `count` lines as they stand in the file, and where the chain then ends.
fn lines(count: u64) -> (Vec<Vec<u8>>, Tip) {
    let mut tip = Tip::default();
    let mut lines = Vec::new();
    for seq in 1..=count {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let (line, next) =
            write(&keys(), &tip.hash, seq, at, [9; 24], &record(Kind::ExecIntent, "x-abc"))
                .unwrap();
        lines.push(line);
        tip = next;
    }
    (lines, tip)
}

fn walk(lines: &[Vec<u8>]) -> Walk {
    let mut walk = Walk::default();
    for line in lines {
        let _ = walk.step(&keys(), line.strip_suffix(b"\n").unwrap_or(line));
    }
    walk
}

#[test]
fn a_record_comes_back_as_it_was() {
    let (lines, tip) = lines(1);
    let line = lines[0].strip_suffix(b"\n").unwrap();
    let text = std::str::from_utf8(line).unwrap();
    for hidden in ["shadow", "web1", "1000", "marker"] {
        assert!(!text.contains(hidden), "{text}");
    }
    for shown in ["\"seq\":1", "exec.intent", "s-4fk", "x-abc", "\"outcome\":\"done\""] {
        assert!(text.contains(shown), "{text}");
    }
    let opened = Walk::default().step(&keys(), line).unwrap().open(&keys()).unwrap();
    assert_eq!(
        serde_json::to_value(&opened).unwrap(),
        json!({
            "seq": 1, "at": "2023-11-14T22:13:20Z", "kind": "exec.intent", "identity": "uid:1000",
            "target": "web1", "session": "s-4fk", "request": null, "exec": "x-abc",
            "outcome": "done", "action": {"command": "cat /etc/shadow", "marker": "m"},
            "decision": null, "result": null, "hash": tip.hash.to_string(),
        })
    );
}

#[test]
fn a_whole_chain_holds_and_ends_where_it_was_written_to_end() {
    let (lines, tip) = lines(5);
    let walk = walk(&lines);
    assert_eq!((walk.first_bad(), walk.tip(), walk.noted()), (None, tip, true));
}

#[test]
fn what_was_dropped_swapped_or_repeated_is_named_and_the_rest_is_told_apart() {
    let (whole, tip) = lines(5);
    let named = |lines: &[Vec<u8>]| {
        let walk = walk(lines);
        (walk.first_bad().map(|bad| bad.seq), walk.tip() == tip)
    };
    let mut dropped = whole.clone();
    dropped.remove(1);
    assert_eq!(named(&dropped), (Some(2), true));
    let mut swapped = whole.clone();
    swapped.swap(1, 2);
    assert_eq!(named(&swapped).0, Some(2));
    let mut repeated = whole.clone();
    repeated.insert(3, whole[2].clone());
    assert_eq!(named(&repeated).0, Some(4));
    let mut headless = whole.clone();
    headless.remove(0);
    assert_eq!(named(&headless), (Some(1), true));
    assert_eq!(named(&whole[..4]), (None, false));
}

#[test]
fn a_broken_chain_goes_on_after_a_note_and_stays_broken() {
    let (mut lines, _) = lines(3);
    lines[1] = b"garbage\n".to_vec();
    let before = walk(&lines);
    assert!(!before.noted());
    let note = Record::new(Kind::ChainBroken, "sgw");
    let at = Timestamp::UNIX_EPOCH;
    let (line, tip) = write(&keys(), &before.tip().hash, 9, at, [1; 24], &note).unwrap();
    lines.push(line);
    let (line, tip) =
        write(&keys(), &tip.hash, 10, at, [2; 24], &record(Kind::ExecIntent, "x-abd")).unwrap();
    lines.push(line);
    let after = walk(&lines);
    assert_eq!(after.first_bad(), Some(Bad { seq: 2, why: Why::Form }));
    assert_eq!((after.noted(), after.tip()), (true, tip));
}

#[test]
fn a_noted_cut_is_a_break_though_every_hash_holds() {
    let (mut lines, _) = lines(5);
    lines.truncate(2);
    let note = Record::new(Kind::ChainBroken, "sgw");
    let cut = walk(&lines);
    let (line, _) =
        write(&keys(), &cut.tip().hash, 6, Timestamp::UNIX_EPOCH, [1; 24], &note).unwrap();
    lines.push(line);
    assert_eq!(walk(&lines).first_bad(), Some(Bad { seq: 3, why: Why::Noted }));
}

#[test]
fn another_home_s_keys_open_nothing() {
    let (lines, _) = lines(1);
    let other = Keys::derive(&DataKey::new([6; 32]));
    let line = lines[0].strip_suffix(b"\n").unwrap();
    let bad = Walk::default().step(&other, line).err();
    assert_eq!(bad, Some(Bad { seq: 1, why: Why::Hash }));
}

#[test]
fn a_record_over_the_cap_is_refused() {
    let mut large = record(Kind::ExecIntent, "x-abc");
    large.action.insert("command".into(), "x".repeat(MAX_LINE_BYTES).into());
    let result = write(&keys(), &Hash::default(), 1, Timestamp::UNIX_EPOCH, [1; 24], &large);
    assert_eq!(result.unwrap_err(), TooLarge);
}

#[test]
fn authority_is_durable_and_work_is_not() {
    assert!(Record::new(Kind::AccessApproved, "operator").durable);
    assert!(!Record::new(Kind::ExecIntent, "uid:1000").durable);
}

proptest! {
    #[test]
    fn any_byte_changed_names_its_record(
        which in 0usize..4, place: prop::sample::Index, flip in 1u8..,
    ) {
        let (mut lines, _) = lines(4);
        let line = &mut lines[which];
        let place = place.index(line.len() - 1);
        line[place] ^= flip;
        let walk = walk(&lines);
        let bad = walk.first_bad().unwrap();
        prop_assert_eq!(bad.seq, which as u64 + 1);
    }

    #[test]
    fn any_line_at_all_is_only_bad(line: Vec<u8>) {
        let mut walk = Walk::default();
        prop_assert!(walk.step(&keys(), &line).is_err());
        prop_assert_eq!(walk.tip().seq, 1);
    }
}
