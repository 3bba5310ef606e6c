//! `edit`.

use std::fs;

use serde_json::json;

use super::{There, mode, set_mode, sum};

#[test]
fn a_text_that_is_there_once_is_replaced_and_the_change_is_printed() {
    let there = There::new();
    let path = there.has("conf", "a\nlisten 80;\nb\n");
    set_mode(&path, 0o640);
    let text = path.to_str().unwrap();
    let change = ["--old", "listen 80;", "--new", "listen 8080;"];
    let dry = there.files("edit", &[&[text, "--dry-run"], &change[..]].concat()).ok().stdout();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a\nlisten 80;\nb\n");
    let told = there.files("edit", &[&[text], &change[..]].concat()).ok().stdout();
    assert_eq!(told, dry);
    let diff = "@@ -1,3 +1,3 @@\n a\n-listen 80;\n+listen 8080;\n b\n";
    assert_eq!(told, format!("{diff}{}  {text}\n", sum(&path)));
    assert_eq!(mode(&path), 0o640);
    // Again: it is so already.
    let again = there.files("edit", &[&[text, "--json"], &change[..]].concat()).ok().json();
    assert_eq!((&again["already"], &again["sha256"]), (&json!(true), &json!(sum(&path))));
    assert_eq!(there.names(), ["conf"]);
}

#[test]
fn what_is_not_there_or_there_often_changes_nothing() {
    let there = There::new();
    let path = there.has("file", "x x y");
    let text = path.to_str().unwrap();
    there.files("edit", &[text, "--old", "z", "--new", "w"]).fails(1, "files.changed");
    there
        .files("edit", &[text, "--old", "x", "--new", "w"])
        .fails(1, "files.changed")
        .says("2 times");
    there.files("edit", &[text, "--old", "x"]).exits(2);
    there
        .files("edit", &[&there.text("none"), "--old", "x", "--new", "y"])
        .fails(1, "files.not_found");
    assert_eq!(fs::read_to_string(&path).unwrap(), "x x y");
    there.files("edit", &[text, "--old", "x", "--new", "-w", "--all"]).ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), "-w -w y");
}

#[test]
fn a_patch_and_texts_from_files_are_taken() {
    let there = There::new();
    let path = there.has("file", "one\ntwo\nthree\n");
    let patch = b"--- a/file\n+++ b/file\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";
    there.fed("edit", &["--patch", "-", &there.text("file")], patch).ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n2\nthree\n");
    there.fed("edit", &["--patch", "-", &there.text("file")], patch).ok();
    let unfit = b"@@ -1 +1 @@\n-zero\n+0\n";
    there.fed("edit", &["--patch", "-", &there.text("file")], unfit).fails(1, "files.changed");
    let old = there.sgw.write_private("old", b"2\n");
    let new = there.sgw.write_private("new", b"\xff\n");
    let words = ["--old-file", old.to_str().unwrap(), "--new-file", new.to_str().unwrap()];
    there.files("edit", &[&[there.text("file").as_str()], &words[..]].concat()).ok();
    assert_eq!(fs::read(&path).unwrap(), b"one\n\xff\nthree\n");
    // A file that is not here is no wrong use.
    let none = there.files("edit", &[&there.text("file"), "--patch", "/none/of/it"]);
    none.fails(1, "files.not_found").says("on this machine");
}

#[test]
fn what_may_be_there_by_chance_is_not_said_to_be_done_already() {
    let there = There::new();
    let mut noise: Vec<u8> =
        (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    noise.extend([0, b'b']);
    let path = there.has("bin", &noise);
    let text = path.to_str().unwrap();
    there
        .files("edit", &[text, "--old", "zzzzzzzz", "--new", "b"])
        .fails(1, "files.changed")
        .says("too short to tell");
    let lines = there.has("lines", "first\nlast\n");
    let words = [lines.to_str().unwrap(), "--old", "\nlast", "--new", ""];
    there.files("edit", &words).ok();
    there.files("edit", &words).fails(1, "files.changed").says("nothing to delete");
    assert_eq!(fs::read(&lines).unwrap(), b"first\n");
}

#[test]
fn a_text_with_other_bytes_has_a_difference_too() {
    let there = There::new();
    let path = there.has("latin", b"caf\xe9\nport 80\n");
    let words = [path.to_str().unwrap(), "--old", "port 80", "--new", "port 8080"];
    let dry = there.files("edit", &[&["--dry-run"], &words[..]].concat()).ok();
    assert!(dry.stdout().contains(" caf\\xe9\n-port 80\n+port 8080\n"), "{dry:?}");
    dry.says("nothing was written");
    let dry = there.files("edit", &[&["--dry-run", "--json"], &words[..]].concat()).ok().json();
    assert_eq!((&dry["dry_run"], &dry["written"]), (&json!(true), &json!(null)));
}
