//! Commands: what goes in, what comes out, and how they end.

use serde_json::json;

use crate::support::{Sgw, Sshd};

/// An unlocked instance with a session on a real server.
fn ready() -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

#[test]
fn several_words_arrive_as_they_are_and_one_word_is_a_line() {
    let (sgw, _sshd, s) = ready();
    let hard = "a  b$HOME`id`\"'\\*;&|>\n\u{e9}";
    sgw.agent(["exec", &s, "--", "printf", "[%s]", hard, "", "-n"])
        .ok()
        .prints(&format!("[{hard}][][-n]"));
    sgw.agent(["exec", &s, "--", "echo one; echo two | tr a-z A-Z"]).ok().prints("one\nTWO\n");
    sgw.agent(["exec", &s, "echo", "no", "dashes"]).ok().prints("no dashes\n");
}

#[test]
fn a_bare_operator_among_words_gets_a_note() {
    let (sgw, _sshd, s) = ready();
    let outcome = sgw.agent(["exec", &s, "--", "echo", "a", "&&", "echo", "b"]);
    outcome.ok().prints("a && echo b\n").says("&&");
}

#[test]
fn an_option_behind_a_line_is_sent_with_it_and_gets_a_note() {
    let (sgw, _sshd, s) = ready();
    let outcome = sgw.agent(["exec", &s, "echo a b", "--timeout"]);
    outcome.exits(127).says("options of sgw's come before the command");
    let plain = sgw.agent(["exec", &s, "echo", "--timeout"]).ok().prints("--timeout\n");
    assert_eq!(plain.stderr(), "");
}

#[test]
fn the_streams_come_apart_byte_for_byte() {
    let (sgw, _sshd, s) = ready();
    let line = r"printf 'out\377\000\r\n'; printf 'err\376' >&2; printf end";
    let outcome = sgw.agent(["exec", &s, "--quiet", "--", line]).ok();
    assert_eq!(outcome.bytes(), b"out\xff\x00\r\nend");
    assert!(outcome.stderr().starts_with("err\u{fffd}"), "{outcome:?}");
}

#[test]
fn the_commands_own_status_comes_through_whatever_it_is() {
    let (sgw, _sshd, s) = ready();
    for code in [0, 1, 2, 3, 69, 75, 77, 124, 125, 127, 255] {
        let outcome = sgw.agent(["exec", &s, "--", &format!("exit {code}")]).exits(code);
        assert_eq!(outcome.error_code(), None, "{outcome:?}");
    }
    sgw.agent(["exec", &s, "--", "no-such-program-anywhere"]).exits(127);
}

#[test]
fn a_signal_is_told_from_a_status() {
    let (sgw, _sshd, s) = ready();
    for (signal, number) in [("TERM", 15), ("KILL", 9), ("INT", 2), ("SEGV", 11)] {
        let kill = format!("kill -{signal} $$");
        let outcome = sgw.agent(["exec", &s, "--json", "--", &kill]).exits(128 + number);
        let json = outcome.json();
        assert_eq!((&json["exit_code"], &json["signal"]), (&json!(null), &json!(signal)));
    }
}

#[test]
fn json_tells_everything_in_one_object() {
    let (sgw, _sshd, s) = ready();
    let outcome = sgw.agent(["exec", &s, "--json", "--", "echo out; echo err >&2; exit 3"]);
    let json = outcome.exits(3).json();
    assert!(json["id"].as_str().unwrap().starts_with("x-"));
    assert!(json["duration_ms"].is_u64());
    let mut rest = json.clone();
    for varies in ["id", "duration_ms", "remote", "failure"] {
        rest.as_object_mut().unwrap().remove(varies);
    }
    let expected = json!({
        "kind": "exec", "exit_code": 3, "signal": null, "stdout": "out\n", "stderr": "err\n",
        "stdout_bytes": 4, "stderr_bytes": 4, "truncated": {"stdout": false, "stderr": false},
        "timed_out": false, "running": false, "session": s, "request": null
    });
    assert_eq!(rest, expected);
    let binary = sgw.agent(["exec", &s, "--json", "--", r"printf '\377\376'"]).ok().json();
    assert_eq!(binary["stdout"], json!({"base64": "//4="}));
}

#[test]
fn json_keeps_head_and_tail_of_much_output_and_says_so() {
    let (sgw, _sshd, s) = ready();
    let json = sgw.agent(["exec", &s, "--json", "--", "seq 100000; echo small >&2"]).ok().json();
    let kept = json["stdout"].as_str().unwrap();
    assert_eq!(json["stdout_bytes"], 588_895);
    assert_eq!(json["truncated"], json!({"stdout": true, "stderr": false}));
    assert!(kept.len() < 40_000 && kept.starts_with("1\n2\n") && kept.ends_with("100000\n"));
}

