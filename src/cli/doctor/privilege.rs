//! What makes an agent more than an ordinary user, or puts its fingers on the operator's keyboard.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::fs::{Access, access};

use super::{Check, Finding, Ground, quoted, shown};
use crate::cli::ui::desk::guard;

const USER: Check = Check {
    id: "user.root",
    why: "root passes every check of the kernel: nothing on this machine is closed to an agent that is root",
};
const SUDO: Check = Check {
    id: "user.sudo",
    why: "an agent that becomes root without a password can read the daemon's memory and your terminal",
};
const CONTAINERS: Check = Check {
    id: "user.containers",
    why: "who may talk to a container daemon of root's can mount the whole disk, and so is root",
};
const TERMINAL: Check = Check {
    id: "terminal.shared",
    why: "whoever shares your uid can type into this terminal and read it; a desk here asks for the PIN",
};
/// sudo asks directories on the network where it is told to.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn user(ground: &Ground) -> Vec<Finding> {
    match ground.account.uid {
        0 => vec![
            USER.warn("you are root, and so are the agents that you start", "adduser operator"),
        ],
        uid => vec![USER.ok(format!("you are uid {uid}, not root"))],
    }
}

pub fn sudo(ground: &Ground) -> Vec<Finding> {
    if ground.account.uid == 0 {
        return vec![SUDO.ok("root needs no sudo")];
    }
    let Some(sudo) = ground.find("sudo") else {
        return vec![SUDO.ok("there is no sudo")];
    };
    match runs(&sudo) {
        true => vec![SUDO.fail(
            "sudo asks for no password",
            "sudo visudo    # take NOPASSWD out; forget a password typed before with: sudo -K",
        )],
        false => vec![SUDO.ok("sudo asks for a password")],
    }
}

/// `sudo -n true`: succeeds where no password would be asked for, and asks for none.
fn runs(sudo: &Path) -> bool {
    let mut command = Command::new(sudo);
    command.args(["-n", "true"]).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let Ok(mut child) = command.spawn() else { return false };
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

pub fn containers(ground: &Ground) -> Vec<Finding> {
    let mine = |path: &&std::path::PathBuf| {
        ground.account.uid != 0 && access(*path, Access::WRITE_OK).is_ok()
    };
    let found = ground.containers.iter().filter(mine).map(|path| {
        let what = format!("you may write to {}", shown(path));
        let remedy = format!("sudo gpasswd -d \"$USER\" \"$(stat -c %G {})\"", quoted(path));
        CONTAINERS.fail(what, remedy)
    });
    CONTAINERS.all(found.collect(), "no container daemon of root's is open to you")
}

pub fn terminal(ground: &Ground) -> Vec<Finding> {
    match guard::shared(|name| ground.variable(name).is_some()) {
        Some(name) => vec![TERMINAL.warn(
            format!("this terminal is inside {name}"),
            "sgw desk    # in a terminal window of its own",
        )],
        None => vec![TERMINAL.ok("this terminal is in no multiplexer that sgw knows")],
    }
}
