//! Whatever shell an account logs in with, and whatever that prints.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::{There, odd_names};
use crate::support::{Person, Sshd, is_root};

/// A server on which a person logs in with this shell, and a directory of theirs.
fn with_shell(shell: &str) -> Option<(There, Person)> {
    if !is_root() || !Path::new(shell).exists() {
        return None;
    }
    let person = Person::ordinary();
    person.logs_in_with(shell);
    let there = There::on(Sshd::with().no_sftp().user(&person).line("SetEnv SHLVL=1").start(), &[]);
    std::os::unix::fs::chown(there.directory(), Some(person.uid), Some(person.gid)).unwrap();
    Some((there, person))
}

#[test]
fn every_login_shell_will_do() {
    let odd = odd_names().pop().unwrap();
    for shell in ["/bin/sh", "/bin/bash", "/bin/dash", "/usr/bin/zsh", "/usr/bin/fish", "/bin/tcsh"]
    {
        let Some((there, _person)) = with_shell(shell) else { continue };
        let path = there.directory().join(&odd);
        let told = there.fed_via("write", &[&path], b"x\n\0y");
        assert_eq!(told.code(), 0, "{shell}: {}", told.stderr());
        assert_eq!(there.via("read", &[&path]).ok().bytes(), b"x\n\0y", "{shell}");
        there.via("rm", &[there.at("none")]).fails(1, "files.not_found");
        there.via("ls", &[there.directory()]).ok();
    }
}

#[test]
fn what_start_up_files_print_is_no_content() {
    let Some((there, person)) = with_shell("/bin/bash") else { return };
    let file = person.home().unwrap().join(".bashrc");
    // sshd is what bash takes for a reason to read it, but where SHLVL is set.
    fs::write(&file, "echo hello from a start-up file; printf '\\0'\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let path = there.has("file", "content");
    there.via("read", &[&path]).ok().prints("content");
}

#[test]
fn programs_of_the_account_are_not_run_by_it() {
    let Some((there, person)) = with_shell("/bin/sh") else { return };
    let (bin, ran) = (person.home().unwrap().join("bin"), there.at("ran"));
    fs::create_dir(&bin).unwrap();
    for name in ["stat", "cat", "readlink", "mv", "sha256sum"] {
        let script = format!("#!/bin/sh\ntouch {}\n", ran.display());
        fs::write(bin.join(name), script).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let sshd = Sshd::with().no_sftp().user(&person);
    let sshd = sshd.line(&format!("SetEnv SHLVL=1 PATH={}:/usr/bin:/bin", bin.display())).start();
    let path = there.has("file", "x");
    let other = There::on(sshd, &[]);
    other.via("read", &[&path]).ok().prints("x");
    other.via("sum", &[&path]).ok();
    assert!(!ran.exists());
    // They are what the account itself would run.
    other.sgw.agent(["exec", &other.session, "--", "stat", "/"]).ok();
    assert!(ran.exists());
}

/// So that nobody has to be believed that these shells were there.
#[test]
fn the_shells_are_what_they_are_called() {
    for shell in ["/bin/bash", "/usr/bin/zsh", "/usr/bin/fish"] {
        if Path::new(shell).exists() {
            let said = Command::new(shell).args(["-c", "echo yes"]).output().unwrap();
            assert_eq!(said.stdout, b"yes\n");
        }
    }
}
