//! sftp, and scp over it: each call is judged, and what the server says comes through.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

use super::{Both, noise, ran, stderr};

fn fill(directory: &Path) {
    fs::create_dir_all(directory.join("deep/er")).unwrap();
    fs::write(directory.join("empty"), b"").unwrap();
    fs::write(directory.join("deep/noise"), noise(1_500_000)).unwrap();
    fs::write(directory.join("deep/er/na me 'quoted' \u{e4}"), b"odd").unwrap();
    fs::write(directory.join("script"), b"#!/bin/sh\n").unwrap();
    fs::set_permissions(directory.join("script"), fs::Permissions::from_mode(0o751)).unwrap();
}

#[track_caller]
fn fine(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}",
        stderr(output),
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn large_files_go_whole_with_many_calls_in_flight() {
    let both = Both::new();
    let (here, there) = (both.sgw.path("big"), both.sgw.path("big-there"));
    let (back, config) = (both.sgw.path("big-back"), both.through.to_str().unwrap().to_owned());
    fs::write(&here, noise(40_000_000)).unwrap();
    let remote = format!("web1:{}", there.display());
    let words = ["-q", "-F", &config, here.to_str().unwrap(), &remote];
    fine(&ran(&mut both.program("scp", &words), b""));
    let words = ["-q", "-F", &config, &remote, back.to_str().unwrap()];
    fine(&ran(&mut both.program("scp", &words), b""));
    assert!(fs::read(&there).unwrap() == fs::read(&here).unwrap());
    assert!(fs::read(&back).unwrap() == fs::read(&here).unwrap());
}

#[test]
fn a_grant_to_read_does_not_write() {
    let both = Both::granted(&["--only", "exec,files:read"]);
    let (here, there) = (both.sgw.path("here"), both.sgw.path("there"));
    fs::write(&here, b"content").unwrap();
    let config = both.through.to_str().unwrap();
    let remote = format!("web1:{}", there.display());
    let up = ran(&mut both.program("scp", &["-F", config, here.to_str().unwrap(), &remote]), b"");
    assert_ne!(up.status.code(), Some(0));
    assert!(stderr(&up).contains("sgw: error[grant.missing]"), "{}", stderr(&up));
    assert!(!there.exists());
    let back = both.sgw.path("back");
    let remote = format!("web1:{}", here.display());
    fine(&ran(&mut both.program("scp", &["-F", config, &remote, back.to_str().unwrap()]), b""));
    assert_eq!(fs::read(&back).unwrap(), b"content");
}

#[test]
fn without_a_grant_of_files_there_is_no_sftp() {
    let both = Both::granted(&["--only", "exec"]);
    let config = both.through.to_str().unwrap();
    let output = ran(&mut both.program("sftp", &["-b", "-", "-F", config, "web1"]), b"ls\n");
    assert_ne!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("sgw: error[grant.missing]"), "{}", stderr(&output));
}

#[test]
fn what_the_policy_blocks_is_not_read_and_what_it_asks_about_waits_for_a_yes() {
    let both = Both::new();
    let config = both.through.to_str().unwrap();
    let sftp = |batch: &str| {
        ran(&mut both.program("sftp", &["-b", "-", "-F", config, "web1"]), batch.as_bytes())
    };
    let back = both.sgw.path("back");
    // By a link too: it counts where it leads.
    let link = both.sgw.path("link");
    std::os::unix::fs::symlink("/etc/shadow", &link).unwrap();
    for path in ["/etc/shadow", "/etc/../etc/shadow", link.to_str().unwrap()] {
        let output = sftp(&format!("get {path} {}\n", back.display()));
        assert!(
            stderr(&output).contains("sgw: error[guard.blocked]"),
            "{path}\n{}",
            stderr(&output)
        );
        assert!(!back.exists() || fs::read(&back).unwrap().is_empty());
    }
    let output = sftp("mkdir /etc/cron.d/sgw-test\n");
    let said = stderr(&output);
    assert!(said.contains("approval.pending") || said.contains("guard.blocked"), "{said}");
    assert!(!Path::new("/etc/cron.d/sgw-test").exists());
    let records = both.sgw.recorded("files.blocked");
    assert!(!records.is_empty());
}

#[test]
fn what_was_done_is_on_record_before_and_after() {
    let both = Both::new();
    let there = both.sgw.path("there");
    let config = both.through.to_str().unwrap();
    let batch = format!("mkdir {}\n", there.display());
    fine(&ran(&mut both.program("sftp", &["-b", "-", "-F", config, "web1"]), batch.as_bytes()));
    let path = there.display().to_string();
    for kind in ["files.intent", "files.result"] {
        let all = both.sgw.recorded(kind);
        assert!(all.iter().any(|one| one["action"]["at"][0] == path.as_str()), "{kind}: {all:?}");
    }
}

#[test]
fn what_is_no_sftp_is_told_and_ends() {
    let both = Both::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], b"\x00\x00\x00\x05\x02\x00\x00\x00"] {
        let output = ran(&mut both.ssh(&both.through, &["-s", "web1", "sftp"]), bytes);
        assert_ne!(output.status.code(), Some(0), "{bytes:?} {}", stderr(&output));
    }
    let output = ran(&mut both.ssh(&both.through, &["-s", "web1", "netconf"]), b"");
    assert_ne!(output.status.code(), Some(0));
    both.same(&["web1", "echo still here"], b"");
}

#[test]
fn a_person_at_a_terminal_has_sftp_as_ever() {
    let both = Both::granted(&["--only", "files:read,files:write"]);
    let here = both.directory("here");
    fill(&here);
    let config = both.through.to_str().unwrap();
    let mut sftp = crate::support::Pty::start(&both.program("sftp", &["-F", config, "web1"]));
    sftp.wait_for("sftp> ");
    sftp.send(&format!("cd {}\r", here.display()));
    sftp.send("mkdir new\r");
    sftp.send("put deep/none\r");
    sftp.wait_for("none");
    sftp.send(&format!("put {}/script new/sc\r", here.display()));
    sftp.send("ls -1 new\r");
    sftp.wait_for("(?m)^new/sc");
    sftp.send("get /etc/shadow\r");
    sftp.wait_for("guard.blocked");
    sftp.send("bye\r");
    assert_eq!(sftp.ends().0, 0);
    assert_eq!(fs::read(here.join("new/sc")).unwrap(), b"#!/bin/sh\n");
}
