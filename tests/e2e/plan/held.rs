//! What holds of everything an agent does holds of the lines of a plan.

use super::Working;

#[test]
fn a_policy_that_changed_meanwhile_takes_the_yes_back() {
    let me = Working::new();
    let (first, second) = (me.asked(&me.asking("one")), me.asked(&me.asking("two")));
    me.lets_pass(&first, &[]);
    let own =
        me.sgw.write_private("own.toml", "version = 1\n[defaults]\nunmatched = \"approve\"\n");
    me.sgw.operator(["policy", "accept", own.to_str().unwrap(), "--yes", "--json"]).ok();
    let approve = ["approve", &second, "--yes", "--json"];
    me.sgw.operator(approve).fails(1, "request.changed");
    me.runs(&first).fails(77, "approval.expired");
    assert_eq!(me.ran(), [""; 0]);
}

#[test]
fn a_pause_and_the_sessions_end_stop_a_plan() {
    let me = Working::new();
    let request = me.asked(&format!("{}\n{}", me.asking("one"), me.asking("two")));
    me.lets_pass(&request, &[]);
    me.sgw.operator(["pause", "--all"]).ok();
    let error = me.runs(&request).fails(75, "control.paused").json();
    assert_eq!(error["error"]["hint"], format!("sgw wait {}", me.session));
    me.sgw.operator(["resume", "--all"]).ok();
    me.runs(&request).ok();
    let another = me.asked(&me.asking("three"));
    me.lets_pass(&another, &[]);
    let waiting = me.asked(&me.asking("four"));
    me.sgw.agent(["close", &me.session]).ok();
    assert_ne!(me.runs(&another).code(), 0);
    me.sgw.operator(["approve", &waiting, "--yes", "--json"]).exits(1);
    assert_eq!(me.ran(), ["one", "two"]);
}

#[test]
fn each_line_counts_in_the_budget() {
    let me = Working::with(&["--max-commands", "2"]);
    let request =
        me.asked(&format!("{}\n{}\n{}", me.asking("one"), me.asking("two"), me.asking("three")));
    me.lets_pass(&request, &[]);
    let ran = me.runs(&request).exits(77).json();
    assert_eq!(ran["error"]["code"], "grant.exhausted");
    assert_eq!((ran["ran"].as_array().unwrap().len(), &ran["left"]), (2, &serde_json::json!([3])));
    assert_eq!(me.ran(), ["one", "two"]);
}

#[test]
fn in_each_mode_a_plan_is_asked_about_once() {
    for mode in ["each", "read"] {
        let me = Working::with(&["--mode", mode]);
        let request = me.asked(&format!("uptime\n{}", me.asking("one")));
        me.lets_pass(&request, &[]);
        me.runs(&request).ok();
        assert_eq!(me.ran(), ["one"]);
    }
}

#[test]
fn a_call_that_is_killed_leaves_a_line_running_and_the_next_one_goes_on_from_there() {
    let me = Working::new();
    let go = me.sshd.directory().join("go");
    let first = format!(
        "{}; until test -e {}; do sleep 0.1; done; echo out",
        me.asking("one"),
        go.display()
    );
    let request = me.asked(&format!("{first}\n{}", me.asking("two")));
    me.lets_pass(&request, &[]);
    let left = me.sgw.agent(["plan", "run", &request, "--json", "--wait", "1s"]).exits(75).json();
    assert_eq!(
        (&left["ran"][0]["running"], &left["left"]),
        (&true.into(), &serde_json::json!([2]))
    );
    std::fs::write(&go, "").unwrap();
    me.sgw.agent(["plan", "run", &request]).ok().prints("out\n");
    assert_eq!(me.ran(), ["one", "two"]);
}

#[test]
fn while_the_operator_has_the_keyboard_no_line_runs_and_none_is_used_up() {
    let me = Working::new();
    let request = me.asked(&me.asking("one"));
    me.lets_pass(&request, &[]);
    let handoff = ["handoff", &me.session, "please look", "--no-wait", "--json"];
    me.sgw.agent(handoff).fails(75, "request.pending");
    me.runs(&request).fails(75, "control.operator");
    let exec = ["exec", &me.session, "--", &me.asking("one")];
    me.sgw.agent(exec).fails(75, "control.operator");
    assert_eq!(me.ran(), [""; 0]);
    me.sgw.operator(["return", &me.session]).ok();
    me.runs(&request).ok();
    assert_eq!(me.ran(), ["one"]);
}

#[test]
fn another_identity_neither_sees_nor_runs_a_plan() {
    let me = Working::new();
    let token = me.sgw.token("ci", &[]);
    let request = me.asked(&me.asking("one"));
    me.lets_pass(&request, &[]);
    for words in [["plan", "run"], ["wait", "--no-wait"], ["show", "--json"]] {
        let outcome = me.sgw.by(&token, words.into_iter().chain([request.as_str()]));
        assert_eq!(outcome.error_code().as_deref(), Some("request.unknown"), "{words:?}");
    }
    assert_eq!(me.ran(), [""; 0]);
}

#[test]
fn a_line_is_judged_with_what_those_before_it_write_and_a_script_written_anew_ends_the_yes() {
    let me = Working::new();
    let script = format!("{}/n.sh", me.sshd.directory().display());
    let text = format!("echo {:?} > {script}\nbash {script}\n", me.asking("one"));
    let said = me.plan(&text, &["--dry-run"]).ok().json();
    assert_eq!(said["lines"][1]["verdict"], "approve", "{said}");
    let request = me.asked(&text);
    me.lets_pass(&request, &[]);
    me.sgw.agent(["plan", "run", &request]).ok();
    assert_eq!(me.ran(), ["one"]);
    let request = me.asked(&format!("bash {script}\n{}\n", me.asking("two")));
    me.lets_pass(&request, &[]);
    let exec = ["exec", &me.session, "--no-ask", "--", &format!("echo uptime > {script}")];
    me.sgw.agent(exec).ok();
    let refused = me.runs(&request).fails(77, "approval.expired").json();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("judged otherwise"), "{message}");
    assert_eq!(me.ran(), ["one"]);
}
