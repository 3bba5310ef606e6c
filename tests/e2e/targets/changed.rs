//! What a change of a target does to the sessions that are open there.

use super::*;

#[test]
fn a_change_ends_what_opened_by_itself_on_what_the_target_was() {
    let (sgw, one, other) = (Sgw::unlocked(), Sshd::start(), Sshd::start());
    other.allow(&one.key);
    sgw.target("web1", &one);
    let token = sgw.token("ci", &[]);
    sgw.grant(&["--token", "ci", "--target", "web*"]);
    let port = || {
        let ran = sgw.by(&token, ["exec", "web1", "--", "echo $SSH_CONNECTION"]).ok();
        ran.stdout().split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(port(), one.port().to_string());

    sgw.operator(["target", "edit", "web1", "--mode", "each"]).ok().says("ended");
    let asks = ["exec", "web1", "--no-wait", "--", "true"];
    sgw.by(&token, asks).fails(75, "approval.pending");
    sgw.operator(["target", "edit", "web1", "--mode", "guarded"]).ok();

    assert_eq!(port(), one.port().to_string());
    let (there, key) = (other.destination(), other.host_key_fingerprint());
    let moved = ["target", "edit", "web1", "--dest", &there, "--accept-host-key", &key];
    sgw.operator(moved).ok().says("ended");
    assert_eq!(port(), other.port().to_string());

    let mut call = sgw.start_by(&token, ["exec", "web1", "--", "echo on; sleep 600"]);
    call.prints("on\n");
    sgw.operator(["target", "rm", "web1"]).ok().says("ended");
    call.ends().fails(125, "target.changed");
    sgw.by(&token, ["exec", "web1", "--", "true"]).fails(77, "grant.missing");
    let closed = sgw.recorded("session.closed");
    assert!(closed.iter().all(|one| one["outcome"] == "target.changed"), "{closed:?}");
    assert_eq!(closed.len(), 4, "{closed:?}");
}

#[test]
fn a_change_of_a_jump_host_ends_what_opened_by_itself_behind_it() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.target("gate", &sshd);
    let other = Sshd::start();
    add(&sgw, "db1", &other, &["--jump", "gate"]);
    let token = sgw.token("ci", &[]);
    sgw.grant(&["--token", "ci", "--target", "db1"]);
    sgw.by(&token, ["exec", "db1", "--", "true"]).ok();
    sgw.operator(["target", "edit", "gate", "--prod"]).ok().says("ended");
    let mine = sgw.by(&token, ["sessions", "--json"]).ok().json();
    assert_eq!(mine["sessions"].as_array().map(Vec::len), Some(0), "{mine}");
    sgw.by(&token, ["exec", "db1", "--", "true"]).ok();
}

#[test]
fn what_a_person_approved_goes_on_by_name_and_is_stricter_at_once() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    add(&sgw, "web1", &sshd, &[]);
    let s = session(&sgw, "web1");
    works(&sgw, &s);
    let close = format!("sgw close {s}");
    sgw.operator(["target", "edit", "web1", "--mode", "each", "--no-pty"]).ok().says(&close);
    sgw.agent(["exec", &s, "--no-wait", "--", "true"]).fails(75, "approval.pending");
    sgw.agent(["input", &s, "ls"]).fails(77, "grant.missing");
    sgw.operator(["target", "rm", "web1"]).ok().says(&close);
    let told = sgw.recorded("target.changed").pop().unwrap();
    assert_eq!(told["action"]["go_on"], serde_json::json!([s]), "{told}");
    let added = try_add(&sgw, "web1", "me@127.0.0.1:9", &[]).ok().json();
    assert_eq!(added["go_on"], serde_json::json!([s]), "{added}");
}
