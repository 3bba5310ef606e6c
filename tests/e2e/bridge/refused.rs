//! What does not go through: each with a sentence on stderr and a status that says what to do.

use std::{
    fs,
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
    // And ssh says no more than that there is none.
    let said = stderr(&ssh);
    assert!(said.contains("no connection, as sgw says above"), "{said}");
    assert!(!said.contains("mm_receive_fd") && !said.contains("roken pipe"), "{said}");
}

/// It asks before ssh does, whose status is 255 whatever it was told.
#[test]
fn sgw_ssh_ends_as_every_refusal_does() {
    let both = Both::new();
    let by = |words: &[&str], ask: &str| {
        let mut ssh = both.sgw.command(["ssh"].iter().chain(words));
        ran(ssh.env("SGW_TOKEN", &both.token.text).env("SGW_ASK", ask), b"")
    };
    let other = by(&["other@web1", "true"], "");
    refused(&other, 77, "grant.missing");
    refused(&by(&["-p", "2", "web1", "true"], ""), 125, "usage.destination");
    refused(&by(&["-N", "nowhere.example"], "never"), 77, "approval.required");
    let later = by(&["me@nowhere.example", "true"], "");
    refused(&later, 75, "request.pending");
    for output in [&other, &later] {
        assert!(!stderr(output).contains("isconnect"), "{}", stderr(output));
    }
    // What needs no connection asks nobody.
    for words in [&["-G", "nowhere.example"][..], &["-V"]] {
        assert_eq!(by(words, "never").status.code(), Some(0), "{words:?}");
    }
    assert_eq!(by(&["web1", "exit 5"], "").status.code(), Some(5));
    let output = by(&["-A", "web1", "exit 5"], "");
    assert!(stderr(&output).contains("ssh agent is not forwarded"), "{}", stderr(&output));
}

#[test]
fn sgw_ssh_says_why_the_server_does_not_listen() {
    let both = Both::new();
    let words = ["ssh", "-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "web1"];
    let output = ran(both.sgw.command(words).env("SGW_TOKEN", &both.token.text), b"");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(255), "{said}");
    assert!(said.contains("error[grant.missing]"), "{said}");
}

#[test]
fn another_port_a_session_that_is_none_and_a_name_that_is_nobodys_are_told() {
    let both = Both::new();
    let sgw = &both.sgw;
    let proxy = |words: &[&str]| {
        let all: Vec<&str> = ["proxy", "--no-ask"].iter().chain(words).copied().collect();
        ran(sgw.command(all).env("SGW_TOKEN", &both.token.text), b"")
    };
    let port = both.sshd.port();
    let other = if port == 2222 { "2223" } else { "2222" };
    let on_its_own = |words: &[&str]| {
        let output = proxy(words);
        refused(&output, 125, "usage.destination");
        assert!(stderr(&output).contains(&format!("is on port {port}")), "{}", stderr(&output));
    };
    on_its_own(&["web1", other]);
    both.same(&["web1", "true"], b"");
    on_its_own(&["web1", other]);
    let shown = sgw.by(&both.token, ["sessions", "--json"]).ok().json();
    let id = shown["sessions"][0]["id"].as_str().unwrap().to_owned();
    on_its_own(&[&id, other]);
    for fine in ["22", port.to_string().as_str()] {
        assert_eq!(proxy(&["web1", fine]).status.code(), Some(0));
    }
    let unknown = proxy(&["s-zzz.sgw"]);
    assert!(stderr(&unknown).contains("error[session.unknown]"), "{}", stderr(&unknown));
    sgw.by(&both.token, ["close", "web1"]).ok();
    let closed = proxy(&[&format!("{}@{id}", both.sshd.user)]);
    assert!(stderr(&closed).contains("error[session."), "{}", stderr(&closed));
    let nobodys = proxy(&["nosuchtarget"]);
    refused(&nobodys, 77, "approval.required");
    assert!(stderr(&nobodys).contains("yours are web1"), "{}", stderr(&nobodys));
    assert!(!stderr(&proxy(&["nosuchtarget", "2222"])).contains("is on port"));
}

#[test]
fn what_no_ssh_client_says_is_told_to_whoever_said_it() {
    let both = Both::new();
    let proxy = |bytes: &[u8]| {
        let mut proxy = both.sgw.command(["proxy", "web1"]);
        ran(proxy.env("SGW_TOKEN", &both.token.text), bytes)
    };
    refused(&proxy(b"GET / HTTP/1.0\r\n\r\n"), 125, "usage.arguments");
    refused(&proxy(b"SSX-2.0"), 125, "usage.arguments");
    assert_eq!(proxy(b"").status.code(), Some(0));
    let garbage = [&b"SSH-2.0-x\r\n"[..], &super::noise(70_000)].concat();
    let output = proxy(&garbage);
    assert!(!stderr(&output).contains("daemon.failed"), "{}", stderr(&output));
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
    assert!(stderr(&output).contains("waits for the operator\n"), "{}", stderr(&output));
    sgw.operator(["approve", &id, "--yes", "--json"]).ok();
    // The yes is for this very command, once, and nobody is waited for.
    let after = ran(&mut both.ssh(&both.through, &words), b"");
    assert_ne!(after.status.code(), Some(75), "{}", stderr(&after));
    assert!(!stderr(&after).contains("waits for the operator\n"), "{}", stderr(&after));
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
    // What does not even begin so the proxy itself sends away.
    let zeros = [&b"SSH-"[..], &[0; 60_000]].concat();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SSH-GET / HTTP/1.1\r\n\r\n",
        &zeros,
        b"SSH-1.5-old\r\n",
        b"SSH-\xff\xfe\r\n",
    ] {
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
    eventually("it says why it stands still", || {
        runs.stderr().contains("sgw: control.operator: the operator has the keyboard")
    });
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

/// What it runs stands elsewhere than in its line: in its configuration, or on its standard input.
#[test]
fn rsync_that_is_told_elsewhere_what_to_run_is_asked_about() {
    let both = Both::new();
    let (config, proof) = (both.sgw.path("rsync.conf"), both.sgw.path("ran"));
    let runs = format!("early exec = /bin/sh -c 'touch {}'", proof.display());
    fs::write(&config, format!("use chroot = no\n[m]\npath = /tmp\n{runs}\n")).unwrap();
    let daemon = format!("rsync --server --daemon --config={} .", config.display());
    let greeting = "@RSYNCD: 30.0\nm\n\n";
    let words = format!("rsync\0--server\0--daemon\0--config={}\0.\0\0", config.display());
    for (line, input) in [
        (daemon.as_str(), greeting.to_owned()),
        ("rsync --server -s .", format!("{words}{greeting}")),
    ] {
        let output = ran(&mut both.ssh(&both.through, &["web1", line]), input.as_bytes());
        refused(&output, 75, "approval.pending");
    }
    assert!(!proof.exists());
}
