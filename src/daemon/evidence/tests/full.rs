//! No space left: each test runs itself once more in a child that has a limit or a tiny disk.

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

const CHILD: &str = "SGW_TEST_HOME";

/// Runs one of these tests again, in a process of its own. `wrap` may put a command around it.
fn again(test: &str, home: &std::path::Path, wrap: impl FnOnce(Command) -> Command) -> bool {
    let name = format!("{}::{test}", module_path!().trim_start_matches("sgw::"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &name, "--nocapture"]);
    wrap(command).env(CHILD, home).status().unwrap().success()
}

/// Appends until it fails. Returns how many records there are then.
async fn fill(evidence: &Evidence) -> u64 {
    let mut count = evidence.tip().seq;
    loop {
        match evidence.append(intent("x-abc")).await {
            Ok(seq) => count = seq,
            Err(EvidenceFailed::Write(_)) => return count,
            Err(other) => panic!("{other}"),
        }
    }
}

/// What must hold when no more fits: nothing half written, nothing counted, and it goes on later.
async fn full_and_free_again(home: &std::path::Path, free: impl FnOnce()) {
    let home = Arc::new(Home::open(home).unwrap());
    let (evidence, _) =
        Evidence::open(home.clone(), Keys::derive(&DataKey::new([5; 32])), Tip::default()).unwrap();
    let count = fill(&evidence).await;
    assert!(count > 3);
    let content = fs::read(home.path_of(AUDIT)).unwrap();
    assert!(content.ends_with(b"\n"), "the torn end is cut off");
    assert_eq!(content.iter().filter(|byte| **byte == b'\n').count() as u64, count);
    assert_eq!(evidence.tip().seq, count);
    assert_eq!(evidence.append(intent("x-abc")).await.unwrap_err(), {
        evidence.append(record(Kind::AccessApproved, "x-abc")).await.unwrap_err()
    });
    assert_eq!(evidence.verify(Tip::default()).unwrap().state, AuditState::Whole);
    free();
    assert_eq!(evidence.append(intent("x-abd")).await, Ok(count + 1));
    evidence.sync().await.unwrap();
    let verified = evidence.verify(Tip::default()).unwrap();
    assert_eq!((verified.state, verified.records), (AuditState::Whole, count + 1));
}

#[tokio::test]
async fn a_file_size_limit_fails_the_record_and_not_the_process() {
    let Some(home) = std::env::var_os(CHILD) else {
        let place = Place::new();
        let name = "a_file_size_limit_fails_the_record_and_not_the_process";
        assert!(again(name, place.home.path(), |command| command));
        return;
    };
    let Rlimit { current, maximum } = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(10_000), maximum }).unwrap();
    let free = || setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
    full_and_free_again(home.as_ref(), free).await;
}

#[tokio::test]
async fn a_full_disk_fails_the_record_and_nothing_else() {
    const NAME: &str = "a_full_disk_fails_the_record_and_nothing_else";
    if let Some(home) = std::env::var_os(CHILD) {
        let filler = std::path::Path::new(&home).join("filler");
        fs::write(&filler, vec![0; 16 * 1024]).unwrap();
        full_and_free_again(home.as_ref(), || fs::remove_file(&filler).unwrap()).await;
        return;
    }
    // A disk of 64 KiB, seen by the child alone. Needs a user namespace, which some systems forbid.
    let mount = "mount -t tmpfs -o size=64k,mode=700 tmpfs \"$1\" && shift && exec \"$@\"";
    let private = |script: &str, place: &Place| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command.arg(place.home.path());
        command
    };
    let place = Place::new();
    let possible = private(mount, &place).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no private mounts here (the file size limit is tested all the same)");
        return;
    }
    assert!(again(NAME, place.home.path(), |test| {
        let mut command = private(mount, &place);
        command.arg(test.get_program()).args(test.get_args());
        command
    }));
}
