//! `sgw policy edit`: the operator's own editor, on a copy, in the operator's own program.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::{BLOCKS, NOTHING, file, propose, verdict};
use crate::support::{Pty, Sgw};

/// An editor that does this to the file `$1`.
fn editor(sgw: &Sgw, does: &str) -> PathBuf {
    let path = sgw.write_private("editor", format!("#!/bin/sh\n{does}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

fn edit(sgw: &Sgw, editor: &str) -> crate::support::Outcome {
    let mut command = sgw.operator_command(["policy", "edit", "--yes", "--json"]);
    sgw.run(command.env("EDITOR", editor))
}

#[test]
fn what_the_editor_leaves_is_shown_asked_for_and_sealed() {
    let sgw = Sgw::unlocked();
    let new = sgw.write_private("new.toml", BLOCKS);
    let editor = editor(&sgw, &format!("cat '{}' > \"$1\"", new.display()));
    let passphrase = sgw.passphrase_file();
    let arguments = ["policy", "edit", "--i-am-the-operator", "--passphrase-file"];
    let mut command = sgw.command(arguments);
    command.arg(&passphrase).env("EDITOR", &editor);
    let mut terminal = Pty::start(&command);
    let screen = terminal.wait_for("Put it into force\\?");
    assert!(screen.contains("rule own.deploy: - > block"), "{screen}");
    terminal.send("n");
    assert_eq!(terminal.ends().0, 1);
    assert_eq!(verdict(&sgw, "deploy"), "allow");
    let mut terminal = Pty::start(&command);
    terminal.wait_for("Put it into force\\?");
    terminal.send("y");
    assert_eq!(terminal.ends().0, 0);
    assert_eq!(verdict(&sgw, "deploy"), "block");
    // The file is what is in force.
    assert_eq!(fs::read_to_string(file(&sgw)).unwrap(), BLOCKS);
    assert!(!sgw.agent(["status"]).ok().stdout().contains("policy"));
}

#[test]
fn a_mistake_is_told_and_can_be_mended_in_the_editor() {
    let sgw = Sgw::unlocked();
    // The first time a mistake, the second time none.
    let editor = editor(
        &sgw,
        "if grep -q mistake \"$1\"; then echo 'version = 1' > \"$1\"; else echo mistake > \"$1\"; fi",
    );
    let mut command = sgw.command(["policy", "edit", "--i-am-the-operator", "--passphrase-file"]);
    command.arg(sgw.passphrase_file()).env("EDITOR", &editor);
    let mut terminal = Pty::start(&command);
    let screen = terminal.wait_for("Edit it again\\?");
    assert!(screen.contains("policy.invalid"), "{screen}");
    terminal.send("y");
    terminal.wait_for("Put it into force\\?");
    terminal.send("y");
    assert_eq!(terminal.ends().0, 0);
    sgw.agent(["policy", "show"]).ok().prints(NOTHING);
}

#[test]
fn the_editor_runs_in_the_operators_program_and_never_in_the_daemon() {
    let sgw = Sgw::unlocked();
    let daemon = sgw.daemon().unwrap();
    let seen = sgw.path("operator/seen");
    let editor = editor(
        &sgw,
        &format!(
            "p=$$; while [ \"$p\" -gt 1 ]; do echo \"$p\"; p=$(awk '/^PPid/ {{ print $2 }}' /proc/$p/status); done > '{}'\necho '# more' >> \"$1\"",
            seen.display()
        ),
    );
    edit(&sgw, editor.to_str().unwrap()).ok();
    let ancestors = fs::read_to_string(&seen).unwrap();
    assert!(!ancestors.is_empty() && ancestors.lines().all(|pid| pid != daemon.to_string()));
}

#[test]
fn an_editor_that_fails_changes_nothing_and_keeps_the_text() {
    let sgw = Sgw::unlocked();
    propose(&sgw, BLOCKS);
    for bad in ["false", "/nowhere/editor"] {
        let outcome = edit(&sgw, bad).fails(1, "policy.editor");
        let kept = outcome.stderr();
        let kept = kept
            .lines()
            .find_map(|line| line.split_once("your text is kept: "))
            .unwrap()
            .1
            .to_owned();
        assert_eq!(fs::read_to_string(&kept).unwrap(), BLOCKS);
        fs::remove_dir_all(PathBuf::from(kept).parent().unwrap()).unwrap();
    }
    // A copy that became something else is not followed.
    let elsewhere = sgw.write_private("elsewhere", NOTHING);
    let editor = editor(&sgw, &format!("ln -sf '{}' \"$1\"", elsewhere.display()));
    let outcome = edit(&sgw, editor.to_str().unwrap()).fails(1, "policy.editor");
    let kept = outcome.stderr();
    let kept =
        kept.lines().find_map(|line| line.split_once("your text is kept: ")).unwrap().1.to_owned();
    fs::remove_dir_all(PathBuf::from(kept).parent().unwrap()).unwrap();
    assert_eq!(verdict(&sgw, "deploy"), "allow");
}

#[test]
fn somebody_elses_edits_stay_where_they_are() {
    let sgw = Sgw::unlocked();
    propose(&sgw, NOTHING);
    super::accept(&sgw).ok();
    propose(&sgw, "# not accepted\nversion = 1\n");
    let own = sgw.write_private("own.toml", BLOCKS);
    let accepted = sgw.operator(["policy", "accept", own.to_str().unwrap(), "--yes"]).ok();
    accepted.says("policy.toml differs from what is in force");
    assert_eq!(fs::read_to_string(file(&sgw)).unwrap(), "# not accepted\nversion = 1\n");
    assert_eq!(verdict(&sgw, "deploy"), "block");
}
