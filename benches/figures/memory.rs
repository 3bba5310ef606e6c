//! What the daemon keeps in memory: at rest, for a session, for a warm connection.

use std::fs;

use super::{
    ground::{Server, exec},
    series::timed,
    support::{Running, Sgw, eventually},
};

const SESSIONS: usize = 10;
const AT_ONCE: usize = 40;

/// Resident, in KiB: all of it, and what is not backed by a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resident {
    pub all: i64,
    anonymous: i64,
}

pub fn figure() {
    let server = Server::start(&[]);
    let sgw = Sgw::new();
    sgw.init();
    let daemon = sgw.unlock();
    println!("| | all | anonymous |\n|---|---|---|");
    let rest = resident(daemon);
    row("the daemon at rest", rest, 1);

    let first = sgw.session(&server);
    timed(&mut exec(&sgw, &first, &["true"]));
    let before = resident(daemon);
    row("… with one session that ran a command", before, 1);
    for _ in 0..SESSIONS {
        let session = sgw.session_with(&server, &["--new"]);
        timed(&mut exec(&sgw, &session, &["true"]));
    }
    row("a further session, with its warm connection", before.to(resident(daemon)), SESSIONS);

    let (before, had) = (resident(daemon), connections(&sgw));
    let hold = || Running::start(&mut exec(&sgw, &first, &["sh", "-c", "echo up; exec sleep 600"]));
    let mut running: Vec<_> = (0..AT_ONCE).map(|_| hold()).collect();
    running.iter_mut().for_each(|one| one.prints("up"));
    let more = connections(&sgw) - had;
    row("a further warm connection, while commands run on it", before.to(resident(daemon)), more);
    println!("\n{AT_ONCE} commands at once took {more} further connections.");
    timed(&mut sgw.command(["close", &first]));
    drop(running);
    eventually("the session's connections are closed", || connections(&sgw) < had);
}

pub fn resident(pid: u32) -> Resident {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| -> i64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    };
    Resident { all: field("VmRSS"), anonymous: field("RssAnon") }
}

/// The most that a process ever had, in KiB; 0 once it is gone.
pub fn at_most(pid: u32) -> i64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    most.and_then(|most| most.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

impl Resident {
    pub fn to(self, later: Self) -> Self {
        Self { all: later.all - self.all, anonymous: later.anonymous - self.anonymous }
    }
}

fn connections(sgw: &Sgw) -> usize {
    let status = sgw.agent(["daemon", "status", "--json"]).json();
    usize::try_from(status["connections"].as_u64().unwrap()).unwrap()
}

pub fn row(what: &str, resident: Resident, parts: usize) {
    let parts = i64::try_from(parts.max(1)).unwrap();
    println!("| {what} | {} KiB | {} KiB |", resident.all / parts, resident.anonymous / parts);
}
