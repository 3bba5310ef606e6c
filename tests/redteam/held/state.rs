//! At the state on the disk, whose files are the agent's to write: edited, swapped, linked, moved away.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
    process::Command,
};

use rusqlite::Connection;
use rustix::process::Signal;

use super::super::{copy, ordinary};
use crate::support::{PASSWORD, Sgw, Sshd, Token, is_root, signal};

/// A target, a token, and what it was given.
fn given(more: &[&str]) -> (Sgw, Sshd, Token) {
    let (sgw, sshd) = (ordinary(), Sshd::start());
    sgw.target("web1", &sshd);
    let token = sgw.token("ci", &[]);
    sgw.grant(&[&["--token", "ci", "--target", "web1"], more].concat());
    (sgw, sshd, token)
}

fn sql(file: &Path, statements: &str) {
    let open = Connection::open(file).unwrap();
    open.execute_batch(&format!("PRAGMA writable_schema = ON; {statements}")).unwrap();
}

#[test]
fn whatever_is_edited_in_the_vault_is_refused_by_name() {
    let (sgw, _sshd, _token) = given(&[]);
    let vault = sgw.home().join("vault.db");
    let older = sgw.path("older.db");
    copy(&vault, &older);
    sgw.operator(["token", "revoke", "ci"]).ok();
    sgw.token("other", &[]);
    sgw.lock();
    let now = fs::read(&vault).unwrap();
    let attach = format!("ATTACH '{}' AS older;", older.display());
    let edits = [
        // A bit, another's content, another's name, gone, one more, all of an older one but its root.
        (
            "UPDATE record SET sealed = zeroblob(length(sealed)) WHERE kind = 'target'",
            "target web1",
        ),
        (
            "UPDATE record SET sealed = (SELECT sealed FROM record WHERE kind = 'target') WHERE kind = 'token'",
            "token",
        ),
        ("UPDATE record SET id = 'web2' WHERE kind = 'target'", "target web2"),
        ("DELETE FROM record WHERE kind = 'target'", "target web1"),
        (
            "INSERT INTO record SELECT kind, 'twin', version, sealed FROM record WHERE kind = 'target'",
            "target twin",
        ),
        (
            "INSERT OR REPLACE INTO record SELECT * FROM older.record WHERE kind IN ('token', 'grant')",
            "grant g-",
        ),
        ("DELETE FROM record; INSERT INTO record SELECT * FROM older.record", "grant g-"),
        ("UPDATE root SET sealed = (SELECT sealed FROM older.root)", "root"),
        ("UPDATE root SET (revision, sealed) = (SELECT revision, sealed FROM older.root)", "token"),
        ("CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END", "trigger"),
        ("CREATE VIEW v AS SELECT * FROM record", "view"),
        ("DROP TABLE root", "root"),
    ];
    for (edit, named) in edits {
        sql(&vault, &format!("{attach} {edit};"));
        let refused = sgw.operator(["unlock"]).fails(1, "vault.damaged");
        assert!(refused.stderr().contains(named), "{edit}: {refused:?}");
        assert_eq!(sgw.daemon(), None, "{edit}");
        fs::write(&vault, &now).unwrap();
    }
    sgw.unlock();
}

#[test]
fn links_types_modes_and_owners_of_its_files_are_refused() {
    let sgw = ordinary();
    sgw.lock();
    for name in ["vault.json", "vault.db", "audit.log"] {
        let (file, aside) = (sgw.home().join(name), sgw.path("aside"));
        let refused = |what: &str| {
            let outcome = sgw.operator(["unlock"]).exits(1);
            assert!(outcome.error_code().is_some(), "{name} as {what}: {outcome:?}");
            assert_eq!(sgw.daemon(), None, "{name} as {what}");
        };
        fs::hard_link(&file, &aside).unwrap();
        refused("a second name");
        fs::remove_file(&aside).unwrap();
        fs::rename(&file, &aside).unwrap();
        symlink(&aside, &file).unwrap();
        refused("a symbolic link");
        fs::remove_file(&file).unwrap();
        let made = Command::new("mkfifo").arg(&file).status().unwrap();
        assert!(made.success());
        refused("a FIFO, which would be waited for");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        refused("a directory");
        fs::remove_dir(&file).unwrap();
        fs::rename(&aside, &file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o660)).unwrap();
        refused("a group's");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            chown(&file, Some(65534), None).unwrap();
            refused("nobody's");
            sgw.give(&file);
        }
    }
    sgw.unlock();
}

