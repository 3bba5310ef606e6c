//! How long a client needs to be there: alone, and with a word from the daemon.

use std::process::Command;

use super::{
    series::{Series, alternate, print},
    support::Sgw,
};

pub fn figure() {
    let sgw = Sgw::unlocked();
    for (name, word) in [("`sgw --version`", "--version"), ("`sgw whoami`", "whoami")] {
        let mut both = [Series::of(name, sgw.command([word])), Series::of("`ssh -V`", ssh())];
        alternate(300, &mut both);
        print("start of a client", &both);
    }
}

fn ssh() -> Command {
    let mut ssh = Command::new("ssh");
    ssh.arg("-V").env_clear().env("PATH", "/usr/bin:/bin");
    ssh
}
