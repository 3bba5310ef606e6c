//! `sgw target test`: how far one gets, step by step.

use std::net::TcpListener;

use super::*;
use crate::support::{Key, OddServer};

fn steps(outcome: &Outcome) -> Vec<(String, String, bool)> {
    let json = outcome.json();
    let all = json["steps"].as_array().unwrap();
    let text = |step: &Value, name: &str| step[name].as_str().unwrap().to_owned();
    all.iter().map(|step| (text(step, "target"), text(step, "step"), step["ok"] == true)).collect()
}

fn last(outcome: &Outcome) -> (String, String) {
    let json = outcome.json();
    let step = json["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&step["ok"], &json["ok"]), (&false.into(), &false.into()), "{step}");
    let code = step["error"]["code"].as_str().unwrap().to_owned();
    (step["step"].as_str().unwrap().to_owned(), code)
}

#[test]
fn every_step_is_told_with_its_time_through_all_jumps() {
    let (sgw, jump, inner) = (Sgw::unlocked(), Sshd::start(), Sshd::start());
    add(&sgw, "bastion", &jump, &[]);
    add(&sgw, "inner", &inner, &["--jump", "bastion"]);
    let tested = sgw.operator(["target", "test", "inner", "--json"]).ok();
    let expected = [
        ("bastion", "name"),
        ("bastion", "tcp"),
        ("bastion", "host_key"),
        ("bastion", "login"),
        ("inner", "tunnel"),
        ("inner", "host_key"),
        ("inner", "login"),
        ("inner", "shell"),
        ("inner", "sftp"),
    ];
    let steps = steps(&tested);
    let told: Vec<_> = steps.iter().map(|(target, step, _)| (&**target, &**step)).collect();
    assert_eq!(told, expected, "{tested:?}");
    assert!(steps.iter().all(|(.., ok)| *ok), "{tested:?}");
    let json = tested.json();
    assert!(json["steps"][0]["duration_ms"].is_u64());
    assert_eq!(json["steps"][5]["found"], inner.host_key_fingerprint());
    assert_eq!(json["steps"][8]["found"], "version 3");
    let told = sgw.operator(["target", "test", "inner"]).ok().stdout();
    assert!(told.contains("host_key") && told.contains(" ms"), "{told}");
}

#[test]
fn the_step_that_fails_is_named_with_its_cause() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let test = |name: &str| sgw.operator(["target", "test", name, "--json"]);
    let own = text(&sgw.write_private("own", fs::read(&sshd.key.path).unwrap()));
    let (here, key) = (sshd.destination(), sshd.host_key_fingerprint());
    let foreign = text(&Key::ed25519(&sgw.path("foreign")).path);

    // Nobody listens on a port that was just given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    try_add(&sgw, "closed", &format!("me@127.0.0.1:{port}"), &["--identity", &own]).ok();
    let closed = test("closed").exits(255);
    assert_eq!(last(&closed), ("tcp".into(), "target.unreachable".into()));

    try_add(&sgw, "nameless", "me@no-such-host.invalid", &["--identity", &own]).ok();
    let nameless = test("nameless").exits(255);
    assert_eq!(last(&nameless), ("name".into(), "target.unreachable".into()));

    try_add(&sgw, "unknown", &here, &["--identity", &own]).ok();
    let unknown = test("unknown").exits(77);
    assert_eq!(last(&unknown), ("host_key".into(), "hostkey.unknown".into()));
    assert!(unknown.stdout().contains(&format!("sgw target accept-key unknown {key}")));

    let with = ["--identity", &foreign, "--accept-host-key", &key];
    try_add(&sgw, "refused", &here, &with).ok();
    let refused = test("refused").exits(77);
    assert_eq!(last(&refused), ("login".into(), "target.auth".into()));

    try_add(&sgw, "asked", &here, &["--accept-host-key", &key]).ok();
    test("asked").fails(77, "target.borrowed");
    assert_eq!(sshd.logins(), 0);
}

#[test]
fn without_sftp_or_without_commands_that_is_said() {
    let sgw = Sgw::unlocked();
    let bare = OddServer::start(Default::default());
    let (file, key) = (text(&bare.password_file), bare.seen().fingerprint());
    let with = ["--password-file", &file, "--accept-host-key", &key];
    try_add(&sgw, "bare", &bare.destination(), &with).ok();
    let tested = sgw.operator(["target", "test", "bare", "--json"]);
    assert_eq!(last(&tested).0, "sftp", "{tested:?}");
    let forced = Sshd::with().line("ForceCommand exit 7").start();
    add(&sgw, "forced", &forced, &[]);
    let tested = sgw.operator(["target", "test", "forced", "--json"]);
    assert_eq!(last(&tested).0, "shell", "{tested:?}");
}

#[test]
fn a_target_can_be_tested_as_it_is_added() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let identity = text(&sgw.write_private("identity", fs::read(&sshd.key.path).unwrap()));
    let key = sshd.host_key_fingerprint();
    let with = ["--identity", &identity, "--accept-host-key", &key, "--test"];
    let tested = try_add(&sgw, "web1", &sshd.destination(), &with).ok();
    assert_eq!(tested.json()["ok"], true);
}
