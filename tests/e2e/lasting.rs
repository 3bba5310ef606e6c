//! What an operator's word holds for beyond one command: how long, for what exactly, and how it ends.

use serde_json::json;

use crate::support::{Outcome, Working};

impl Working {
    /// Refused as a whole: nothing is promised or decided.
    #[track_caller]
    fn is_for_once_only(&self, request: &str, lasting: &str, why: &str) {
        let words = ["approve", request, "--yes", "--remember", lasting];
        let refused = self.sgw.operator(words).fails(2, "usage.arguments");
        assert!(refused.stderr().contains(why), "{}", refused.stderr());
        assert!(!refused.stderr().contains("exactly this passes"), "{}", refused.stderr());
        let shown = self.sgw.operator(["show", "--all", request, "--json"]).ok().json();
        assert_eq!(shown["status"], "pending");
    }
}

fn hint(outcome: &Outcome) -> String {
    outcome.json()["error"]["hint"].as_str().unwrap().to_owned()
}

#[test]
fn a_yes_to_a_program_that_is_fed_is_for_what_it_was_fed_alone() {
    let me = Working::new();
    let script = b"import shutil\nshutil.rmtree('/srv/none-of-sgw')\n";
    let asked = me.feeds(&["--no-wait", "--json"], "python3", script);
    let request = asked.fails(75, "approval.pending").waits_on();
    for lasting in ["session", "rule"] {
        me.is_for_once_only(&request, lasting, "standard input");
    }
    me.approves(&request, &[]).ok();
    let other = b"import shutil\nshutil.rmtree('/srv/others-of-sgw')\n";
    me.feeds(&["--no-ask"], "python3", other).fails(77, "approval.required");
}

#[test]
fn a_yes_that_could_not_hold_is_refused_before_it_is_promised() {
    let me = Working::new();
    let line = me.asks("for f in a b; do rm -f /srv/none-of-sgw/$f; done");
    me.is_for_once_only(&line, "session", "this once only");
    let written = format!("{}/x.sh", me.sshd.directory().display());
    me.exec(&[], &format!("echo 'rm -f /srv/none-of-sgw' > {written}")).ok();
    let script = me.asks(&format!("sh {written}"));
    me.is_for_once_only(&script, "session", "script");
    for mode in ["each", "read"] {
        let me = Working::with(&["--mode", mode]);
        let request = me.asks("rm -f /srv/none-of-sgw");
        me.is_for_once_only(&request, "session", "mode");
        me.is_for_once_only(&request, "rule", "mode");
    }
}

#[test]
fn flags_that_do_not_fit_a_request_are_refused_and_nothing_is_decided() {
    let me = Working::new();
    let request = me.asks("rm -f /srv/none-of-sgw");
    for flags in [
        &["--only", "exec"][..],
        &["--for", "3m"],
        &["--identity", "/none"],
        &["--use-agent"],
        &["--lines", "1"],
    ] {
        me.approves(&request, flags).fails(2, "usage.arguments");
    }
    let misplaced = me.approves(&request, &["--days", "3"]);
    let misplaced = hint(&misplaced.fails(2, "usage.arguments"));
    assert_eq!(misplaced, format!("sgw approve {request} --remember rule --days 3"));
    me.approves(&request, &["--remember", "rule", "--days", "3"]).ok();
    let access = me.sgw.requests(&me.sshd, &["--new"]);
    me.approves(&access, &["--remember", "session"]).fails(2, "usage.arguments");
}

#[test]
fn what_was_asked_under_another_policy_is_asked_anew_and_counts_as_no_denial() {
    let me = Working::new();
    let (first, second) = (me.asks("rm -f /srv/none-of-sgw"), me.asks("rm -f /srv/none-of-sgw2"));
    let third = me.asks("rm -f /srv/none-of-sgw3");
    me.approves(&first, &["--remember", "rule"]).ok();
    me.approves(&second, &[]).fails(1, "request.changed");
    let told = me.sgw.agent(["wait", &second, "--json"]).fails(77, "approval.expired");
    assert!(hint(&told).contains("run it again"), "{}", hint(&told));
    let again = me.asks("rm -f /srv/none-of-sgw2");
    assert_ne!(again, second);
    me.approves(&again, &[]).ok();
    me.sgw.agent(["wait", &again]).ok();
    // Nobody looked at it since: asking again asks by the policy of now.
    let anew = me.asks("rm -f /srv/none-of-sgw3");
    assert_ne!(anew, third);
    me.sgw.agent(["wait", &third]).fails(77, "approval.expired");
    me.approves(&anew, &[]).ok();
}

