//! Commands that the guard speaks of: what passes runs, what asks waits for a person, what the policy
//! blocks is refused whoever says yes.

use std::fs;

use crate::support::{PASSPHRASE, Sgw, Sshd};

struct Guarded {
    sgw: Sgw,
    sshd: Sshd,
    session: String,
}

impl Guarded {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(more: &[&str]) -> Self {
        let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
        let session = sgw.session_with(&sshd, more);
        Self { sgw, sshd, session }
    }

    /// Says that it ran, after something that is asked about and does nothing.
    fn line(&self) -> String {
        format!("rm -f /srv/none-of-sgw; echo once >> {}/ran; echo done", self.sshd.directory().display())
    }

    fn times_run(&self) -> usize {
        let ran = fs::read_to_string(self.sshd.directory().join("ran"));
        ran.unwrap_or_default().lines().count()
    }

    /// The request's id.
    #[track_caller]
    fn asks(&self, line: &str) -> String {
        let exec = ["exec", &self.session, "--no-wait", "--json", "--", line];
        self.sgw.agent(exec).fails(75, "approval.pending").waits_on()
    }
}

#[test]
fn what_asks_runs_once_after_a_yes_and_the_rule_is_told() {
    let me = Guarded::new();
    me.sgw.agent(["exec", &me.session, "--", "echo rm -rf /"]).ok().prints("rm -rf /\n");
    let line = me.line();
    let request = me.asks(&line);
    let shown = me.sgw.agent(["requests", "--json"]).ok().json()["requests"][0].clone();
    assert_eq!((&shown["rule"], &shown["kind"]), (&"fs.rm".into(), &"command".into()));
    let mut terminal = me.sgw.terminal(["approve", &request]);
    terminal.wait_for("(?i)passphrase");
    terminal.send(&format!("{PASSPHRASE}\r"));
    let screen = terminal.wait_for(r"Give it\?");
    let one = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(one.contains("«rm -f /srv/none-of-sgw»"), "what decided is marked: {screen}");
    assert!(one.contains("because fs.rm"), "{screen}");
    terminal.send("y");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(me.times_run(), 0, "it runs when somebody waits for it");
    me.sgw.agent(["wait", &request]).ok().prints("done\n");
    me.sgw.agent(["wait", &request, "--json"]).ok();
    assert_eq!(me.times_run(), 1);
    assert_ne!(me.asks(&line), request);
}

#[test]
fn what_the_policy_blocks_is_refused_at_once_in_each_mode_and_is_on_record() {
    let sshd = Sshd::start();
    let sgw = Sgw::unlocked();
    for mode in ["guarded", "each", "read"] {
        let session = sgw.session_with(&sshd, &["--mode", mode, "--new"]);
        let exec = ["exec", &session, "--json", "--", "sh -c 'dd if=/dev/zero of=/dev/sda'"];
        let refused = sgw.agent(exec).fails(77, "guard.blocked").json();
        let error = &refused["error"];
        assert_eq!(error["sent"], false);
        assert_eq!(error["hint"], "don't rephrase; change the plan or ask your user");
        assert!(error["message"].as_str().unwrap().contains("disk."), "{error}");
    }
    assert_eq!(sgw.agent(["requests", "--json"]).ok().json()["requests"], serde_json::json!([]));
    let records = sgw.operator(["audit", "list", "--json"]).ok().json_lines();
    let blocked: Vec<_> = records.iter().filter(|one| one["kind"] == "exec.blocked").collect();
    assert_eq!(blocked.len(), 3);
    let said = &blocked[0]["decision"]["guard"];
    assert_eq!(said["verdict"], "block");
    assert_eq!(said["policy"].as_str().map(str::len), Some(64));
    assert!(!records.iter().any(|one| one["kind"] == "exec.intent"));
}

#[test]
fn directory_and_variables_are_judged_with_the_command() {
    let me = Guarded::new();
    let exec = ["exec", &me.session, "--cwd", "/", "--", "rm -rf etc"];
    me.sgw.agent(exec).fails(77, "guard.blocked");
    let exec = ["exec", &me.session, "--env", "LD_PRELOAD=/tmp/x.so", "--no-ask", "--", "ls"];
    me.sgw.agent(exec).fails(77, "approval.required");
    let harmless = ["exec", &me.session, "--env", "A=b", "--cwd", "/", "--", "echo $A; pwd"];
    me.sgw.agent(harmless).ok().prints("b\n/\n");
}
