//! Servers that let nothing be changed, or show only a part: each verb says so, or works there.

use std::fs;

use super::There;
use crate::support::{Sgw, Sshd, is_root};

#[test]
fn a_read_only_server_lets_every_reading_verb_through_and_no_other() {
    let there = There::on(Sshd::with().read_only().start(), &[]);
    fs::create_dir(there.at("dir")).unwrap();
    let (path, directory) = (there.has("file", "x\n"), there.text(""));
    let text = path.to_str().unwrap();
    let local = there.sgw.write_private("local", "new");
    let local = local.to_str().unwrap();
    let into = there.sgw.path("got").display().to_string();
    for words in [
        &["ls", &directory][..],
        &["stat", text],
        &["read", text],
        &["tail", text],
        &["sum", text],
        &["df", &directory],
        &["get", text, &into],
    ] {
        there.files(words[0], &words[1..]).ok();
    }
    let none = there.text("none");
    for words in [
        &["rm", text][..],
        &["chmod", "600", text],
        &["mkdir", &none],
        &["mkdir", "-p", &there.text("none/deep")],
        &["mv", text, &none],
        &["ln", "-s", "file", &none],
        &["edit", "--old", "x", "--new", "y", text],
    ] {
        there.files(words[0], &words[1..]).fails(1, "files.denied");
    }
    for words in [&[text][..], &["--append", text], &["--no-clobber", &none], &["--mkdir", &none]] {
        there.fed("write", words, b"new").fails(1, "files.denied");
    }
    there.files("put", &[local, &directory]).exits(1).says("files.denied");
    let request = there.files("rm", &["-r", "--no-wait", "--json", &there.text("dir")]);
    match request.code() {
        75 => {
            let request = request.waits_on();
            there.sgw.operator(["approve", &request, "--yes"]).ok();
            there.sgw.agent(["wait", &request]).fails(1, "files.denied");
        }
        _ => _ = request.fails(1, "files.denied"),
    }
    assert_eq!(fs::read(&path).unwrap(), b"x\n");
    assert_eq!(there.names(), ["dir", "file"]);
}

#[test]
fn a_server_that_shows_only_a_part_serves_every_verb_there() {
    if !is_root() {
        return;
    }
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::with().chrooted().start());
    let session = sgw.session(&sshd);
    fs::create_dir(sshd.chroot().join("in")).unwrap();
    fs::write(sshd.chroot().join("in/file"), "x 1\n").unwrap();
    let local = sgw.write_private("local", "put");
    let (local, into) = (local.to_str().unwrap(), sgw.path("got").display().to_string());
    let files = |verb: &str, more: &[&str]| sgw.agent([&["files", verb, &session], more].concat());
    files("ls", &["/"]).ok().prints("in\n");
    files("read", &["/in/file"]).ok().prints("x 1\n");
    files("tail", &["/in/file"]).ok().prints("x 1\n");
    files("stat", &["/in/file"]).ok();
    assert!(files("sum", &["/in/file"]).ok().stdout().ends_with("  /in/file\n"));
    files("df", &["/in"]).ok();
    files("get", &["/in/file", &into]).ok();
    assert_eq!(fs::read_to_string(&into).unwrap(), "x 1\n");
    files("put", &[local, "/in/put"]).ok();
    files("mkdir", &["-p", "/in/a/b"]).ok();
    files("mv", &["/in/put", "/in/a/moved"]).ok();
    files("ln", &["-s", "moved", "/in/a/link"]).ok();
    files("chmod", &["600", "/in/a/moved"]).ok();
    files("edit", &["--old", "1", "--new", "2", "/in/file"]).ok();
    for (more, content) in [(&["/in/w"][..], "new"), (&["--append", "/in/w"], "newnew")] {
        let mut writes = sgw.start([&["files", "write", &session], more].concat());
        writes.write(b"new");
        writes.close_stdin();
        writes.ends().ok();
        assert_eq!(fs::read_to_string(sshd.chroot().join("in/w")).unwrap(), content);
    }
    assert_eq!(fs::read_to_string(sshd.chroot().join("in/a/link")).unwrap(), "put");
    assert_eq!(fs::read_to_string(sshd.chroot().join("in/file")).unwrap(), "x 2\n");
    let request = files("rm", &["--no-wait", "--json", "/in/a/link"]).exits(75).waits_on();
    sgw.operator(["approve", &request, "--yes"]).ok();
    sgw.agent(["wait", &request]).ok();
    assert!(!sshd.chroot().join("in/a/link").exists());
    // What lies outside is not there.
    let outside = sshd.directory().join("outside");
    fs::write(&outside, "x").unwrap();
    files("read", &[outside.to_str().unwrap()]).fails(1, "files.not_found");
    files("read", &["--via", "exec", "/in/file"]).fails(1, "files.unsupported");
}
