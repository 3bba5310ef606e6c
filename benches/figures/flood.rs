//! One command prints without end and nobody reads it: what another feels of that.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    ground::{Server, exec},
    series::{Series, alternate, print},
    support::Sgw,
};

/// Until the flood stands still everywhere on the way.
const FILL: Duration = Duration::from_secs(2);

pub fn figure() {
    let server = Server::start(&[]);
    let sgw = Sgw::unlocked();
    let (flooded, quiet) = (sgw.session(&server), sgw.session_with(&server, &["--new"]));
    let mut flood = Flood::start(exec(&sgw, &flooded, &["cat", "/dev/zero"]));
    let mut all = [
        Series::of("beside the flood, same session", exec(&sgw, &flooded, &["true"])),
        Series::of("another session of the same daemon", exec(&sgw, &quiet, &["true"])),
    ];
    alternate(100, &mut all);
    print("`sgw exec S -- true` while a flood is not read", &all);
    drop(all);
    flood.end();
    let mut alone = [Series::of("the same session, alone", exec(&sgw, &flooded, &["true"]))];
    alternate(100, &mut alone);
    print("`sgw exec S -- true` when it is over", &alone);
}

/// A client whose output nobody takes.
struct Flood(std::process::Child);

impl Flood {
    fn start(mut command: Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(FILL);
        Self(child)
    }

    fn end(&mut self) {
        // SIGINT ends the remote command; a client killed outright would leave it for a minute.
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::INT);
        }
        drop(self.0.stdout.take());
        let _ = self.0.wait();
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
