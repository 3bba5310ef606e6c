//! One command prints without end and nobody reads it: what another feels of that.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    ground::{Server, exec},
    series::{Series, print},
    support::Sgw,
};

/// Until the flood stands still everywhere on the way.
const FILL: Duration = Duration::from_secs(2);

/// Floods, and commands timed beside each and as many without one.
const FLOODS: usize = 5;
const ROUNDS: usize = 20;

pub fn figure() {
    let server = Server::start(&[]);
    let sgw = Sgw::unlocked();
    let (flooded, quiet) = (sgw.session(&server), sgw.session_with(&server, &["--new"]));
    let command = || exec(&sgw, &flooded, &["true"]);
    let mut all = [
        Series::of("alone", command()),
        Series::of("beside the flood, in its session", command()),
        Series::of("in another session meanwhile", exec(&sgw, &quiet, &["true"])),
    ];
    let [alone, beside, elsewhere] = &mut all;
    for _ in 0..FLOODS {
        (0..3).for_each(|_| alone.round(false));
        (0..ROUNDS).for_each(|_| alone.round(true));
        let flood = Flood::start(exec(&sgw, &flooded, &["cat", "/dev/zero"]));
        for _ in 0..ROUNDS {
            beside.round(true);
            elsewhere.round(true);
        }
        flood.end();
    }
    print("`sgw exec S -- true`, and a flood that nobody reads", &all);
    let slower = all[1].median().as_secs_f64() / all[0].median().as_secs_f64();
    println!("Beside the flood it takes {slower:.3}x of alone.");
}

/// A client whose output nobody takes.
struct Flood(std::process::Child);

impl Flood {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        std::thread::sleep(FILL);
        Self(child)
    }

    fn end(mut self) {
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
