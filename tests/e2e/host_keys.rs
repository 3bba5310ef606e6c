//! Which machine answers: known once, refused when it is another.

use std::process::Command;

use sgw::demo::server::Oddness;

use crate::support::{Destination, Key, OddServer, Outcome, Sgw, Sshd};

/// Approves without accepting any host key by flag.
fn approve_without_key(sgw: &Sgw, request: &str, target: &impl Destination) -> Outcome {
    let identity = target.identity().display().to_string();
    sgw.operator(["approve", request, "--yes", "--json", "--identity", &identity])
}

#[test]
fn an_accepted_key_is_not_asked_for_again_not_even_by_the_next_daemon() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.session(&sshd);
    let again = sgw.requests(&sshd, &["--new"]);
    approve_without_key(&sgw, &again, &sshd).ok();
    sgw.lock();
    sgw.unlock();
    let later = sgw.requests(&sshd, &[]);
    approve_without_key(&sgw, &later, &sshd).ok();
}

#[test]
fn a_changed_key_is_refused_with_both_fingerprints() {
    let (sgw, mut sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.session(&sshd);
    let before = sshd.host_key_fingerprint();
    sshd.change_host_key();
    let request = sgw.requests(&sshd, &["--new"]);
    // Accepting the new one by flag does not lift it: it was never asked as a change.
    let outcome = sgw.try_approve(&request, &sshd).fails(77, "hostkey.changed");
    let said = outcome.stdout();
    assert!(said.contains(&before) && said.contains(&sshd.host_key_fingerprint()), "{outcome:?}");
    assert_eq!(sshd.logins(), 1, "a credential went to the new key");
}

#[test]
fn a_session_does_not_reconnect_to_another_key() {
    let (sgw, mut sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    sgw.agent(["exec", &session, "--", "true"]).ok();
    let logins = sshd.logins();
    sshd.change_host_key();
    let exec = ["exec", &session, "--json", "--", "true"];
    let mut outcome = sgw.agent(exec);
    if outcome.code() == 255 {
        // The first exec may be the one that finds the connection dead.
        outcome = sgw.agent(exec);
    }
    let outcome = outcome.fails(77, "hostkey.changed");
    assert_eq!(outcome.json()["error"]["sent"], false);
    assert_eq!(sshd.logins(), logins);
}

#[test]
fn a_server_that_shows_another_key_each_time_gets_no_credential() {
    let (sgw, server) = (Sgw::unlocked(), OddServer::start(Oddness::NewHostKeyEachTime));
    let request = sgw.requests(&server, &[]);
    approve_without_key(&sgw, &request, &server).fails(77, "hostkey.unknown");
    sgw.try_approve(&request, &server).fails_as(77, &["hostkey.unknown", "hostkey.changed"]);
    assert_eq!(server.seen().credentials(), 0);
}

#[test]
fn known_hosts_can_refuse() {
    let Some(sgw) = Sgw::of_someone_with_a_home() else { return };
    let sshd = Sshd::start();
    sgw.give(&sshd.key.path);
    let other = Key::ed25519(&sgw.path("other")).line();
    let own = sshd.host_key_line();
    let port = sshd.port();
    for (line, code) in [
        (format!("[127.0.0.1]:{port} {other}"), "hostkey.changed"),
        (format!("[127.0.0.*]:{port} {other}"), "hostkey.changed"),
        (format!("@revoked [127.0.0.1]:{port} {own}"), "hostkey.changed"),
        (format!("@revoked * {own}"), "hostkey.changed"),
        (hashed(&sgw, &format!("[127.0.0.1]:{port} {other}")), "hostkey.changed"),
    ] {
        sgw.write_in_user_home(".ssh/known_hosts", &format!("{line}\n"));
        let request = sgw.requests(&sshd, &[]);
        let outcome = sgw.try_approve(&request, &sshd);
        assert_eq!(outcome.error_code().as_deref(), Some(code), "{line}\n{outcome:?}");
        assert_eq!(sshd.logins(), 0, "{line}");
    }
    // Other hosts, other ports and comments are none of its business.
    let innocent = format!("# a comment\n[127.0.0.1]:1 {other}\nexample.org {other}\n");
    sgw.write_in_user_home(".ssh/known_hosts", &innocent);
    let request = sgw.requests(&sshd, &[]);
    sgw.try_approve(&request, &sshd).ok();
}

#[test]
fn known_hosts_that_names_the_key_still_asks_once() {
    let Some(sgw) = Sgw::of_someone_with_a_home() else { return };
    let sshd = Sshd::start();
    sgw.give(&sshd.key.path);
    let line = format!("[127.0.0.1]:{} {}\n", sshd.port(), sshd.host_key_line());
    sgw.write_in_user_home(".ssh/known_hosts", &line);
    let request = sgw.requests(&sshd, &[]);
    approve_without_key(&sgw, &request, &sshd).fails(77, "hostkey.unknown");
    sgw.try_approve(&request, &sshd).ok();
}

/// As `HashKnownHosts` keeps it.
fn hashed(sgw: &Sgw, line: &str) -> String {
    let file = sgw.path("to-hash");
    std::fs::write(&file, format!("{line}\n")).unwrap();
    let done = Command::new("ssh-keygen").arg("-H").arg("-f").arg(&file).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let line = std::fs::read_to_string(&file).unwrap();
    assert!(line.starts_with("|1|"), "{line}");
    line.trim().to_owned()
}
