//! How long a client needs to be there: alone, and with a word from the daemon.

use std::process::Command;

use super::{
    series::{Series, alternate, print},
    support::Sgw,
};

pub fn figure() {
    let sgw = Sgw::unlocked();
    let mut ssh = Command::new("ssh");
    ssh.arg("-V").env_clear().env("PATH", "/usr/bin:/bin");
    let mut all = [
        Series::of("`sgw --version`", sgw.command(["--version"])),
        Series::of("`sgw whoami`", sgw.command(["whoami"])),
        Series::of("`ssh -V`", ssh),
    ];
    alternate(300, &mut all);
    print("start of a client", &all);
    let [_, whoami, ssh] = &all;
    let ratio = whoami.median().as_secs_f64() / ssh.median().as_secs_f64();
    println!("`sgw whoami` takes {ratio:.3}x of `ssh -V`.");
}