#[test]
fn max_output_and_tail_cut_and_tell() {
    let (sgw, _sshd, s) = ready();
    let head = sgw.agent(["exec", &s, "--max-output", "1k", "--", "seq 100000"]).ok();
    assert!(head.bytes().starts_with(b"1\n2\n3\n"), "{head:?}");
    assert!((512..=1200).contains(&head.bytes().len()), "{head:?}");
    assert!(head.stderr().contains("sgw:"), "the cut is not told: {head:?}");
    let tail = sgw.agent(["exec", &s, "--max-output", "1k", "--tail", "--", "seq 100000"]).ok();
    assert!(tail.bytes().ends_with(b"99999\n100000\n"), "{tail:?}");
    assert!((512..=1200).contains(&tail.bytes().len()), "{tail:?}");
    let mut by_default = sgw.command(["exec", &s, "--", "seq 100000"]);
    let outcome = sgw.run(by_default.env("SGW_MAX_OUTPUT", "1k")).ok();
    assert!(outcome.bytes().len() <= 1200, "{outcome:?}");
}

#[test]
fn stdin_is_empty_unless_it_is_asked_for() {
    let (sgw, _sshd, s) = ready();
    let mut deaf = sgw.start(["exec", &s, "--", "cat; echo end"]);
    deaf.write(b"not for you\n");
    deaf.ends().ok().prints("end\n");
    for flag in ["-i", "--stdin"] {
        let mut listening = sgw.start(["exec", &s, flag, "--", "tr", "a-z", "A-Z"]);
        listening.write(b"shout\n");
        listening.ends().ok().prints("SHOUT\n");
    }
}

#[test]
fn what_waits_on_stdin_and_is_not_fed_is_told() {
    let (sgw, _sshd, session) = ready();
    let file = sgw.write_private("words", "hello\n");
    let mut cat = sgw.command(["exec", &session, "--", "cat"]);
    cat.stdin(std::fs::File::open(&file).unwrap());
    let outcome = cat.output().unwrap();
    assert!(outcome.status.success() && outcome.stdout.is_empty());
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("-i feeds ours"), "{outcome:?}");
    let session_alone = sgw.agent(["exec", "--", "uptime"]).fails(125, "usage.command");
    assert!(session_alone.stderr().contains("`uptime` stands where the session does"));
}

#[test]
fn a_dialogue_through_stdin_works_line_by_line() {
    let (sgw, _sshd, s) = ready();
    let mut dialogue = sgw.start(["exec", &s, "-i", "--", "while read l; do echo got $l; done"]);
    for word in ["one", "two"] {
        dialogue.write(format!("{word}\n").as_bytes());
        dialogue.prints(&format!("got {word}\n"));
    }
    dialogue.ends().ok().prints("got one\ngot two\n");
}

#[test]
fn environment_and_directory_are_set_for_one_command() {
    let (sgw, sshd, s) = ready();
    let directory = sshd.directory().display().to_string();
    let mut arguments = vec!["exec", &s, "--env", "GREETING=he said \"hi\" $HOME", "--cwd"];
    arguments.extend([&directory, "--", "printf '%s|%s' \"$GREETING\" \"$PWD\""]);
    sgw.agent(arguments).ok().prints(&format!("he said \"hi\" $HOME|{directory}"));
    sgw.agent(["exec", &s, "--", "echo [$GREETING]"]).ok().prints("[]\n");
    assert_ne!(sgw.agent(["exec", &s, "--cwd", "/no/such", "--", "echo ran"]).code(), 0);
    sgw.agent(["exec", &s, "--cwd", "/no/such", "--", "echo ran"]).prints("");
}

#[test]
fn bytes_that_are_no_text_arrive() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let (sgw, _sshd, s) = ready();
    let raw = OsStr::from_bytes(b"caf\xe9 \xff");
    let words = [OsStr::new("exec"), OsStr::new(&s), OsStr::new("--"), OsStr::new("printf")];
    let outcome = sgw.agent(words.into_iter().chain([OsStr::new("%s"), raw])).ok();
    assert_eq!(outcome.bytes(), b"caf\xe9 \xff");
}

#[test]
fn a_timeout_ends_the_command_and_keeps_what_it_printed() {
    let (sgw, _sshd, s) = ready();
    let run = ["exec", &s, "--timeout", "1s", "--", "echo before; sleep 600; echo after"];
    sgw.agent(run).fails(124, "exec.timeout").prints("before\n");
    let run = ["exec", &s, "--timeout", "1s", "--json", "--", "echo before; sleep 600"];
    let json = sgw.agent(run).exits(124).json();
    assert_eq!((&json["timed_out"], &json["stdout"]), (&json!(true), &json!("before\n")));
    assert_eq!(json["remote"], "ended");
}