#[test]
fn who_is_asked_or_not_asked_is_told_the_rule_and_why() {
    let me = Working::new();
    let unasked = me.exec(&["--no-ask"], "rm -f /srv/none-of-sgw").fails(77, "approval.required");
    let pending = me.exec(&["--no-wait"], "rm -f /srv/none-of-sgw").fails(75, "approval.pending");
    for told in [unasked, pending] {
        let error = told.json()["error"].clone();
        assert_eq!(error["rule"], "fs.rm", "{error}");
        assert!(error["message"].as_str().unwrap().contains("fs.rm"), "{error}");
        assert!(!error["message"].as_str().unwrap().contains("none-of-sgw"), "{error}");
    }
    let each = Working::with(&["--mode", "each"]);
    let told = each.exec(&["--no-ask"], "ls").fails(77, "approval.required").json();
    assert_eq!(told["error"]["rule"], "mode.each");
}

#[test]
fn a_denial_by_its_rule_denies_what_waits_alike_is_shown_and_can_be_lifted() {
    let me = Working::new();
    let (first, second) = (me.asks("rm -f /srv/none-of-sgw"), me.asks("rm -f /srv/none-of-sgw2"));
    let other = me.asks("systemctl stop none-of-sgw");
    let denied = me.sgw.agent(["deny", &first, "--rule", "--json"]).ok().json();
    let until = json!({"rule": "fs.rm", "until": me.session});
    assert_eq!((&denied["denied_rule"], &denied["also"]), (&until, &json!([second])));
    me.sgw.agent(["wait", &second]).fails(77, "approval.denied");
    me.sgw.agent(["wait", &other, "--no-wait"]).fails(75, "approval.pending");
    let again = me.sgw.session_with(&me.sshd, &["--new"]);
    let shows = || me.sgw.operator(["show", "--all", &again, "--json"]).ok().json();
    assert_eq!(shows()["denied_rules"], json!([until]));
    let exec = ["exec", &again, "--no-ask", "--", "rm -f /srv/none-of-sgw3"];
    me.sgw.agent(exec).fails(77, "approval.denied");
    let lift = |rule: &str| me.sgw.operator(["resume", &again, "--rule", rule, "--json"]);
    lift("fs.nothing").fails(2, "usage.arguments");
    lift("fs.rm").ok();
    assert_eq!(shows()["denied_rules"], json!(null));
    me.sgw.agent(exec).fails(77, "approval.required");
}

#[test]
fn a_session_that_goes_on_trying_under_a_denial_of_another_is_paused_and_says_who_can_lift_it() {
    let me = Working::new();
    let request = me.asks("rm -f /srv/none-of-sgw");
    me.sgw.agent(["deny", &request, "--rule"]).ok();
    let again = me.sgw.session_with(&me.sshd, &["--new"]);
    for number in 0..5 {
        let line = format!("rm -f /srv/none-of-sgw{number}");
        me.sgw.agent(["exec", &again, "--", &line]).fails(77, "approval.denied");
    }
    let exec = ["exec", &again, "--json", "--", "echo a"];
    let wait = ["wait", &again, "--no-wait", "--json"];
    for told in [me.sgw.agent(exec), me.sgw.agent(wait)] {
        let told = hint(&told.fails(75, "limit.refusals"));
        assert!(told.ends_with(&format!("sgw resume {again}")), "{told}");
    }
    let shown = me.sgw.operator(["show", "--all", &again, "--json"]).ok().json();
    assert_eq!((&shown["paused"], &shown["paused_by"]), (&json!(true), &json!("refusals")));
    me.sgw.operator(["resume", &again]).ok();
    me.sgw.agent(["exec", &again, "--", "echo a"]).ok();
}

#[test]
fn a_dry_run_says_whether_the_plan_would_be_asked_about() {
    let me = Working::new();
    let dry = |text: &str| {
        let file = me.sgw.write_private("a.plan", text);
        let plan = ["plan", &me.session, "--dry-run", "--json", "--file", file.to_str().unwrap()];
        me.sgw.agent(plan).ok().json()["asks"].clone()
    };
    assert_eq!((dry("ls\n"), dry("ls\nrm -rf /\n")), (json!(true), json!(false)));
    let request = me.asks("rm -f /srv/none-of-sgw");
    me.sgw.agent(["deny", &request, "--rule"]).ok();
    assert_eq!(dry("ls\nrm -f /srv/none-of-sgw\n"), json!(false));
}
