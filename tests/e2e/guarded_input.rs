//! What comes on a command's standard input: judged before it is sent where it would be run, shown, and
//! sent as it was judged, byte for byte.

use std::{fs, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    Sgw, Working, eventually_within,
    frames::{JSON, STDIN, Wire, agent_wire},
};

/// Longer than input may be quiet.
const LONG: Duration = Duration::from_secs(60);
/// Asked about, and does nothing.
const ASKED: &str = "rm -f /srv/none-of-sgw";

impl Working {
    /// A script that leaves a trace.
    fn script(&self, more: &str) -> String {
        format!("{more}\necho once >> {}\necho done\n", self.file("ran").display())
    }

    /// The request's id.
    #[track_caller]
    fn asks_fed(&self, line: &str, input: &[u8]) -> String {
        self.feeds(&["--no-wait", "--json"], line, input).fails(75, "approval.pending").waits_on()
    }

    fn queue(&self) -> Vec<Value> {
        let requests = self.sgw.agent(["requests", "--json"]).ok().json();
        requests["requests"].as_array().unwrap().clone()
    }

    fn records(&self, kind: &str) -> Vec<Value> {
        let all = self.sgw.operator(["audit", "list", "--json"]).ok().json_lines();
        all.into_iter().filter(|one| one["kind"] == kind).collect()
    }
}

fn sum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[test]
fn a_script_that_nobody_need_see_runs_unasked_and_is_on_record_by_its_sum() {
    let me = Working::new();
    for line in ["bash -s", "cat | sh", "sh -c 'exec sh'", "cd / && sh"] {
        let script = me.script("read_me=1");
        me.feeds(&["--no-ask"], line, script.as_bytes()).ok().prints("done\n");
    }
    assert_eq!(me.ran().len(), 4);
    me.feeds(&["--no-ask"], "sh", b"").ok().prints("");
    let script = me.script("read_me=1");
    let recorded = json!({"whole": {"bytes": script.len(), "sha256": sum(script.as_bytes())}});
    assert_eq!(me.records("exec.intent")[0]["action"]["stdin"], recorded);
}

#[test]
fn a_script_with_a_blocked_command_is_refused_and_nothing_of_it_is_sent() {
    let me = Working::new();
    let script = me.script("true") + "rm -rf /\n";
    for line in ["sh", "sudo -u root bash -s x", "ssh 127.0.0.9 sh"] {
        let refused = me.feeds(&["--json"], line, script.as_bytes());
        let error = refused.fails(77, "guard.blocked").json()["error"].clone();
        assert_eq!(error["sent"], false, "{line}");
    }
    let base64 = b"cm0gLXJmIC8K";
    me.feeds(&[], "base64 -d | sh", base64).fails(77, "guard.blocked");
    assert_eq!((me.ran().len(), me.queue().len()), (0, 0));
    let blocked = me.records("exec.blocked");
    assert_eq!(blocked[0]["action"]["stdin"]["whole"]["sha256"], sum(script.as_bytes()));
    assert_eq!(me.records("exec.intent").len(), 0);
}

#[test]
fn what_asks_is_shown_with_its_trigger_and_runs_with_these_bytes_by_whoever_waits() {
    let me = Working::new();
    let script = me.script(&format!("set -e\nprintf 'a\\033b' >/dev/null\n{ASKED}"));
    let mut call = me.reads(&[], "true; bash -s");
    call.write(script.as_bytes());
    call.close_stdin();
    call.says("waits for the operator");
    let request = me.queue()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(me.queue()[0]["rule"], "fs.rm");
    let mut terminal = me.sgw.looks_at(&request);
    let screen = terminal.wait_for(r"Give it\?");
    let one = screen.split_whitespace().collect::<Vec<_>>().join("");
    assert!(one.contains(&format!("«{ASKED}»").replace(' ', "")), "{screen}");
    let told = format!("exactlythese{}bytes,sha256{}", script.len(), sum(script.as_bytes()));
    assert!(one.contains(&told), "{screen}");
    call.signal(Signal::KILL);
    call.ends();
    terminal.send("y");
    assert_eq!(terminal.ends().0, 0);
    assert_eq!(me.ran().len(), 0, "it runs when somebody waits for it");
    let waits: Vec<_> = (0..2).map(|_| me.sgw.start(["wait", &request])).collect();
    let printed: String = waits.into_iter().map(|wait| wait.ends().ok().stdout()).collect();
    assert_eq!(printed, "done\n", "each byte once");
    assert_eq!(me.ran().len(), 1);
    me.sgw.agent(["wait", &request]).ok();
    assert_eq!(me.ran().len(), 1, "the yes was for once");
}

