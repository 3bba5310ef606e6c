//! Who may, and who is asked: capabilities, modes, the policy, budgets, and the record.

use std::fs;

use serde_json::json;

use super::There;

/// Nobody may say yes to it in a test: it would be written.
const SENSITIVE: &str = "/etc/none-of-sgw";

#[test]
fn reading_and_writing_are_capabilities_of_their_own() {
    let there = There::with(&["--only", "files:read"]);
    let path = there.has("file", "x");
    there.files("read", &[&path]).ok().prints("x");
    there.fed("write", &[&path], b"y").fails(77, "grant.missing");
    there.files("rm", &[&path]).fails(77, "grant.missing");
    there.sgw.agent(["exec", &there.session, "--", "true"]).fails(77, "grant.missing");
    assert_eq!(fs::read(&path).unwrap(), b"x");
    let there = There::with(&["--only", "exec"]);
    there.files("ls", &["/"]).fails(77, "grant.missing");
}

#[test]
fn a_sensitive_path_asks_with_the_content_and_the_yes_is_for_that_content() {
    let there = There::new();
    let words = ["--no-wait", "--json", SENSITIVE];
    let request = there.fed("write", &words, b"first line\n").fails(75, "approval.pending");
    let request = request.waits_on();
    let all = there.sgw.agent(["requests", "--json"]).ok().json();
    let shown = &all["requests"][0];
    let command = shown["command"].as_str().unwrap();
    assert!(command.contains(SENSITIVE) && command.contains("first line"), "{shown}");
    assert_eq!(shown["rule"], "fs.write-system");
    // The same again is the same request, another content is another.
    let again = there.fed("write", &words, b"first line\n").fails(75, "approval.pending");
    assert_eq!(again.waits_on(), request);
    let other = there.fed("write", &words, b"other\n").fails(75, "approval.pending").waits_on();
    assert_ne!(other, request);
    there.sgw.operator(["deny", &request]).ok();
    there.sgw.agent(["wait", &request]).fails(77, "approval.denied");
    there.fed("write", &["--no-ask", SENSITIVE], b"x").fails(77, "approval.required");
    assert!(!std::path::Path::new(SENSITIVE).exists());
    // A way round by a link is the same path.
    std::os::unix::fs::symlink("/etc", there.at("etc")).unwrap();
    let round = there.text("etc/none-of-sgw");
    there.fed("write", &["--no-ask", &round], b"x").fails(77, "approval.required");
    let names = there.files("read", &["/etc/shadow"]);
    names.fails(77, "guard.blocked");
}

#[test]
fn each_asks_for_everything_and_a_yes_is_good_for_once() {
    let there = There::with(&["--mode", "each"]);
    let path = there.has("file", "old");
    let text = path.to_str().unwrap();
    let request = there
        .files("read", &["--no-wait", "--json", text])
        .fails(75, "approval.pending")
        .waits_on();
    there.sgw.operator(["approve", &request, "--yes"]).ok();
    there.sgw.agent(["wait", &request]).ok().prints("old");
    there.sgw.agent(["wait", &request]).ok().prints("old");
    let words = ["--no-wait", "--json", text];
    let request = there.fed("write", &words, b"new").fails(75, "approval.pending").waits_on();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    there.sgw.operator(["approve", &request, "--yes"]).ok();
    let told = there.sgw.agent(["wait", &request, "--json"]).ok().json();
    assert_eq!((&told["kind"], &told["size"]), (&json!("written"), &json!(3)));
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn a_call_that_stays_goes_on_with_the_yes() {
    let there = There::with(&["--mode", "read"]);
    let path = there.has("file", "old");
    there.files("read", &[&path]).ok().prints("old");
    let mut waits =
        there.sgw.start(there.words("write", &["--wait", "60s", path.to_str().unwrap()]));
    waits.write(b"new");
    waits.close_stdin();
    waits.says("waits for the operator");
    let request = waits.stderr().split_whitespace().nth(1).unwrap().to_owned();
    there.sgw.operator(["approve", &request, "--yes"]).ok();
    waits.ends().ok();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn operations_count_as_commands() {
    let there = There::with(&["--max-commands", "2"]);
    let path = there.has("file", "x");
    there.files("read", &[&path]).ok();
    there.files("stat", &[&path]).ok();
    there.files("read", &[&path]).fails(77, "grant.exhausted");
}

#[test]
fn what_is_done_is_on_record_before_and_after() {
    let there = There::new();
    let path = there.text("file");
    there.fed("write", &[&path], b"content-of-no-record").ok();
    there.files("read", &[&there.text("none")]).fails(1, "files.not_found");
    there.files("read", &["/etc/shadow"]).fails(77, "guard.blocked");
    let intent = &there.sgw.recorded("files.intent")[0];
    assert_eq!(
        (&intent["session"], &intent["action"]["operation"]["do"], &intent["action"]["at"]),
        (&json!(there.session), &json!("write"), &json!([path]))
    );
    assert_eq!(intent["action"]["bytes"], 20);
    let results = there.sgw.recorded("files.result");
    assert_eq!(results[0]["result"]["done"]["kind"], "written");
    assert_eq!(results[1]["outcome"], "files.not_found");
    assert_eq!(there.sgw.recorded("files.look").len(), 3);
    assert_eq!(there.sgw.recorded("files.blocked").len(), 1);
    let all = there.sgw.operator(["audit", "list", "--json"]).ok().stdout();
    assert!(!all.contains("content-of-no-record"), "contents are not kept");
}
