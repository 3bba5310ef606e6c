//! A connection that was lost, and a login that only a person can repeat.

use super::{Approving, CODE, session_of, with_key};
use crate::support::{OddServer, PATIENCE, Sgw, eventually, eventually_within};

/// A session whose login took a code.
struct Coded {
    sgw: Sgw,
    server: OddServer,
    session: String,
}

impl Coded {
    fn new(more: &[&str]) -> Self {
        let server = OddServer::interviewing(&[&[("Code: ", false, CODE)]], true);
        let sgw = Sgw::unlocked();
        let request = sgw.requests(&server, more);
        let mut person = Approving::start(&sgw, &request, &server, &with_key(&server));
        person.answers("Code:", CODE);
        person.succeeds();
        let session = session_of(&sgw, &request);
        Self { sgw, server, session }
    }

    fn status(&self) -> String {
        let shown = self.sgw.agent(["show", &self.session, "--json"]).ok().json();
        shown["status"].as_str().unwrap().to_owned()
    }

    fn is_lost(&self) {
        self.server.seen().hang_up();
        eventually("the session is lost", || self.status() == "lost");
    }

    /// The operator's yes to a login, and the code.
    fn logs_in(&self, request: &str) -> String {
        let (sgw, server) = (&self.sgw, &self.server);
        let mut person = Approving::start(sgw, request, server, &with_key(server));
        let screen = person.answers("Code:", CODE);
        person.succeeds();
        screen
    }

    /// The one request that waits.
    fn waiting(&self) -> serde_json::Value {
        let queue = self.sgw.agent(["requests", "--json"]).ok().json();
        assert_eq!(queue["requests"].as_array().unwrap().len(), 1, "{queue}");
        queue["requests"][0].clone()
    }

    fn marker(&self) -> (String, impl Fn() -> usize) {
        let file = self.sgw.path("ran");
        let line = format!("echo ran >> {}; echo done", file.display());
        (line, move || std::fs::read_to_string(&file).unwrap_or_default().lines().count())
    }
}

