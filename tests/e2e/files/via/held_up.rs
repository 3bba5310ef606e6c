//! Who is held up without SFTP holds up nobody else on the same account.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{There, by_exec, no_sftp};
use crate::support::{Sshd, eventually, processes_with_files_under, signal};

impl There {
    /// By another session of the account.
    #[track_caller]
    fn moves(&self, other: &str, from: &str, to: &str) {
        let words = ["files", "mv", "--via", "exec", other, &self.text(from), &self.text(to)];
        self.sgw.agent(words).ok();
        assert!(self.at(to).exists());
    }
}

/// Processes that are stopped, until the test is over.
struct Stopped(Vec<u32>);

impl Stopped {
    /// Who has a file open there, as soon as somebody does who is called so.
    fn under(path: &Path, name: &str) -> Self {
        let mut found = Vec::new();
        eventually("somebody works on it", || {
            let is = |pid: &u32| {
                let called = fs::read_to_string(format!("/proc/{pid}/comm"));
                called.is_ok_and(|called| called.trim() == name)
            };
            found = processes_with_files_under(path).into_iter().filter(is).collect();
            !found.is_empty()
        });
        found.iter().for_each(|pid| signal(*pid, Signal::STOP));
        Self(found)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.iter().for_each(|pid| signal(*pid, Signal::CONT));
    }
}

#[test]
fn a_sum_is_reckoned_while_others_go_on() {
    let there = no_sftp();
    let other = there.sgw.session_with(&there.sshd, &["--new"]);
    let path = there.has("large", "");
    there.has("a", "a");
    there.moves(&other, "a", "b");
    // It takes longer than it takes to see that it has begun.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(6 << 30).unwrap();
    let mut sums = there.sgw.start(there.words("sum", &by_exec(&[&path])));
    let stopped = Stopped::under(&path, "sha256sum");
    there.moves(&other, "b", "c");
    assert!(!sums.has_ended());
    file.set_len(0).unwrap();
    drop(stopped);
    sums.ends().ok();
}

#[test]
fn what_is_in_a_directory_is_removed_while_others_go_on() {
    let there = no_sftp();
    let other = there.sgw.session_with(&there.sshd, &["--new"]);
    there.has("a", "a");
    there.moves(&other, "a", "b");
    let tree = there.at("tree");
    fs::create_dir(&tree).unwrap();
    for number in 0..120 {
        let some = tree.join(format!("some{number}"));
        fs::create_dir(&some).unwrap();
        (0..200).for_each(|number| fs::write(some.join(format!("f{number}")), "").unwrap());
    }
    let removing = by_exec(&["-r", tree.to_str().unwrap()]);
    let mut removes = there.sgw.start(there.words("rm", &removing));
    let stopped = Stopped::under(&tree, "rm");
    there.moves(&other, "b", "c");
    assert!(!removes.has_ended());
    drop(stopped);
    removes.ends().ok();
    assert_eq!(there.names(), ["c"]);
}

/// A server whose answers to a write can be held up, each by its number.
struct Slow {
    there: There,
    directory: TempDir,
}

/// What the program says comes through, but for the one whose number is in the file `hold`.
const SLOWLY: &str = r#"#!/bin/bash
/bin/sh -c "$SSH_ORIGINAL_COMMAND" | {
  n=-2; writes=
  while IFS= read -r -d '' field; do
    [ $n != 0 ] || [ "$field" != go ] || writes=1
    n=$((n + 1))
    while [ "$writes" ] && [ "$(cat HERE/hold 2>/dev/null)" = $n ]; do
      : >HERE/holds; sleep 0.05
    done
    printf '%s\0' "$field"
  done
}
"#;

impl Slow {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("slow").tempdir_in("/tmp").unwrap();
        let open = || fs::Permissions::from_mode(0o777);
        fs::set_permissions(directory.path(), open()).unwrap();
        let slowly = directory.path().join("slowly");
        fs::write(&slowly, SLOWLY.replace("HERE", directory.path().to_str().unwrap())).unwrap();
        fs::set_permissions(&slowly, open()).unwrap();
        let line = format!("ForceCommand {}", slowly.display());
        let there = There::on(Sshd::with().no_sftp().line(&line).start(), &[]);
        Self { there, directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

#[test]
fn a_write_holds_up_nobody_wherever_the_server_holds_it_up() {
    let slow = Slow::new();
    let there = &slow.there;
    let other = there.sgw.session_with(&there.sshd, &["--new"]);
    let path = there.has("file", "old");
    there.has("m0", "a");
    // Where its directory is held; where it waits for the content, and has it all; where the name is given.
    let told = [Some("others went ahead"), None, None, None];
    for (round, told) in told.into_iter().enumerate() {
        fs::write(&path, "old").unwrap();
        fs::write(slow.file("hold"), format!("{}", round + 1)).unwrap();
        let mut writes = there.sgw.start(there.words("write", &by_exec(&[&path])));
        writes.write(b"new");
        writes.close_stdin();
        eventually("it is held up", || slow.file("holds").exists());
        there.moves(&other, &format!("m{round}"), &format!("m{}", round + 1));
        assert!(!writes.has_ended());
        fs::remove_file(slow.file("hold")).unwrap();
        let ended = writes.ends();
        fs::remove_file(slow.file("holds")).unwrap();
        match told {
            Some(why) => _ = ended.fails(1, "files.failed").says(why),
            None => _ = ended.ok(),
        }
        let content = if told.is_some() { "old" } else { "new" };
        assert_eq!(fs::read_to_string(&path).unwrap(), content, "{round}");
        eventually("nothing is left beside it", || there.names().len() == 2);
    }
}

#[test]
fn a_directory_that_is_moved_meanwhile_takes_no_write_with_it() {
    let slow = Slow::new();
    let there = &slow.there;
    let other = there.sgw.session_with(&there.sshd, &["--new"]);
    fs::create_dir(there.at("dir")).unwrap();
    let path = there.has("dir/file", "old");
    fs::write(slow.file("hold"), "2").unwrap();
    let mut writes = there.sgw.start(there.words("write", &by_exec(&[&path])));
    writes.write(b"new");
    writes.close_stdin();
    eventually("it is held up", || slow.file("holds").exists());
    there.moves(&other, "dir", "moved");
    fs::remove_file(slow.file("hold")).unwrap();
    writes.ends().fails(1, "files.changed");
    assert_eq!(fs::read_to_string(there.at("moved/file")).unwrap(), "old");
    eventually("nothing is left beside it", || {
        fs::read_dir(there.at("moved")).unwrap().count() == 1
    });
}
