//! At a terminal: keys by which a line editor runs a line that was never sent as such.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{Sgw, Sshd};

#[test]
fn no_trick_of_a_line_editor_runs_unasked_what_would_be_asked_about() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let s = sgw.session(&sshd);
    // It asks wherever the file is, in a directory for temporary files too.
    let kept = sshd.directory().join("kept");
    fs::write(&kept, "").unwrap();
    let line = format!("chmod 4755 {}", kept.display());
    let input = |more: &[&str]| {
        sgw.agent(["input", &s, "--timeout", "2s"].iter().chain(more).chain(&["--no-ask"]))
    };
    // It stands in the history, as what it is not.
    input(&[&format!("echo {line}")]).ok();
    let half = &line[..line.len() - 2];
    let tricks: &[&[&[&str]]] = &[
        &[&["--key", "up", "--key", "home"], &["--key", "delete"], &["--key", "enter"]],
        &[
            &["echo ", "--no-enter"],
            &[&line, "--no-enter"],
            &["--key", "ctrl-a", "--key", "alt-d", "--key", "enter"],
        ],
        &[&[half, "--no-enter"], &["--key", "tab"], &["--key", "enter"]],
        &[&[&line, "--no-enter"], &["--key", "ctrl-u"], &["--key", "ctrl-y"], &["--key", "enter"]],
        &[&[&line, "--no-enter"], &["--key", "ctrl-o"]],
        &[&[&line, "--no-enter"], &["--key", "ctrl-x", "--key", "ctrl-e"]],
        &[&[&line, "--no-enter"], &["--key", "ctrl-d"]],
        &[&["!?chmod?:s/echo //"]],
        &[&["^echo ^^"]],
        &[&["chmod \\", "--no-enter"], &[&format!("\n4755 {}", kept.display())]],
        &[&["stty eol o"], &[&line, "--no-enter"], &["--key", "enter"]],
        &[&[&format!("bind '\"x\":\"{line}\\n\"'")], &["x", "--no-enter"]],
        &[&["sleep 1"], &[&line]],
        &[&["read -n 5"], &[&format!("echo {line}")]],
        &[&["bash"], &[&line], &["exit"]],
    ];
    for trick in tricks {
        // Of each step that is refused nothing is typed; the others do nothing by themselves.
        let done: Vec<i32> = trick.iter().map(|step| input(step).code()).collect();
        assert!(done.contains(&77), "nobody would be asked: {trick:?}");
        let mode = fs::metadata(&kept).unwrap().permissions().mode();
        assert_eq!(mode & 0o4000, 0, "it ran: {trick:?}");
        input(&["--key", "ctrl-c"]).ok();
    }
}
