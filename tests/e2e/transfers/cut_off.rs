//! What ends in the middle: either the old file or a part that goes on, and which of the two is said.

use std::fs;

use sgw::domain::sftp::Call;

use super::content;
use crate::support::{
    Sgw,
    sftp::{ScriptedSftp, full_disk, gone_after},
};

const LARGE: usize = 12 * 1024 * 1024;

#[test]
fn a_put_that_lost_its_connection_goes_on_where_it_ended() {
    let (sgw, server) = (Sgw::unlocked(), ScriptedSftp::start());
    let session = sgw.session(&server.sshd);
    let here = tempfile::tempdir().unwrap();
    let local = here.path().join("large");
    fs::write(&local, content(LARGE)).unwrap();
    server.tree(|tree| _ = tree.file("/srv/large", "old"));
    server.follows(gone_after(LARGE as u64 * 3 / 4));
    let put = ["files", "put", &session, local.to_str().unwrap(), "/srv/large"];
    let cut = sgw.agent(put);
    assert_ne!(cut.code(), 0, "{cut:?}");
    let cut = cut.says(".large.sgw-part");
    assert!(cut.stderr().contains("0 of 1 files done"), "{cut:?}");
    let part = server.tree(|tree| {
        assert_eq!(tree.content("/srv/large"), Some(&b"old"[..]));
        tree.content("/srv/.large.sgw-part").map(<[u8]>::len).unwrap()
    });
    assert!(part > LARGE / 2, "{part}");
    let before = server.calls().len();
    let said = sgw.agent([&put[..], &["--json"]].concat()).ok().json_lines();
    let said = said.last().unwrap();
    assert_eq!((&said["bytes"], &said["resumed_from"]), (&LARGE.into(), &part.into()), "{said}");
    server.tree(|tree| {
        assert!(tree.content("/srv/large").unwrap() == content(LARGE));
        assert!(tree.content("/srv/.large.sgw-part").is_none());
    });
    let first = server.calls()[before..].iter().find_map(|call| match call {
        Call::Write { offset, .. } => Some(*offset),
        _ => None,
    });
    assert!(first.unwrap() > LARGE as u64 / 2, "{first:?}");
}

#[test]
fn a_part_of_something_else_is_not_gone_on_with() {
    let (sgw, server) = (Sgw::unlocked(), ScriptedSftp::start());
    let session = sgw.session(&server.sshd);
    let here = tempfile::tempdir().unwrap();
    let local = here.path().join("large");
    fs::write(&local, content(LARGE)).unwrap();
    let mut part = content(LARGE / 2);
    part[1000] ^= 1;
    server.tree(|tree| _ = tree.file("/srv/.large.sgw-part", &part));
    sgw.agent(["files", "put", &session, local.to_str().unwrap(), "/srv/large"]).ok();
    server.tree(|tree| assert!(tree.content("/srv/large").unwrap() == content(LARGE)));
}

#[test]
fn a_get_that_was_cut_off_goes_on_where_it_ended() {
    let (sgw, server) = (Sgw::unlocked(), ScriptedSftp::start());
    let session = sgw.session(&server.sshd);
    let here = tempfile::tempdir().unwrap();
    let local = here.path().join("large");
    fs::write(&local, "old").unwrap();
    server.tree(|tree| _ = tree.file("/srv/large", content(LARGE)));
    // Its first read is asked for ahead: it ends well behind that.
    server.follows(gone_after(LARGE as u64 * 3 / 4));
    let get = ["files", "get", &session, "/srv/large", local.to_str().unwrap()];
    let cut = sgw.agent(get);
    assert_ne!(cut.code(), 0, "{cut:?}");
    assert_eq!(fs::read(&local).unwrap(), b"old");
    let part = || {
        let mut names = fs::read_dir(here.path()).unwrap().map(|entry| entry.unwrap().path());
        names.find(|path| path.to_str().unwrap().ends_with(".sgw-part"))
    };
    assert!(part().is_some_and(|part| part.metadata().unwrap().len() > 1 << 20));
    let before = server.calls().len();
    let said = sgw.agent([&get[..], &["--json"]].concat()).ok().json_lines();
    let said = said.last().unwrap();
    assert_eq!(said["bytes"], LARGE, "{said}");
    assert!(said["resumed_from"].as_u64().unwrap() > 1 << 20, "{said}");
    assert!(fs::read(&local).unwrap() == content(LARGE) && part().is_none());
    let read = server.calls()[before..].iter().find_map(|call| match call {
        Call::Read { offset, .. } => Some(*offset),
        _ => None,
    });
    assert!(read.unwrap() > 1 << 19, "{read:?}");
}

