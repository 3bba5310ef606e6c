//! Plans that are refused before anybody is asked, and what a dry run says.

use serde_json::json;

use super::Working;

#[test]
fn a_blocked_line_refuses_the_plan_whole_and_names_line_and_rule() {
    let me = Working::new();
    let text = format!("{}\n# and\n@cwd /\nrm -rf etc\nrm -rf /\n", me.asking("one"));
    let refused = me.plan(&text, &["--reason", "r"]).fails(77, "guard.blocked").json();
    let error = &refused["error"];
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("line 4: the policy blocks it: fs."), "{message}");
    assert!(message.contains("; line 5: fs."), "{message}");
    assert_eq!(error["hint"], "don't rephrase; change the plan or ask your user");
    assert_eq!((&error["sent"], &error["id"]), (&json!(false), &json!(me.session)));
    let waiting = me.sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(waiting["requests"], json!([]));
    let records = me.sgw.operator(["audit", "list", "--json"]).ok().json_lines();
    let blocked = records.iter().filter(|one| one["kind"] == "exec.blocked").count();
    assert_eq!(blocked, 2);
    // It counts as one refusal, and five stop the session.
    for _ in 0..4 {
        me.plan("rm -rf /", &["--reason", "r"]).fails(77, "guard.blocked");
    }
    me.plan("ls", &["--reason", "r"]).fails(75, "limit.refusals");
}

#[test]
fn what_is_no_plan_is_refused_by_its_line() {
    let me = Working::new();
    let sum = "ab".repeat(32);
    for (text, said) in [
        ("ls\n@sudo reboot\n", "line 2: @sudo needs the sudo capability"),
        (&format!("ls\n\n@put a /etc/b {sum}\n"), "line 3: @put can't be used yet"),
        ("@cdw /\nls", "line 1: there is no such directive"),
        ("# nothing\n", "no command"),
        ("ls\n@cwd /srv\necho \0\n", "line 3: "),
    ] {
        let refused = me.plan(text, &["--reason", "r"]);
        assert_eq!(refused.code(), 2, "{text:?}");
        let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(said), "{message}");
    }
    me.plan(&"ls\n".repeat(201), &["--reason", "r"]).fails(2, "limit.command");
    me.plan(&"# a comment\n".repeat(6_000), &["--reason", "r"]).fails(2, "limit.command");
    me.plan("ls", &["--reason", " "]).fails(2, "usage.reason");
    let request = me.sgw.requests(&me.sshd, &["--new"]);
    me.sgw.agent(["plan", "run", &request]).fails(125, "usage.id");
}

#[test]
fn a_dry_run_says_each_verdict_and_asks_nobody() {
    let me = Working::new();
    let text = format!("{}\nuptime\nrm -rf /\n", me.asking("one"));
    let said = me.plan(&text, &["--dry-run"]).ok().json();
    let verdicts: Vec<_> =
        said["lines"].as_array().unwrap().iter().map(|line| line["verdict"].clone()).collect();
    assert_eq!(verdicts, ["approve", "allow", "block"]);
    assert_eq!((&said["verdict"], &said["session"]), (&json!("block"), &json!(me.session)));
    let waiting = me.sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(waiting["requests"], json!([]));
    // Of a plan that needs nobody, the agent hears so.
    let mut call = me.sgw.start(["plan", &me.session, "--reason", "look", "--file", "/dev/stdin"]);
    call.write(b"uptime\n");
    call.close_stdin();
    call.says("sgw exec runs each at once");
    let request = me.sgw.agent(["requests", "--json"]).ok().json()["requests"][0]["id"].clone();
    me.lets_pass(request.as_str().unwrap(), &[]);
    call.ends().ok().prints(&format!("{}\n", request.as_str().unwrap()));
}

#[test]
fn what_a_denied_rule_finds_refuses_a_plan_too() {
    let me = Working::new();
    let exec = ["exec", &me.session, "--no-wait", "--json", "--", &me.asking("one")];
    let request = me.sgw.agent(exec).fails(75, "approval.pending").waits_on();
    me.sgw.agent(["deny", &request, "--rule"]).ok();
    let refused = me.plan(&format!("ls\n{}", me.asking("two")), &["--reason", "r"]);
    let refused = refused.fails(77, "approval.denied").json();
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("line 2: "), "{refused}");
}