#[test]
fn the_same_bytes_join_and_others_are_another_request_with_bytes_of_its_own() {
    let me = Working::new();
    let (first, second) = (me.script(ASKED), me.script("rm -f /srv/others"));
    let request = me.asks_fed("sh", first.as_bytes());
    assert_eq!(me.asks_fed("sh", first.as_bytes()), request);
    let other = me.asks_fed("sh", second.as_bytes());
    assert_ne!(other, request);
    me.approves(&other, &[]).ok();
    me.sgw.agent(["wait", &request, "--no-wait"]).fails(75, "approval.pending");
    me.sgw.agent(["wait", &other]).ok().prints("done\n");
    me.sgw.operator(["deny", &request]).ok();
    let again = me.feeds(&["--no-wait"], "sh", first.as_bytes());
    again.fails(77, "approval.denied");
    assert_eq!(me.ran().len(), 1);
    let ran = me.records("exec.intent").pop().unwrap();
    assert_eq!(ran["action"]["stdin"]["whole"]["sha256"], sum(second.as_bytes()));
}

#[test]
fn a_script_too_long_to_be_judged_asks_and_comes_whole_from_where_it_was_kept() {
    let me = Working::new();
    let mut script = String::new();
    while script.len() < 3 << 20 {
        script.push_str(&format!("# {}\n", script.len()));
    }
    let script = script + &me.script("true");
    let copy = me.file("copy");
    let line = format!("tee {} | sh", copy.display());
    me.feeds(&["--no-ask"], &line, script.as_bytes()).fails(77, "approval.required");
    let request = me.asks_fed(&line, script.as_bytes());
    me.approves(&request, &[]).ok();
    me.sgw.agent(["wait", &request]).ok().prints("done\n");
    assert!(fs::read(copy).unwrap() == script.as_bytes());
    assert_eq!(me.ran().len(), 1);
}

#[test]
fn input_that_does_not_end_or_is_too_long_is_refused_where_it_would_be_run() {
    let me = Working::new();
    let mut open = me.reads(&["--json"], "bash");
    open.write(me.script("true").as_bytes());
    let mut long = me.reads(&["--json"], "sh");
    let chunk = vec![b'#'; 1 << 20];
    (0..64).for_each(|_| long.write(&chunk));
    long.write(b"#");
    long.close_stdin();
    // Its input stays open.
    eventually_within(LONG, "the call ends", || open.has_ended());
    for call in [open, long] {
        let error = call.ends().fails(77, "guard.stdin").json()["error"].clone();
        assert_eq!(error["sent"], false, "{error}");
    }
    assert_eq!((me.ran().len(), me.queue().len()), (0, 0));
    // Just as much as fits is taken, and what only reads has no bound.
    let mut most = me.reads(&["--no-wait", "--json"], "sh");
    (0..64).for_each(|_| most.write(&chunk));
    most.close_stdin();
    let request = most.ends().fails(75, "approval.pending").waits_on();
    me.sgw.agent(["close", &request]).ok();
    let mut reads = me.reads(&["--no-ask"], "wc -c");
    (0..65).for_each(|_| reads.write(&chunk));
    reads.close_stdin();
    reads.ends().ok().prints(&format!("{}\n", 65 << 20));
}

#[test]
fn where_the_operator_allows_what_is_not_known_open_input_goes_on_after_its_beginning() {
    let me = Working::new();
    let request = me.sgw.requests(&me.sshd, &["--new"]);
    let mut approve = me.sgw.approval(&request, &me.sshd);
    me.sgw.run(approve.args(["--opaque", "allow"])).ok();
    let session = me.sgw.agent(["wait", &request]).ok().stdout().trim().to_owned();
    let mut open = me.sgw.start(["exec", &session, "-i", "--no-ask", "--", "sh"]);
    open.write(b"echo first\n");
    eventually_within(LONG, "it goes on", || open.stdout() == "first\n");
    open.write(b"echo second\n");
    open.prints("second\n");
    open.close_stdin();
    open.ends().ok();
    let mut whole = me.sgw.start(["exec", &session, "-i", "--no-ask", "--", "sh"]);
    whole.write(b"$(printenv NONE_OF_SGW) rm -rf /\n");
    whole.close_stdin();
    whole.ends().fails(77, "guard.blocked");
}

#[test]
fn what_only_reads_its_input_has_it_as_it_comes() {
    let me = Working::new();
    let mut cat = me.reads(&["--no-ask"], "cat");
    for word in ["rm -rf /\n", "more\n"] {
        cat.write(word.as_bytes());
        cat.prints(word);
    }
    cat.close_stdin();
    cat.ends().ok();
    assert_eq!(me.records("exec.intent")[0]["action"]["stdin"], "open");
}

#[test]
fn who_goes_away_while_input_is_read_leaves_nothing() {
    let me = Working::new();
    for signal in [Signal::KILL, Signal::INT] {
        let mut call = me.reads(&[], "sh");
        call.write(me.script(ASKED).as_bytes());
        call.signal(signal);
        call.ends();
    }
    me.feeds(&["--no-ask"], "sh", b"echo on\n").ok().prints("on\n");
    assert_eq!((me.ran().len(), me.queue().len()), (0, 0));
}

