//! Whatever a terminal is sent, it stays a terminal, and nobody else notices.

use std::{fs, time::Duration};

use super::{Terminal, lines};
use crate::support::still_serves;

/// Resident memory of the daemon, in KiB.
fn resident(me: &Terminal) -> u64 {
    let daemon = me.sgw.daemon().expect("a daemon");
    let status = fs::read_to_string(format!("/proc/{daemon}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn odd_bytes_leave_a_terminal_that_works() {
    let me = Terminal::open();
    let odd = [
        // A title of ten megabytes, a line without an end, half a sequence, a question flood.
        "printf '\\033]0;'; head -c 10000000 /dev/zero | tr '\\0' x; printf '\\007'",
        "head -c 3000000 /dev/zero | tr '\\0' y; echo",
        "printf '\\033['; printf '\\033P'; printf '\\033]2;half'; printf '\\030\\n'",
        "for i in $(seq 2000); do printf '\\033[6n'; done; sleep 0.5; read -rs -t 0.5 -n 100000 x",
        "head -c 300000 /dev/urandom; printf '\\033c\\033[?1049l\\030\\n'",
        "for i in $(seq 500); do printf 'a\\033[65535b\\033[65535L\\033[65535S\\033[?1049h\\033[?1049l'; done",
    ];
    for (number, line) in odd.iter().enumerate() {
        let end = format!("^end-{number}$");
        me.types_until(&format!("{line}; echo; echo en''d-{number}"), &end);
        // What took a part of a line may have left the rest: an interrupt makes the line known again.
        me.types(&["--key", "ctrl-c"]);
        let screen = me.output(&["--screen"]);
        assert!(lines(&screen).len() <= 48, "{screen}");
    }
    let all = me.sgw.agent(["output", &me.session]).ok();
    let harmless = |byte: &u8| matches!(byte, b'\n' | b'\t' | 0x20..=0x7e | 0x80..);
    assert!(all.bytes().iter().all(harmless), "control characters reached the caller");
    still_serves(&me.sgw, &me.session);
}

#[test]
fn a_flood_takes_no_memory_and_holds_nobody_up() {
    let me = Terminal::open();
    me.types_until("echo re''ady", "^ready$");
    still_serves(&me.sgw, &me.session);
    let before = resident(&me);
    me.types(&["yes 'all work and no play makes a flood of lines'", "--timeout", "1s"]);
    for _ in 0..10 {
        let exec = me.sgw.agent(["exec", &me.session, "--", "echo", "beside"]).ok();
        assert!(exec.took() < Duration::from_secs(10), "{exec:?}");
    }
    let page = me.output(&["--tail", "5"]);
    assert!(page["oldest"].as_u64().unwrap() > 1_000_000, "no flood: {page}");
    // A reader that is too late is told how much it missed.
    assert!(me.output(&["--since", "0", "--limit", "1"])["missed"].as_u64().unwrap() > 0);
    let grown = resident(&me).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB more");
    me.types(&["--key", "ctrl-c"]);
    me.types_until("echo af''ter", "^after$");
}
