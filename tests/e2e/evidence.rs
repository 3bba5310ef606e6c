//! The record of what was done, on whose word: written first, chained, and not to be bent.

use std::{fs, path::PathBuf};

use serde_json::Value;
use sgw::demo::server::Oddness;

use crate::support::{OddServer, Running, Sgw, SmallDisk, Sshd, eventually};

fn ready() -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

fn records(sgw: &Sgw) -> Vec<Value> {
    sgw.operator(["audit", "list", "--json"]).ok().json_lines()
}

#[test]
fn every_step_is_on_record_oldest_first_and_the_chain_holds() {
    let (sgw, _sshd, s) = ready();
    sgw.agent(["exec", &s, "--", "echo", "hello"]).ok();
    sgw.agent(["exec", &s, "--", "exit 3"]).exits(3);
    sgw.agent(["close", &s]).ok();
    let records = records(&sgw);
    for (place, record) in records.iter().enumerate() {
        for field in ["seq", "at", "kind", "identity", "action", "hash"] {
            assert!(!record[field].is_null(), "no {field} in {record}");
        }
        let before = place.checked_sub(1).map(|before| &records[before]["seq"]);
        if let Some(before) = before {
            assert_eq!(record["seq"].as_u64().unwrap(), before.as_u64().unwrap() + 1);
        }
    }
    let text = records.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    assert!(text.contains("hello") && text.contains("exit 3"), "the commands are missing\n{text}");
    // Each command has its intent and its result.
    let about = |word: &str| records.iter().filter(|r| r.to_string().contains(word)).count();
    assert!(about("\"x-") >= 4, "intents and results are missing\n{text}");
    assert!(records.iter().any(|record| record["decision"].is_object()), "{text}");
    let results = records.iter().filter(|record| record["result"].is_object());
    assert!(results.count() >= 2, "{text}");
    let last = sgw.operator(["audit", "list", "--json", "--last", "2"]).ok().json_lines();
    assert_eq!(last, records[records.len() - 2..]);
    sgw.operator(["audit", "verify"]).ok();
}

#[test]
fn a_no_is_on_record_too() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let request = sgw.requests(&sshd, &[]);
    sgw.agent(["deny", &request]).ok();
    let text = records(&sgw).iter().map(Value::to_string).collect::<String>();
    assert!(text.contains(&request) && text.contains("denied"), "{text}");
}

#[test]
fn the_record_goes_on_across_daemons() {
    let (sgw, sshd, s) = ready();
    sgw.agent(["exec", &s, "--", "echo", "first-life"]).ok();
    sgw.lock();
    sgw.unlock();
    let s = sgw.session(&sshd);
    sgw.agent(["exec", &s, "--", "echo", "second-life"]).ok();
    let text = records(&sgw).iter().map(Value::to_string).collect::<String>();
    assert!(text.contains("first-life") && text.contains("second-life"));
    sgw.operator(["audit", "verify"]).ok();
}

#[test]
fn reading_the_record_takes_proof_and_its_text_is_sealed_on_disk() {
    let (sgw, _sshd, s) = ready();
    sgw.agent(["exec", &s, "--", "echo", "a-word-only-the-record-knows"]).ok();
    sgw.agent(["audit", "list"]).fails(77, "operator.proof");
    sgw.agent(["audit", "verify"]).fails(77, "operator.proof");
    for file in sgw.files() {
        let bytes = fs::read(&file).unwrap();
        let found = bytes.windows(28).any(|window| window == b"a-word-only-the-record-knows");
        assert!(!found, "{} holds the words of a command", file.display());
    }
}

/// The files of the record, as they lie on disk.
fn audit_files(sgw: &Sgw) -> Vec<PathBuf> {
    let mut files = sgw.files();
    files.retain(|file| file.to_string_lossy().contains("audit"));
    files.sort();
    assert!(!files.is_empty(), "no audit file in {:?}", sgw.files());
    files
}

/// The largest: the one with the records.
fn audit_file(sgw: &Sgw) -> PathBuf {
    let size = |file: &PathBuf| fs::metadata(file).unwrap().len();
    audit_files(sgw).into_iter().max_by_key(size).unwrap()
}

