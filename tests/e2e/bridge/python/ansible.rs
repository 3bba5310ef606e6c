//! ansible through sgw, with the variables that `sgw ssh --env` prints.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::programs;
use crate::bridge::{Both, assert_alike, ran, stderr, tree};

/// What ansible runs is code of its own that nobody reads, and at its end it removes the directory that it made.
const ALLOWED: &str = "[defaults]\nopaque = \"allow\"\n";

struct Ansible {
    both: Both,
    programs: PathBuf,
    python: String,
    /// The way through sgw, as it is said to be.
    through: String,
}

impl Ansible {
    fn new() -> Self {
        let programs = programs();
        let both = Both::new();
        both.sgw.accepts_policy(ALLOWED);
        let told = both.sgw.by(&both.token, ["ssh", "--env", "--json"]).ok().json();
        let through = told["ANSIBLE_SSH_ARGS"].as_str().unwrap().to_owned();
        let mut which = both.program("python3", &["-c", "import sys; print(sys.executable)"]);
        let python = String::from_utf8(ran(&mut which, b"").stdout).unwrap().trim().to_owned();
        Self { both, programs, python, through }
    }

    /// ansible or ansible-playbook with these words.
    fn command(&self, ssh: &str, name: &str, words: &[&str]) -> Command {
        let python = format!("ansible_python_interpreter={}", self.python);
        let mut all = vec!["-i", "web1,", "-e", &python];
        all.extend(words);
        let mut command = self.both.program(self.programs.join(name).to_str().unwrap(), &all);
        command.env("ANSIBLE_SSH_ARGS", ssh).env("ANSIBLE_NOCOLOR", "1").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Directly and through sgw, with the same files before it: it ends and prints alike.
    #[track_caller]
    fn same(&self, name: &str, words: &[&str], at: &Path) -> Output {
        let direct = format!("-F {} -o ControlMaster=auto", self.both.direct.display());
        let goes = |ssh: &str| {
            let _missing = fs::remove_dir_all(at);
            fs::create_dir(at).unwrap();
            let mut output = ran(&mut self.command(ssh, name, words), b"");
            // It draws the name of its directory there, and tells it.
            let lines = stdout(&output);
            let lines = lines.lines().filter(|line| !line.contains("ansible-tmp-"));
            output.stdout = lines.collect::<Vec<_>>().join("\n").into_bytes();
            (output, tree(at))
        };
        let (direct, through) = (goes(&direct), goes(&self.through));
        assert!(direct.0.status.success(), "{}{}", stdout(&direct.0), stderr(&direct.0));
        assert_alike(&format!("{words:?}"), &direct.0, &through.0);
        assert!(direct.1 == through.1, "{words:?}: the files differ");
        through.0
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn single_modules_do_and_say_what_they_do_without_sgw() {
    let ansible = Ansible::new();
    let at = ansible.both.sgw.path("at");
    let said = ansible.same("ansible", &["all", "-m", "ping"], &at);
    assert!(stdout(&said).contains("pong"), "{}", stdout(&said));
    let said =
        ansible.same("ansible", &["all", "-m", "shell", "-a", "echo $((6 * 7)); exit 0"], &at);
    assert!(stdout(&said).contains("42"), "{}", stdout(&said));
    let copy = format!("content=text dest={}/copied mode=0640", at.display());
    ansible.same("ansible", &["all", "-m", "copy", "-a", &copy], &at);
}

#[test]
fn modules_go_on_standard_input_too() {
    let ansible = Ansible::new();
    let at = ansible.both.sgw.path("at");
    let words = ["all", "-e", "ansible_pipelining=true", "-m", "ping"];
    let said = ansible.same("ansible", &words, &at);
    assert!(stdout(&said).contains("pong"), "{}", stdout(&said));
}

#[test]
fn a_playbook_does_and_says_what_it_does_without_sgw() {
    let ansible = Ansible::new();
    let sgw = &ansible.both.sgw;
    let (book, from, at) = (sgw.path("book.yml"), sgw.path("from"), sgw.path("at"));
    fs::write(&book, include_str!("playbook.yml")).unwrap();
    fs::write(&from, "a file\n".repeat(1000)).unwrap();
    let variable = |name: &str, path: &Path| format!("{name}={}", path.display());
    let back = at.join("back");
    let (from, to) = (variable("from", &from), variable("to", &back));
    let where_ = variable("at", &at);
    let words = [book.to_str().unwrap(), "-e", &from, "-e", &to, "-e", &where_];
    let said = ansible.same("ansible-playbook", &words, &at);
    assert!(stdout(&said).contains("failed=0"), "{}", stdout(&said));
    assert_eq!(fs::read_to_string(at.join("new/made")).unwrap(), "made for web1\none more\n");
    // Once more there is nothing to change.
    let again = ran(&mut ansible.command(&ansible.through, "ansible-playbook", &words), b"");
    assert!(stdout(&again).contains("changed=0"), "{}{}", stdout(&again), stderr(&again));
}
