//! What the policy says of paths holds for each file of many.

use std::{fs, os::unix::fs::symlink};

use super::{There, seen};

const OWN: &str = "\
version = 1
[[file]]
id = \"own.closed\"
decision = \"block\"
path = [\"/**/closed/**\"]
[[file]]
id = \"own.small\"
decision = \"approve\"
direction = \"write\"
path = [\"/**/small/**\"]
max_size = 10
";

#[test]
fn a_blocked_file_is_left_out_and_the_others_come() {
    let there = There::new();
    fs::write(there.there("id_rsa"), "key").unwrap();
    fs::write(there.there("id_rsa.pub"), "public").unwrap();
    symlink("id_rsa", there.there("harmless")).unwrap();
    let here = there.here("got");
    let got = there.files("get", &[&there.there(""), &here], &["-r"]);
    got.exits(1).says("guard.blocked").says("files.private-key");
    let names: Vec<_> = seen(&here).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [std::path::PathBuf::from("harmless"), "id_rsa.pub".into()]);
    // Nor by a link to it, alone.
    let alone = there.files("get", &[&there.there("harmless"), &there.here("x")], &[]);
    alone.fails(77, "guard.blocked");
    assert!(!there.here("x").exists());
}

#[test]
fn what_asks_is_said_with_its_sum_and_the_yes_is_for_that_content() {
    let there = There::new();
    let (local, remote) = (there.here("x"), there.there(".bashrc"));
    fs::write(&local, "first\n").unwrap();
    there.files("put", &[&local, &remote], &["--no-ask"]).fails(77, "approval.required");
    let asked = there.files("put", &[&local, &remote], &["--no-wait", "--json"]);
    let request = asked.fails(75, "approval.pending").waits_on();
    let all = there.sgw.agent(["requests", "--json"]).ok().json();
    let shown = &all["requests"][0];
    let sum = sgw::domain::files::sum(b"first\n");
    let command = shown["command"].as_str().unwrap();
    assert!(command.contains(".bashrc") && command.contains(&sum), "{shown}");
    assert_eq!(shown["rule"], "files.start-file");
    there.sgw.operator(["approve", &request, "--yes", "--json"]).ok();
    // Other content is another question; the yes is for what was shown.
    fs::write(&local, "other\n").unwrap();
    there.files("put", &[&local, &remote], &["--no-ask"]).fails(77, "approval.required");
    assert!(!remote.exists());
    fs::write(&local, "first\n").unwrap();
    there.files("put", &[&local, &remote], &[]).ok();
    assert_eq!(fs::read(&remote).unwrap(), b"first\n");
}

#[test]
fn own_rules_for_paths_and_sizes_hold_for_all_that_is_done_to_files() {
    let there = There::with(&["--only", "files:read,files:write"]);
    let policy = there.here("policy.toml");
    fs::write(&policy, OWN).unwrap();
    there.sgw.operator(["policy", "accept", policy.to_str().unwrap(), "--yes", "--json"]).ok();
    for name in ["closed", "small"] {
        fs::create_dir(there.there(name)).unwrap();
    }
    fs::write(there.there("closed/x"), "x").unwrap();
    symlink("closed", there.there("open")).unwrap();
    let closed = there.there("open/x");
    there.files("get", &[&closed, &there.here("x")], &[]).fails(77, "guard.blocked");
    there.files("read", &[&closed], &[]).fails(77, "guard.blocked");
    there.files("rm", &[&closed], &[]).fails(77, "guard.blocked");
    // Another name for the directory would be a way round.
    let moved = there.files("mv", &[&there.there("closed"), &there.there("other")], &[]);
    moved.fails(77, "guard.blocked");
    fs::write(there.here("ten"), "0123456789").unwrap();
    fs::write(there.here("eleven"), "0123456789a").unwrap();
    there.files("put", &[&there.here("ten"), &there.there("small/")], &[]).ok();
    let more = there.files("put", &[&there.here("eleven"), &there.there("small/")], &["--no-ask"]);
    more.fails(77, "approval.required");
}

#[test]
fn a_session_without_the_capability_moves_nothing() {
    let there = There::with(&["--only", "files:read"]);
    fs::write(there.here("x"), "x").unwrap();
    fs::write(there.there("y"), "y").unwrap();
    there.files("get", &[&there.there("y"), there.here.path()], &[]).ok();
    there.files("put", &[&there.here("x"), &there.there("")], &[]).fails(77, "grant.missing");
    assert!(!there.there("x").exists());
}

#[test]
fn a_tree_is_one_question_and_nothing_is_made_before_its_answer() {
    let there = There::new();
    let (local, remote) = (there.here("tree"), there.there("new"));
    fs::create_dir_all(local.join(".config/systemd/user")).unwrap();
    fs::write(local.join(".bashrc"), "alias l=ls\n").unwrap();
    fs::write(local.join("plain"), "plain\n").unwrap();
    fs::write(local.join(".config/systemd/user/x.service"), "[Unit]\n").unwrap();
    let put = |more: &[&str]| there.files("put", &[&local, &remote], &[&["-r"], more].concat());
    let asked = || put(&["--no-wait", "--json"]).fails(75, "approval.pending").waits_on();
    let request = asked();
    assert!(!remote.exists());
    assert_eq!(asked(), request);
    there.sgw.operator(["approve", &request, "--yes", "--json"]).ok();
    // It says that it is approved, and the same call needs no more than that.
    let waited = there.sgw.agent(["wait", &request]).ok();
    assert!(waited.stderr().contains("run the same call again"), "{waited:?}");
    let done = put(&["--no-wait"]).ok();
    assert!(!done.stderr().contains("waits for the operator"), "{done:?}");
    assert_eq!(fs::read(remote.join(".bashrc")).unwrap(), b"alias l=ls\n");
    assert!(
        remote.join(".config/systemd/user/x.service").exists() && remote.join("plain").exists()
    );
    // What was done stands under its request, and is not done again.
    there.sgw.agent(["wait", &request]).ok();
}

#[test]
fn what_waits_for_a_person_is_left_to_do_and_has_not_failed() {
    let there = There::new();
    let (local, remote) = (there.here("tree"), there.there(""));
    fs::create_dir(&local).unwrap();
    fs::write(local.join("plain"), "plain\n").unwrap();
    there.files("put", &[&local.join("."), &remote], &["-r"]).ok();
    fs::write(local.join(".bashrc"), "alias l=ls\n").unwrap();
    let more = ["-r", "--no-wait", "--json"];
    let asked = there.files("put", &[&local.join("."), &remote], &more);
    let lines = asked.exits(75).json_lines();
    assert_eq!(lines.last().unwrap()["error"]["code"], "approval.pending", "{lines:?}");
    let said = lines.iter().find(|line| line["kind"] == "transfer").unwrap();
    assert_eq!((&said["failed"], &said["skipped"]), (&0.into(), &1.into()), "{said}");
    assert_eq!(said["left"].as_array().unwrap().len(), 1, "{said}");
    assert!(said["left"][0].as_str().unwrap().ends_with("/.bashrc"), "{said}");
}
