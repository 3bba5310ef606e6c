//! A terminal: how soon a key shows, what each session's PTY keeps in memory, and what a flood into one
//! costs others.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    ground::{Server, exec},
    memory::{resident, row},
    series::{Series, alternate, ms, print, timed},
    support::{Pty, Sgw, signal},
};

const KEYS: usize = 200;
const SESSIONS: usize = 10;
const ROUNDS: usize = 40;
/// What is printed into the terminal.
const FLOOD_BYTES: u64 = 1 << 30;

pub fn figure() {
    echo();
    memory();
    flood();
}

/// From a key to its echo on the person's screen.
fn echo() {
    let server = Server::start(&[]);
    let sgw = Sgw::unlocked();
    let session = sgw.session(&server);
    let mut ssh = Typist::at(&server.ssh(&["-tt"], "cat"), "");
    let mut attached = Typist::at(&sgw.operator_command(["attach", &session]), "cat\r");
    let mut all = [
        Series::new("`sgw attach S`", || attached.key()),
        Series::new("`ssh -tt host`", || ssh.key()),
    ];
    alternate(KEYS, &mut all);
    print("from a key to its echo, `cat` on the target", &all);
}

/// Somebody who types into `cat`.
struct Typist {
    terminal: Pty,
    typed: String,
    lines: usize,
}

impl Typist {
    fn at(program: &Command, first: &str) -> Self {
        let mut terminal = Pty::start(program);
        if !first.is_empty() {
            terminal.wait_for(r"[$#] ");
            terminal.send(first);
        }
        terminal.send("ready\r");
        terminal.wait_for("ready\\s+ready");
        let mut typist = Self { terminal, typed: String::new(), lines: 0 };
        typist.begins_a_line();
        typist
    }

    /// Each line begins with a number of its own, so that nothing typed into it stood there before.
    fn begins_a_line(&mut self) {
        self.lines += 1;
        self.typed = format!("{}-", self.lines);
        self.terminal.send(&self.typed);
        self.terminal.wait_for(&format!("(?m)^{}", self.typed));
    }

    fn key(&mut self) -> Duration {
        if self.typed.len() >= 40 {
            self.terminal.send("\r");
            self.terminal.wait_for(&format!("{0}\\s+{0}", self.typed));
            self.begins_a_line();
        }
        let next = char::from(b'a' + u8::try_from(self.typed.len() % 26).unwrap());
        self.typed.push(next);
        let start = Instant::now();
        self.terminal.send(&next.to_string());
        while !self.terminal.screen().contains(&self.typed) {
            assert!(start.elapsed() < Duration::from_secs(10), "a key never showed");
            std::thread::sleep(Duration::from_micros(50));
        }
        start.elapsed()
    }
}

/// What a PTY adds to a session that has run a command.
fn memory() {
    let server = Server::start(&[]);
    let sgw = Sgw::new();
    sgw.init();
    let daemon = sgw.unlock();
    let first = sgw.session(&server);
    timed(&mut exec(&sgw, &first, &["true"]));
    timed(&mut sgw.command(["input", &first, "true"]));
    let more: Vec<_> = (0..SESSIONS).map(|_| sgw.session_with(&server, &["--new"])).collect();
    for session in &more {
        timed(&mut exec(&sgw, session, &["true"]));
    }
    let before = resident(daemon);
    for session in &more {
        timed(&mut sgw.command(["input", session, "true"]));
    }
    println!("| | all | anonymous |\n|---|---|---|");
    row(
        "a session's PTY, with the connection that it has for itself",
        before.to(resident(daemon)),
        SESSIONS,
    );
    println!();
}

/// 1 GiB into a PTY that two watch, one of whom stands still: what an exec beside it feels.
fn flood() {
    let server = Server::start(&[]);
    let sgw = Sgw::new();
    sgw.init();
    let daemon = sgw.unlock();
    let session = sgw.session(&server);
    let watch = || sgw.operator_command(["watch", &session]);
    let mut watching = Pty::start(&watch());
    let mut stopped = Pty::start(&watch());
    timed(&mut sgw.command(["input", &session, "echo watched"]));
    watching.wait_for("watched");
    stopped.wait_for("watched");
    let mut all = [
        Series::of("alone", exec(&sgw, &session, &["true"])),
        Series::of("beside the flood", exec(&sgw, &session, &["true"])),
    ];
    let [alone, beside] = &mut all;
    (0..3).for_each(|_| alone.round(false));
    (0..ROUNDS).for_each(|_| alone.round(true));
    let before = resident(daemon);
    signal(stopped.pid(), Signal::STOP);
    let start = Instant::now();
    let line = format!("yes 0123456789 | head -c {FLOOD_BYTES}; echo; echo flood over");
    let mut flooding =
        sgw.command(["input", &session, &line, "--wait-for", "^flood over", "--timeout", "10m"]);
    let mut flooding =
        Flooding(flooding.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    let mut rounds = 0;
    let mut most = before;
    while !flooding.is_over() {
        beside.round(true);
        rounds += 1;
        most = most.max(resident(daemon));
    }
    let took = start.elapsed();
    signal(stopped.pid(), Signal::CONT);
    print(
        "`sgw exec S -- true`, and 1 GiB into the session's PTY with two watchers, one stopped",
        &all,
    );
    let slower = all[1].median().as_secs_f64() / all[0].median().as_secs_f64();
    println!("Beside the flood it takes {slower:.3}x of alone ({rounds} rounds).");
    println!(
        "The flood took {}; the daemon grew by {} KiB at most.",
        ms(took),
        before.to(most).all
    );
}

/// The input that prints; ended with the bench.
struct Flooding(Child);

impl Flooding {
    fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some_and(|status| {
            assert!(status.success(), "the flood never came through: {status}");
            true
        })
    }
}

impl Drop for Flooding {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
