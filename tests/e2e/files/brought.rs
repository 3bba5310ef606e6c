//! What an agent brings by its files and then runs is judged by what it holds; and what would bring something to
//! where it runs by itself is asked about, whatever brings it.

use std::fs;

use super::There;

const BAD: &[u8] = b"#!/bin/sh\nrm -rf /srv/of-nobody\n";
const GOOD: &[u8] = b"#!/bin/sh\necho fine\n";

impl There {
    /// What is blocked too often pauses a session: where it did, it goes on.
    pub(super) fn lifted(&self) {
        let _where_it_is_paused = self.sgw.operator(["resume", &self.session]);
    }

    #[track_caller]
    fn runs(&self, line: &str) -> crate::support::Outcome {
        self.sgw.agent(["exec", &self.session, "--no-ask", "--", line])
    }
}

#[test]
fn a_script_that_was_written_is_judged_by_what_it_holds() {
    let there = There::new();
    let path = there.text("x.sh");
    there.fed("write", &[&path], GOOD).ok();
    there.runs(&format!("sh {path}")).ok().prints("fine\n");
    there.fed("write", &["--append", &path], b"rm -rf /srv/of-nobody\n").ok();
    there.runs(&format!("sh {path}")).fails(77, "approval.required");
    there.files("edit", &[&path, "--old", "rm -rf /srv/of-nobody", "--new", "true"]).ok();
    there.runs(&format!("sh {path}")).ok().prints("fine\n");
    there.fed("write", &[&path], BAD).ok();
    let asked = there.runs(&format!("sh {path}")).fails(77, "approval.required");
    assert!(asked.stderr().contains("fs.rm"), "{}", asked.stderr());
    // By another name it holds the same.
    let moved = there.text("y.sh");
    there.files("mv", &[&path, &moved]).ok();
    there.files("chmod", &["755", &moved]).ok();
    there.runs(&moved).fails(77, "approval.required");
    let link = there.text("z.sh");
    there.files("ln", &["-s", "y.sh", &link]).ok();
    there.runs(&format!("sh {link}")).fails(77, "approval.required");
}

#[test]
fn a_script_that_was_put_is_judged_by_what_it_holds() {
    let there = There::new();
    let path = there.text("x.sh");
    let put = |bytes: &[u8]| {
        let local = there.sgw.write_private("local.sh", bytes);
        there.files("put", &[local.to_str().unwrap(), &path]).ok();
    };
    put(GOOD);
    there.runs(&format!("sh {path}")).ok().prints("fine\n");
    put(BAD);
    there.runs(&format!("sh {path}")).fails(77, "approval.required");
    // Too long to be judged: nobody knows.
    put(&[GOOD, &vec![b'#'; 300 * 1024]].concat());
    there.runs(&format!("sh {path}")).fails(77, "approval.required");
}

/// Nobody says yes to any of these.
const SENSITIVE: [&str; 11] = [
    "/etc/cron.d/none-of-sgw",
    "/etc/sudoers.d/none-of-sgw",
    "/etc/profile.d/none-of-sgw.sh",
    "/etc/pam.d/none-of-sgw",
    "/etc/systemd/system/none-of-sgw.service",
    "/etc/ld.so.preload",
    "/var/spool/cron/none-of-sgw",
    "HERE/.ssh/authorized_keys",
    "HERE/.ssh/config",
    "HERE/.bashrc",
    "HERE/.git/hooks/pre-commit",
];

#[test]
fn whatever_brings_something_to_where_it_runs_by_itself_is_asked_about() {
    let there = There::new();
    let mine = there.has("mine", "mine\n");
    let mine = mine.to_str().unwrap();
    let local = there.sgw.write_private("local", b"mine\n");
    let local = local.to_str().unwrap();
    for directory in [".ssh", ".git/hooks"] {
        fs::create_dir_all(there.at(directory)).unwrap();
    }
    let stopped = |outcome: crate::support::Outcome, what: &str| {
        let said = outcome.stderr();
        let known = said.contains("approval.required") || said.contains("guard.blocked");
        assert!(outcome.code() == 77 && known, "{what}: {outcome:?}");
        there.lifted();
    };
    for path in SENSITIVE {
        let path = path.replace("HERE", there.directory().to_str().unwrap());
        let path = path.as_str();
        let no = "--no-ask";
        stopped(there.fed("write", &[no, path], b"x"), path);
        stopped(there.fed("write", &[no, "--append", path], b"x"), path);
        stopped(there.files("put", &[no, local, path]), path);
        stopped(there.files("mv", &[no, mine, path]), path);
        stopped(there.files("ln", &[no, "-s", mine, path]), path);
        // A link to it is a way to write it.
        stopped(there.files("ln", &[no, "-s", path, &there.text("way")]), path);
        let to = format!("{}:{path}", there.session);
        stopped(there.sgw.agent(["cp", no, local, &to]), path);
    }
    let hook = there.at(".git/hooks/pre-commit");
    fs::write(&hook, "exit 0\n").unwrap();
    let hook = hook.to_str().unwrap();
    stopped(there.files("edit", &["--no-ask", hook, "--old", "0", "--new", "1"]), "edit");
    // A directory above it is one of its names, too.
    let git = there.text(".git");
    stopped(there.files("mv", &["--no-ask", &there.text(".ssh"), &there.text("ssh")]), "mv");
    stopped(there.files("ln", &["--no-ask", "-s", "mine", &there.text(".ssh/config")]), "ln");
    assert_eq!(fs::read(hook).unwrap(), b"exit 0\n");
    assert!(fs::exists(git).unwrap() && !fs::exists(there.at("way")).unwrap());
    assert_eq!(fs::read(mine).unwrap(), b"mine\n");
}
