//! `write`.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
};

use serde_json::json;

use super::{There, mode, set_mode, sum};
use crate::support::{SmallDisk, is_root};

#[test]
fn a_file_is_written_whole_and_its_sum_is_told() {
    let there = There::new();
    let content: Vec<u8> = (0..1_000_000u32).flat_map(|n| (n ^ 0xa5a5).to_le_bytes()).collect();
    let path = there.text("new");
    let told = there.fed("write", &[&path], &content).ok().stdout();
    assert!(fs::read(&path).unwrap() == content);
    assert_eq!(told, format!("{}  {path}\n", sum(&there.at("new"))));
    there.fed("write", &[&path], b"").ok();
    assert_eq!(fs::read(&path).unwrap(), b"");
    let told = there.fed("write", &["--json", &path], b"x").ok().json();
    assert_eq!(
        (&told["kind"], &told["created"], &told["atomic"], &told["synced"], &told["size"]),
        (&json!("written"), &json!(false), &json!(true), &json!(true), &json!(1))
    );
    assert_eq!(there.names(), ["new"], "nothing is left beside it");
}

#[test]
fn the_old_file_is_there_until_the_new_one_is_and_keeps_its_rights() {
    let there = There::new();
    let path = there.has("file", "old");
    set_mode(&path, 0o751);
    let before = fs::metadata(&path).unwrap();
    if is_root() {
        std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
    }
    let reader = fs::File::open(&path).unwrap();
    there.fed("write", &[&path], b"new").ok();
    let after = fs::metadata(&path).unwrap();
    assert_ne!(before.ino(), after.ino(), "in place of the old one, not into it");
    assert_eq!(std::io::read_to_string(reader).unwrap(), "old");
    assert_eq!(mode(&path), 0o751);
    if is_root() {
        assert_eq!((after.uid(), after.gid()), (1234, 4321));
    }
    there.fed("write", &["--mode", "600", &there.text("file")], b"new").ok();
    assert_eq!(mode(&path), 0o600);
    there.fed("write", &["--mode", "640", &there.text("other")], b"new").ok();
    assert_eq!(mode(&there.at("other")), 0o640);
}

#[test]
fn a_link_is_written_through_unless_it_leads_nowhere() {
    let there = There::new();
    there.has("file", "old");
    symlink("file", there.at("link")).unwrap();
    symlink("none", there.at("broken")).unwrap();
    there.fed("write", &[&there.text("link")], b"new").ok();
    assert_eq!(fs::read_to_string(there.at("file")).unwrap(), "new");
    assert!(there.at("link").is_symlink());
    there.fed("write", &[&there.text("broken")], b"new").fails(1, "files.kind");
    assert!(!there.at("none").exists());
}

#[test]
fn what_must_not_be_there_and_what_must_be_are_checked() {
    let there = There::new();
    let path = there.has("file", "old");
    let text = path.to_str().unwrap();
    there.fed("write", &["--no-clobber", text], b"new").fails(1, "files.exists");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    let other = "0".repeat(64);
    there.fed("write", &["--if-sum", &other, text], b"new").fails(1, "files.changed");
    there.fed("write", &["--if-sum", "abc", text], b"new").fails(2, "usage.arguments");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    there.fed("write", &["--if-sum", &sum(&path), text], b"new").ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    let gone = there.text("none");
    let absent = there.fed("write", &["--if-sum", &other, &gone], b"new").fails(1, "files.changed");
    absent.says("is not there").says("without --if-sum");
    there.fed("write", &["--no-clobber", &gone], b"new").ok();
    assert_eq!(there.names(), ["file", "none"]);
}

#[test]
fn what_is_there_instead_is_told_by_its_sum_to_who_may_read_it_alone() {
    let tells = |there: &There, way: &[&str], name: &str| {
        let (path, other) = (there.has(name, "secret"), "0".repeat(64));
        let words = [way, &["--if-sum", &other, path.to_str().unwrap()]].concat();
        let failed = there.fed("write", &words, b"new").fails(1, "files.changed");
        failed.stderr().contains(&sum(&path))
    };
    for way in [&[][..], &["--via", "exec"]] {
        assert!(tells(&There::new(), way, "file"));
        // Its content is asked for, its name is nobody's to forbid.
        assert!(!tells(&There::new(), way, ".env"));
        let there = There::with(&["--only", "files:write"]);
        assert!(!tells(&there, way, "file"));
    }
}

#[test]
fn missing_directories_are_made_where_that_is_said() {
    let there = There::new();
    let deep = there.text("a/b/c");
    let missing = there.fed("write", &[&deep], b"x").fails(1, "files.not_found");
    missing
        .says(&format!("the directory {} is not there", there.text("a")))
        .says(&format!("sgw files write --mkdir {} PATH", there.session));
    there.fed("write", &["--mkdir", &deep], b"x").ok();
    assert_eq!(fs::read_to_string(&deep).unwrap(), "x");
    there.fed("write", &[&there.text("a")], b"x").fails(1, "files.kind");
    let below = there.text("a/b/c/d");
    there.fed("write", &["--mkdir", &below], b"x").exits(1);
    // Where a file is no directory can be.
    let none = there.fed("write", &[&below], b"x").fails(1, "files.kind");
    none.says("a/b/c is no directory");
    there.fed("write", &[&there.text("new/")], b"x").fails(2, "usage.arguments");
    let made = there.files("mkdir", &[&there.text("m/n/o")]).fails(1, "files.not_found");
    made.says("m is not there").says(&format!("sgw files mkdir -p {} PATH", there.session));
}

#[test]
fn what_is_appended_goes_behind_what_is_there() {
    let there = There::new();
    let path = there.has("file", "one\n");
    let inode = fs::metadata(&path).unwrap().ino();
    let told = there.fed("write", &["--append", "--json", &there.text("file")], b"two\n").ok();
    assert_eq!((&told.json()["size"], &told.json()["sha256"]), (&json!(8), &json!(sum(&path))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    there.fed("write", &["--append", &there.text("new")], b"x").ok();
    assert_eq!(fs::read_to_string(there.at("new")).unwrap(), "x");
    let told = there.fed("write", &["--via", "exec", "--append", &there.text("new")], b"y").ok();
    assert!(told.stdout().starts_with(&sum(&there.at("new"))), "{told:?}");
    // Who may not read it does not hear it.
    let there = There::with(&["--only", "files:write"]);
    there.has("file", "secret\n");
    let told = there.fed("write", &["--append", "--json", &there.text("file")], b"x").ok().json();
    assert_eq!(told["sha256"], json!(null));
}

#[test]
fn what_stands_for_a_secret_and_what_is_too_large_are_not_written() {
    let there = There::new();
    let path = there.has("file", "old");
    let marked = b"password=[sgw:redacted:db]";
    there.fed("write", &[&path], marked).fails(1, "files.redacted");
    let large = vec![b'x'; 16 * 1024 * 1024 + 1];
    let mut running = there.sgw.start(there.words("write", &[&path]));
    // It is refused before all of it is sent.
    running.try_write(&large);
    running.ends().fails(1, "limit.content");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(there.names(), ["file"]);
}

#[test]
fn a_full_disk_is_told_and_leaves_the_old_file() {
    let there = There::new();
    let Some(_small) = SmallDisk::at(&there.at("small")) else { return };
    let path = there.has("small/file", "old");
    let large = vec![b'x'; 9 * 1024 * 1024];
    let told = there.fed("write", &[&path], &large).fails(1, "files.failed");
    told.says("the disk there is full").says(&format!("sgw files df {} PATH", there.session));
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    let left: Vec<_> = fs::read_dir(there.at("small")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
