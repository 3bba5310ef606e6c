//! `read` and `tail`.

use std::{fs, io::Write};

use rustix::process::Signal;
use serde_json::json;

use super::{There, set_mode, sum};
use crate::support::is_root;

#[test]
fn a_file_of_any_size_arrives_byte_for_byte() {
    let there = There::new();
    let bytes: Vec<u8> =
        (0..3_000_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let last = [16_379, 255 * 1024 - 5, 2 * 255 * 1024 - 8];
    let sizes = [0, 1, 32 * 1024, 255 * 1024, 255 * 1024 + 1, bytes.len()];
    for size in sizes.into_iter().chain(last) {
        let path = there.has("file", &bytes[..size]);
        let read = there.files("read", &[&path]).ok();
        assert!(read.bytes() == &bytes[..size], "{size} bytes");
    }
    // What has no size is read to its end.
    let version = fs::read_to_string("/proc/version").unwrap();
    there.files("read", &["/proc/version"]).ok().prints(&version);
}

#[test]
fn parts_are_read_by_offset_and_by_line() {
    let there = There::new();
    let path = there.has("file", "one\ntwo\nthree\nfour");
    let path = path.to_str().unwrap();
    let read = |more: &[&str], expected: &str| {
        there.files("read", &[&[path], more].concat()).ok().prints(expected);
    };
    read(&["--offset", "4", "--limit", "3"], "two");
    read(&["--offset", "100"], "");
    read(&["--limit", "0"], "");
    read(&["--lines", "2:3"], "two\nthree\n");
    read(&["--lines", "4:"], "four");
    read(&["-n", "--lines", ":2"], "     1\tone\n     2\ttwo\n");
    there.files("read", &[path, "--lines", "0:1"]).exits(2);
    // The rest of a long file is not waited for.
    let long = there.has("long", "line\n".repeat(2_000_000));
    there.files("read", &[long.to_str().unwrap(), "--lines", "1:1"]).ok().prints("line\n");
}

#[test]
fn json_holds_the_content_and_the_sum_of_the_whole() {
    let there = There::new();
    let path = there.has("file", b"a\xffb");
    let read = there.files("read", &["--json", path.to_str().unwrap()]).ok().json();
    assert_eq!(
        (&read["content"], &read["sha256"], &read["truncated"], &read["size"]),
        (&json!({"base64": "Yf9i"}), &json!(sum(&path)), &json!(false), &json!(3))
    );
    let part = there.files("read", &["--json", "--limit", "1", path.to_str().unwrap()]).ok().json();
    assert_eq!((&part["content"], &part["sha256"]), (&json!("a"), &json!(null)));
    let long = there.has("long", "x".repeat(2 * 1024 * 1024));
    let read = there.files("read", &["--json", long.to_str().unwrap()]).ok().json();
    assert_eq!((&read["truncated"], &read["bytes"]), (&json!(true), &json!(1024 * 1024)));
}

#[test]
fn what_can_not_be_read_says_why() {
    let there = There::new();
    there.files("read", &[&there.text("none")]).fails(1, "files.not_found");
    there.files("read", &[&there.text("")]).fails(1, "files.kind").says("directory");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        there.at("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    // One that waits for a writer would hold up all that is done there.
    there.files("read", &[&there.text("pipe")]).fails(1, "files.kind");
    there.files("read", &[""]).fails(2, "usage.arguments");
    if !is_root() {
        set_mode(&there.has("closed", ""), 0);
        there.files("read", &[&there.text("closed")]).fails(1, "files.denied");
    }
}

#[test]
fn last_lines_are_found_and_what_follows_them_comes() {
    let there = There::new();
    let lines: String = (1..=50_000).map(|n| format!("line {n}\n")).collect();
    let path = there.has("log", lines);
    let text = path.to_str().unwrap();
    there.files("tail", &["-n", "2", text]).ok().prints("line 49999\nline 50000\n");
    let ten = there.files("tail", &[text]).ok().stdout();
    assert_eq!((ten.lines().count(), ten.lines().next()), (10, Some("line 49991")));
    let far = there.files("tail", &["-n", "20000", text]).ok().stdout();
    assert_eq!((far.lines().count(), far.lines().next()), (20_000, Some("line 30001")));
    there.files("tail", &["-n", "0", text]).ok().prints("");
    let mut follows = there.sgw.start(there.words("tail", &["-f", "-n", "1", text]));
    follows.prints("line 50000\n");
    let mut log = fs::OpenOptions::new().append(true).open(&path).unwrap();
    log.write_all(b"more\n").unwrap();
    follows.prints("line 50000\nmore\n");
    follows.signal(Signal::INT);
    follows.ends().exits(130);
}
