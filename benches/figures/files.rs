//! Files to and fro: one that is large, and many that are small.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    ground::Server,
    memory, rounds,
    series::{Series, once_before, print, timed},
    support::Sgw,
};

const MIB: u64 = 512;
const SMALL: usize = 10_000;
/// So many of them for whom each costs several round trips.
const FEW: usize = 250;
/// What the small ones hold, in bytes.
const EACH: usize = 2048;

/// A place on each side that whoever logs in can write.
pub struct Places {
    pub here: tempfile::TempDir,
    pub there: PathBuf,
}

impl Places {
    pub fn new(server: &Server) -> Self {
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

fn sgw(sgw: &Sgw, verb: &str, session: &str, more: &[&str], from: &Path, to: &Path) -> Command {
    let words = ["files", verb, "-r"].into_iter().chain(more.iter().copied()).chain([session]);
    let mut command = sgw.command(words);
    command.args([from, to]);
    command
}

pub fn figure() {
    let server = Server::start(&[]);
    large(&server);
    small(&server, "round trip 0", SMALL);
    let mut server = server;
    server.seen_over(Duration::from_millis(20));
    small(&server, "round trip 20 ms", FEW);
}

fn large(server: &Server) {
    let places = Places::new(server);
    let instance = Sgw::new();
    instance.init();
    let daemon = instance.unlock();
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
            ("`sgw files`", sgw(&instance, verb, &session, &[], from, to), 1),
            ("`scp`", server.scp(from, to, up), 1),
            ("`sftp`", server.sftp(from, to, up), 1),
        ]
    };
    for (title, all) in [
        (format!("{MIB} MiB down"), contenders(&there, &in_here, false)),
        (format!("{MIB} MiB up"), contenders(&here, &in_there, true)),
    ] {
        measure(&title, rounds(5), all, &places);
    }
    println!("| most memory while {MIB} MiB go | |\n|---|---|");
    let rest = memory::resident(daemon).all;
    for (verb, from, to) in [("get", &there, &in_here), ("put", &here, &in_there)] {
        places.clear();
        let (client, most) = peak(&mut sgw(&instance, verb, &session, &[], from, to), daemon);
        println!("| `sgw files {verb}` | {client} KiB |");
        println!("| the daemon meanwhile (before: {rest} KiB) | {most} KiB |");
    }
    println!();
    places.clear();
}

/// The most that a command and the daemon have in memory while it runs, in KiB.
fn peak(command: &mut Command, daemon: u32) -> (i64, i64) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut own, mut daemons) = (0, 0);
    while child.try_wait().unwrap().is_none() {
        daemons = daemons.max(memory::resident(daemon).all);
        own = own.max(memory::at_most(child.id()));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success());
    (own, daemons)
}

/// `scp` goes file after file: over a slow link it is given `few`, and its time is taken so many times.
fn small(server: &Server, link: &str, few: usize) {
    let places = Places::new(server);
    let instance = Sgw::unlocked();
    let session = instance.session(server);
    let (here, there) = (places.here.path().join("small"), server.readable().join("small"));
    // The server is the same for each link.
    let fewer = format!("few-{few}");
    let (few_here, few_there) = (places.here.path().join(&fewer), server.readable().join(&fewer));
    for (root, count) in [(&here, SMALL), (&there, SMALL), (&few_here, few), (&few_there, few)] {
        for number in 0..count {
            let directory = root.join(format!("d{}", number / 100));
            fs::create_dir_all(&directory).unwrap();
            let mut file = File::create(directory.join(format!("f{number}"))).unwrap();
            file.write_all(&vec![number as u8; EACH]).unwrap();
        }
    }
    let (in_here, in_there) = (places.here.path().join("in"), places.there.join("in"));
    let contenders = |(from, few_from): (&Path, &Path), to: &Path, up: bool| {
        let verb = if up { "put" } else { "get" };
        let times = (SMALL / few) as u32;
        let scp = if times > 1 { "`scp -r`, reckoned from fewer files" } else { "`scp -r`" };
        [
            ("`sgw files -r`", sgw(&instance, verb, &session, &[], from, to), 1),
            ("`sgw files -r -p`", sgw(&instance, verb, &session, &["-p"], from, to), 1),
            ("`rsync -a`", server.rsync(from, to, up), 1),
            (scp, server.scp(few_from, to, up), times),
        ]
    };
    for (title, all) in [
        (
            format!("{SMALL} small files up, {link}"),
            contenders((&here, &few_here), &in_there, true),
        ),
        (
            format!("{SMALL} small files down, {link}"),
            contenders((&there, &few_there), &in_here, false),
        ),
    ] {
        measure(&title, rounds(4), all, &places);
    }
}

/// Each onto an empty place.
pub fn measure<const N: usize>(
    title: &str,
    rounds: usize,
    all: [(&'static str, Command, u32); N],
    places: &Places,
) {
    let mut all = all.map(|(name, mut command, times)| {
        Series::new(name, move || {
            places.clear();
            timed(&mut command) * times
        })
    });
    once_before(rounds, &mut all);
    print(title, &all);
    places.clear();
}
