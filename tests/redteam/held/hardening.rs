//! What the machine offers is taken: keys stay out of swap, a limit is an error and not a death.

use std::{fs, process::Command, rc::Rc};

use crate::support::{Person, Sgw};

/// KiB of the daemon's memory that can't be swapped.
fn locked(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn the_keys_of_a_daemon_are_kept_out_of_swap() {
    let person = Rc::new(Person::ordinary());
    let sgw = Sgw::of(&person);
    sgw.init();
    let pid = sgw.unlock();
    assert!(locked(pid) > 0, "no page of the daemon is locked");
}

/// The same command under a limit on the size of files, in bytes; what it prints goes to a pipe.
fn limited(sgw: &Sgw, bytes: u64, words: &[&str]) -> Command {
    let plain = sgw.operator_command(words);
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={bytes}")).arg(plain.get_program()).args(plain.get_args());
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[test]
fn a_limit_on_file_sizes_is_an_error_and_kills_nobody() {
    let sgw = Sgw::new();
    // Ended by SIGXFSZ it would be 153, and the vault half there.
    sgw.run(&mut limited(&sgw, 16, &["init"])).fails(1, "home.unsafe");
    assert!(!sgw.home().join("vault.json").exists());
    sgw.init();
    let outcome = sgw.run(&mut limited(&sgw, 16, &["unlock"])).exits(1);
    // The daemon said why; one that was ended could not.
    assert!(!outcome.stderr().contains("ended while it started"), "{outcome:?}");
    assert!(outcome.error_code().is_some(), "{outcome:?}");
    assert!(sgw.daemon().is_none());
    sgw.unlock();
}
