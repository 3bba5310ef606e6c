//! Stock clients through `sgw proxy`: what sgw adds to, or saves of, a direct connection.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    files::{Places, measure},
    ground::Server,
    memory, rounds,
    series::{Series, alternate, print, timed},
    support::{Running, Sgw, Token, eventually},
};

const MIB: u64 = 512;
const BRIDGES: usize = 50;

/// An instance with a standing grant, and the configuration that leads through it.
struct Through {
    sgw: Sgw,
    daemon: u32,
    token: Token,
    config: PathBuf,
}

impl Through {
    fn to(server: &Server) -> Self {
        let sgw = Sgw::new();
        sgw.init();
        let daemon = sgw.unlock();
        sgw.target("web1", server);
        let token = sgw.token("ci", &[]);
        let only = "exec,pty,files:read,files:write";
        sgw.grant(&["--token", "ci", "--target", "web1", "--only", only]);
        let told = sgw.by(&token, ["ssh-config", "--json"]).ok().json();
        let config = PathBuf::from(told["config"].as_str().unwrap());
        Self { sgw, daemon, token, config }
    }

    /// A program of the machine's, as the agent runs it.
    fn program(&self, name: &str) -> Command {
        let sgw = self.sgw.command([""; 0]);
        let mut program = Command::new(name);
        program.env_clear();
        for (name, value) in sgw.get_envs() {
            program.envs(value.map(|value| (name, value)));
        }
        program.env("SGW_TOKEN", &self.token.text);
        program
    }

    fn ssh(&self, words: &[&str]) -> Command {
        let mut ssh = self.program("ssh");
        ssh.arg("-F").arg(&self.config).args(["-T", "-o", "BatchMode=yes"]).args(words);
        ssh
    }

    fn scp(&self, from: &Path, to: &Path, up: bool) -> Command {
        let mut scp = self.program("scp");
        scp.arg("-F").arg(&self.config).args(["-r", "-q"]);
        match up {
            true => scp.arg(from).arg(named(to)),
            false => scp.arg(named(from)).arg(to),
        };
        scp
    }

    fn rsync(&self, from: &Path, to: &Path, up: bool) -> Command {
        let mut rsync = self.program("rsync");
        rsync.args(["-a", "-e", &format!("ssh -F {}", self.config.display())]);
        let inside = format!("{}/", from.display());
        match up {
            true => rsync.arg(inside).arg(named(to)),
            false => rsync.arg(named(Path::new(&inside))).arg(to),
        };
        rsync
    }
}

fn named(path: &Path) -> String {
    format!("web1:{}", path.display())
}

pub fn figure() {
    let mut server = Server::start(&[]);
    {
        let through = Through::to(&server);
        start(&server, &through, "round trip 0", 100);
        bulk(&server, &through);
        held(&through);
    }
    server.seen_over(Duration::from_millis(20));
    start(&server, &Through::to(&server), "round trip 20 ms", 30);
}

fn start(server: &Server, through: &Through, link: &str, often: usize) {
    let mut all = [
        Series::of("`ssh` through `sgw proxy`", through.ssh(&["web1", "true"])),
        Series::of("a fresh direct `ssh`", server.ssh(&[], "true")),
    ];
    alternate(rounds(often), &mut all);
    print(&format!("a command that does nothing, {link}"), &all);
}

fn bulk(server: &Server, through: &Through) {
    let places = Places::new(server);
    let there = server.readable().join("tree");
    let here = places.here.path().join("tree");
    for directory in [&there, &here] {
        std::fs::create_dir_all(directory).unwrap();
        // Sparse: no disk is read.
        File::create(directory.join("large")).unwrap().set_len(MIB * 1024 * 1024).unwrap();
    }
    let cat = format!("cat {}", there.join("large").display());
    let gcm = ["-c", "aes128-gcm@openssh.com"];
    let mut all = [
        Series::of("`ssh host cat` through sgw", through.ssh(&["web1", &cat])),
        Series::of("`ssh host cat`, direct", server.ssh(&[], &cat)),
        Series::of("`ssh -c aes128-gcm@openssh.com host cat`, direct", server.ssh(&gcm, &cat)),
    ];
    alternate(rounds(5), &mut all);
    print(&format!("{MIB} MiB out of `cat`"), &all);
    let (in_here, in_there) = (places.here.path().join("in"), places.there.join("in"));
    for (way, from, to, up) in [("down", &there, &in_here, false), ("up", &here, &in_there, true)] {
        let scp = [
            ("`scp` through sgw", through.scp(from, to, up), 1),
            ("`scp`, direct", server.scp(from, to, up), 1),
        ];
        measure(&format!("{MIB} MiB {way}, scp"), rounds(5), scp, &places);
        let rsync = [
            ("`rsync -a` through sgw", through.rsync(from, to, up), 1),
            ("`rsync -a`, direct", server.rsync(from, to, up), 1),
        ];
        measure(&format!("{MIB} MiB {way}, rsync"), rounds(5), rsync, &places);
    }
}

fn held(through: &Through) {
    timed(&mut through.ssh(&["web1", "true"]));
    let daemon = through.daemon;
    let open = || std::fs::read_dir(format!("/proc/{daemon}/fd")).unwrap().count();
    println!("| | all | anonymous |\n|---|---|---|");
    let (before, had) = (memory::resident(daemon), open());
    memory::row("the daemon", before, 1);
    let connected: Vec<_> =
        (0..BRIDGES).map(|_| Running::start(&mut through.ssh(&["-N", "web1"]))).collect();
    eventually("all are connected", || open() >= had + BRIDGES);
    // What follows the greeting is there, too, once one of them has been served to its end.
    timed(&mut through.ssh(&["web1", "true"]));
    memory::row("a bridge on which nothing runs", before.to(memory::resident(daemon)), BRIDGES);
    drop(connected);
    eventually("all are gone", || open() <= had + 8);
    let before = memory::resident(daemon);
    let running: Vec<_> = (0..BRIDGES)
        .map(|_| {
            let mut one = Running::start(&mut through.ssh(&["web1", "echo up; exec sleep 600"]));
            one.prints("up");
            one
        })
        .collect();
    let more = before.to(memory::resident(daemon));
    memory::row("a bridge with a command that waits, and its connection", more, BRIDGES);
    println!();
    drop(running);
}
