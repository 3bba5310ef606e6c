//! Setting up: what is kept, what is refused, and that nothing is half done.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use crate::support::Key;

#[test]
fn a_target_is_kept_and_shown_without_what_logs_in_there() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let connections = sshd.log().matches("Connection from 127.0.0.1").count();
    let more =
        ["--shell", "bash", "--directory", "/srv", "--env", "LANG=C", "--mode", "each", "--prod"];
    let added = add(&sgw, "web1", &sshd, &more);
    assert_eq!((&added["name"], &added["kind"]), (&"web1".into(), &"target".into()));
    let shown = show(&sgw, "web1");
    assert_eq!(shown, added);
    assert_eq!((&shown["host"], &shown["port"]), (&"127.0.0.1".into(), &sshd.port().into()));
    assert_eq!(shown["user"], sshd.user.as_str());
    let credential = &shown["credential"];
    assert_eq!(credential["kind"], "key");
    assert_eq!(credential["fingerprint"], sshd.key.fingerprint());
    assert_eq!(shown["host_keys"], serde_json::json!([sshd.host_key_fingerprint()]));
    assert_eq!((&shown["prod"], &shown["guard"]["mode"]), (&true.into(), &"each".into()));
    let list = sgw.operator(["target", "list", "--json"]).ok().json();
    assert_eq!(list["targets"], serde_json::json!([shown]));
    let told = sgw.operator(["target", "list"]).ok().stdout();
    assert!(told.contains("web1") && told.contains("PROD"), "{told}");
    // Nothing went there, and the next daemon has it too.
    assert_eq!(sshd.log().matches("Connection from 127.0.0.1").count(), connections);
    sgw.lock();
    sgw.unlock();
    assert_eq!(show(&sgw, "web1"), added);
}

#[test]
fn names_are_taken_once_and_have_one_form() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    add(&sgw, "web1", &sshd, &[]);
    let before = show(&sgw, "web1");
    try_add(&sgw, "web1", "me@elsewhere", &[]).fails(1, "target.exists");
    assert_eq!(show(&sgw, "web1"), before);
    for name in ["Web", "-a", "a b", "s-web", "r-7k3", ""] {
        let outcome = sgw.operator(["target", "add", "--json", "--", name, "me@elsewhere"]);
        outcome.fails(2, "usage.name");
    }
    for destination in ["me@web:0", "-oProxyCommand=x", "a b", "me@"] {
        let outcome = sgw.operator(["target", "add", "--json", "--", "new", destination]);
        outcome.fails(2, "usage.destination");
    }
    sgw.operator(["target", "show", "wed1", "--json"]).fails(1, "target.unknown");
    let near = sgw.operator(["target", "show", "wbe1"]).fails(1, "target.unknown");
    assert!(near.stderr().contains("web1"), "{near:?}");
}

#[test]
fn a_key_that_can_t_be_kept_is_told_and_nothing_is_kept() {
    let sgw = Sgw::unlocked();
    let secret = "canary-passphrase-of-a-kept-key";
    sgw.plant(secret.as_bytes());
    let locked = Key::encrypted(&sgw.path("locked"), secret);
    let open = Key::ed25519(&sgw.path("open"));
    fs::set_permissions(&open.path, fs::Permissions::from_mode(0o644)).unwrap();
    let nonsense = sgw.write_private("nonsense", "not a key at all");
    let public = text(&open.path.with_extension("pub"));
    let unknown = "-----BEGIN DSA PRIVATE KEY-----\nMIIBuwIB\n-----END DSA PRIVATE KEY-----\n";
    let unknown = sgw.write_private("unknown", unknown);
    let is_a_key = ["--password-file", &text(&unknown)].map(str::to_owned);
    let refused = try_add(&sgw, "web1", "me@web1", &is_a_key.each_ref().map(String::as_str));
    let refused = refused.fails(1, "target.credential");
    assert!(refused.stdout().contains("which is no password"), "{refused:?}");
    for (file, says) in [
        ("/nonexistent/key".to_owned(), "no such file"),
        (text(&nonsense), "no private key that sgw knows"),
        (text(&unknown), "a key of the type ssh-dss is not supported"),
        (text(&sgw.home()), "it is a directory"),
        (public, "public key"),
        (text(&open.path), "others can read it"),
        (text(&locked.path), "passphrase of its own"),
    ] {
        let refused = try_add(&sgw, "web1", "me@web1", &["--identity", &file]);
        let refused = refused.fails(1, "target.credential");
        assert!(refused.stdout().contains(says), "{refused:?}");
    }
    let passphrase = text(&sgw.write_private("passphrase-of-the-key", secret));
    let wrong = text(&sgw.write_private("wrong", "another one"));
    let locked = text(&locked.path);
    let with = |file| ["--identity", &locked, "--identity-passphrase-file", file];
    try_add(&sgw, "web1", "me@web1", &with(&wrong)).fails(1, "target.credential");
    let list = sgw.operator(["target", "list", "--json"]).ok().json();
    assert_eq!(list["targets"], serde_json::json!([]));
    try_add(&sgw, "web1", "me@web1", &with(&passphrase)).ok();
    assert_eq!(show(&sgw, "web1")["credential"]["kind"], "key");
}

