//! What is wrong, hostile or broken: a clear error, at once, and nothing lost.

use std::{fs, path::PathBuf};

use serde_json::json;

use crate::support::{Sgw, Sshd, still_serves};

fn ready() -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

#[test]
fn an_unknown_session_and_another_identitys_are_the_same_error() {
    let (sgw, _sshd, s) = ready();
    let unknown = sgw.agent(["exec", "s-zzz", "--json", "--", "true"]);
    let unknown = unknown.fails(125, "session.unknown");
    for command in [vec!["history", "s-zzz"], vec!["close", "s-zzz"]] {
        sgw.agent(&command).fails(1, "session.unknown");
    }
    sgw.agent(["wait", "r-zzz"]).fails_as(1, &["request.unknown"]);
    sgw.agent(["output", "x-zzz"]).fails_as(1, &["exec.unknown"]);
    assert!(!unknown.stdout().contains(&s), "another session is named: {unknown:?}");
}

#[test]
fn a_near_miss_names_the_nearest_of_my_own() {
    let (sgw, sshd, _s) = ready();
    sgw.session_with(&sshd, &["--new", "--name", "staging"]);
    let outcome = sgw.agent(["exec", "stagin", "--", "true"]);
    outcome.fails_as(125, &["session.unknown", "usage.destination"]).says("staging");
}

#[test]
fn an_empty_command_is_a_usage_error() {
    let (sgw, _sshd, s) = ready();
    for words in [vec!["exec", &s], vec!["exec", &s, "--"], vec!["exec", &s, "--", ""]] {
        let outcome = sgw.agent(&words).exits(125);
        let code = outcome.error_code().unwrap_or_default();
        assert!(code.starts_with("usage."), "{outcome:?}");
    }
}

#[test]
fn a_mistyped_flag_is_not_run_as_a_command() {
    let (sgw, _sshd, s) = ready();
    sgw.agent(["exec", &s, "--timout", "5s", "id"]).fails(125, "usage.arguments");
    sgw.agent(["exec", &s, "--", "--timout"]).exits(127);
}

#[test]
fn a_command_over_the_kernels_limit_is_refused_before_sending() {
    let (sgw, _sshd, s) = ready();
    // Longer than the guard reads: a person decides, and then it is sent whole.
    let fits = format!("true {}", "x".repeat(127_000));
    let asked = sgw.agent(["exec", &s, "--no-wait", "--json", "--", &fits]);
    let request = asked.fails(75, "approval.pending").waits_on();
    sgw.operator(["approve", &request, "--yes"]).ok();
    sgw.agent(["wait", &request]).ok();
    let over = "x".repeat(128_001);
    let outcome = sgw.agent(["exec", &s, "--json", "--", "echo", &over]);
    assert_eq!(outcome.fails(125, "limit.command").json()["error"]["sent"], false);
    still_serves(&sgw, &s);
}

#[test]
fn a_reason_is_a_line_and_not_a_book() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let destination = sshd.destination();
    let book = "x".repeat(100_000);
    let outcome = sgw.agent(["request", &destination, "--reason", &book, "--no-wait"]);
    outcome.fails(2, "limit.reason");
    let none = sgw.agent(["request", &destination, "--no-wait"]);
    assert_eq!(none.code(), 2, "{none:?}");
    let empty = sgw.agent(["request", &destination, "--reason", "", "--no-wait"]);
    assert_eq!(empty.code(), 2, "{empty:?}");
    let queue = sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(queue["requests"], json!([]));
}

#[test]
fn a_name_that_could_be_something_else_is_refused() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let destination = sshd.destination();
    for name in ["a/b", "../x", "s-abc", "r-1", "x-y", "UPPER", "", "a b", "é", "a\nb"] {
        let name = format!("--name={name}");
        let outcome = sgw.agent(["request", &destination, "--reason", "x", &name, "--no-wait"]);
        assert_eq!(outcome.code(), 2, "{name:?} {outcome:?}");
    }
    let leading = ["request", &destination, "--reason", "x", "--name=-rf", "--no-wait"];
    sgw.agent(leading).exits(2);
}

