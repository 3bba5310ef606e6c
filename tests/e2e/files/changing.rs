//! `mkdir`, `mv`, `rm`, `chmod`, `ln`.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;

use super::{There, mode};

#[test]
fn directories_are_made() {
    let there = There::new();
    there.files("mkdir", &["--mode", "750", &there.text("a")]).ok().prints("");
    assert_eq!(mode(&there.at("a")), 0o750);
    there.files("mkdir", &[&there.text("a")]).fails(1, "files.exists");
    there.files("mkdir", &[&there.text("b/c")]).fails(1, "files.not_found");
    there.files("mkdir", &["-p", &there.text("b/c"), &there.text("b/d")]).ok();
    assert!(there.at("b/c").is_dir() && there.at("b/d").is_dir());
    let again = there.files("mkdir", &["-p", "--json", &there.text("b/c")]).ok().json();
    assert_eq!(again["already"], true);
    there.has("file", "");
    there.files("mkdir", &["-p", &there.text("file")]).fails(1, "files.exists");
}

#[test]
fn a_name_is_taken_over_only_where_that_is_said() {
    let there = There::new();
    there.has("a", "a");
    there.has("b", "b");
    let (a, b) = (there.text("a"), there.text("b"));
    there.files("mv", &[&a, &b]).fails(1, "files.exists");
    there.files("mv", &["--replace", &a, &b]).ok();
    assert_eq!((there.names(), fs::read(&b).unwrap()), (vec!["b".to_owned()], b"a".to_vec()));
    there.files("mv", &[&a, &b]).fails(1, "files.not_found");
    fs::create_dir(there.at("d")).unwrap();
    there.files("mv", &["--replace", &b, &there.text("d")]).fails(1, "files.kind");
    let inside = there.files("mv", &[&there.text("d"), &there.text("d/e")]).fails(1, "files.kind");
    inside.says("can't be moved to a name in itself");
    let nowhere = there.files("mv", &[&there.text("d"), &there.text("x/e")]);
    nowhere.fails(1, "files.not_found").says("x is not there").says("sgw files mkdir -p");
    there.files("mv", &[&there.text("d"), &there.text("e")]).ok();
    assert_eq!(there.names(), ["b", "e"]);
}

#[test]
fn a_tree_is_removed_and_what_links_lead_to_stays() {
    let there = There::new();
    fs::create_dir_all(there.at("tree/a/b")).unwrap();
    fs::create_dir(there.at("kept")).unwrap();
    there.has("kept/file", "kept");
    for number in 0..300 {
        there.has(&format!("tree/a/{number}"), "");
    }
    symlink(there.at("kept"), there.at("tree/a/link")).unwrap();
    let tree = there.text("tree");
    there.files("rm", &[&tree]).fails(1, "files.kind");
    there.files("rm", &["-r", &tree]).ok().prints("");
    assert_eq!(there.names(), ["kept"]);
    assert!(there.at("kept/file").exists());
    // A link is removed itself, and by no other name.
    symlink(there.at("kept"), there.at("link")).unwrap();
    there.files("rm", &["-r", &there.text("link")]).ok();
    assert!(there.at("kept/file").exists() && !there.at("link").exists());
    there.files("rm", &[&there.text("none")]).fails(1, "files.not_found");
    for none in ["/", ".", "..", "/tmp/.."] {
        there.files("rm", &["-r", none]).fails(2, "usage.arguments");
    }
}

#[test]
fn rights_and_links_are_made_and_say_where_they_were_so_already() {
    let there = There::new();
    let file = there.has("file", "");
    there.files("chmod", &["600", &there.text("file")]).ok();
    assert_eq!(mode(&file), 0o600);
    let again = there.files("chmod", &["--json", "600", &there.text("file")]).ok().json();
    assert_eq!(again, json!({"kind": "changed", "path": file, "already": true}));
    there.files("chmod", &["9", &there.text("file")]).exits(2);
    let link = there.text("link");
    there.files("ln", &["-s", "file", &link]).ok();
    assert_eq!(fs::read_link(&link).unwrap(), std::path::Path::new("file"));
    assert_eq!(there.files("ln", &["-s", "--json", "file", &link]).ok().json()["already"], true);
    there.files("ln", &["-s", "other", &link]).fails(1, "files.exists");
}
