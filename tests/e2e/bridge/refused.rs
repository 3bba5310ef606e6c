//! What does not go through: each with a sentence on stderr and a status that says what to do.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::Output,
    time::Duration,
};

use super::{Both, ran, stderr};
use crate::support::{Running, eventually, still_serves};

#[track_caller]
fn refused(output: &Output, code: i32, word: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(&format!("sgw: error[{word}]")), "{said}");
    assert!(said.contains("sgw: hint: "), "{said}");
}

/// ssh ends with 255 whatever its proxy ends with; the sentence is the proxy's own.
#[test]
fn a_destination_that_is_not_ones_own_is_told_before_ssh_begins() {
    let both = Both::new();
    let sgw = &both.sgw;
    let proxy = |words: &[&str]| {
        let mut all = vec!["proxy"];
        all.extend(words);
        ran(sgw.command(all).env("SGW_TOKEN", &both.token.text), b"")
    };
    refused(&proxy(&["--no-ask", "nowhere.example"]), 77, "approval.required");
    refused(&proxy(&["someone-else@web1"]), 77, "grant.missing");
    assert!(stderr(&proxy(&["someone-else@web1"])).contains(&both.sshd.user));
    for odd in ["a b", "we;b", "-oProxyCommand=x", "me@we$(b)", "web1:22", ""] {
        refused(&proxy(&["--", odd]), 125, "usage.destination");
    }
    refused(&proxy(&["web1", "--no-such-flag"]), 125, "usage.arguments");
    let ssh = ran(&mut both.ssh(&both.through, &["other@web1", "true"]), b"");
    assert_eq!(ssh.status.code(), Some(255));
    assert!(stderr(&ssh).contains("sgw: error[grant.missing]"), "{}", stderr(&ssh));
}

#[test]
fn without_a_daemon_or_a_valid_token_nothing_begins() {
    let both = Both::new();
    let mut ssh = both.ssh(&both.through, &["web1", "true"]);
    ssh.env("SGW_TOKEN", "sgw_wrong");
    let output = ran(&mut ssh, b"");
    assert!(stderr(&output).contains("token.invalid"), "{}", stderr(&output));
    both.sgw.operator(["token", "revoke", "ci"]).ok();
    let output = ran(&mut both.ssh(&both.through, &["web1", "true"]), b"");
    assert!(stderr(&output).contains("token.invalid"), "{}", stderr(&output));
    both.sgw.lock();
    let output = ran(&mut both.ssh(&both.through, &["web1", "true"]), b"");
    assert_eq!(output.status.code(), Some(255));
    assert!(stderr(&output).contains("daemon.unreachable"), "{}", stderr(&output));
}

#[test]
fn what_runs_ends_with_the_token_and_with_the_session() {
    for end in ["token", "session"] {
        let both = Both::new();
        let mut runs = both.ssh(&both.through, &["web1", "echo begun; exec sleep 1000"]);
        let mut runs = both.sgw.watched(Running::start(&mut runs));
        runs.prints("begun");
        match end {
            "token" => both.sgw.operator(["token", "revoke", "ci"]).ok(),
            _ => both.sgw.by(&both.token, ["close", "web1"]).ok(),
        };
        eventually("the client is sent away", || runs.has_ended());
        assert_ne!(runs.ends().code(), 0);
    }
}

