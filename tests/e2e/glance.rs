//! What one look tells: status, sessions, history, who I am, and what to do next.

use std::fs;

use serde_json::json;

use crate::support::{Sgw, Sshd, eventually};

fn ready() -> (Sgw, Sshd, String) {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    (sgw, sshd, session)
}

#[test]
fn sgw_alone_is_status_in_ten_lines_and_never_fails() {
    let sgw = Sgw::new();
    let short = |expected: &str| {
        for words in [vec![], vec!["status"]] {
            let outcome = sgw.agent(&words).ok();
            let said = outcome.stdout();
            assert!(said.lines().count() <= 10 && !said.is_empty(), "{outcome:?}");
            assert!(said.contains(expected), "no {expected:?}: {outcome:?}");
        }
        let line = sgw.agent(["status", "--line"]).ok().stdout();
        assert_eq!(line.lines().count(), 1, "{line:?}");
        sgw.agent(["status", "--json"]).ok().json();
    };
    short("sgw init");
    sgw.init();
    short("sgw unlock");
    sgw.unlock();
    short("sgw request");
    let sshd = Sshd::start();
    let request = sgw.requests(&sshd, &[]);
    short(&request);
    sgw.approves(&request, &sshd);
    let session = sgw.agent(["wait", &request]).ok().stdout();
    short(session.trim());
}

#[test]
fn sessions_show_where_they_lead_and_what_runs() {
    let (sgw, sshd, s) = ready();
    let mut call = sgw.start(["exec", &s, "--", "echo on; sleep 600"]);
    call.prints("on\n");
    let json = sgw.agent(["sessions", "--json"]).ok().json();
    let session = &json["sessions"][0];
    assert_eq!(session["id"], s.as_str());
    assert_eq!(session["kind"], "session");
    assert_eq!(session["host"], "127.0.0.1");
    assert_eq!(session["port"], sshd.port());
    assert_eq!(session["user"], sshd.user.as_str());
    assert_eq!(session["target"], sshd.destination().as_str());
    assert_eq!(session["status"], "active");
    assert_eq!(session["control"], "agent");
    assert!(session["mode"].is_string() && session["identity"].is_string());
    assert!(session["created_at"].is_string() && session["expires_at"].is_string());
    assert!(session["running"][0].as_str().unwrap().starts_with("x-"));
    assert!(session["waiting"].is_null());
    sgw.agent(["sessions"]).ok().stdout().contains(&s).then_some(()).unwrap();
    sgw.agent(["sessions", "--all", "--json"]).ok();
}

#[test]
fn history_shows_what_was_run_and_how_it_ended() {
    let (sgw, _sshd, s) = ready();
    sgw.agent(["exec", &s, "--", "echo", "hello world"]).ok();
    sgw.agent(["exec", &s, "--", "exit 4"]).exits(4);
    sgw.runs_after_a_yes(&["exec", &s, "--", "kill -9 $$"]).exits(137);
    let json = sgw.agent(["history", &s, "--json"]).ok().json();
    let history = json["history"].as_array().unwrap();
    assert_eq!(history.len(), 3);
    let ends: Vec<_> = history.iter().map(|run| (&run["exit_code"], &run["signal"])).collect();
    let (none, killed) = (json!(null), json!("KILL"));
    assert_eq!(ends, [(&json!(0), &none), (&json!(4), &none), (&none, &killed)]);
    for run in history {
        assert!(run["id"].as_str().unwrap().starts_with("x-"));
        assert_eq!((&run["kind"], &run["running"]), (&json!("exec"), &json!(false)));
        assert!(run["started_at"].is_string() && run["duration_ms"].is_u64());
    }
    assert!(history[0]["command"].as_str().unwrap().contains("hello world"));
    let id = history[1]["id"].as_str().unwrap();
    let shown = sgw.agent(["show", id, "--json"]).ok().json();
    assert_eq!((&shown["id"], &shown["kind"]), (&json!(id), &json!("exec")));
    // A unique prefix serves for looking.
    sgw.agent(["show", &id[..id.len() - 1]]).ok();
}

#[test]
fn whoami_tells_the_identity_and_what_it_may() {
    let (sgw, sshd, _s) = ready();
    let json = sgw.agent(["whoami", "--json"]).ok().json();
    assert!(json["identity"].is_string() && json["token"].is_null());
    let target = &json["targets"][0];
    assert_eq!(target["name"], sshd.destination().as_str());
    assert_eq!(target["standing"], false);
    let capabilities = target["capabilities"].as_array().unwrap();
    assert!(capabilities.contains(&json!("exec")) && !capabilities.contains(&json!("sudo")));
    sgw.session_with(&sshd, &["--new"]);
    let targets = sgw.agent(["whoami", "--json"]).ok().json()["targets"].as_array().unwrap().len();
    assert_eq!(targets, 1, "two sessions on one target are one reach");
}

#[test]
fn instructions_need_no_daemon_and_name_what_an_agent_uses() {
    let sgw = Sgw::new();
    let text = sgw.agent(["instructions"]).ok().stdout();
    for word in ["sgw request", "sgw exec", "sgw wait", "75", "77", "255", "close"] {
        assert!(text.contains(word), "no {word:?} in the instructions");
    }
    let words = text.split_whitespace().count();
    assert!((200..900).contains(&words), "{words} words");
}

#[test]
fn the_operator_is_notified_when_a_request_waits() {
    let sgw = Sgw::unlocked();
    let heard = sgw.path("heard");
    let script = sgw.path("hear");
    let text = format!("#!/bin/sh\ncat > {0}.new && mv {0}.new {0}\n", heard.display());
    fs::write(&script, text).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let command = json!([script.display().to_string()]).to_string();
    sgw.agent(["config", "set", "notify", &command]).fails(77, "operator.proof");
    sgw.operator(["config", "set", "notify", &command]).ok();
    let listed = sgw.operator(["config", "list", "--json"]).ok().stdout();
    assert!(listed.contains("notify"), "{listed}");

    let sshd = Sshd::start();
    let request = sgw.requests(&sshd, &[]);
    eventually("the notification arrives", || heard.exists());
    let said: serde_json::Value = serde_json::from_slice(&fs::read(&heard).unwrap()).unwrap();
    assert_eq!(said["id"], request.as_str(), "{said}");
    assert!(said.to_string().contains("a test"));
    sgw.operator(["config", "unset", "notify"]).ok();
}

#[test]
fn quiet_silences_notes_and_never_errors() {
    let (sgw, _sshd, s) = ready();
    let note = sgw.agent(["exec", &s, "--quiet", "--", "echo", "a", "&&"]).ok();
    assert_eq!(note.stderr(), "");
    let error = sgw.agent(["exec", "s-zzz", "--quiet", "--", "true"]).exits(125);
    assert!(error.stderr().contains("sgw: error["), "{error:?}");
    assert!(!error.stderr().contains("hint"), "{error:?}");
}

#[test]
fn nothing_is_coloured_where_nobody_looks() {
    let (sgw, _sshd, s) = ready();
    for words in [vec!["status"], vec!["sessions"], vec!["history", &s], vec!["nonsense"]] {
        let outcome = sgw.agent(&words);
        assert!(!outcome.stdout().contains('\x1b') && !outcome.stderr().contains('\x1b'));
    }
}
