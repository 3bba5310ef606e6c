//! What ends it in the middle: the old file or the new one, and nothing beside.

use std::fs;

use serde_json::json;

use super::{There, by_exec, no_sftp};
use crate::support::{Live, Sshd, eventually};

/// So large that it is under way when something happens.
const LARGE: usize = 192 * 1024 * 1024;

#[test]
fn a_connection_lost_in_the_middle_of_a_put_leaves_the_old_file_alone() {
    let mut there = no_sftp();
    let path = there.has("file", "old");
    let local = there.sgw.path("local");
    fs::write(&local, vec![7; LARGE]).unwrap();
    there.sgw.give(&local);
    let mut words = by_exec::<&str>(&[]);
    words.extend([local.into_os_string()]);
    words.insert(2, there.session.clone().into());
    words.extend([path.clone().into_os_string()]);
    let words = ["files", "put"].map(Into::into).into_iter().chain(words);
    let puts = there.sgw.start(words.collect::<Vec<std::ffi::OsString>>());
    eventually("it is under way", || there.names().len() > 1);
    there.sshd.stop();
    let ended = puts.ends();
    assert_ne!(ended.code(), 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    // The program there sees that bytes are missing.
    eventually("nothing is left beside", || there.names() == ["file"]);
    there.sshd.start_again();
    eventually("it is read again", || there.via("read", &[&path]).code() == 0);
}

#[test]
fn nothing_is_done_while_the_operator_has_the_keyboard() {
    let there = no_sftp();
    let path = there.has("file", "x\n");
    let mut follows =
        there.sgw.start(there.words("tail", &by_exec(&["-f", path.to_str().unwrap()])));
    follows.prints("x");
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, b"more\n").unwrap();
    follows.prints("more");
    let mut seat = Live::attach(&there.sgw, &there.session, None);
    seat.control_is("operator", false);
    follows.ends().fails(75, "control.operator");
    there.via("read", &[&path]).fails(75, "control.operator");
    there.fed_via("write", &[&path], b"y").fails(75, "control.operator");
    seat.says(&json!({"type": "return", "session": there.session, "message": "done"}));
    seat.ends();
    there.fed_via("write", &[&path], b"y").ok();
}

#[test]
fn a_follower_that_goes_leaves_no_process_there() {
    let there = no_sftp();
    let path = there.has("followed-by-nobody", "x\n");
    let mut follows =
        there.sgw.start(there.words("tail", &by_exec(&["-f", path.to_str().unwrap()])));
    follows.prints("x");
    assert!(!holders(&path).is_empty());
    follows.signal(rustix::process::Signal::INT);
    follows.ends();
    eventually("nobody holds it", || holders(&path).is_empty());
}

/// Who has the file open.
fn holders(path: &std::path::Path) -> Vec<u32> {
    crate::support::processes_with_files_under(path)
}

#[test]
fn an_account_that_runs_no_commands_says_so() {
    let there = There::on(Sshd::with().no_sftp().line("ForceCommand /bin/false").start(), &[]);
    let path = there.has("file", "x");
    there.via("read", &[&path]).fails(1, "files.unsupported");
    let only_sftp = There::on(Sshd::with().line("ForceCommand internal-sftp").start(), &[]);
    let path = only_sftp.has("file", "x");
    only_sftp.files("read", &[&path]).ok().prints("x");
    only_sftp.via("read", &[&path]).fails(1, "files.unsupported");
}