#[test]
fn a_destination_that_could_be_an_option_or_a_path_is_refused() {
    let sgw = Sgw::unlocked();
    for destination in
        ["-oProxyCommand=x", "a b", "host:0", "host:99999", "user@", "@host", "h/../x", "h\n", ""]
    {
        let outcome = sgw.agent(["request", "--reason", "x", "--no-wait", "--", destination]);
        assert_eq!(outcome.code(), 2, "{destination:?} {outcome:?}");
    }
}

#[test]
fn arguments_that_are_no_text_are_an_error_where_text_is_needed() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let sgw = Sgw::unlocked();
    let raw = OsStr::from_bytes(b"\xff\xfe");
    let words = [OsStr::new("request"), raw, OsStr::new("--reason"), OsStr::new("x")];
    sgw.agent(words).exits(2);
    let words = ["request", "host", "--no-wait", "--reason"].map(OsStr::new);
    sgw.agent(words.into_iter().chain([raw])).exits(2);
}

#[test]
fn a_home_too_deep_for_a_socket_is_a_clear_error() {
    let sgw = Sgw::new();
    let deep: PathBuf = sgw.path("home").join("d".repeat(110));
    let passphrase = sgw.passphrase_file().display().to_string();
    let proof = ["--passphrase-file", &passphrase, "--i-am-the-operator"];
    let mut refused = 0;
    for command in ["init", "unlock"] {
        let mut command = sgw.command([command].into_iter().chain(proof));
        let outcome = sgw.run(command.env("SGW_HOME", &deep));
        if outcome.code() != 0 {
            assert!(outcome.stderr().contains("107"), "the limit is not named: {outcome:?}");
            refused += 1;
        }
    }
    assert!(refused > 0, "a daemon listens where no socket can be");
}

#[test]
fn bad_durations_and_sizes_are_usage_errors() {
    let (sgw, _sshd, s) = ready();
    for flag in ["--timeout=x", "--timeout=-1s", "--timeout=1", "--max-output=lots", "--wait=1y"] {
        let outcome = sgw.agent(["exec", &s, flag, "--", "true"]);
        assert_eq!(outcome.code(), 125, "{flag} {outcome:?}");
    }
    sgw.agent(["request", "host", "--reason", "x", "--for", "soon"]).exits(2);
    sgw.agent(["request", "host", "--reason", "x", "--only", "exec,fly"]).exits(2);
}

#[test]
fn a_daemon_killed_during_a_command_is_told_and_the_next_one_serves() {
    let (sgw, sshd, s) = ready();
    let mut call = sgw.start(["exec", &s, "--", "echo on; sleep 600"]);
    call.prints("on\n");
    sgw.kill_daemon();
    let outcome = call.ends();
    outcome.fails_as(125, &["daemon.lost"]);
    sgw.agent(["exec", &s, "--", "true"]).fails(69, "daemon.unreachable");
    sgw.unlock();
    sgw.operator(["audit", "verify"]).ok();
    let s = sgw.session(&sshd);
    still_serves(&sgw, &s);
}

#[test]
fn garbage_where_the_state_should_be_is_refused_by_name() {
    let sgw = Sgw::unlocked();
    sgw.lock();
    for file in sgw.files() {
        if file.extension().is_some_and(|extension| extension == "log" || extension == "lock") {
            continue;
        }
        let clean = fs::read(&file).unwrap();
        if clean.len() < 16 {
            continue;
        }
        fs::write(&file, vec![0xaa; clean.len()]).unwrap();
        let outcome = sgw.operator(["unlock"]);
        let codes = ["vault.damaged", "evidence.failed", "operator.none", "daemon.failed"];
        let code = outcome.error_code().unwrap_or_default();
        if outcome.code() == 0 {
            let verified = sgw.operator(["audit", "verify"]);
            assert_eq!(verified.code(), 1, "{} was garbage and taken: {outcome:?}", file.display());
            sgw.daemon();
            sgw.lock();
        } else {
            assert!(codes.contains(&code.as_str()), "{}: {outcome:?}", file.display());
        }
        fs::write(&file, clean).unwrap();
    }
    sgw.unlock();
}
