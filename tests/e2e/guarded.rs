//! Commands that the guard speaks of: what passes runs, what asks waits for a person, what the policy
//! blocks is refused whoever says yes.

use crate::support::{PASSPHRASE, Sgw, Sshd, Working};

impl Working {
    /// Says that it ran, after something that is asked about and does nothing.
    fn line(&self) -> String {
        format!("rm -f /srv/none-of-sgw; echo once >> {}; echo done", self.file("ran").display())
    }
}

#[test]
fn what_asks_runs_once_after_a_yes_and_the_rule_is_told() {
    let me = Working::new();
    me.sgw.agent(["exec", &me.session, "--", "echo rm -rf /"]).ok().prints("rm -rf /\n");
    let line = me.line();
    let request = me.asks(&line);
    let shown = me.sgw.agent(["requests", "--json"]).ok().json()["requests"][0].clone();
    assert_eq!((&shown["rule"], &shown["kind"]), (&"fs.rm".into(), &"command".into()));
    let mut terminal = me.sgw.looks_at(&request);
    let screen = terminal.wait_for(r"Give it\?");
    let one = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(one.contains("«rm -f /srv/none-of-sgw»"), "what decided is marked: {screen}");
    assert!(one.contains("because fs.rm"), "{screen}");
    terminal.send("y");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(me.ran().len(), 0, "it runs when somebody waits for it");
    me.sgw.agent(["wait", &request]).ok().prints("done\n");
    me.sgw.agent(["wait", &request, "--json"]).ok();
    assert_eq!(me.ran().len(), 1);
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
    let me = Working::new();
    let exec = ["exec", &me.session, "--cwd", "/", "--", "rm -rf etc"];
    me.sgw.agent(exec).fails(77, "guard.blocked");
    let exec = ["exec", &me.session, "--env", "LD_PRELOAD=/tmp/x.so", "--no-ask", "--", "ls"];
    me.sgw.agent(exec).fails(77, "approval.required");
    let harmless = ["exec", &me.session, "--env", "A=b", "--cwd", "/", "--", "echo $A; pwd"];
    me.sgw.agent(harmless).ok().prints("b\n/\n");
}

#[test]
fn what_the_operator_set_for_a_target_asks_nothing_and_an_agent_s_own_does() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    sgw.target("web1", &sshd);
    sgw.operator(["target", "edit", "web1", "--env", "PAGER=less", "--env", "A=1", "--json"]).ok();
    let request = sgw.agent(["request", "web1", "--reason", "r", "--no-wait", "--json"]);
    let request = request.fails(75, "request.pending").waits_on();
    sgw.operator(["approve", &request, "--yes", "--json"]).ok();
    let exec = |more: &[&str], line: &str| {
        let base = ["exec", "web1", "--no-ask"];
        sgw.agent(base.iter().chain(more).copied().chain(["--", line]))
    };
    exec(&[], "echo $PAGER $A").ok().prints("less 1\n");
    exec(&["--env", "PAGER=/tmp/x"], "echo $PAGER").fails(77, "approval.required");
    exec(&["--env", "A=2"], "echo $A").ok().prints("2\n");
    // The operator's variables make no other command of it.
    exec(&["--cwd", "/"], "rm -rf etc").fails(77, "guard.blocked");
    exec(&[], "rm -f /srv/none-of-sgw").fails(77, "approval.required");
    // The record says what was judged: judged again it is the same.
    let replayed = sgw.operator(["policy", "replay", "--json"]).ok().json();
    for other in ["newly_blocked", "newly_asked", "newly_allowed"] {
        assert_eq!(replayed[other], serde_json::json!([]), "{replayed}");
    }
}

#[test]
fn on_an_allow_list_directory_and_variables_ask_nothing_by_themselves() {
    let me = Working::new();
    let own = "version = 1\n[defaults]\nunmatched = \"approve\"\n\
        [[rule]]\nid = \"own.looks\"\ndecision = \"allow\"\nprogram = [\"pwd\", \"printenv\"]\n";
    let own = me.sgw.write_private("own.toml", own);
    me.sgw.operator(["policy", "accept", own.to_str().unwrap(), "--yes", "--json"]).ok();
    let exec = |line: &str| {
        let exec = ["exec", &me.session, "--cwd", "/", "--env", "A=b", "--no-ask", "--", line];
        me.sgw.agent(exec)
    };
    exec("pwd; printenv A").ok().prints("/\nb\n");
    exec("pwd; uptime").fails(77, "approval.required");
}