#[test]
fn a_journal_that_was_planted_writes_nowhere_and_gives_nothing() {
    let (sgw, _sshd, token) = given(&[]);
    let vault = sgw.home().join("vault.db");
    let before = fs::read(&vault).unwrap();
    sgw.operator(["token", "revoke", "ci"]).ok();
    sgw.lock();
    let victim = sgw.write_private("victim", PASSWORD);
    for name in ["vault.db-journal", "vault.db-wal", "vault.db-shm", "vault.db.new"] {
        symlink(&victim, sgw.home().join(name)).unwrap();
        // Refused, or removed as what it is: a name.
        if sgw.operator(["unlock"]).code() == 0 {
            sgw.daemon();
            sgw.by(&token, ["exec", "web1", "--", "true"]).fails(77, "token.invalid");
            sgw.lock();
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), PASSWORD, "{name} led there");
        let _gone = fs::remove_file(sgw.home().join(name));
    }
    // What a journal would put back is the older state; half of it is damage.
    let journal = sgw.home().join("vault.db-journal");
    fs::write(&journal, journal_of(&before, &fs::read(&vault).unwrap())).unwrap();
    sgw.give(&journal);
    let unlocked = sgw.operator(["unlock"]);
    if unlocked.code() == 0 {
        sgw.daemon();
        assert!(unlocked.stderr().contains("put back") || !journal.exists(), "{unlocked:?}");
    } else {
        unlocked.fails(1, "vault.damaged");
    }
}

/// A rollback journal (fileformat2.html, 3) that puts back the second of these pages.
fn journal_of(before: &[u8], now: &[u8]) -> Vec<u8> {
    let page = 4096_u32;
    let pages = u32::try_from(now.len()).unwrap() / page;
    let mut journal = vec![0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    for word in [1, 0, pages, 512, page] {
        journal.extend(word.to_be_bytes());
    }
    journal.resize(512, 0);
    let content = &before[4096..8192];
    // Every 200th byte from the end, added up.
    let mut sum = 0_u32;
    let mut at = 4096_i32 - 200;
    while at > 0 {
        sum = sum.wrapping_add(u32::from(content[at.unsigned_abs() as usize]));
        at -= 200;
    }
    journal.extend(2_u32.to_be_bytes());
    journal.extend(content);
    journal.extend(sum.to_be_bytes());
    journal
}

#[test]
fn a_vault_that_is_put_back_under_a_running_daemon_revives_nothing() {
    let (sgw, _sshd, token) = given(&["--max-commands", "1"]);
    let vault = sgw.home().join("vault.db");
    let older = fs::read(&vault).unwrap();
    sgw.by(&token, ["exec", "web1", "--", "echo", "once"]).ok().prints("once\n");
    let spent = || sgw.by(&token, ["exec", "web1", "--", "echo", "twice"]);
    assert_ne!(spent().code(), 0);
    // In place, and by another file under its name.
    fs::write(&vault, &older).unwrap();
    assert_eq!(spent().stdout(), "");
    let twin = sgw.path("twin");
    fs::write(&twin, &older).unwrap();
    fs::set_permissions(&twin, fs::Permissions::from_mode(0o600)).unwrap();
    sgw.give(&twin);
    fs::rename(&twin, &vault).unwrap();
    assert_eq!(spent().stdout(), "");
    // The operator is told that nothing can be changed any more.
    sgw.operator(["token", "create", "late"]).fails(1, "vault.damaged");
    assert_eq!(sgw.recorded("exec.intent").len(), 1);
}

#[test]
fn a_daemon_out_of_the_operators_sight_does_not_live_on_beside_the_next() {
    // The agent stops the daemon, puts a copy in the place of its home and waits: the operator finds
    // no daemon, unlocks, takes everything back. The first daemon has the old home, and knows of nothing.
    let (sgw, _sshd, token) = given(&[]);
    let first = sgw.daemon().unwrap();
    let hidden = sgw.path("h");
    signal(first, Signal::STOP);
    fs::rename(sgw.home(), &hidden).unwrap();
    copy(&hidden, &sgw.home());
    let unlocked = sgw.operator(["unlock"]);
    if unlocked.code() == 0 {
        sgw.daemon();
        sgw.operator(["token", "revoke", "ci"]).ok();
    }
    signal(first, Signal::CONT);
    let mut exec = sgw.command(["exec", "web1", "--", "echo", "past", "the", "end"]);
    let ran = sgw.run(exec.env("SGW_TOKEN", &token.text).env("SGW_HOME", &hidden));
    assert!(
        unlocked.code() != 0 || ran.stdout() != "past the end\n",
        "a token that was revoked still works at a daemon that nobody sees"
    );
    // Its operator is told where it is.
    let unlocked = unlocked.fails(1, "daemon.failed");
    assert!(unlocked.stderr().contains(&first.to_string()), "{unlocked:?}");
    fs::remove_dir_all(sgw.home()).unwrap();
    fs::rename(&hidden, sgw.home()).unwrap();
}
