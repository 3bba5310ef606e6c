//! Much output, slow readers, callers that vanish: nothing lost, nothing held up, memory flat.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::support::{Running, Sgw, Sshd, eventually, processes_naming};

const MIB: u64 = 1024 * 1024;

fn ready() -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

/// The daemon's resident memory in MiB, from proc_pid_status(5).
fn memory(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn digest(mut from: impl Read) -> Vec<u8> {
    let (mut sha256, mut chunk) = (Sha256::new(), vec![0; 256 * 1024]);
    while let length @ 1.. = from.read(&mut chunk).unwrap() {
        sha256.update(&chunk[..length]);
    }
    sha256.finalize().to_vec()
}

/// A command whose stdout the test reads itself, as slowly as it likes.
fn reading(mut command: Command) -> std::process::Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_quarter_of_a_gigabyte_comes_whole_and_memory_stays_flat() {
    let (sgw, sshd, s) = ready();
    let file = sshd.directory().join("big");
    // Numbered, so that a lost or repeated piece shows.
    let make = format!("seq -w 1 99999999 | head -c {} > {}", 256 * MIB, file.display());
    assert!(Command::new("sh").arg("-c").arg(make).status().unwrap().success());
    let pid = sgw.daemon().unwrap();
    let before = memory(pid, "VmRSS");
    let mut call = reading(sgw.command(["exec", &s, "--", "cat", file.to_str().unwrap()]));
    let received = digest(call.stdout.take().unwrap());
    assert!(call.wait().unwrap().success());
    assert!(received == digest(fs::File::open(&file).unwrap()), "the bytes differ");
    let peak = memory(pid, "VmHWM");
    assert!(peak < before + 48, "memory grew from {before} MiB to {peak} MiB");
}

#[test]
fn much_input_arrives_whole() {
    let (sgw, sshd, s) = ready();
    let file = sshd.directory().join("in");
    let make = format!("seq -w 1 99999999 | head -c {} > {}", 32 * MIB, file.display());
    assert!(Command::new("sh").arg("-c").arg(make).status().unwrap().success());
    let mut call = sgw.command(["exec", &s, "-i", "--", "sha256sum"]);
    call.stdin(fs::File::open(&file).unwrap());
    let output = call.output().unwrap();
    let here = Command::new("sha256sum").stdin(fs::File::open(&file).unwrap()).output().unwrap();
    assert_eq!(output.stdout, here.stdout, "{output:?}");
}

#[test]
fn input_that_nobody_reads_does_not_hold_up_the_end() {
    let (sgw, _sshd, s) = ready();
    let mut call = sgw.command(["exec", &s, "-i", "--", "head -c 3; exit 4"]);
    let endless = fs::File::open("/dev/zero").unwrap();
    let mut call = call.stdin(endless).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut code = None;
    eventually("the command ends", || {
        code = call.try_wait().unwrap().and_then(|status| status.code());
        code.is_some()
    });
    assert_eq!(code, Some(4));
}

#[test]
fn a_reader_that_stops_holds_up_only_its_own_command() {
    let (sgw, _sshd, s) = ready();
    let pid = sgw.daemon().unwrap();
    let mut flood = reading(sgw.command(["exec", &s, "--", "cat /dev/zero"]));
    let mut output = flood.stdout.take().unwrap();
    output.read_exact(&mut vec![0; 100_000]).unwrap();
    // It is never read again, and fills whatever there is to fill.
    let full = Instant::now();
    while full.elapsed() < Duration::from_secs(3) {
        sgw.agent(["exec", &s, "--", "echo", "through"]).ok().prints("through\n");
    }
    for _ in 0..5 {
        let call = sgw.agent(["exec", &s, "--", "echo", "through"]).ok();
        assert!(call.took() < Duration::from_secs(10), "held up: {call:?}");
    }
    assert!(memory(pid, "VmRSS") < 96, "memory: {} MiB", memory(pid, "VmRSS"));
    flood.kill().unwrap();
    flood.wait().unwrap();
}

#[test]
fn a_closed_stdout_ends_the_command() {
    let (sgw, _sshd, s) = ready();
    let mark = format!("mark-epipe-{}", std::process::id());
    let line = format!("MARK={mark}; export MARK; yes; sleep 600");
    let mut call = reading(sgw.command(["exec", &s, "--", &line]));
    let mut output = call.stdout.take().unwrap();
    output.read_exact(&mut [0; 1000]).unwrap();
    drop(output);
    eventually("the client ends", || call.try_wait().unwrap().is_some());
    eventually("the remote processes end", || processes_naming(&mark).is_empty());
}

#[test]
fn what_a_killed_caller_had_not_written_comes_to_the_next() {
    let (sgw, sshd, s) = ready();
    let go = sshd.directory().join("go");
    let line = format!(
        "seq 1000; until [ -e {} ]; do sleep 0.1; done; seq 1001 2000; exit 9",
        go.display()
    );
    let mut first = sgw.start(["exec", &s, "--", &line]);
    first.prints("\n1000\n");
    let id = running(&sgw, &s);
    first.signal(Signal::KILL);
    let before = first.ends().stdout();
    fs::write(&go, "").unwrap();
    let after = sgw.agent(["wait", &id]).exits(9).stdout();
    let expected: String = (1..=2000).map(|n| format!("{n}\n")).collect();
    assert!(joins(&before, &after, &expected), "{} + {} bytes", before.len(), after.len());
}

#[test]
fn a_caller_killed_again_and_again_in_a_flood_loses_nothing() {
    let (sgw, _sshd, s) = ready();
    let mut first = sgw.start(["exec", &s, "--", "seq 1000000"]);
    first.prints("\n1000\n");
    let id = running(&sgw, &s);
    first.signal(Signal::KILL);
    let mut parts = vec![first.ends().stdout()];
    let mut call = sgw.start(["wait", &id]);
    eventually("something comes", || call.has_ended() || call.stdout().len() > 100_000);
    call.signal(Signal::KILL);
    parts.push(call.ends().stdout());
    parts.push(sgw.agent(["wait", &id]).ok().stdout());
    let expected: String = (1..=1_000_000).map(|n| format!("{n}\n")).collect();
    let rest = parts[1..].concat();
    let two = joins(&parts[0], &rest, &expected);
    // The second cut may repeat its last chunk as well.
    let three = (0..=parts[1].len()).rev().any(|kept| {
        expected.starts_with(&parts[0])
            && parts[1].is_char_boundary(kept)
            && expected.ends_with(&parts[2])
            && parts[0].len() + kept + parts[2].len() >= expected.len()
    });
    assert!(two || three, "{:?}", parts.iter().map(String::len).collect::<Vec<_>>());
}

#[test]
fn an_orphan_ends_when_nobody_comes() {
    let (sgw, _sshd, s) = ready();
    let mark = format!("mark-orphan-{}", std::process::id());
    let line = format!("MARK={mark}; export MARK; echo on; sleep 600");
    let mut call = sgw.start(["exec", &s, "--orphan", "1s", "--", &line]);
    call.prints("on\n");
    assert!(!processes_naming(&mark).is_empty());
    let id = running(&sgw, &s);
    call.signal(Signal::KILL);
    call.ends();
    eventually("the remote processes end", || processes_naming(&mark).is_empty());
    let outcome = sgw.agent(["wait", &id]);
    assert!(![0, 75].contains(&outcome.code()), "{outcome:?}");
    sgw.agent(["output", &id]).ok().prints("on\n");
}

#[test]
fn twenty_floods_at_once_come_whole() {
    let (sgw, _sshd, s) = ready();
    let calls: Vec<Running> = (0..20).map(|_| sgw.start(["exec", &s, "--", "seq 50000"])).collect();
    let expected: String = (1..=50_000).map(|n| format!("{n}\n")).collect();
    for call in calls {
        assert!(call.ends().ok().stdout() == expected, "output was lost");
    }
}

/// The id of the only command that runs in the session.
#[track_caller]
fn running(sgw: &Sgw, session: &str) -> String {
    let json = sgw.agent(["sessions", "--json"]).ok().json();
    let sessions = json["sessions"].as_array().unwrap();
    let mine = sessions.iter().find(|known| known["id"] == session).unwrap();
    let running = mine["running"].as_array().unwrap();
    assert_eq!(running.len(), 1, "{json}");
    running[0].as_str().unwrap().to_owned()
}

/// Whether two parts make the whole, where the second may repeat the last chunk of the first: a
/// client killed between writing and acknowledging.
fn joins(before: &str, after: &str, whole: &str) -> bool {
    let covered = before.len() + after.len();
    let repeated = covered.saturating_sub(whole.len());
    whole.starts_with(before)
        && whole.ends_with(after)
        && covered >= whole.len()
        && repeated <= 256 * 1024
}
