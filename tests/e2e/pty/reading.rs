//! What a terminal showed can be read again, each line once and in order.

use super::{Terminal, has_line, lines};

/// Lines `line 1` to `line N`, so that no two are alike.
fn numbered(page: &serde_json::Value) -> Vec<u32> {
    lines(page).iter().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect()
}

#[test]
fn every_line_comes_once_from_cursor_to_cursor() {
    let me = Terminal::open();
    let begin = me.types(&["PS1='> '"])["cursor"].as_u64().unwrap();
    let print = "for i in $(seq 400); do echo line $i; printf \"part $i \"; sleep 0.002; echo; done; echo the e''nd";
    me.types(&[print, "--settle", "0ms"]);
    let (mut since, mut seen, mut parts) = (begin, Vec::new(), 0);
    loop {
        let page = me.output(&["--since", &since.to_string(), "--limit", "37"]);
        assert_eq!(page["missed"], 0, "{page}");
        let partial = page["partial"].as_bool().unwrap();
        let all = lines(&page);
        let finished = &all[..all.len() - usize::from(partial)];
        seen.extend(numbered(&page));
        parts += finished.iter().filter(|line| line.starts_with("part ")).count();
        let next = page["cursor"].as_u64().unwrap();
        assert!(next >= since, "{page}");
        since = next;
        if finished.contains(&"the end") {
            break;
        }
    }
    assert_eq!(seen, (1..=400).collect::<Vec<_>>());
    assert_eq!(parts, 400);
}

#[test]
fn new_is_what_came_since_the_last_read() {
    let me = Terminal::open();
    me.types_until("echo fi''rst", "^first$");
    // An input's answer was a read.
    let page = me.output(&["--new"]);
    assert!(!lines(&page).contains(&"first"), "{page}");
    me.types(&["echo sec''ond; sleep 2; echo th''ird", "--wait-for", "^second$"]);
    let mut new = Vec::new();
    while !new.contains(&"third".to_owned()) {
        let page = me.output(&["--new"]);
        let finished = lines(&page).len() - usize::from(page["partial"].as_bool().unwrap());
        new.extend(lines(&page)[..finished].iter().map(|line| (*line).to_owned()));
    }
    assert_eq!(new.iter().filter(|line| *line == "third").count(), 1, "{new:?}");
    assert!(!new.contains(&"first".to_owned()), "{new:?}");
}

#[test]
fn lines_are_picked_and_bytes_and_the_screen_are_there() {
    let me = Terminal::open();
    me.types_until("printf '\\033[1;31mred\\033[0m\\n'; seq 5; echo en''d", "^end$");
    has_line(&me.output(&[]), "red");
    assert_eq!(lines(&me.output(&["--grep", "^[2-4]$"])), ["2", "3", "4"]);
    assert_eq!(lines(&me.output(&["--grep", "^[0-9]$", "--limit", "2"])), ["1", "2"]);
    assert_eq!(lines(&me.output(&["--grep", "^[0-9]$", "--tail", "2"])), ["4", "5"]);
    let raw = me.sgw.agent(["output", &me.session, "--raw"]).ok();
    let red = b"\x1b[1;31mred\x1b[0m\r\n";
    assert!(raw.bytes().windows(red.len()).any(|window| window == red), "{raw:?}");
    let plain = me.sgw.agent(["output", &me.session]).ok();
    assert!(!plain.bytes().contains(&0x1b), "{plain:?}");
    let screen = me.output(&["--screen"]);
    has_line(&screen, "red");
    has_line(&screen, "end");
    me.types(&["clear"]);
    assert!(!lines(&me.output(&["--screen"])).contains(&"end"));
    me.sgw.agent(["output", &me.session, "--grep", "a("]).fails(2, "input.regex");
}

#[test]
fn following_waits_for_the_next_line() {
    let me = Terminal::open();
    let cursor = me.types(&["PS1='> '"])["cursor"].as_u64().unwrap().to_string();
    let mut follows = me.sgw.start(["output", &me.session, "--since", &cursor, "--follow"]);
    me.types(&["echo fol''lowed"]);
    follows.prints("followed\n");
    me.sgw.agent(["close", &me.session]).ok();
    follows.ends();
}
