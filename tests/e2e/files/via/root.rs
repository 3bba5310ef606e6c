//! `--sudo`: as root, where the session may and sudo there wants no password.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::PathBuf,
    process::Command,
};

use serde_json::json;

use super::{Over, There, mode, set_mode};
use crate::support::{Person, Sshd, is_root};

/// An ordinary account whose `sudo` says what a script says. Needs root.
struct Account {
    there: There,
    person: Person,
    home: PathBuf,
}

/// It makes root of whoever may reach it: nobody but this person, for one test.
const LETS: &str = "[ \"$1 $2\" = '-n --' ] || exit 9\nshift 2\nexec \"$0-as-root\" --reuid 0 --regid 0 --clear-groups \"$@\"";

fn account(sudo: &str, more: &[&str]) -> Option<Account> {
    if !is_root() {
        return None;
    }
    let person = Person::ordinary();
    let home = person.home().unwrap().canonicalize().unwrap();
    let bin = home.join("bin");
    fs::create_dir(&bin).unwrap();
    set_mode(&home, 0o700);
    let stub = bin.join("sudo");
    fs::write(&stub, format!("#!/bin/sh\n{sudo}\n")).unwrap();
    set_mode(&stub, 0o755);
    let helper = bin.join("sudo-as-root");
    let copied = Command::new("cp").arg("/usr/bin/setpriv").arg(&helper).output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    set_mode(&helper, 0o4755);
    let path = format!("SetEnv SHLVL=1 PATH={}:/usr/bin:/bin", bin.display());
    let there = There::on(Sshd::with().user(&person).line(&path).start(), more);
    Some(Account { there, person, home })
}

const ALL: &[&str] = &["--only", "exec,files:read,files:write,sudo"];

#[test]
fn what_is_roots_alone_is_read_and_written_as_root() {
    let Some(Account { there, person, .. }) = account(LETS, ALL) else { return };
    let path = there.has("secret", "root's");
    set_mode(&path, 0o600);
    set_mode(&there.directory(), 0o700);
    let text = path.to_str().unwrap();
    there.files("read", &[text]).fails(1, "files.denied");
    there.files("read", &["--sudo", text]).ok().prints("root's");
    there.files("ls", &["--sudo", there.directory().to_str().unwrap()]).ok().prints("secret\n");
    let told = there.fed("write", &["--sudo", "--json", text], b"new").ok().json();
    assert_eq!((&told["owner_kept"], &told["mode"]), (&json!(true), &json!("0600")));
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.uid(), mode(&path), fs::read(&path).unwrap()), (0, 0o600, b"new".to_vec()));
    chown(&path, Some(person.uid), Some(person.gid)).unwrap();
    there.files("edit", &["--sudo", "--old", "new", "--new", "newer", text]).ok();
    assert_eq!(fs::metadata(&path).unwrap().uid(), person.uid, "it belongs to whom it belonged");
    there.files("mkdir", &["--sudo", &there.text("made")]).ok();
    assert_eq!(fs::metadata(there.at("made")).unwrap().uid(), 0);
    there.files("sum", &["--sudo", text]).ok();
}

#[test]
fn without_the_capability_nothing_is_asked_of_sudo() {
    let Some(Account { there, home, person: _person }) =
        account("touch \"$HOME/asked\"; exit 1", &[])
    else {
        return;
    };
    let path = there.has("file", "x");
    there.files("read", &["--sudo".as_ref(), path.as_os_str()]).fails(77, "grant.missing");
    there.fed("write", &["--sudo".as_ref(), path.as_os_str()], b"y").fails(77, "grant.missing");
    assert!(!home.join("asked").exists());
}

#[test]
fn the_policy_reads_where_it_leads_in_roots_eyes() {
    let Some(Account { there, home, person: _person }) = account(LETS, ALL) else { return };
    // The account itself can't see where this leads.
    let closed = there.at("closed");
    fs::create_dir(&closed).unwrap();
    symlink("/etc/shadow", closed.join("innocent")).unwrap();
    set_mode(&closed, 0o700);
    let innocent = closed.join("innocent").display().to_string();
    there.files("read", &["--sudo", &innocent]).fails(77, "guard.blocked");
    symlink("/etc", home.join("etc")).unwrap();
    there
        .fed("write", &["--sudo", "--no-ask", "etc/none-of-sgw"], b"x")
        .fails(77, "approval.required");
    let words = ["--sudo", "--no-wait", "--json", "/etc/none-of-sgw"];
    let request = there.fed("write", &words, b"x").fails(75, "approval.pending").waits_on();
    let all = there.sgw.agent(["requests", "--json"]).ok().json();
    let command = all["requests"][0]["command"].as_str().unwrap().to_owned();
    assert!(command.contains("as root, by sudo: /etc/none-of-sgw"), "{command}");
    there.sgw.operator(["deny", &request]).ok();
    // The same without it is another question.
    let words = ["--no-wait", "--json", "/etc/none-of-sgw"];
    let other = there.fed("write", &words, b"x").fails(75, "approval.pending").waits_on();
    assert_ne!(request, other);
    assert!(!std::path::Path::new("/etc/none-of-sgw").exists());
}

#[test]
fn a_sudo_that_wants_a_password_a_terminal_or_nothing_to_do_with_us_is_told_apart() {
    for (stub, says) in [
        ("echo 'sudo: a password is required' >&2; exit 1", "wants a password"),
        ("echo 'sudo: you must have a tty to run sudo' >&2; exit 1", "wants a password"),
        ("echo 'Sorry, user me is not allowed to execute /bin/sh' >&2; exit 1", "does not let"),
        ("shift 2; exec \"$@\"", "does not let"),
        ("exit 127", "has no sudo"),
    ] {
        let Some(Account { there, person: _person, .. }) = account(stub, ALL) else { return };
        let path = there.has("file", "x");
        let refused = there.files("read", &["--sudo".as_ref(), path.as_os_str()]);
        let refused = refused.fails(77, "sudo.refused");
        assert!(refused.stderr().contains(says), "{stub}: {}", refused.stderr());
        assert_eq!(refused.stderr().contains("sgw handoff"), says != "has no sudo");
    }
}

/// A link in the place of what root is about to write, by the account that may write there.
#[test]
fn root_writes_through_no_link_of_the_accounts() {
    let Some(Account { there, person, .. }) = account(LETS, ALL) else { return };
    let victim = there.has("victim", "untouched");
    set_mode(&victim, 0o600);
    let open = there.at("open");
    fs::create_dir(&open).unwrap();
    chown(&open, Some(person.uid), Some(person.gid)).unwrap();
    symlink(&victim, open.join("file")).unwrap();
    let text = open.join("file").display().to_string();
    let over = Over::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.is() {
                for name in fs::read_dir(&open).unwrap().flatten() {
                    // Every temporary file becomes a link, as soon as it is seen.
                    let path = name.path();
                    if name.file_name().as_encoded_bytes().starts_with(b".file.sgw-new") {
                        let _gone = fs::remove_file(&path);
                        let _there = symlink(&victim, &path);
                    }
                }
                let _gone = fs::remove_file(open.join("file"));
                let _there = fs::write(open.join("file"), "mine");
            }
        });
        let _ends = over.at_the_end();
        for _ in 0..8 {
            there.fed("write", &["--sudo", "--mode", "640", &text], b"x");
            let told = there.fed("write", &["--sudo", &text], b"x");
            assert!(told.code() == 0 || told.code() == 1, "{}", told.stderr());
            assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
            assert_eq!(fs::metadata(&victim).unwrap().permissions().mode() & 0o7777, 0o600);
        }
    });
}