#[test]
fn what_the_policy_blocks_is_a_sentence_and_77() {
    let both = Both::new();
    let output = ran(&mut both.ssh(&both.through, &["web1", "rm -rf /"]), b"");
    refused(&output, 77, "guard.blocked");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_the_policy_asks_about_waits_a_moment_and_runs_after_the_yes() {
    let both = Both::new();
    let sgw = &both.sgw;
    let words = ["web1", "kill -s USR1 999999999"];
    let output = ran(&mut both.ssh(&both.through, &words), b"");
    refused(&output, 75, "approval.pending");
    let waits = sgw.operator(["requests", "--json"]).ok().json();
    let id = waits["requests"][0]["id"].as_str().unwrap().to_owned();
    assert!(stderr(&output).contains(&id), "{}", stderr(&output));
    sgw.operator(["approve", &id, "--yes", "--json"]).ok();
    // The yes is for this very command, once.
    let after = ran(&mut both.ssh(&both.through, &words), b"");
    assert_ne!(after.status.code(), Some(75), "{}", stderr(&after));
    let again = ran(&mut both.ssh(&both.through, &words), b"");
    refused(&again, 75, "approval.pending");
}

#[test]
fn a_person_who_says_yes_in_time_is_not_noticed() {
    let both = Both::granted(&["--only", "exec", "--mode", "each"]);
    let runs = both.ssh(&both.through, &["web1", "cat; exit 5"]);
    let running = std::thread::spawn(move || ran(&mut { runs }, b"fed"));
    let mut id = None;
    eventually("it is asked about", || {
        let waits = both.sgw.operator(["requests", "--json"]).ok().json();
        id = waits["requests"][0]["id"].as_str().map(str::to_owned);
        id.is_some()
    });
    both.sgw.operator(["approve", &id.unwrap(), "--yes", "--json"]).ok();
    let output = running.join().unwrap();
    // On a slow machine the moment may be over: then it says so, and nothing has run.
    match output.status.code() {
        Some(75) => assert!(output.stdout.is_empty()),
        code => assert_eq!((code, &output.stdout[..]), (Some(5), &b"fed"[..])),
    }
}

#[test]
fn a_target_without_a_grant_is_asked_for_and_the_sentence_names_the_request() {
    let both = Both::new();
    let destination = format!("{}@127.0.0.1", both.sshd.user);
    let port = both.sshd.port().to_string();
    let output = ran(&mut both.sgw.command(["proxy", &destination, &port]), b"");
    refused(&output, 75, "request.pending");
    let asked = format!("sgw request {}", both.sshd.destination());
    assert!(stderr(&output).contains(&asked), "{}", stderr(&output));
    let waits = both.sgw.operator(["requests", "--json"]).ok().json();
    let id = waits["requests"][0]["id"].as_str().unwrap();
    both.sgw.approves(id, &both.sshd);
    let words = ["ssh", "-p", &port, &format!("{destination}.sgw"), "echo there"];
    both.sgw.agent(words).ok().prints("there\n");
}

#[test]
fn what_is_not_passed_on_is_refused_and_the_rest_goes_on() {
    let both = Both::new();
    let through = |words: &[&str]| ran(&mut both.ssh(&both.through, words), b"");
    // No agent and no display goes along; the command runs.
    let output = through(&["-A", "-X", "web1", "echo ${SSH_AUTH_SOCK:-none} ${DISPLAY:-none}"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "none none\n", "{}", stderr(&output));
    let output =
        through(&["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "web1", "true"]);
    assert_eq!(output.status.code(), Some(255), "{}", stderr(&output));
    let output = through(&["-W", "127.0.0.1:1", "web1"]);
    assert_ne!(output.status.code(), Some(0), "{}", stderr(&output));
    let output = through(&["web1"]);
    refused(&output, 125, "usage.command");
    // Nothing of the client's environment but the language.
    let output = through(&["-o", "SendEnv=SGW_TOKEN", "web1", "echo ${SGW_TOKEN:-none}"]);
    assert_eq!(output.stdout, b"none\n", "{}", stderr(&output));
}

#[test]
fn bytes_that_are_no_ssh_end_their_own_connection_alone() {
    let both = Both::new();
    let socket = both.sgw.find("agent.sock");
    both.sgw.by(&both.token, ["exec", "web1", "--", "true"]).ok();
    let begin = || {
        let mut running =
            Running::start(both.sgw.command(["proxy", "web1"]).env("SGW_TOKEN", &both.token.text));
        running.prints("SSH-2.0-");
        running
    };
    for garbage in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 70_000], b"SSH-1.5-old\r\n", b"\xff\xfe\r\n"]
    {
        let mut running = begin();
        running.write(garbage);
        eventually("it is sent away", || running.has_ended());
    }
    // An oversized packet after an honest version.
    let mut running = begin();
    running.write(b"SSH-2.0-x\r\n\xff\xff\xff\xff\x00\x00\x00\x00");
    eventually("it is sent away", || running.has_ended());
    // SSH before the way in was asked for.
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
    let _reset = stream.read_to_end(&mut Vec::new());
    let session = both.sgw.by(&both.token, ["sessions", "--json"]).ok().json();
    let session = session["sessions"][0]["id"].as_str().unwrap().to_owned();
    both.sgw.by(&both.token, ["exec", &session, "--", "echo", "still here"]).ok();
    let _ = still_serves;
}

#[test]
fn while_the_operator_has_the_keyboard_nothing_begins_and_what_runs_waits() {
    let both = Both::new();
    let mut runs = both.ssh(&both.through, &["web1", "while read line; do echo got $line; done"]);
    let mut runs = both.sgw.watched(Running::start(&mut runs));
    runs.write(b"one\n");
    runs.prints("got one");
    let words = ["handoff", "web1", "please look", "--no-wait"];
    both.sgw.by(&both.token, words).exits(75);
    runs.write(b"two\n");
    let output = ran(&mut both.ssh(&both.through, &["web1", "true"]), b"");
    assert!(stderr(&output).contains("control.operator"), "{}", stderr(&output));
    assert!(!runs.stdout().contains("two"));
    both.sgw.operator(["return", "web1"]).ok();
    runs.prints("got two");
    // Each time: what runs is never sent away, as a caller would be who can come back.
    for round in 0..20 {
        both.sgw.by(&both.token, words).exits(75);
        runs.write(format!("{round}\n").as_bytes());
        both.sgw.operator(["return", "web1"]).ok();
        runs.prints(&format!("got {round}"));
    }
    runs.close_stdin();
    runs.ends().ok();
}