#[test]
fn a_yes_for_the_session_is_for_exactly_this_part_and_so_many_times() {
    let me = Working::new();
    let request = me.asks(&me.line());
    let approve = ["approve", &request, "--yes", "--json", "--remember", "session", "--times", "2"];
    me.sgw.operator(approve).ok();
    me.sgw.agent(["wait", &request]).ok();
    let runs = |line: &str| me.sgw.agent(["exec", &me.session, "--no-ask", "--", line]);
    // Another command with the same part, and one that has more to ask about.
    runs("ls /; rm -f '/srv/none-of-sgw'").ok();
    for other in [
        "rm -f /srv/none-of-sgw2",
        "rm -f /srv/none-of-sgw; rm -f /srv/another",
        "sudo rm -f /srv/none-of-sgw",
        "cd /srv && rm -f /srv/none-of-sgw",
    ] {
        runs(other).fails(77, "approval.required");
    }
    runs("rm -f /srv/none-of-sgw").ok();
    runs("rm -f /srv/none-of-sgw").fails(77, "approval.required");
    let records = me.sgw.operator(["audit", "list", "--json"]).ok().json_lines();
    let passed =
        records.iter().filter(|one| one["decision"]["passed_by"] == serde_json::json!([request]));
    assert_eq!(passed.count(), 2);
    // What is not known before it runs can't be let pass again.
    let opaque = me.asks("rm -f \"/srv/none-of-$(hostname)\"");
    let approve = ["approve", &opaque, "--yes", "--json", "--remember", "session"];
    me.sgw.operator(approve).fails(2, "usage.arguments");
}

#[test]
fn a_denial_with_its_rule_holds_for_what_the_rule_finds_there_until_the_session_ends() {
    let me = Working::new();
    let request = me.asks(&me.line());
    let denied = ["deny", &request, "--rule"];
    me.sgw.agent(denied).ok();
    let exec = |session: &str, line: &str| {
        me.sgw.agent(["exec", session, "--no-wait", "--json", "--", line])
    };
    exec(&me.session, "sudo rm -r /srv/other").fails(77, "approval.denied");
    me.sgw.agent(["exec", &me.session, "--", "echo hello"]).ok();
    let second = me.sgw.session_with(&me.sshd, &["--new"]);
    exec(&second, "rm -r /srv/other").fails(77, "approval.denied");
    me.sgw.agent(["close", &me.session]).ok();
    exec(&second, "rm -r /srv/other").fails(75, "approval.pending");
}

#[test]
fn a_session_that_is_refused_too_often_is_paused_until_the_operator_lets_it_go_on() {
    let me = Working::new();
    for _ in 0..5 {
        me.sgw.agent(["exec", &me.session, "--", "echo a"]).ok();
        me.sgw.agent(["exec", &me.session, "--", "rm -rf /"]).fails(77, "guard.blocked");
    }
    let exec = ["exec", &me.session, "--json", "--", "echo a"];
    let error = me.sgw.agent(exec).fails(75, "limit.refusals").json();
    let hint = error["error"]["hint"].as_str().unwrap();
    assert!(hint.ends_with(&format!("sgw resume {}", me.session)), "{hint}");
    let other = me.sgw.session_with(&me.sshd, &["--new"]);
    me.sgw.agent(["exec", &other, "--", "echo b"]).ok();
    me.sgw.operator(["resume", &me.session]).ok();
    me.sgw.agent(["exec", &me.session, "--", "echo a"]).ok().prints("a\n");
}

#[test]
fn what_only_the_server_knows_passes_where_the_operator_said_so_and_blocks_hold() {
    let me = Working::new();
    let opaque = "$(printenv NONE_OF_SGW) echo opaque";
    me.sgw.agent(["exec", &me.session, "--no-ask", "--", opaque]).fails(77, "approval.required");
    let request = me.sgw.requests(&me.sshd, &["--new"]);
    let mut approve = me.sgw.approval(&request, &me.sshd);
    me.sgw.run(approve.args(["--opaque", "allow"])).ok();
    let session = me.sgw.agent(["wait", &request]).ok().stdout().trim().to_owned();
    let exec = |line: &str| me.sgw.agent(["exec", &session, "--no-ask", "--", line]);
    exec(opaque).ok().prints("opaque\n");
    exec("$(printenv NONE_OF_SGW) echo; rm -rf /").fails(77, "guard.blocked");
    exec("rm -f /srv/none-of-sgw").fails(77, "approval.required");
}

#[test]
fn what_would_run_unknown_input_as_code_asks_and_other_input_does_not() {
    let me = Working::new();
    for (line, input) in
        [("sh", "$X\n"), ("python3 -", "import os; os.remove(x)\n"), ("xargs rm", "a\n")]
    {
        let mut call = me.sgw.start(["exec", &me.session, "-i", "--no-ask", "--", line]);
        call.write(input.as_bytes());
        call.close_stdin();
        call.ends().fails(77, "approval.required");
    }
    let mut cat = me.sgw.start(["exec", &me.session, "-i", "--no-ask", "--", "cat | wc -c"]);
    cat.write(b"rm -rf /\n");
    cat.close_stdin();
    cat.ends().ok().prints("9\n");
}

