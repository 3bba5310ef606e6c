//! Files to and fro: one that is large, and many that are small.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    ground::Server,
    series::{Series, in_blocks, print, timed},
    support::Sgw,
};

const MIB: u64 = 512;
const SMALL: usize = 10_000;
/// What the small ones hold, in bytes.
const EACH: usize = 2048;

/// A place on each side that whoever logs in can write.
struct Places {
    here: tempfile::TempDir,
    there: PathBuf,
}

impl Places {
    fn new(server: &Server) -> Self {
        let there = server.readable().join("there");
        fs::create_dir_all(&there).unwrap();
        fs::set_permissions(&there, fs::Permissions::from_mode(0o777)).unwrap();
        let here = tempfile::Builder::new().prefix("here").tempdir_in("/tmp").unwrap();
        fs::set_permissions(here.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { here, there }
    }

    fn clear(&self) {
        for path in [self.here.path().join("in"), self.there.join("in")] {
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(&path);
        }
    }
}

fn sgw(sgw: &Sgw, verb: &str, session: &str, from: &Path, to: &Path) -> Command {
    let mut command = sgw.command(["files", verb, "-r", session]);
    command.args([from, to]);
    command
}

pub fn figure() {
    let server = Server::start(&[]);
    large(&server);
    small(&server, "round trip 0");
    let mut server = server;
    server.seen_over(Duration::from_millis(20));
    small(&server, "round trip 20 ms");
}

fn large(server: &Server) {
    let places = Places::new(server);
    let instance = Sgw::unlocked();
    let session = instance.session(server);
    let there = server.readable().join("large");
    let here = places.here.path().join("large");
    for path in [&there, &here] {
        // Sparse: no disk is read.
        File::create(path).unwrap().set_len(MIB * 1024 * 1024).unwrap();
    }
    let (in_here, in_there) = (places.here.path().join("in"), places.there.join("in"));
    let contenders = |from: &Path, to: &Path, up: bool| {
        let verb = if up { "put" } else { "get" };
        [
            ("`sgw files`", sgw(&instance, verb, &session, from, to)),
            ("`scp`", server.scp(from, to, up)),
            ("`sftp`", server.sftp(from, to, up)),
        ]
    };
    for (title, all) in [
        (format!("{MIB} MiB down"), contenders(&there, &in_here, false)),
        (format!("{MIB} MiB up"), contenders(&here, &in_there, true)),
    ] {
        measure(&title, 5, all, &places);
    }
}

fn small(server: &Server, link: &str) {
    let places = Places::new(server);
    let instance = Sgw::unlocked();
    let session = instance.session(server);
    let (here, there) = (places.here.path().join("small"), server.readable().join("small"));
    for root in [&here, &there] {
        for number in 0..SMALL {
            let directory = root.join(format!("d{}", number / 100));
            fs::create_dir_all(&directory).unwrap();
            let mut file = File::create(directory.join(format!("f{number}"))).unwrap();
            file.write_all(&vec![number as u8; EACH]).unwrap();
        }
    }
    let (in_here, in_there) = (places.here.path().join("in"), places.there.join("in"));
    let contenders = |from: &Path, to: &Path, up: bool| {
        let verb = if up { "put" } else { "get" };
        [
            ("`sgw files -r`", sgw(&instance, verb, &session, from, to)),
            ("`rsync -a`", server.rsync(from, to, up)),
            ("`scp -r`", server.scp(from, to, up)),
        ]
    };
    for (title, all) in [
        (format!("{SMALL} small files up, {link}"), contenders(&here, &in_there, true)),
        (format!("{SMALL} small files down, {link}"), contenders(&there, &in_here, false)),
    ] {
        measure(&title, 3, all, &places);
    }
}

/// Each onto an empty place.
fn measure<const N: usize>(
    title: &str,
    rounds: usize,
    all: [(&'static str, Command); N],
    places: &Places,
) {
    let mut all = all.map(|(name, mut command)| {
        Series::new(name, move || {
            places.clear();
            timed(&mut command)
        })
    });
    in_blocks(rounds, 1, &mut all);
    print(title, &all);
    places.clear();
}
