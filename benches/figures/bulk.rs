//! A lot of output, and a reader that keeps up.

use std::fs::File;

use super::{
    ground::{Server, exec},
    series::{Series, alternate, print},
    support::Sgw,
};

const MIB: u64 = 512;

pub fn figure() {
    let server = Server::start(&[]);
    let file = server.readable().join("much");
    // Sparse: no disk is measured.
    File::create(&file).unwrap().set_len(MIB * 1024 * 1024).unwrap();
    let file = file.to_str().unwrap();
    let cat = format!("cat {file}");
    let gcm = ["-c", "aes128-gcm@openssh.com"];
    let sgw = Sgw::unlocked();
    let session = sgw.session(&server);
    let master = server.master(&[]);
    let mut all = [
        Series::of("`sgw exec S -- cat`", exec(&sgw, &session, &["cat", file])),
        Series::of("`ssh host cat`", server.ssh(&[], &cat)),
        Series::of("`ssh -c aes128-gcm@openssh.com host cat`", server.ssh(&gcm, &cat)),
        Series::of("`ssh host cat`, ControlMaster", server.over(&master, &cat)),
    ];
    alternate(5, &mut all);
    print(&format!("{MIB} MiB out of `cat`"), &all);
    for one in &all {
        println!("- {}: {:.0} MiB/s", one.name, MIB as f64 / one.median().as_secs_f64());
    }
}
