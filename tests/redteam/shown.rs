//! Shown: this can be done, and is seen.

use std::process::Command;

use crate::support::{Sgw, Sshd};

#[test]
fn a_whole_older_state_put_back_shows_at_unlock() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.session(&sshd);
    sgw.lock();
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
        assert!(done.success());
    };
    let older = sgw.path("older");
    copy(&sgw.home(), &older);
    let unlock = || {
        let outcome = sgw.operator(["unlock"]).ok();
        sgw.daemon();
        outcome.stdout() + &outcome.stderr()
    };
    unlock();
    let session = sgw.session(&sshd);
    sgw.agent(["exec", &session, "--", "true"]).ok();
    sgw.lock();
    let now = unlock();
    sgw.lock();
    std::fs::remove_dir_all(sgw.home()).unwrap();
    copy(&older, &sgw.home());
    let then = unlock();
    // What unlock says is the anchor: revision, date and the head of the record.
    assert_ne!(now, then);
    assert!(now.to_lowercase().contains("audit"), "unlock does not show the record: {now}");
    assert!(now.to_lowercase().contains("revision"), "unlock does not show the revision: {now}");
}
