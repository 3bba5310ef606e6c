//! One policy for both ways.

use std::{fs, os::unix::fs::symlink};

use super::{Over, There, no_sftp};
use crate::support::Sshd;

#[test]
fn the_same_rules_hold_where_a_path_leads() {
    let there = no_sftp();
    there.via("read", &["/etc/shadow"]).fails(77, "guard.blocked");
    symlink("/etc", there.at("etc")).unwrap();
    there.via("read", &[there.text("etc/shadow")]).fails(77, "guard.blocked");
    symlink("/etc/shadow", there.at("innocent")).unwrap();
    there.via("read", &[there.text("innocent")]).fails(77, "guard.blocked");
    there.via("stat", &[there.text("innocent")]).ok();
    let words = ["--no-ask", &there.text("etc/none-of-sgw")];
    there.fed_via("write", &words, b"x").fails(77, "approval.required");
    let words = ["--no-ask", &there.text(".ssh/authorized_keys")];
    there.fed_via("write", &["--mkdir", words[0], words[1]], b"x").fails(77, "approval.required");
    assert!(!std::path::Path::new("/etc/none-of-sgw").exists());
}

#[test]
fn no_capability_of_commands_is_needed_and_none_is_given() {
    let there = There::on(Sshd::with().no_sftp().start(), &["--only", "files:read"]);
    let path = there.has("file", "x");
    there.via("read", &[&path]).ok().prints("x");
    there.fed_via("write", &[&path], b"y").fails(77, "grant.missing");
    there.sgw.agent(["exec", &there.session, "--", "true"]).fails(77, "grant.missing");
    there.files("read", &["--sudo".as_ref(), path.as_os_str()]).fails(77, "grant.missing");
}

#[test]
fn what_is_done_is_on_record_with_its_way_and_the_content_in_no_command() {
    let there = no_sftp();
    let path = there.at("file");
    there.fed_via("write", &[&path], b"content that stands nowhere").ok();
    let listed = there.sgw.operator(["audit", "list", "--json"]).ok().json_lines();
    let intent = listed.iter().find(|record| record["kind"] == "files.intent").unwrap();
    assert_eq!(intent["action"]["way"], "exec", "{intent}");
    assert_eq!(intent["action"]["at"][0], path.to_str().unwrap());
    assert!(!format!("{listed:?}").contains("stands nowhere"));
}

#[test]
fn a_directory_that_flips_never_lets_a_write_out() {
    let there = no_sftp();
    let (inside, outside, flips) = (there.at("inside"), there.at("outside"), there.at("flips"));
    fs::create_dir(&inside).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::create_dir(there.at("links")).unwrap();
    let (over, next) = (Over::default(), there.at("links/next"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.is() {
                for to in [&outside, &inside] {
                    symlink(to, &next).unwrap();
                    fs::rename(&next, &flips).unwrap();
                }
            }
        });
        let _ends = over.at_the_end();
        for _ in 0..12 {
            let told = there.fed_via("write", &["--json", &there.text("flips/file")], b"x");
            if told.code() == 0 {
                // What was judged is what was written.
                let path = told.json()["path"].as_str().unwrap().to_owned();
                assert_eq!(fs::read(&path).unwrap(), b"x");
                fs::remove_file(&path).unwrap();
            }
            let held = |directory| fs::read_dir(directory).unwrap().count();
            assert_eq!((held(&inside), held(&outside)), (0, 0), "nothing but what was told");
        }
    });
}
