//! Plans: many steps that a person decides on at once; each approved line runs once, in order.

mod held;
mod refused;

use serde_json::{Value, json};

use crate::support::{Outcome, PASSPHRASE, Working};

impl Working {
    /// A line that would ask by itself, and says that it ran.
    fn asking(&self, word: &str) -> String {
        format!("rm -f /srv/none-of-sgw-{word}; echo {word} >> {}", self.file("ran").display())
    }

    fn plan(&self, text: &str, more: &[&str]) -> Outcome {
        let file = self.sgw.write_private("a.plan", text);
        let base = ["plan", &self.session, "--file", file.to_str().unwrap(), "--json"];
        self.sgw.agent(base.iter().chain(more).copied())
    }

    /// The plan's request.
    #[track_caller]
    fn asked(&self, text: &str) -> String {
        let more = ["--reason", "deploy 1.4.2", "--no-wait"];
        self.plan(text, &more).fails(75, "approval.pending").waits_on()
    }

    #[track_caller]
    fn lets_pass(&self, request: &str, more: &[&str]) {
        let decided = self.approves(request, more).ok().json();
        assert_eq!((&decided["kind"], &decided["status"]), (&json!("plan"), &json!("approved")));
    }

    fn runs(&self, request: &str) -> Outcome {
        self.sgw.agent(["plan", "run", request, "--json"])
    }

    fn shown(&self, request: &str) -> Value {
        self.sgw.agent(["show", request, "--json"]).ok().json()
    }
}

#[test]
fn a_plan_is_one_request_and_its_lines_run_once_in_order_after_the_yes() {
    let me = Working::new();
    let (one, two) = (me.asking("one"), me.asking("two"));
    let request = me.asked(&format!("# deploy\n{one}\n\n@cwd /\npwd\n{two}\n"));
    let waiting = me.sgw.agent(["requests", "--json"]).ok().json();
    let [shown] = waiting["requests"].as_array().unwrap().as_slice() else { panic!("{waiting}") };
    assert_eq!((&shown["kind"], &shown["line_count"]), (&json!("plan"), &json!(3)));
    assert_eq!((&shown["reason"], &shown["rule"]), (&json!("deploy 1.4.2"), &json!("fs.rm")));
    let lines = me.shown(&request)["lines"].clone();
    let told: Vec<_> =
        lines.as_array().unwrap().iter().map(|l| (&l["number"], &l["verdict"])).collect();
    let (allow, approve) = (json!("allow"), json!("approve"));
    assert_eq!(told, [(&json!(2), &approve), (&json!(5), &allow), (&json!(6), &approve)]);
    assert_eq!(lines[1]["command"], "cd -- / || exit 1; pwd");
    // Nothing runs before the yes, nor by it.
    me.sgw.agent(["plan", "run", &request, "--no-wait"]).fails(75, "approval.pending");
    me.lets_pass(&request, &[]);
    assert_eq!(me.ran(), [""; 0]);
    let decided = me.sgw.agent(["wait", &request]).ok().prints(&format!("{request}\n"));
    decided.says(&format!("sgw plan run {request}"));
    assert_eq!(me.ran(), [""; 0]);
    me.sgw.agent(["plan", "run", &request]).ok().prints("/\n").says("nothing is left");
    assert_eq!(me.ran(), ["one", "two"]);
    me.sgw.agent(["plan", "run", &request]).ok().prints("");
    assert_eq!(me.ran(), ["one", "two"]);
    // The yes was for one run of each.
    let exec = ["exec", &me.session, "--no-ask", "--", &one];
    me.sgw.agent(exec).fails(77, "approval.required");
    let history = me.sgw.agent(["history", &me.session, "--json"]).ok().json();
    let history = history["history"].as_array().unwrap();
    assert!(history.len() == 3 && history.iter().all(|run| run["request"] == request.as_str()));
}