#[test]
fn of_a_full_disk_it_is_told_which_files_are_done() {
    let (sgw, server) = (Sgw::unlocked(), ScriptedSftp::start());
    let session = sgw.session(&server.sshd);
    let here = tempfile::tempdir().unwrap();
    let tree = here.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for (name, size) in [("a", 1000), ("b", 200_000), ("c", 1000)] {
        fs::write(tree.join(name), content(size)).unwrap();
    }
    server.follows(full_disk(100_000));
    let put = ["files", "put", "-r", &session, tree.to_str().unwrap(), "/srv"];
    server.tree(|tree| _ = tree.directory("/srv"));
    let failed = sgw.agent(put).exits(1);
    assert!(failed.stderr().contains("2 of 3 files done"), "{failed:?}");
    let said = failed.stderr();
    let last: Vec<&str> = said.lines().rev().take(2).collect();
    assert!(last[1].starts_with("sgw: error[files.failed]: "), "{said}");
    assert!(last[0].starts_with("sgw: hint: ") && last[0].contains(&session), "{said}");
    assert!(
        last[0].contains("sgw files df") && last[0].contains("the same call goes on"),
        "{said}"
    );
    server.tree(|tree| {
        assert_eq!(tree.below("/srv/tree").len(), 2, "{:?}", tree.below("/srv/tree"));
        assert_eq!(tree.content("/srv/tree/a"), Some(content(1000).as_slice()));
    });
    // Room again: the same call does the rest.
    server.follows(full_disk(u64::MAX));
    sgw.agent(put).ok();
    server.tree(|tree| assert_eq!(tree.content("/srv/tree/b"), Some(content(200_000).as_slice())));
}

#[test]
fn a_tree_that_was_cut_off_goes_on_in_the_directory_that_it_made() {
    let (sgw, server) = (Sgw::unlocked(), ScriptedSftp::start());
    let session = sgw.session(&server.sshd);
    let here = tempfile::tempdir().unwrap();
    let (local, back) = (here.path().join("tree"), here.path().join("back"));
    fs::create_dir(&local).unwrap();
    fs::write(local.join("a"), "small").unwrap();
    fs::write(local.join("large"), content(LARGE)).unwrap();
    server.tree(|tree| _ = tree.directory("/srv"));
    let put = ["files", "put", "-r", &session, local.to_str().unwrap(), "/srv/new"];
    server.follows(gone_after(LARGE as u64 * 3 / 4));
    assert_ne!(sgw.agent(put).code(), 0);
    server.tree(|tree| assert!(!tree.below("/srv/new").is_empty()));
    sgw.agent(put).ok();
    server.tree(|tree| {
        assert!(tree.content("/srv/new/large").unwrap() == content(LARGE));
        assert_eq!(tree.below("/srv/new").len(), 2, "{:?}", tree.below("/srv/new"));
    });
    // What somebody else's transfer left there is no content.
    server.tree(|tree| _ = tree.file("/srv/new/.x.sgw-part", "half"));
    let get = ["files", "get", "-r", &session, "/srv/new", back.to_str().unwrap()];
    server.follows(gone_after(LARGE as u64 * 3 / 4));
    assert_ne!(sgw.agent(get).code(), 0);
    assert!(back.is_dir());
    sgw.agent(get).ok();
    let mut names: Vec<_> =
        fs::read_dir(&back).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "large"]);
    // Once more is what it is for cp: into the directory.
    sgw.agent(get).ok();
    assert!(back.join("new/large").is_file());
}