#[test]
fn an_encrypted_key_s_passphrase_is_asked_for_on_a_terminal() {
    let sgw = Sgw::unlocked();
    let secret = "canary-passphrase-asked-for";
    sgw.plant(secret.as_bytes());
    let locked = text(&Key::encrypted(&sgw.path("locked"), secret).path);
    let proof = text(&sgw.passphrase_file());
    let add =
        ["target", "add", "web1", "me@web1", "--identity", &locked, "--passphrase-file", &proof];
    let mut terminal = sgw.terminal(add);
    terminal.wait_for("Passphrase of");
    terminal.send(&format!("{secret}\r"));
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains(secret), "{screen}");
}

#[test]
fn ways_that_lead_nowhere_are_refused_before_they_are_kept() {
    let sgw = Sgw::unlocked();
    try_add(&sgw, "a", "me@a", &["--jump", "gone"]).fails(1, "target.way");
    try_add(&sgw, "a", "me@a", &["--jump", "a"]).fails(1, "target.way");
    try_add(&sgw, "a", "me@a", &[]).ok();
    try_add(&sgw, "b", "me@b", &["--jump", "a"]).ok();
    try_add(&sgw, "c", "me@c", &["--jump", "b"]).ok();
    let before = show(&sgw, "a");
    let circle = sgw.operator(["target", "edit", "a", "--jump", "c", "--json"]);
    let circle = circle.fails(1, "target.way").stdout();
    assert!(circle.contains("a → b → c → a") || circle.contains("a → c → b → a"), "{circle}");
    assert_eq!(show(&sgw, "a"), before);
    // One account of one machine under two names.
    try_add(&sgw, "again", "me@b", &["--jump", "b"]).fails(1, "target.way");
    let two = ["--jump", "a", "--proxy-command", "nc %h %p"];
    assert_eq!(try_add(&sgw, "d", "me@d", &two).code(), 2);
    // Who is reached through it comes first.
    let used = sgw.operator(["target", "rm", "a", "--json"]).fails(1, "target.used");
    assert!(used.stdout().contains("b"), "{used:?}");
    sgw.operator(["target", "edit", "b", "--no-jump"]).ok();
    sgw.operator(["target", "rm", "a"]).ok();
    sgw.operator(["target", "show", "a", "--json"]).fails(1, "target.unknown");
    assert_eq!(show(&sgw, "c")["way"], serde_json::json!(["b"]));
}

#[test]
fn of_two_operators_who_edit_at_once_the_second_is_told() {
    let sgw = Sgw::unlocked();
    try_add(&sgw, "web1", "me@web1", &[]).ok();
    let version = show(&sgw, "web1")["version"].to_string();
    let edit = |dest: &str| {
        let edit = ["target", "edit", "web1", "--dest", dest, "--if-version", &version, "--json"];
        sgw.operator(edit)
    };
    edit("me@first").ok();
    edit("me@second").fails(1, "target.changed");
    assert_eq!(show(&sgw, "web1")["host"], "first");
}

#[test]
fn what_an_edit_does_not_name_stays() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let before = add(&sgw, "web1", &sshd, &["--prod", "--env", "A=1", "--no-pty"]);
    sgw.operator(["target", "edit", "web1", "--env", "B=2", "--no-prod", "--json"]).ok();
    let mut expected = before.clone();
    let after = show(&sgw, "web1");
    expected["version"] = after["version"].clone();
    expected["prod"] = false.into();
    expected["surroundings"]["environment"]["B"] = "2".into();
    assert_eq!(after, expected);
    let nothing = sgw.operator(["target", "edit", "web1", "--env", "B=2", "--json"]);
    nothing.fails(2, "usage.arguments");
    let session = session(&sgw, "web1");
    works(&sgw, &session);
    // Without what logs in there the value is gone too.
    sgw.operator(["target", "edit", "web1", "--ask"]).ok();
    assert_eq!(show(&sgw, "web1")["credential"]["kind"], "asked");
}

#[test]
fn every_change_is_on_record_without_values() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    add(&sgw, "web1", &sshd, &[]);
    sgw.operator(["target", "edit", "web1", "--prod"]).ok();
    sgw.operator(["target", "rm", "web1"]).ok();
    let records = sgw.operator(["audit", "list", "--json"]).ok().json_lines();
    let changes: Vec<_> =
        records.iter().filter(|record| record["kind"] == "target.changed").collect();
    assert_eq!(changes.len(), 3, "{records:?}");
    let of = |at: usize, when: &str| changes[at]["action"][when]["prod"].clone();
    assert_eq!((of(0, "before"), of(0, "after")), (Value::Null, false.into()));
    assert_eq!((of(1, "before"), of(1, "after")), (false.into(), true.into()));
    assert_eq!((of(2, "before"), of(2, "after")), (true.into(), Value::Null));
}