#[test]
fn only_the_approved_lines_run_and_the_first_that_fails_stops() {
    let me = Working::new();
    let line = |word: &str| match word {
        "three" => me.asking(word) + "; exit 3",
        word => me.asking(word) + "; echo out",
    };
    let request = me.asked(&["one", "two", "three", "four", "five"].map(line).join("\n"));
    let bad = ["approve", &request, "--yes", "--json", "--lines", "1,7"];
    me.sgw.operator(bad).fails(2, "usage.arguments");
    me.lets_pass(&request, &["--lines", "1,3-5"]);
    let stands: Vec<_> = me.shown(&request)["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["approved"].clone())
        .collect();
    assert_eq!(stands, [true, false, true, true, true].map(Value::from));
    let ran = me.runs(&request).exits(3).json();
    assert_eq!((&ran["id"], &ran["kind"]), (&json!(request), &json!("plan")));
    assert_eq!((&ran["stopped_at"], &ran["left"]), (&json!(3), &json!([4, 5])));
    let commands = ran["ran"].as_array().unwrap();
    let told: Vec<_> =
        commands.iter().map(|c| (&c["line"], &c["exit_code"], &c["stdout"])).collect();
    let (out, none) = (json!("out\n"), json!(""));
    assert_eq!(told, [(&json!(1), &json!(0), &out), (&json!(3), &json!(3), &none)]);
    assert!(commands.iter().all(|one| one["request"] == request.as_str()));
    assert_eq!(me.ran(), ["one", "three"]);
    // What is left goes on behind the line that failed.
    me.sgw.agent(["plan", "run", &request]).ok().prints("out\nout\n").says("ran 4, 5");
    assert_eq!(me.ran(), ["one", "three", "four", "five"]);
    // Line 2 was not approved: it asks by itself.
    let two = me.asking("two") + "; echo out";
    me.sgw.agent(["exec", &me.session, "--no-ask", "--", &two]).fails(77, "approval.required");
    assert_eq!(me.shown(&request)["lines"][1]["exec"], Value::Null);
}

#[test]
fn the_next_line_passes_as_a_command_too_and_no_other_does() {
    let me = Working::new();
    let (one, two) = (me.asking("one"), me.asking("two"));
    let request = me.asked(&format!("@cwd /srv\n{one}\n{two}\n"));
    me.lets_pass(&request, &[]);
    let exec = |more: &[&str], line: &str| {
        let base = ["exec", &me.session, "--no-ask", "--json"];
        me.sgw.agent(base.iter().chain(more).copied().chain(["--", line]))
    };
    let here = ["--cwd", "/srv"];
    // Out of turn, elsewhere, with other bytes, or with input.
    exec(&here, &two).fails(77, "approval.required");
    exec(&[], &one).fails(77, "approval.required");
    exec(&["--cwd", "/"], &one).fails(77, "approval.required");
    exec(&here, &format!("{one} ")).fails(77, "approval.required");
    exec(&["--cwd", "/srv", "-i"], &one).fails(77, "approval.required");
    let second = me.sgw.session_with(&me.sshd, &["--new"]);
    let elsewhere = ["exec", &second, "--no-ask", "--cwd", "/srv", "--", &one];
    me.sgw.agent(elsewhere).fails(77, "approval.required");
    assert_eq!(me.ran(), [""; 0]);
    let ran = exec(&here, &one).ok().json();
    assert_eq!(ran["request"], request.as_str());
    exec(&here, &one).fails(77, "approval.required");
    me.sgw.agent(["plan", "run", &request]).ok().says("ran 3; nothing is left");
    assert_eq!(me.ran(), ["one", "two"]);
}

#[test]
fn however_many_run_a_plan_each_line_runs_once() {
    let me = Working::new();
    let lines: Vec<String> = (0..6).map(|number| me.asking(&number.to_string())).collect();
    let request = me.asked(&lines.join("\n"));
    me.lets_pass(&request, &[]);
    let runs: Vec<_> = (0..4).map(|_| me.sgw.start(["plan", "run", &request])).collect();
    for run in runs {
        run.ends().ok();
    }
    assert_eq!(me.ran(), ["0", "1", "2", "3", "4", "5"]);
}

#[test]
fn asking_twice_is_asking_once_and_a_denial_answers_the_same_plan() {
    let me = Working::new();
    let text = me.asking("one");
    let request = me.asked(&text);
    assert_eq!(me.asked(&text), request);
    assert_ne!(me.asked(&format!("{text}\nls")), request);
    me.sgw.operator(["deny", &request, "--message", "not today"]).ok();
    me.sgw.agent(["plan", "run", &request]).fails(77, "approval.denied").says("not today");
    me.sgw.agent(["wait", &request]).fails(77, "approval.denied");
    let more = ["--reason", "deploy 1.4.2", "--no-wait"];
    me.plan(&text, &more).fails(77, "approval.denied");
    let other = me.plan(&text, &["--reason", "again", "--no-ask"]);
    other.fails(77, "approval.required");
    assert_eq!(me.ran(), [""; 0]);
}

#[test]
fn a_person_at_a_terminal_sees_every_line_and_says_which() {
    let me = Working::new();
    let (one, two) = (me.asking("one"), me.asking("two"));
    let request = me.asked(&format!("{one}\nuptime\n{two}\n"));
    let mut terminal = me.sgw.looks_at(&request);
    let screen = terminal.wait_for("Which lines pass");
    let all = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["1 asks «rm -f /srv/none-of-sgw-one»", "2 allow uptime", "because fs.rm", "2 of 3"]
    {
        assert!(all.contains(part), "{part}: {screen}");
    }
    terminal.send("1,9\r");
    terminal.wait_for("no command of the plan has the number 9");
    terminal.send("3\r");
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    me.sgw.agent(["plan", "run", &request]).ok().says("ran 3; nothing is left");
    assert_eq!(me.ran(), ["two"]);
}

#[test]
fn what_was_planned_approved_and_run_is_on_record() {
    let me = Working::new();
    let request = me.asked(&format!("{}\nid", me.asking("one")));
    me.lets_pass(&request, &["--lines", "1"]);
    me.runs(&request).ok();
    let records = me.sgw.operator(["audit", "list", "--json"]).ok().json_lines();
    let of = |kind: &str| {
        records.iter().find(|one| one["kind"] == kind && one["request"] == request.as_str())
    };
    let created = of("request.created").unwrap();
    assert_eq!(created["action"]["request"]["lines"][1]["command"], "id");
    let approved = of("plan.approved").unwrap();
    assert_eq!(approved["decision"]["lines"], json!([1]));
    let intent = of("exec.intent").unwrap();
    assert_eq!(intent["action"]["command"], me.asking("one").as_str());
    assert!(approved["seq"].as_u64() < intent["seq"].as_u64());
}

#[test]
fn at_the_desk_without_a_screen_lines_are_named_behind_the_yes() {
    let me = Working::new();
    let request = me.asked(&format!("{}\n{}", me.asking("one"), me.asking("two")));
    let mut desk = me.sgw.terminal(["desk", "--plain"]);
    desk.wait_for("(?i)passphrase");
    desk.send(&format!("{PASSPHRASE}\r"));
    desk.wait_for(&format!("{request} plan by .*2 lines"));
    desk.send(&format!("yes {request} 2\r"));
    desk.wait_for("only this line passes: 2");
    desk.wait_for("Type yes to");
    desk.send("yes\r");
    desk.wait_for("approved");
    desk.send("quit\r");
    desk.ends();
    me.sgw.agent(["plan", "run", &request]).ok().says("ran 2; nothing is left");
    assert_eq!(me.ran(), ["two"]);
}