#[test]
fn a_flipped_byte_anywhere_is_found_and_the_record_named() {
    let (sgw, _sshd, s) = ready();
    for _ in 0..4 {
        sgw.agent(["exec", &s, "--", "true"]).ok();
    }
    sgw.lock();
    let file = audit_file(&sgw);
    // With the vault, which remembers how far the record went.
    let whole: Vec<_> =
        sgw.files().into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect();
    let put_back = || whole.iter().for_each(|(clean, file)| fs::write(file, clean).unwrap());
    for part in [2, 5, 8] {
        put_back();
        let mut bent = fs::read(&file).unwrap();
        let place = bent.len() * part / 10;
        let seq = 1 + bent[..place].iter().filter(|byte| **byte == b'\n').count();
        bent[place] ^= 0x01;
        fs::write(&file, &bent).unwrap();
        let unlocked = sgw.operator(["unlock"]);
        if unlocked.code() != 0 {
            // Refusing to start on a bent record is as good, if it says so.
            unlocked.fails_as(1, &["evidence.failed", "vault.damaged"]);
            continue;
        }
        let outcome = sgw.operator(["audit", "verify"]);
        let outcome = outcome.exits(1);
        let said = outcome.stdout() + &outcome.stderr();
        assert!(said.contains(&format!("record {seq}:")), "not record {seq}: {outcome:?}");
        sgw.daemon();
        sgw.lock();
    }
    put_back();
    sgw.unlock();
    sgw.operator(["audit", "verify"]).ok();
}

#[test]
fn a_cut_tail_shows() {
    let (sgw, _sshd, s) = ready();
    sgw.agent(["exec", &s, "--", "true"]).ok();
    sgw.lock();
    let file = audit_file(&sgw);
    let clean = fs::read(&file).unwrap();
    for cut in [clean.len() / 2, clean.len() - 10] {
        fs::write(&file, &clean[..cut]).unwrap();
        let unlocked = sgw.operator(["unlock"]);
        if unlocked.code() == 0 {
            let verified = sgw.operator(["audit", "verify"]);
            sgw.daemon();
            let told = verified.code() == 1 || unlocked.stderr().contains("audit");
            assert!(told, "{unlocked:?}\n{verified:?}");
            sgw.lock();
        }
    }
    fs::remove_file(&file).unwrap();
    let unlocked = sgw.operator(["unlock"]);
    if unlocked.code() == 0 {
        sgw.daemon();
        let verified = sgw.operator(["audit", "verify"]);
        assert!(verified.code() == 1 || unlocked.stderr().contains("audit"), "{verified:?}");
    }
}

#[test]
fn what_cannot_be_recorded_does_not_run() {
    let Some((sgw, disk)) = SmallDisk::with_sgw() else { return };
    let sshd = Sshd::start();
    let s = sgw.session(&sshd);
    sgw.agent(["exec", &s, "--", "true"]).ok();
    let ballast = disk.fill();
    let proof = sshd.directory().join("ran");
    let line = format!("touch {}", proof.display());
    let mut refused = 0;
    // The record may have some room left in the block that it writes to.
    for _ in 0..200 {
        let outcome = sgw.agent(["exec", &s, "--", &line]);
        if outcome.code() == 0 {
            fs::remove_file(&proof).unwrap();
            continue;
        }
        outcome.fails(125, "evidence.failed");
        assert!(!proof.exists(), "it ran without a record");
        refused += 1;
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3);
    // With room again it works again, and the record is whole.
    fs::remove_file(ballast).unwrap();
    sgw.agent(["exec", &s, "--", &line]).ok();
    assert!(proof.exists());
    sgw.operator(["audit", "verify"]).ok();
    sgw.lock();
}

#[test]
fn an_approval_that_was_broken_off_is_on_record() {
    let sgw = Sgw::unlocked();
    let server = OddServer::start(Oddness::HangsAfterAccept);
    let request = sgw.requests(&server, &[]);
    let approval = Running::start(&mut sgw.approval(&request, &server));
    eventually("the approval connects", || server.seen().connections() > 0);
    approval.signal(rustix::process::Signal::KILL);
    drop(approval.ends());
    eventually("what became of the yes is recorded", || {
        let all = records(&sgw);
        let of = |kind: &str| {
            all.iter().any(|one| one["kind"] == kind && one["request"] == request.as_str())
        };
        of("access.approved") && of("access.failed")
    });
    let waiting = sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(waiting["requests"][0]["id"], request.as_str());
}
