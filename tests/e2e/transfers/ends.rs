//! What ends a transfer in the middle leaves the old file or a part that goes on, and it is said which.

use std::fs;

use rustix::process::Signal;
use sgw::domain::sftp::{Call, Reply, StatusCode};

use super::{
    content,
    scripted::{Scripted, first_offset},
};
use crate::support::{SmallDisk, eventually, sftp::Turn};

const LARGE: usize = 12 * 1024 * 1024;
const SOME: usize = 2 * 1024 * 1024;
const PART: &str = "/srv/.large.sgw-part";

/// A large file here, an old one of its name there, and a put of it that is in the middle.
fn putting(there: &Scripted) -> crate::support::Running {
    there.plant(&[("large", &content(LARGE))]);
    there.server.tree(|tree| _ = tree.file("/srv/large", "old"));
    there.goes_slowly();
    let put = there.starts("put", &[there.here("large").to_str().unwrap(), "/srv/large"]);
    eventually("some of it is there", || there.length(PART) > SOME);
    put
}

/// The daemon has let go of it.
fn is_let_go(there: &Scripted) {
    eventually("the server has nothing open", || {
        there.server.tree(|tree| tree.open_handles()) == 0
    });
}

/// The old file is there, and the same call goes on with the part.
fn goes_on(there: &Scripted) {
    assert!(there.is_there("/srv/large", b"old"));
    assert!(there.length(PART) > SOME);
    there.is_honest_again();
    let (_, calls) = there.calls(|| there.put(&[], &there.here("large"), "/srv/large").ok());
    let writes: Vec<_> =
        calls.into_iter().filter(|call| matches!(call, Call::Write { .. })).collect();
    assert!(first_offset(&writes).unwrap() > SOME as u64);
    assert!(there.is_there("/srv/large", &content(LARGE)));
    assert_eq!(there.length(PART), 0);
}

#[test]
fn a_put_that_a_person_breaks_off_says_what_it_left_and_goes_on() {
    let there = Scripted::new();
    let put = putting(&there);
    put.signal(Signal::INT);
    put.ends().exits(130).says("0 of 1 files done").says(".large.sgw-part");
    is_let_go(&there);
    goes_on(&there);
}

#[test]
fn a_put_whose_client_is_killed_goes_on() {
    let there = Scripted::new();
    let put = putting(&there);
    put.signal(Signal::KILL);
    drop(put);
    is_let_go(&there);
    goes_on(&there);
}

#[test]
fn a_put_whose_daemon_is_killed_ends_with_75_and_goes_on_in_another_session() {
    let mut there = Scripted::new();
    let put = putting(&there);
    there.sgw.kill_daemon();
    let ended = put.ends();
    assert_eq!(ended.code(), 75, "{ended:?}");
    assert!(ended.stderr().contains("0 of 1 files done"), "{ended:?}");
    there.sgw.unlock();
    there.session = there.sgw.session(&there.server.sshd);
    goes_on(&there);
}

/// The part of `large` here.
fn part(there: &Scripted) -> Option<std::path::PathBuf> {
    let mut names = fs::read_dir(there.here.path()).unwrap().map(|entry| entry.unwrap().path());
    names.find(|path| path.to_str().unwrap().ends_with(".sgw-part"))
}

fn part_length(there: &Scripted) -> u64 {
    part(there).and_then(|part| part.metadata().ok()).map_or(0, |part| part.len())
}

fn getting(there: &Scripted) -> crate::support::Running {
    there.server.tree(|tree| _ = tree.file("/srv/large", content(LARGE)));
    there.plant(&[("large", b"old")]);
    there.goes_slowly();
    let get = there.starts("get", &["/srv/large", there.here("large").to_str().unwrap()]);
    eventually("enough of it is here", || part_length(there) > 5 * 1024 * 1024);
    get
}

/// Where the same call goes on.
fn gets_on(there: &Scripted) -> u64 {
    assert_eq!(fs::read(there.here("large")).unwrap(), b"old");
    there.is_honest_again();
    let (_, calls) = there.calls(|| there.get(&[], "/srv/large", &there.here("large")).ok());
    assert!(fs::read(there.here("large")).unwrap() == content(LARGE));
    assert_eq!(fs::read_dir(there.here.path()).unwrap().count(), 1, "nothing is left beside it");
    first_offset(&calls).unwrap()
}

#[test]
fn a_get_that_a_person_breaks_off_says_what_it_left_and_goes_on() {
    let there = Scripted::new();
    let get = getting(&there);
    get.signal(Signal::INT);
    get.ends().exits(130).says("its part is kept");
    assert!(gets_on(&there) > 4 * 1024 * 1024);
}

#[test]
fn a_get_whose_client_or_daemon_is_killed_goes_on_where_its_hash_was_last_written() {
    let mut there = Scripted::new();
    let get = getting(&there);
    get.signal(Signal::KILL);
    drop(get);
    assert!(gets_on(&there) > 3 * 1024 * 1024);
    fs::remove_file(there.here("large")).unwrap();
    let get = getting(&there);
    there.sgw.kill_daemon();
    let ended = get.ends();
    assert_eq!(ended.code(), 75, "{ended:?}");
    there.sgw.unlock();
    there.session = there.sgw.session(&there.server.sshd);
    assert!(gets_on(&there) > 4 * 1024 * 1024);
}

