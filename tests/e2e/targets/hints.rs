//! What is said when something about a target is not as it should be.

use super::*;

#[test]
fn a_policy_that_nothing_enforces_is_not_taken() {
    let sgw = Sgw::unlocked();
    let refused = try_add(&sgw, "web1", "me@web1", &["--policy", "nosuchpolicy"]);
    refused.fails(2, "usage.arguments");
    sgw.operator(["target", "show", "web1"]).fails(1, "target.unknown");
}

#[test]
fn a_wrong_credential_under_a_grant_is_the_target_s_to_mend() {
    let (sgw, sshd, other) = (Sgw::unlocked(), Sshd::start(), Sshd::start());
    let key = text(&sgw.write_private("identity", fs::read(&other.key.path).unwrap()));
    let fingerprint = sshd.host_key_fingerprint();
    let with = ["--identity", &key, "--accept-host-key", &fingerprint];
    try_add(&sgw, "web1", &sshd.destination(), &with).ok();
    let token = sgw.token("ci", &[]);
    sgw.grant(&["--token", "ci", "--target", "web1"]);
    let refused = sgw.by(&token, ["exec", "web1", "--", "true"]).fails(77, "target.auth");
    refused.says("sgw target edit web1 --identity FILE");

    let tested = ["target", "add", "web2", &sshd.destination(), "--test"];
    let tested = sgw.operator(tested.into_iter().chain(with));
    assert_ne!(tested.code(), 0);
    tested.says("web2 is kept all the same");
    sgw.operator(["target", "show", "web2"]).ok();
}

#[test]
fn hints_name_the_target_and_the_file() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    try_add(&sgw, "asked1", &sshd.destination(), &[]).ok();
    let token = sgw.token("ci", &[]);
    sgw.grant(&["--token", "ci", "--target", "asked1"]);
    let refused = sgw.by(&token, ["exec", "asked1", "--", "true"]).fails(77, "target.borrowed");
    refused.says("sgw target edit asked1 --identity FILE");
    let file = text(&sgw.write_private("config", "Host one\n  HostName 127.0.0.1\n"));
    let imported = sgw.operator(["target", "import", &file]).ok();
    imported.says(&format!("sgw target import {file} --yes"));
}