#[test]
fn a_call_can_leave_and_wait_finishes_what_it_began() {
    let (sgw, sshd, s) = ready();
    let go = sshd.directory().join("go");
    let line =
        format!("echo one; until [ -e {} ]; do sleep 0.1; done; echo two; exit 5", go.display());
    let left = sgw.agent(["exec", &s, "--wait", "1s", "--json", "--", &line]).exits(75);
    let json = left.json();
    assert_eq!((&json["running"], &json["exit_code"]), (&json!(true), &json!(null)));
    let id = left.waits_on();
    let mut waiting = sgw.start(["wait", &id]);
    std::fs::write(&go, "").unwrap();
    waiting.prints("two\n");
    waiting.ends().exits(5);
    // A second wait gives the kept result and runs nothing again.
    sgw.agent(["wait", &id]).exits(5);
    let history = sgw.agent(["history", &s, "--json"]).ok().json();
    assert_eq!(history["history"].as_array().unwrap().len(), 1);
    assert_eq!(sgw.agent(["output", &id, "--since", "0"]).ok().stdout(), "one\ntwo\n");
}

#[test]
fn what_was_delivered_is_not_delivered_again() {
    let (sgw, _sshd, s) = ready();
    for pause in ["0", "0.01", "0.03", "0.1"] {
        let line = format!("echo once; sleep {pause}; exit 3");
        let json = sgw.agent(["exec", &s, "--json", "--", &line]).exits(3).json();
        let id = json["id"].as_str().unwrap();
        sgw.agent(["wait", id]).exits(3).prints("").says(&format!("sgw output {id}"));
    }
}

#[test]
fn left_by_wait_the_text_says_what_to_type() {
    let (sgw, _sshd, s) = ready();
    let outcome = sgw.agent(["exec", &s, "--wait", "1s", "--", "echo one; sleep 600"]);
    let outcome = outcome.fails(75, "exec.running").prints("one\n").says("sgw wait x-");
    let stderr = outcome.stderr();
    let id = stderr.split_whitespace().find(|word| word.starts_with("x-")).unwrap();
    let id = id.trim_end_matches(|c: char| !c.is_alphanumeric());
    sgw.agent(["wait", id, "--wait", "1s"]).exits(75).prints("");
    sgw.agent(["signal", id, "TERM"]).ok();
    sgw.agent(["wait", id]).exits(128 + 15);
}

#[test]
fn fifty_at_once_all_succeed() {
    let (sgw, _sshd, s) = ready();
    let calls: Vec<_> = (0..50)
        .map(|n| (n, sgw.start(["exec", &s, "--", &format!("sleep 0.5; echo {n}")])))
        .collect();
    for (n, call) in calls {
        call.ends().ok().prints(&format!("{n}\n"));
    }
}

#[test]
fn a_server_that_allows_one_channel_serves_many_at_once_all_the_same() {
    let sshd = Sshd::with().line("MaxSessions 1").start();
    let sgw = Sgw::unlocked();
    let s = sgw.session(&sshd);
    let calls: Vec<_> = (0..6)
        .map(|n| (n, sgw.start(["exec", &s, "--", &format!("sleep 0.5; echo {n}")])))
        .collect();
    for (n, call) in calls {
        call.ends().ok().prints(&format!("{n}\n"));
    }
}

#[test]
fn a_session_can_be_named_by_the_environment_or_by_its_target() {
    let (sgw, sshd, s) = ready();
    let destination = sshd.destination();
    sgw.agent(["exec", &destination, "--", "echo", "target"]).ok().prints("target\n");
    let second = sgw.session_with(&sshd, &["--new", "--name", "second"]);
    assert_ne!(second, s);
    let both = sgw.agent(["exec", &destination, "--", "true"]);
    both.fails(125, "session.ambiguous");
    sgw.agent(["exec", "second", "--", "echo", "named"]).ok().prints("named\n");
}

#[test]
fn output_reads_again_what_a_command_printed() {
    let (sgw, _sshd, s) = ready();
    let line = r"seq 5; printf '\033[31mred\033[0m\r\nlast'";
    let id = sgw.agent(["exec", &s, "--json", "--", line]).ok().json();
    let id = id["id"].as_str().unwrap().to_owned();
    let page = sgw.agent(["output", &id, "--json", "--limit", "2"]).ok().json();
    assert_eq!(page["lines"], json!(["1", "2"]));
    assert_eq!(page["kind"], "output");
    let cursor = page["cursor"].as_u64().unwrap().to_string();
    let rest = sgw.agent(["output", &id, "--json", "--since", &cursor]).ok().json();
    assert_eq!(rest["lines"], json!(["3", "4", "5", "red", "last"]));
    assert_eq!((&rest["missed"], &rest["status"]), (&json!(0), &json!("ended")));
    sgw.agent(["output", &id, "--tail", "1"]).ok().prints("last\n");
    sgw.agent(["output", &id, "--grep", "^[24]$"]).ok().prints("2\n4\n");
    let raw = sgw.agent(["output", &id, "--raw"]).ok();
    assert!(raw.stdout().contains("\u{1b}[31mred"), "{raw:?}");
}