#[test]
fn a_part_here_that_was_changed_is_no_part_wherever_that_is() {
    let there = Scripted::new();
    let get = getting(&there);
    get.signal(Signal::KILL);
    drop(get);
    let part = part(&there).unwrap();
    let mut bytes = fs::read(&part).unwrap();
    bytes[1000] ^= 1;
    fs::write(&part, bytes).unwrap();
    assert_eq!(gets_on(&there), 0);
}

#[test]
fn restart_does_not_ask_for_what_was_left() {
    let there = Scripted::new();
    let get = getting(&there);
    get.signal(Signal::KILL);
    drop(get);
    there.is_honest_again();
    let again = there.calls(|| there.get(&["--restart"], "/srv/large", &there.here("large")).ok());
    assert_eq!(first_offset(&again.1), Some(0));
    assert!(fs::read(there.here("large")).unwrap() == content(LARGE));
}

#[test]
fn of_a_full_disk_here_it_is_told_what_is_done_and_what_is_kept() {
    let there = Scripted::new();
    let small = there.here("small");
    let Some(disk) = SmallDisk::at(&small) else {
        eprintln!("left out: a file system of one's own takes root");
        return;
    };
    there.server.tree(|tree| {
        _ = tree
            .file("/srv/d/a", "first")
            .file("/srv/d/large", content(LARGE))
            .file("/srv/d/z", "last");
    });
    let get = || there.get(&["-r"], "/srv/d", &small.join("d"));
    let failed = get();
    let failed = failed.exits(1);
    assert!(
        failed.stderr().contains("make room") || failed.stderr().contains("No space"),
        "{failed:?}"
    );
    assert!(!small.join("d/large").exists());
    assert_eq!(fs::read(small.join("d/a")).unwrap(), b"first");
    // The rest of it, and the same call.
    for entry in fs::read_dir(small.join("d")).unwrap().map(Result::unwrap) {
        if entry.file_name().to_str().unwrap().starts_with('.') {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    there.server.tree(|tree| _ = tree.file("/srv/d/large", content(SOME)));
    there.get(&["-r"], "/srv/d/", &small).ok();
    assert!(fs::read(small.join("d/large")).unwrap() == content(SOME));
    drop(disk);
}

#[test]
fn what_may_not_be_read_there_is_told_and_all_else_comes() {
    let there = Scripted::new();
    there.server.tree(|tree| {
        _ = tree.file("/srv/d/a", "a").file("/srv/d/closed/x", "x").file("/srv/d/secret", "s");
    });
    there.server.follows(|call, _| match call {
        Call::Opendir { path } if path.ends_with(b"/closed") => denied(),
        Call::Open { path, .. } if path.ends_with(b"/secret") => denied(),
        _ => Turn::Honest,
    });
    let got = there.get(&["-r"], "/srv/d", &there.here("d")).exits(1);
    assert!(got.stderr().contains("error[files.denied]: closed"), "{got:?}");
    assert!(got.stderr().contains("opening /srv/d/secret is not permitted"), "{got:?}");
    assert!(got.stderr().contains("1 of 2 files done"), "{got:?}");
    assert_eq!(fs::read(there.here("d/a")).unwrap(), b"a");
    // What is not known to be gone is not deleted.
    let delete = there.get(&["-r", "--delete", "--yes"], "/srv/d", there.here.path());
    assert_ne!(delete.code(), 0);
    assert!(there.here("d/a").exists());
}

#[test]
fn what_may_not_be_written_there_is_told_and_all_else_goes() {
    let there = Scripted::new();
    there.plant(&[("d/a", b"a"), ("d/closed/x", b"x"), ("d/z", b"z")]);
    there.server.follows(|call, _| match call {
        Call::Mkdir { path, .. } if path.ends_with(b"/closed") => denied(),
        _ => Turn::Honest,
    });
    let put = there.put(&["-r"], &there.here("d"), "/srv").exits(1);
    assert!(put.stderr().contains("error[files.denied]"), "{put:?}");
    assert!(put.stderr().contains("/srv/d/closed"), "{put:?}");
    assert!(put.stderr().contains("2 of 3 files done"), "{put:?}");
    assert!(there.is_there("/srv/d/a", b"a") && there.is_there("/srv/d/z", b"z"));
    there.is_honest_again();
    there.put(&["-r"], &there.here("d"), "/srv").ok();
    assert!(there.is_there("/srv/d/closed/x", b"x"));
}

fn denied() -> Turn {
    Turn::Reply(Reply::status(StatusCode::PermissionDenied, "Permission denied"))
}

#[test]
fn what_somebody_else_put_into_a_new_directory_is_not_lost() {
    let there = Scripted::new();
    there.plant(&[("d/a", b"ours"), ("d/b", b"ours")]);
    let mut done = false;
    there.server.follows(move |call, tree| {
        // Between the directory and the first file in it.
        if matches!(call, Call::Open { .. }) && !done {
            done = true;
            tree.link("/srv/d/a", "/etc/passwd").file("/etc/passwd", "root");
        }
        Turn::Honest
    });
    let put = there.put(&["-r"], &there.here("d"), "/srv").exits(1);
    assert!(put.stderr().contains("leads elsewhere"), "{put:?}");
    assert!(there.is_there("/etc/passwd", b"root") && there.is_there("/srv/d/b", b"ours"));
}
