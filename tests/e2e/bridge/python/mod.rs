//! Clients of Python's: ansible, paramiko, asyncssh, from PyPI, in an environment of the suite's own.

mod ansible;
mod libraries;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// With what they need of their own, as PyPI has it.
const PACKAGES: &[&str] = &["ansible-core==2.19.14", "paramiko==5.1.0", "asyncssh==2.24.1"];

/// Where its programs are. Made once, below the target directory; the first who asks makes it, others wait.
pub fn programs() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lock = File::create(root.join("python.lock")).unwrap();
    lock.lock().unwrap();
    let (venv, made) = (root.join("python"), root.join("python/made-of"));
    let bin = venv.join("bin");
    let of = PACKAGES.join("\n");
    // The python that it was made with may be gone.
    let runs = || Command::new(bin.join("python")).args(["-c", ""]).status();
    if fs::read_to_string(&made).is_ok_and(|had| had == of)
        && runs().is_ok_and(|status| status.success())
    {
        return bin;
    }
    let _missing = fs::remove_dir_all(&venv);
    let path = venv.to_str().unwrap();
    run(
        Command::new("python3").args(["-m", "venv", path]),
        "python3 makes no venv here: tests/run installs python3-venv",
    );
    let mut pip = Command::new(bin.join("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-input"]).args(PACKAGES);
    run(&mut pip, "PyPI has to be reached for the tests of ansible, paramiko and asyncssh");
    fs::write(made, of).unwrap();
    bin
}

fn run(command: &mut Command, without: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{without} ({error})"));
    let said = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{without}\n{}", String::from_utf8_lossy(&said));
}