#[test]
fn there_is_one_connection_and_commands_share_it() {
    let me = Coded::new(&[]);
    let calls: Vec<_> = (0..5)
        .map(|n| {
            me.sgw.start(["exec", &me.session, "--", "sh", "-c", &format!("sleep 1; echo {n}")])
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        call.ends().ok().prints(&format!("{n}\n"));
    }
    assert_eq!(me.server.seen().connections(), 1);
}

#[test]
fn on_the_one_connection_a_reader_that_is_too_slow_is_told_and_holds_nobody_up() {
    let me = Coded::new(&[]);
    let flood = me.sgw.start(["exec", &me.session, "--", "head -c 200000000 /dev/zero"]);
    eventually("it floods", || !flood.stdout().is_empty());
    flood.signal(rustix::process::Signal::STOP);
    me.sgw.agent(["exec", &me.session, "--", "echo", "beside"]).ok().prints("beside\n");
    // 64 MiB wait for it first: for an unoptimised server, client and daemon that takes a while.
    eventually_within(4 * PATIENCE, "it was ended", || {
        let shown = me.sgw.agent(["show", &me.session, "--json"]).ok().json();
        shown["running"].as_array().unwrap().is_empty()
    });
    let audit = me.sgw.operator(["audit", "list", "--json"]).ok();
    let ended = |record: &serde_json::Value| record["outcome"] == "limit.spool";
    assert!(audit.json_lines().iter().any(ended), "{audit:?}");
    flood.signal(rustix::process::Signal::KILL);
    assert_eq!(me.server.seen().connections(), 1);
}

#[test]
fn a_command_waits_for_the_login_and_then_runs_once() {
    let me = Coded::new(&[]);
    let (line, times) = me.marker();
    me.is_lost();
    let before = me.server.seen().connections();
    let mut call = me.sgw.start(["exec", &me.session, "--", &line]);
    call.says("waits for the operator to log in again");
    let request = me.waiting();
    assert_eq!((&request["kind"], &request["session"]), (&"login".into(), &me.session[..].into()));
    assert_eq!(request["hop"], me.server.destination());
    let id = request["id"].as_str().unwrap();
    assert_eq!(me.server.seen().connections(), before, "no silent second login");
    let screen = me.logs_in(id);
    assert!(screen.contains(&me.server.seen().fingerprint()), "the pinned key is shown: {screen}");
    assert!(screen.contains("connection was lost"), "{screen}");
    call.ends().ok().prints("done\n");
    assert_eq!((times(), me.status().as_str()), (1, "active"));
    me.sgw.agent(["wait", id]).ok().prints(&format!("{}\n", me.session));
    let audit = me.sgw.operator(["audit", "list", "--json"]).ok().stdout();
    for kind in ["login.approved", "session.resumed"] {
        assert!(audit.contains(kind), "no {kind} in\n{audit}");
    }
    me.sgw.operator(["audit", "verify"]).ok();
}

#[test]
fn what_is_blocked_is_refused_before_anybody_is_asked_to_log_in() {
    let me = Coded::new(&[]);
    let text = me.sgw.write_private("a.plan", "echo ran\n");
    let plan = [
        "plan",
        &me.session,
        "--reason",
        "r",
        "--no-wait",
        "--json",
        "--file",
        text.to_str().unwrap(),
    ];
    let plan = me.sgw.agent(plan).fails(75, "approval.pending").waits_on();
    me.sgw.operator(["approve", &plan, "--yes", "--json"]).ok();
    me.is_lost();
    me.sgw.agent(["exec", &me.session, "--", "rm -rf /"]).fails(77, "guard.blocked");
    let queue = me.sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(queue["requests"], serde_json::json!([]));
    // A line of a plan waits for the login, and passes yet.
    let run = ["plan", "run", &plan, "--no-wait", "--json"];
    let login = me.sgw.agent(run).fails(75, "request.pending").waits_on();
    assert_eq!(me.waiting()["kind"], "login");
    me.logs_in(&login);
    me.sgw.agent(["plan", "run", &plan]).ok().prints("ran\n");
}

#[test]
fn a_call_that_does_not_wait_hears_what_to_wait_for_and_that_nothing_was_sent() {
    let me = Coded::new(&[]);
    let (line, times) = me.marker();
    me.is_lost();
    let exec = ["exec", &me.session, "--no-wait", "--json", "--", &line];
    let outcome = me.sgw.agent(exec).fails(75, "request.pending");
    let error = outcome.json()["error"].clone();
    assert_eq!(error["sent"], false, "{error}");
    let id = error["id"].as_str().unwrap().to_owned();
    // Asking again is asking once.
    let again = me.sgw.agent(exec).fails(75, "request.pending");
    assert_eq!(again.waits_on(), id);
    me.sgw.agent(["exec", &me.session, "--no-ask", "--", &line]).fails(77, "approval.required");
    me.logs_in(&id);
    me.sgw.agent(["wait", &id]).ok().prints(&format!("{}\n", me.session));
    assert_eq!(times(), 0, "it was not sent");
    me.sgw.agent(["exec", &me.session, "--", &line]).ok();
    assert_eq!(times(), 1);
}

#[test]
fn a_no_to_the_login_is_a_no_to_the_command() {
    let me = Coded::new(&[]);
    me.is_lost();
    let mut call = me.sgw.start(["exec", &me.session, "--", "true"]);
    call.says("waits for the operator");
    let id = me.waiting()["id"].as_str().unwrap().to_owned();
    me.sgw.agent(["deny", &id]).ok();
    call.ends().fails(77, "request.denied");
    me.sgw.agent(["exec", &me.session, "--", "true"]).fails(77, "request.denied");
}

#[test]
fn a_login_that_failed_leaves_the_request_open() {
    let me = Coded::new(&[]);
    me.is_lost();
    let exec = ["exec", &me.session, "--no-wait", "--json", "--", "true"];
    let id = me.sgw.agent(exec).fails(75, "request.pending").waits_on();
    me.sgw.try_approve(&id, &me.server).fails(77, "login.interactive");
    assert_eq!(me.waiting()["id"], id.as_str());
    me.logs_in(&id);
    me.sgw.agent(["exec", &me.session, "--", "true"]).ok();
}

#[test]
fn a_command_that_was_approved_waits_for_the_login_too() {
    let me = Coded::new(&["--mode", "each"]);
    let (line, times) = me.marker();
    let mut call = me.sgw.start(["exec", &me.session, "--", &line]);
    call.says("waits for the operator");
    let command = me.waiting()["id"].as_str().unwrap().to_owned();
    me.is_lost();
    me.sgw.operator(["approve", &command, "--yes", "--json"]).ok();
    call.says("log in again");
    let login = me.waiting()["id"].as_str().unwrap().to_owned();
    assert_ne!(login, command);
    me.logs_in(&login);
    call.ends().ok().prints("done\n");
    assert_eq!(times(), 1);
}

#[test]
fn the_login_ends_with_its_session() {
    let me = Coded::new(&[]);
    me.is_lost();
    let mut call = me.sgw.start(["exec", &me.session, "--", "true"]);
    call.says("waits for the operator");
    me.sgw.agent(["close", &me.session]).ok();
    assert_ne!(call.ends().code(), 0);
    let queue = me.sgw.agent(["requests", "--json"]).ok().json();
    assert_eq!(queue["requests"].as_array().unwrap().len(), 0, "{queue}");
}
