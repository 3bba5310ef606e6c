//! Whether bash takes for a line what the parser does.

use std::process::{Command, Stdio};

use super::corpus::lines;
use crate::domain::guard::syntax::{SyntaxError, parse};

fn bash_takes(line: &str) -> bool {
    let mut command = Command::new("bash");
    command
        .args(["-n", "-c", line])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().unwrap().success()
}

#[test]
fn what_bash_reads_is_read() {
    let unread = lines().into_iter().filter(|line| !line.command.contains('\0')).filter(|line| {
        let error = parse(&line.command, None, false).error;
        let lost = matches!(error, Some(SyntaxError::Unexpected | SyntaxError::Unfinished));
        lost && bash_takes(&line.command)
    });
    let unread: Vec<_> = unread.map(|line| line.command).collect();
    assert!(unread.is_empty(), "{unread:#?}");
}

#[test]
fn what_bash_refuses_is_not_read_as_harmless() {
    let wrong = lines().into_iter().filter(|line| !line.command.contains('\0')).filter(|line| {
        parse(&line.command, None, false).error.is_none() && !bash_takes(&line.command)
    });
    // Read as other shells read them.
    let known = |line: &str| line.contains("((") || line.contains("f()") || line.contains("bomb()");
    let wrong: Vec<_> = wrong.map(|line| line.command).filter(|line| !known(line)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