#[test]
fn nothing_that_is_sent_after_the_end_or_after_the_yes_is_fed() {
    let me = Working::new();
    let mut wire = agent_wire(&me.sgw);
    let exec = json!({
        "type": "exec", "session": me.session, "command": {"line": "sh"}, "stdin": true,
        "env": [], "cwd": null, "timeout_ms": null, "orphan_ms": null, "wait_ms": null,
        "no_ask": false, "reason": null,
    });
    assert!(wire.send(JSON, 1, exec.to_string().as_bytes()));
    let heard = |wire: &mut Wire, kind: &str| loop {
        let (_, _, body) = wire.receive().expect("more frames");
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        if message["type"] == kind {
            return message;
        }
    };
    heard(&mut wire, "credit");
    assert!(wire.send(STDIN, 1, me.script(ASKED).as_bytes()));
    assert!(wire.send(STDIN, 1, b""));
    let request = heard(&mut wire, "waiting")["id"].as_str().unwrap().to_owned();
    let other = format!("touch {}\n", me.file("other").display());
    assert!(wire.send(STDIN, 1, other.as_bytes()));
    me.approves(&request, &[]).ok();
    assert!(wire.send(STDIN, 1, other.as_bytes()));
    let done = heard(&mut wire, "done");
    assert_eq!(done["result"]["exit_code"], 0, "{done}");
    assert_eq!(me.ran().len(), 1);
    assert!(!me.file("other").exists());
}

#[test]
fn modes_and_kept_answers_hold_for_input_too() {
    let me = Working::new();
    let each = me.sgw.session_with(&me.sshd, &["--mode", "each", "--new"]);
    let mut call = me.sgw.start(["exec", &each, "-i", "--no-wait", "--json", "--", "sh"]);
    call.write(b"echo each\n");
    call.close_stdin();
    let request = call.ends().fails(75, "approval.pending").waits_on();
    me.approves(&request, &[]).ok();
    me.sgw.agent(["wait", &request]).ok().prints("each\n");
    let read = me.sgw.session_with(&me.sshd, &["--mode", "read", "--new"]);
    let mut call = me.sgw.start(["exec", &read, "-i", "--no-ask", "--", "sh"]);
    call.write(b"touch /srv/none-of-sgw/x\n");
    call.close_stdin();
    call.ends().fails(77, "approval.required");
}

#[test]
fn what_would_be_said_of_input_and_scripts_can_be_asked_beforehand() {
    let sgw = Sgw::new();
    let bad = sgw.write_private("bad.sh", "uptime\nrm -rf /\n");
    let bad = bad.to_str().unwrap();
    let check = |words: &[&str]| {
        let words = ["policy", "check", "--json"].iter().chain(words);
        sgw.agent(words).ok().json()
    };
    let said = check(&["--stdin", bad, "--", "sudo bash -s"]);
    assert_eq!((&said["verdict"], &said["rule"]), (&json!("block"), &json!("fs.rm-critical")));
    assert_eq!(check(&["--stdin", bad, "--", "wc -l"])["verdict"], "allow");
    let script = format!("/srv/x.sh={bad}");
    let said = check(&["--script", &script, "--", "cd /srv && ./x.sh"]);
    assert_eq!((&said["verdict"], &said["scripts"]), (&json!("block"), &json!(["/srv/x.sh"])));
    let text = sgw.agent(["policy", "check", "--stdin", bad, "--", "sh"]).ok().stdout();
    assert!(text.contains("in    rm -rf /\n"), "what decided stands in the input: {text}");
    sgw.agent(["policy", "check", "--script", "x.sh", "--", "ls"]).exits(2);
}

#[test]
fn a_script_that_an_earlier_command_wrote_is_judged_when_it_is_run() {
    let me = Working::new();
    let exec = |line: &str| me.sgw.agent(["exec", &me.session, "--no-ask", "--", line]);
    let at = me.sshd.directory().display().to_string();
    exec(&format!("printf 'echo %s\\n' fine > {at}/x.sh")).ok();
    exec(&format!("sh {at}/x.sh")).ok().prints("fine\n");
    exec(&format!("echo 'rm -rf /' >> {at}/x.sh")).ok();
    let run = ["exec", &me.session, "--json", "--cwd", &at, "--", "sh ./x.sh"];
    me.sgw.agent(run).fails(77, "guard.blocked");
    exec(&format!("cd {at} && chmod +x x.sh && ./x.sh")).fails(77, "guard.blocked");
    let blocked = me.records("exec.blocked");
    let scripts = &blocked[0]["decision"]["guard"]["scripts"];
    assert_eq!(scripts[0]["path"], format!("{at}/x.sh"), "{scripts}");
    // What it holds is not known any more.
    exec(&format!("hostname > {at}/x.sh")).ok();
    exec(&format!("sh {at}/x.sh")).fails(77, "approval.required");
    // A yes is for what it held when it was asked about.
    exec(&format!("printf '%s\\n' '{ASKED}' 'echo yes' > {at}/y.sh")).ok();
    let pending = ["exec", &me.session, "--no-wait", "--json", "--", &format!("sh {at}/y.sh")];
    let request = me.sgw.agent(pending).fails(75, "approval.pending").waits_on();
    exec(&format!("echo 'echo other' > {at}/y.sh")).ok();
    me.approves(&request, &[]).ok();
    me.sgw.agent(["wait", &request]).fails(77, "approval.expired");
}
