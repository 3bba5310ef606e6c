//! `ls`, `stat`, `sum`, `df`.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, os::unix::fs::symlink};

use serde_json::json;

use super::{There, set_mode, sum};

#[test]
fn a_directory_is_listed_with_all_that_is_in_it() {
    let there = There::new();
    there.has("b", "12345");
    there.has(".hidden", "");
    fs::create_dir(there.at("a")).unwrap();
    symlink("b", there.at("link")).unwrap();
    set_mode(&there.at("b"), 0o640);
    let here = there.text("");
    there.files("ls", &[&here]).ok().prints(".hidden\na\nb\nlink\n");
    let long = there.files("ls", &["-la", &here]).ok().stdout();
    let line = |end: &str| long.lines().find(|line| line.ends_with(end)).unwrap_or(&long);
    assert!(line(" b").starts_with("-rw-r-----"), "{long}");
    assert!(line(" a").starts_with("drwx"), "{long}");
    assert!(line("link -> b").starts_with('l'), "{long}");
    let listed = there.files("ls", &["--json", &here]).ok().json();
    assert_eq!(
        (&listed["kind"], &listed["truncated"], &listed["path"]),
        (&json!("listing"), &json!(false), &json!(there.directory()))
    );
    let b = &listed["entries"][2];
    assert_eq!(
        (&b["path"], &b["type"], &b["size"], &b["mode"], &b["target"]),
        (&json!("b"), &json!("file"), &json!(5), &json!("0640"), &json!(null))
    );
    assert_eq!(listed["entries"][3]["target"], "b");
    // One file is its own listing.
    there.files("ls", &[&there.text("b")]).ok().prints(&format!("{}\n", there.text("b")));
}

#[test]
fn directories_in_directories_are_listed_as_deep_as_asked_and_links_are_not_followed() {
    let there = There::new();
    fs::create_dir_all(there.at("a/b/c")).unwrap();
    there.has("a/b/x.conf", "");
    there.has("a/y.conf", "");
    symlink("/", there.at("a/root")).unwrap();
    let here = there.text("");
    let all = "a\na/b\na/b/c\na/b/x.conf\na/root\na/y.conf\n";
    there.files("ls", &["-R", &here]).ok().prints(all);
    there.files("ls", &["-R", "--depth", "2", &here]).ok().prints("a\na/b\na/root\na/y.conf\n");
    // What a pattern fits can be passed on.
    let full =
        |names: &[&str]| names.iter().map(|name| there.text(name) + "\n").collect::<String>();
    there.files("ls", &[&there.text("a/*.conf")]).ok().prints(&full(&["a/y.conf"]));
    let all = full(&["a/b/x.conf", "a/y.conf"]);
    there.files("ls", &[&there.text("**/*.conf")]).ok().prints(&all);
    let json = there.files("ls", &["--json", &there.text("a/*.conf")]).ok().json();
    assert_eq!(json["entries"][0]["path"], json!(there.text("a/y.conf")));
    let none = there.files("ls", &[&there.text("*/none*")]).fails(1, "files.not_found");
    none.says("nothing there fits").says(&format!("sgw files ls {} DIRECTORY", there.session));
    // Where a name is taken as it is, that is said.
    for verb in ["rm", "stat", "sum"] {
        let none = there.files(verb, &[&there.text("a/*.conf")]).fails(1, "files.not_found");
        none.says("names are taken as they are").says("sgw files ls");
    }
    there.has("w*", "");
    there.files("rm", &[&there.text("w*")]).ok();
    assert!(!there.at("w*").exists());
}

#[test]
fn names_that_are_no_text_and_hold_newlines_are_one_line_and_exact() {
    let there = There::new();
    let odd = there.directory().join(OsStr::from_bytes(b"a\nb\xff\x1b[31m"));
    fs::write(&odd, "odd").unwrap();
    let listed = there.files("ls", &[&there.text("")]).ok().prints("a\\nb\\xff\\x1b[31m\n");
    assert!(!listed.bytes().contains(&0x1b));
    let json = there.files("ls", &["--json", &there.text("")]).ok().json();
    let name = &json["entries"][0]["path"]["base64"];
    assert_eq!(name, "YQpi/xtbMzFt", "{json}");
    there.files("read", &[odd.as_os_str()]).ok().prints("odd");
    there.files("rm", &[odd.as_os_str()]).ok();
    assert!(!odd.exists());
}

#[test]
fn a_file_is_looked_at_itself_or_where_it_leads() {
    let there = There::new();
    there.has("file", "123");
    symlink("file", there.at("link")).unwrap();
    let link = there.text("link");
    let itself = there.files("stat", &["--json", &link]).ok().json();
    assert_eq!((&itself["type"], &itself["target"]), (&json!("link"), &json!("file")));
    let followed = there.files("stat", &["--json", "-L", &link]).ok().json();
    assert_eq!((&followed["type"], &followed["size"]), (&json!("file"), &json!(3)));
    let both = there.files("stat", &["--json", &link, &there.text("file")]).ok().json();
    assert_eq!(both["results"].as_array().unwrap().len(), 2);
    there.files("stat", &[&there.text("none")]).fails(1, "files.not_found");
    // What fails at one path stops no other.
    let (none, file) = (there.text("none"), there.text("file"));
    let some = there.files("stat", &[&none, &file]).fails(1, "files.not_found");
    assert!(some.stdout().contains("file"), "{some:?}");
    let some = there.files("rm", &["--json", &there.text("link"), &none, &file]).exits(1).json();
    assert_eq!(some["error"]["code"], "files.not_found", "{some}");
    assert!(!there.at("file").exists() && !there.at("link").exists());
    there.files("stat", &["--json", &there.text("none")]).fails(1, "files.not_found");
}

#[test]
fn sums_are_those_of_sha256sum_and_the_room_is_told() {
    let there = There::new();
    let big = there.has("big", "0123456789abcdef".repeat(100_000));
    let empty = there.has("empty", "");
    let expected =
        format!("{}  {}\n{}  {}\n", sum(&big), big.display(), sum(&empty), empty.display());
    there.files("sum", &[&big, &empty]).ok().prints(&expected);
    let room = there.files("df", &["--json", &there.text("")]).ok().json();
    assert_eq!(room["kind"], "space");
    assert!(room["size"].as_u64() >= room["available"].as_u64(), "{room}");
    let table = there.files("df", &[&there.text("")]).ok().stdout();
    assert!(table.contains("AVAILABLE"), "{table}");
    there.files("sum", &[&there.text("")]).fails(1, "files.kind");
}
