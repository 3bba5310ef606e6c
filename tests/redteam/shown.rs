//! Shown: this can be done, and is seen.

use std::fs;

use serde_json::Value;

use super::{copy, ordinary};
use crate::support::{PASSPHRASE, Sgw, Sshd};

const ANOTHER: &str = "granite-lantern-otter-meadow-quartz-5512";

/// What unlock says is the anchor: revision, date, and the head of the record.
#[track_caller]
fn unlock(sgw: &Sgw) -> String {
    let outcome = sgw.operator(["unlock"]).ok();
    sgw.daemon();
    outcome.stdout() + &outcome.stderr()
}

/// The number of records and their head, as the operator noted them.
#[track_caller]
fn verified(sgw: &Sgw) -> Value {
    sgw.operator(["audit", "verify", "--json"]).ok().json()
}

#[test]
fn a_whole_older_state_put_back_shows_at_unlock() {
    let (sgw, sshd) = (ordinary(), Sshd::start());
    sgw.session(&sshd);
    sgw.lock();
    let older = sgw.path("older");
    copy(&sgw.home(), &older);
    unlock(&sgw);
    let session = sgw.session(&sshd);
    sgw.agent(["exec", &session, "--", "true"]).ok();
    let noted = verified(&sgw);
    sgw.lock();
    let now = unlock(&sgw);
    sgw.lock();
    fs::remove_dir_all(sgw.home()).unwrap();
    copy(&older, &sgw.home());
    let then = unlock(&sgw);
    assert_ne!(now, then);
    assert!(now.to_lowercase().contains("audit"), "unlock does not show the record: {now}");
    assert!(now.to_lowercase().contains("revision"), "unlock does not show the revision: {now}");
    let found = verified(&sgw);
    assert!(found["records"].as_u64() < noted["records"].as_u64(), "{found} {noted}");
    assert_ne!(found["head"], noted["head"]);
}

#[test]
fn an_older_vault_under_the_record_of_now_is_told() {
    let sgw = ordinary();
    sgw.token("ci", &[]);
    sgw.lock();
    let (vault, older) = (sgw.home().join("vault.db"), sgw.path("older"));
    copy(&vault, &older);
    unlock(&sgw);
    sgw.operator(["token", "revoke", "ci"]).ok();
    sgw.lock();
    copy(&older, &vault);
    let told = unlock(&sgw);
    assert!(told.contains("an earlier state of it was put back"), "{told}");
}

#[test]
fn an_older_header_put_back_does_not_take_the_operators_passphrase() {
    let sgw = ordinary();
    let (header, older) = (sgw.home().join("vault.json"), sgw.path("older"));
    copy(&header, &older);
    sgw.plant(ANOTHER.as_bytes());
    let another = sgw.write_private("another", ANOTHER);
    let change = ["vault", "passphrase", "--new-passphrase-file", another.to_str().unwrap()];
    sgw.operator(change).ok();
    sgw.lock();
    copy(&older, &header);
    // The operator's own is wrong all at once; with the older one the record says that it was changed.
    sgw.write_private("passphrase", ANOTHER);
    sgw.operator(["unlock"]).fails(77, "operator.proof");
    sgw.write_private("passphrase", PASSPHRASE);
    unlock(&sgw);
    let records = sgw.operator(["audit", "list", "--json"]).ok().stdout();
    assert!(records.contains("vault.passphrase"), "{records}");
}

#[test]
fn what_was_deleted_is_missed() {
    let sgw = ordinary();
    sgw.token("ci", &[]);
    let first = sgw.path("first");
    sgw.lock();
    copy(&sgw.home(), &first);
    let lost = |names: &[&str]| {
        names.iter().for_each(|name| fs::remove_file(sgw.home().join(name)).unwrap());
        sgw.operator(["unlock"])
    };
    let put_back = || {
        fs::remove_dir_all(sgw.home()).unwrap();
        copy(&first, &sgw.home());
    };
    lost(&["vault.db"]).fails(1, "vault.damaged");
    put_back();
    lost(&["vault.db", "audit.log"]).fails(1, "vault.damaged");
    put_back();
    lost(&["vault.json"]).fails(69, "operator.none");
    // Nor is a new one made over what is left.
    sgw.operator(["init"]).fails(1, "vault.damaged");
    put_back();
    let told = lost(&["audit.log"]).ok();
    sgw.daemon();
    assert!(told.stderr().contains("it was cut or put back"), "{told:?}");
    assert_ne!(sgw.operator(["audit", "verify"]).code(), 0);
    sgw.lock();
    fs::remove_dir_all(sgw.home()).unwrap();
    sgw.operator(["unlock"]).fails(69, "operator.none");
}

#[test]
fn a_vault_that_begins_anew_from_what_init_wrote_is_told() {
    let sgw = Sgw::new();
    sgw.init();
    let (state, kept) = (sgw.home().join("state.sealed"), sgw.path("kept"));
    copy(&state, &kept);
    sgw.unlock();
    sgw.operator(["config", "set", "require_token", "true"]).ok();
    sgw.lock();
    fs::remove_file(sgw.home().join("vault.db")).unwrap();
    copy(&kept, &state);
    let told = unlock(&sgw);
    assert!(told.contains("an earlier state of it was put back"), "{told}");
}

#[test]
fn a_record_cut_to_the_last_anchor_shows_against_the_head_that_was_noted() {
    let sgw = ordinary();
    let file = sgw.home().join("audit.log");
    let length = fs::metadata(&file).unwrap().len();
    sgw.token("ci", &[]);
    let noted = verified(&sgw);
    sgw.kill_daemon();
    // Nothing in sgw's own files is behind this: the daemon had not come to remember its end.
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length).unwrap();
    unlock(&sgw);
    let found = verified(&sgw);
    assert_ne!(found["head"], noted["head"]);
    let kinds = sgw.recorded("token.created");
    assert!(kinds.is_empty(), "it was not cut: {kinds:?}");
}

#[test]
fn a_record_that_is_cut_under_a_running_daemon_stops_everything() {
    let (sgw, sshd) = (ordinary(), Sshd::start());
    let s = sgw.session(&sshd);
    sgw.agent(["exec", &s, "--", "true"]).ok();
    let file = sgw.home().join("audit.log");
    let whole = fs::read(&file).unwrap();
    let cut = &whole[..whole.len() / 2];
    fs::write(&file, cut).unwrap();
    sgw.agent(["exec", &s, "--", "true"]).fails(125, "evidence.failed");
    fs::write(&file, &whole).unwrap();
    sgw.agent(["exec", &s, "--", "true"]).ok();
    // A copy under its name, to which the daemon does not write.
    let twin = sgw.path("twin");
    copy(&file, &twin);
    fs::rename(&twin, &file).unwrap();
    sgw.agent(["exec", &s, "--", "true"]).fails(125, "evidence.failed");
}
