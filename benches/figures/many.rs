//! Fifty commands at once, on one target.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    ground::{Server, exec},
    series::{Series, alternate, print},
    support::Sgw,
};

const AT_ONCE: usize = 50;

pub fn figure() {
    measure("sshd's MaxSessions 10", &[]);
    // Where the server lets one connection carry them all.
    measure("MaxSessions 100", &["MaxSessions 100"]);
}

fn measure(server_is: &str, lines: &[&str]) {
    let server = Server::start(lines);
    let sgw = Sgw::unlocked();
    let session = sgw.session(&server);
    let master = server.master(&[]);
    let (mut ours, mut theirs) = (0, 0);
    let mut both = [
        Series::new("50 x `sgw exec S -- true`", || {
            all_at_once(&mut ours, || exec(&sgw, &session, &["true"]))
        }),
        Series::new("50 x `ssh host true`, ControlMaster", || {
            all_at_once(&mut theirs, || server.over(&master, "true"))
        }),
    ];
    alternate(20, &mut both);
    print(&format!("{AT_ONCE} in flight, {server_is}"), &both);
    drop(both);
    println!("failed: {ours} of sgw, {theirs} of ssh\n");
}

/// From the first start to the last end.
fn all_at_once(failed: &mut usize, command: impl Fn() -> Command) -> Duration {
    let start = Instant::now();
    let spawn = |_| {
        let mut command = command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let running: Vec<Child> = (0..AT_ONCE).map(spawn).collect();
    for mut child in running {
        *failed += usize::from(!child.wait().unwrap().success());
    }
    start.elapsed()
}
