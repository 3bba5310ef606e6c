//! The same call once more: what is there already is not copied again.

use std::{fs, os::unix::fs::MetadataExt};

use super::{
    content,
    scripted::{Scripted, reads, writes},
};

#[test]
fn a_second_put_writes_only_what_differs() {
    let there = Scripted::new();
    let large = content(9_000_000);
    there.plant(&[("d/a", b"one"), ("d/b", b"two"), ("d/e", b""), ("d/large", &large)]);
    let local = there.here("d");
    there.put(&["-r"], &local, "/srv").ok();
    let (again, calls) = there.calls(|| there.put(&["-r"], &local, "/srv").ok());
    assert_eq!(writes(&calls), 0, "{again:?}");
    assert!(again.stderr().contains("4 left as they are"), "{again:?}");
    // One byte of as many, in two of them.
    let mut other = large.clone();
    other[5_000_000] ^= 1;
    there.plant(&[("d/b", b"2wo"), ("d/large", &other)]);
    let more = there.put(&["-r", "--json"], &local, "/srv").ok().json_lines();
    let end = more.last().unwrap();
    assert_eq!((&end["skipped"], &end["failed"]), (&2.into(), &0.into()), "{end}");
    assert!(there.is_there("/srv/d/b", b"2wo") && there.is_there("/srv/d/large", &other));
    let (_, calls) = there.calls(|| there.put(&["-r", "--restart"], &local, "/srv").ok());
    assert!(writes(&calls) > 30 && reads(&calls) == 0, "{}", writes(&calls));
}

#[test]
fn a_second_get_leaves_the_file_that_is_here_as_it_is() {
    let there = Scripted::new();
    let large = content(3_000_000);
    there.server.tree(|tree| {
        _ = tree.file("/srv/d/a", "one").file("/srv/d/b", "two").file("/srv/d/large", &large);
    });
    let here = there.here("d");
    there.get(&["-r"], "/srv/d", &here).ok();
    let inodes = || ["a", "b", "large"].map(|name| here.join(name).metadata().unwrap().ino());
    let before = inodes();
    let again = there.get(&["-r"], "/srv/d", there.here.path()).ok();
    assert!(again.stderr().contains("0 of 3 files done, 0 bytes, 3 left"), "{again:?}");
    assert_eq!(inodes(), before);
    let mut other = large.clone();
    other[2_999_999] ^= 1;
    there.server.tree(|tree| _ = tree.file("/srv/d/b", "2wo").file("/srv/d/large", &other));
    there.get(&["-r"], "/srv/d", there.here.path()).ok();
    assert_eq!(fs::read(here.join("b")).unwrap(), b"2wo");
    assert!(fs::read(here.join("large")).unwrap() == other);
    assert_eq!(inodes()[0], before[0]);
    assert_eq!(fs::read_dir(&here).unwrap().count(), 3);
}

#[test]
fn with_rights_and_times_kept_nothing_is_read_to_know_it() {
    let there = Scripted::new();
    there.plant(&[("d/a", b"one"), ("d/b", b"two")]);
    let local = there.here("d");
    there.put(&["-r", "-p"], &local, "/srv").ok();
    let (_, calls) = there.calls(|| there.put(&["-r", "-p"], &local, "/srv").ok());
    assert_eq!((writes(&calls), reads(&calls)), (0, 0));
    let here = there.here("back");
    there.get(&["-r", "-p"], "/srv/d", &here).ok();
    fs::create_dir(there.here("into")).unwrap();
    fs::rename(&here, there.here("into/d")).unwrap();
    let (_, calls) = there.calls(|| there.get(&["-r", "-p"], "/srv/d", &there.here("into")).ok());
    assert_eq!(reads(&calls), 0);
}

#[test]
fn a_new_file_costs_four_requests_and_can_be_run_as_here() {
    use std::os::unix::fs::PermissionsExt;
    let there = Scripted::new();
    for number in 0..50 {
        there.plant(&[(&format!("d/f{number}"), b"x")]);
    }
    let run = fs::Permissions::from_mode(0o755);
    fs::set_permissions(there.here("d/f7"), run).unwrap();
    let (_, calls) = there.calls(|| there.put(&["-r"], &there.here("d"), "/srv").ok());
    // With what looks at the whole of it before anybody is asked.
    assert!(calls.len() < 50 * 5 + 40, "{}", calls.len());
    let rights = |name: &str| {
        let path = format!("/srv/d/{name}").into();
        let call = sgw::domain::sftp::Call::Stat { path };
        match there.server.tree(|tree| tree.answer(&call)) {
            sgw::domain::sftp::Reply::Attrs(attrs) => attrs.permissions.unwrap() & 0o111,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((rights("f6"), rights("f7") & 0o100), (0, 0o100));
    let (_, calls) = there.calls(|| there.get(&["-r"], "/srv/d", &there.here("back")).ok());
    assert!(calls.len() < 50 * 5 + 40, "{}", calls.len());
}
