//! A command that does nothing: what sgw adds to, or saves of, the way there and back.

use std::time::Duration;

use super::{
    ground::{Server, exec},
    series::{Series, alternate, in_blocks, print},
    support::Sgw,
};

pub fn figure() {
    measure(&Server::start(&[]), "round trip 0", 200);
}

/// Over a link with a round-trip time of 20 ms.
pub fn far() {
    let mut server = Server::start(&[]);
    server.seen_over(Duration::from_millis(20));
    measure(&server, "round trip 20 ms", 60);
}

fn measure(server: &Server, link: &str, rounds: usize) {
    let sgw = Sgw::unlocked();
    let session = sgw.session(server);
    let master = server.master(&[]);
    let contenders = || {
        [
            Series::of("`sgw exec S -- true`", exec(&sgw, &session, &["true"])),
            Series::of("`ssh host true`, ControlMaster", server.over(&master, "true")),
            Series::of("`ssh host true`", server.ssh(&[], "true")),
        ]
    };
    let mut all = contenders();
    alternate(rounds, &mut all);
    print(&format!("exec, {link}, in turn"), &all);
    // Without a pause: there is less time to open channels ahead.
    let [sgw, master, _] = contenders();
    let mut both = [sgw, master];
    in_blocks(rounds, 20, &mut both);
    print(&format!("exec, {link}, 20 in a row"), &both);
}
