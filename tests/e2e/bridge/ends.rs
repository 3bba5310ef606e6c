//! A client that goes, however it goes, leaves nothing behind.

use std::{fs, io::Write, process::Stdio};

use rustix::process::Signal;
use sgw::domain::sftp::{FromClient, Pairs};

use super::{Both, noise, ran};
use crate::support::{Running, eventually, processes_naming};

/// A word that the command's processes carry, and nothing else.
fn word(number: usize) -> String {
    format!("bridge-mark-{}-{number}", std::process::id())
}

#[test]
fn a_killed_client_leaves_no_process_on_the_target() {
    let both = Both::new();
    for (number, signal) in [Signal::KILL, Signal::TERM, Signal::HUP].into_iter().enumerate() {
        let word = word(number);
        let line = format!("MARK={word} sh -c 'echo begun; sleep 1000; true {word}'");
        let mut runs = both.ssh(&both.through, &["web1", &line]);
        let runs = &mut Running::start(&mut runs);
        runs.prints("begun");
        assert!(!processes_naming(&word).is_empty());
        runs.signal(signal);
        eventually("its processes are gone", || processes_naming(&word).is_empty());
    }
}

/// Its input lies in every buffer of the way, and its output too.
#[test]
fn a_client_killed_in_full_flow_leaves_nothing_either() {
    let both = Both::new();
    let word = word(10);
    for line in
        [format!("echo begun; exec sleep 1000 # {word}"), format!("echo begun; exec yes {word}")]
    {
        let line = format!("MARK={word}; export MARK; {line}");
        let mut runs = both.ssh(&both.through, &["web1", &line]);
        runs.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        runs.stderr(std::process::Stdio::null());
        // Nobody reads what it prints.
        let mut child = runs.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            _ = std::io::Write::write_all(&mut stdin, &noise(20_000_000));
        });
        eventually("it runs", || both.is_running(&word));
        // Long enough for the buffers to fill; whether they have does not matter to the claim.
        std::thread::sleep(std::time::Duration::from_millis(500));
        child.kill().unwrap();
        child.wait().unwrap();
        writer.join().unwrap();
        eventually("its processes are gone", || !both.is_running(&word));
    }
    both.same(&["web1", "echo still here"], b"");
}

/// As a pipe's reader does it that has what it wants.
#[test]
fn a_client_whose_output_nobody_reads_ends_and_its_command_with_it() {
    let both = Both::new();
    let (word, big) = (word(20), both.sgw.path("big"));
    std::fs::write(&big, noise(30_000_000)).unwrap();
    let endless = format!("MARK={word}; export MARK; yes {word}");
    let reads = format!("cat {}", big.display());
    for words in [&["web1", &endless][..], &["-tt", "web1", &endless], &["web1", &reads]] {
        let mut runs = both.ssh(&both.through, words);
        runs.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        let mut child = runs.stderr(std::process::Stdio::null()).spawn().unwrap();
        let mut some = [0; 100];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut some).unwrap();
        drop(child.stdout.take());
        eventually("the client has ended", || child.try_wait().unwrap().is_some());
        eventually("its processes are gone", || !both.is_running(&word));
    }
    both.same(&["web1", "echo still here"], b"");
}

/// It speaks of its own channel; over one connection there may be others.
#[test]
fn a_session_whose_output_nobody_reads_ends_no_command_beside_it() {
    let both = Both::new();
    let (path, log) = (both.sgw.path("master"), both.sgw.path("log"));
    let (go, at) = (both.sgw.path("go"), format!("ControlPath={}", path.display()));
    let master =
        ["-vv", "-E", log.to_str().unwrap(), "-N", "-o", "ControlMaster=yes", "-o", &at, "web1"];
    let _master = both.sgw.watched(Running::start(&mut both.ssh(&both.through, &master)));
    eventually("the master is there", || path.exists());
    let line = format!("echo begun; until [ -e {} ]; do sleep 0.05; done; exit 3", go.display());
    let mut runs = Running::start(&mut both.ssh(&both.through, &["-o", &at, "web1", &line]));
    runs.prints("begun\n");
    let mut sftp = both.ssh(&both.through, &["-o", &at, "-s", "web1", "sftp"]);
    sftp.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut sftp = sftp.spawn().unwrap();
    drop(sftp.stdout.take());
    let hello = FromClient::Init { version: 3, extensions: Pairs::new() }.to_wire();
    sftp.stdin.as_mut().unwrap().write_all(&hello).unwrap();
    eventually("its client says so", || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("send eow"))
    });
    // Behind that word, on the same connection.
    let output = ran(&mut both.ssh(&both.through, &["-o", &at, "web1", "echo fine"]), b"");
    assert_eq!(output.stdout, b"fine\n");
    // Long enough for it to be ended, which takes another channel.
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(!runs.has_ended());
    fs::write(&go, "").unwrap();
    runs.ends().exits(3);
    sftp.kill().unwrap();
    sftp.wait().unwrap();
}

impl Both {
    /// Beside the client itself, which has the word on its command line too.
    fn is_running(&self, word: &str) -> bool {
        let ours = |pid: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() != "ssh"
        };
        processes_naming(word).iter().any(ours)
    }
}

#[test]
fn the_daemon_keeps_no_descriptor_of_a_client_that_is_gone() {
    let both = Both::new();
    both.same(&["web1", "true"], b"");
    let daemon = both.sgw.daemon().unwrap();
    let open = || std::fs::read_dir(format!("/proc/{daemon}/fd")).unwrap().count();
    eventually("it is at rest", || both.connections() <= 1);
    let before = open();
    for round in 0..12 {
        let mut runs = both.ssh(&both.through, &["web1", "echo begun; exec sleep 1000"]);
        let mut runs = Running::start(&mut runs);
        if round % 2 == 0 {
            runs.prints("begun");
        }
        runs.signal(Signal::KILL);
    }
    eventually("its descriptors are as before", || open() <= before + 8);
}

impl Both {
    pub fn connections(&self) -> u64 {
        let status = self.sgw.agent(["daemon", "status", "--json"]).ok().json();
        status["connections"].as_u64().unwrap_or(0)
    }
}