#[test]
fn a_yes_can_become_a_rule_that_ends_by_itself() {
    let me = Working::new();
    let request = me.asks("rm -f /srv/none-of-sgw");
    let approve = ["approve", &request, "--remember", "rule", "--days", "2"];
    let mut terminal = me.sgw.terminal(approve);
    terminal.wait_for("(?i)passphrase");
    terminal.send(&format!("{PASSPHRASE}\r"));
    let screen = terminal.wait_for(r"Give it\?");
    let one = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(one.contains("for EVERYONE, of any token and any uid, 2 days long"), "{screen}");
    terminal.send("y");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    me.sgw.agent(["wait", &request]).ok();
    let runs = |session: &str, line: &str| me.sgw.agent(["exec", session, "--no-ask", "--", line]);
    runs(&me.session, "rm -f /srv/none-of-sgw").ok();
    runs(&me.session, "rm -f /srv/none-of-sgw2").fails(77, "approval.required");
    let session = me.sgw.session_with(&me.sshd, &["--new"]);
    runs(&session, "rm -f /srv/none-of-sgw").ok();
    // A request that was asked under the policy before has no yes any more.
    let moved = me.asks("cd /srv && rm -f none-of-sgw");
    let approve = ["approve", &moved, "--yes", "--json", "--remember", "rule"];
    me.sgw.operator(approve).fails(2, "usage.arguments");
}

#[test]
fn the_desk_lets_a_command_pass_again_and_denies_by_rule() {
    let me = Working::new();
    let request = me.asks("rm -f /srv/none-of-sgw");
    let mut desk = me.sgw.terminal(["desk", "--plain"]);
    desk.wait_for("(?i)passphrase");
    desk.send(&format!("{PASSPHRASE}\r"));
    desk.wait_for(&format!("{request} command"));
    desk.send(&format!("keep {request}\r"));
    desk.wait_for("Type yes to run it");
    desk.send("yes\r");
    desk.wait_for("approved");
    me.sgw.agent(["wait", &request]).ok();
    let again = ["exec", &me.session, "--no-ask", "--", "rm -f /srv/none-of-sgw"];
    me.sgw.agent(again).ok();
    let other = me.asks("rm -f /srv/another");
    desk.wait_for(&format!("{other} command"));
    desk.send(&format!("never {other}\r"));
    desk.wait_for("denied");
    me.sgw.agent(["exec", &me.session, "--", "rm -f /srv/third"]).fails(77, "approval.denied");
    desk.send("quit\r");
    desk.ends();
}

#[test]
fn a_yes_holds_only_under_the_policy_that_asked() {
    let me = Working::new();
    let (first, second) = (me.asks(&me.line()), me.asks("rm -f /srv/none-of-sgw2"));
    let approve = |request: &str, more: &[&str]| {
        let words = ["approve", request, "--yes", "--json"].into_iter().chain(more.iter().copied());
        me.sgw.operator(words)
    };
    approve(&first, &[]).ok();
    // It brings another policy into force.
    approve(&second, &["--remember", "rule"]).ok();
    me.sgw.agent(["wait", &second]).ok();
    me.sgw.agent(["wait", &first]).fails(77, "approval.expired");
    assert_eq!(me.ran().len(), 0);
    let third = me.asks(&me.line());
    approve(&third, &[]).ok();
    me.sgw.agent(["wait", &third]).ok();
    assert_eq!(me.ran().len(), 1);
}

#[test]
fn ten_requests_that_were_denied_within_the_hour_are_enough() {
    let me = Working::new();
    for number in 0..10 {
        let request = me.sgw.requests(&me.sshd, &["--new", "--for", &format!("{}s", 60 + number)]);
        me.sgw.agent(["deny", &request]).ok();
    }
    let destination = me.sshd.destination();
    let again = ["request", &destination, "--reason", "once more", "--new", "--no-wait"];
    me.sgw.agent(again).fails(75, "limit.requests");
}

#[test]
fn ten_requests_that_wait_are_enough_and_plans_count_with_them() {
    let me = Working::new();
    for number in 0..9 {
        me.asks(&format!("rm -f /srv/none-of-sgw-{number}"));
    }
    let plan = |text: &str| {
        let file = me.sgw.write_private("a.plan", text);
        let base = ["plan", &me.session, "--reason", "r", "--no-wait", "--json", "--file"];
        me.sgw.agent(base.into_iter().chain([file.to_str().unwrap()]))
    };
    plan("rm -f /srv/none-of-sgw-9\n").fails(75, "approval.pending");
    plan("ls\n").fails(75, "limit.requests");
    let exec = ["exec", &me.session, "--no-wait", "--", "rm -f /srv/none-of-sgw-10"];
    me.sgw.agent(exec).fails(75, "limit.requests");
}
