//! `tail -f` of files that are rotated, removed and cut short: it goes on with what has the name.

use std::{fs, io::Write, os::unix::fs::symlink};

use rustix::process::Signal;

use super::There;
use crate::support::{Running, Sshd};

fn ways() -> [(There, &'static [&'static str]); 2] {
    let by_exec = There::on(Sshd::with().no_sftp().start(), &[]);
    [(There::new(), &[]), (by_exec, &["--via", "exec"])]
}

impl There {
    fn follows(&self, way: &[&str], name: &str) -> Running {
        let path = self.text(name);
        self.sgw.start(self.words("tail", &[way, &["-f", &path]].concat()))
    }
}

#[test]
fn a_log_that_is_rotated_is_followed_on_by_its_name() {
    for (there, way) in ways() {
        let log = there.has("log", "one\n");
        let mut follows = there.follows(way, "log");
        follows.prints("one\n");
        for (round, name) in ["log.1", "log.2"].into_iter().enumerate() {
            fs::rename(&log, there.at(name)).unwrap();
            // What is written to the old one before there is a new one comes, too.
            let mut old = fs::OpenOptions::new().append(true).open(there.at(name)).unwrap();
            old.write_all(format!("last {round}\n").as_bytes()).unwrap();
            follows.prints(&format!("last {round}\n"));
            fs::write(&log, format!("first {round}\n")).unwrap();
            follows.prints(&format!("last {round}\nfirst {round}\n"));
            follows.says("was replaced");
        }
        fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(b"more\n").unwrap();
        follows.prints("first 1\nmore\n");
        follows.signal(Signal::INT);
        let ended = follows.ends().exits(130);
        assert_eq!(ended.stdout(), "one\nlast 0\nfirst 0\nlast 1\nfirst 1\nmore\n");
    }
}

#[test]
fn a_file_that_is_cut_short_is_followed_from_its_beginning() {
    let there = There::new();
    let log = there.has("log", "long before\n");
    let mut follows = there.follows(&[], "log");
    follows.prints("long before\n");
    fs::write(&log, "new\n").unwrap();
    follows.prints("long before\nnew\n");
    follows.says("was cut short");
    follows.signal(Signal::INT);
    follows.ends().exits(130);
}

#[test]
fn what_gets_the_name_is_judged_again_before_it_is_read() {
    for (there, way) in ways() {
        let log = there.has("log", "one\n");
        let mut follows = there.follows(way, "log");
        follows.prints("one\n");
        fs::remove_file(&log).unwrap();
        symlink("/etc/shadow", &log).unwrap();
        let ended = follows.ends().fails(1, "files.changed");
        assert_eq!(ended.stdout(), "one\n");
    }
}
