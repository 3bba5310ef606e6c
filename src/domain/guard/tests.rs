//! Lines and what is said of them.

mod bash;
mod corpus;
mod depth;
mod input;
mod mode;
mod names;
mod properties;

use super::*;

fn verdict(line: &str) -> Verdict {
    judge(line.as_bytes(), &Context::default(), &Policy::built_in())
}

#[track_caller]
fn is(line: &str, expected: Decision) -> Verdict {
    let verdict = verdict(line);
    assert_eq!(verdict.decision, expected, "{line}: {:?}", verdict.rule);
    verdict
}

#[test]
fn a_verdict_says_what_runs_and_where_it_stands() {
    let line = "ls -l; sudo -u bob nice rm -rf /etc/.. # and so on";
    let verdict = is(line, Decision::Block);
    assert_eq!(verdict.rule.as_deref(), Some("fs.rm-critical"));
    assert_eq!(verdict.chain, ["sudo", "nice"]);
    let span = verdict.span.unwrap();
    assert_eq!(&line[span.start..span.end], "sudo -u bob nice rm -rf /etc/..");
    assert!(verdict.resolved.contains(&vec!["rm".into(), "-rf".into(), "/etc/..".into()]));
}

#[test]
fn a_directory_that_is_known_counts() {
    let at = |cwd, line: &str| {
        let context = Context { cwd: Some(cwd), ..Context::default() };
        judge(line.as_bytes(), &context, &Policy::built_in()).decision
    };
    assert_eq!(at("/etc", "cat shadow"), Decision::Block);
    assert_eq!(at("/", "rm -rf *"), Decision::Block);
    assert_eq!(at("/srv", "cat shadow"), Decision::Allow);
    assert_eq!(at("/tmp/x", "rm -rf y"), Decision::Allow);
}

#[test]
fn an_allow_list_asks_for_everything_that_no_rule_allows() {
    let own = "version = 1\n[defaults]\nunmatched = \"approve\"\n[[rule]]\nid = \"own.read\"\ndecision = \"allow\"\nprogram = [\"ls\", \"cat\"]\n";
    let policy = Policy::built_in().over(own).unwrap();
    let say = |line: &str| judge(line.as_bytes(), &Context::default(), &policy).decision;
    assert_eq!(say("ls | cat"), Decision::Allow);
    assert_eq!(say("ls | frobnicate"), Decision::Approve);
    assert_eq!(say("sudo ls"), Decision::Allow);
    assert_eq!(say("cat /etc/shadow"), Decision::Block);
}

#[test]
fn an_allow_lifts_one_approval_and_never_a_block() {
    let own = "version = 1\n[[allow]]\nrule = \"fs.rm\"\ntarget = \"web-*\"\nargv = [\"rm\", \"-rf\", \"/srv/cache/*\"]\nexpires = \"2027-01-31\"\n[[allow]]\nrule = \"fs.rm-critical\"\nargv = [\"rm\", \"-rf\", \"/\"]\nexpires = \"2027-01-31\"\n";
    let policy = Policy::built_in().over(own).unwrap();
    let say = |line: &str, target, today: &str| {
        let context =
            Context { target: Some(target), today: today.parse().ok(), ..Context::default() };
        judge(line.as_bytes(), &context, &policy).decision
    };
    assert_eq!(say("rm -rf /srv/cache/x", "web-1", "2026-12-01"), Decision::Allow);
    assert_eq!(say("rm -rf /srv/cache/x", "web-1", "2027-01-31"), Decision::Approve);
    assert_eq!(say("rm -rf /srv/cache/x", "db-1", "2026-12-01"), Decision::Approve);
    assert_eq!(say("rm -rf /srv/cache/../x", "web-1", "2026-12-01"), Decision::Approve);
    assert_eq!(say("rm -rf /srv/cache/$X", "web-1", "2026-12-01"), Decision::Approve);
    assert_eq!(say("rm -rf /", "web-1", "2026-12-01"), Decision::Block);
    assert_eq!(say("rm -rf /srv/cache/x; reboot", "web-1", "2026-12-01"), Decision::Approve);
}

#[test]
fn an_allow_lifts_nothing_for_a_command_that_something_else_runs() {
    let own = "version = 1\n[[allow]]\nrule = \"fs.rm\"\nargv = [\"rm\", \"-r\", \"*\"]\nexpires = \"2027-01-31\"\n";
    let policy = Policy::built_in().over(own).unwrap();
    let say = |line: &str, interactive| {
        let today = "2026-12-01".parse().ok();
        let context = Context { today, interactive, ..Context::default() };
        judge(line.as_bytes(), &context, &policy)
    };
    for line in [
        "rm -r /srv/old",
        "rm -r old",
        "if true; then rm -r old; fi",
        "uptime && rm -r old",
        "cd /srv && rm -r /srv/old",
        "(cd /srv; rm -r /srv/old)",
    ] {
        let said = say(line, false);
        assert_eq!(said.decision, Decision::Allow, "{line}: {:?}", said.rule);
    }
    for line in [
        "ssh prod rm -r /srv/old",
        "ssh prod 'rm -r /srv/old'",
        "docker exec web rm -r /srv/old",
        "sudo rm -r /srv/old",
        "sudo -u bob rm -r /srv/old",
        "bash -c 'rm -r /srv/old'",
        "echo /srv/old | xargs rm -r",
        "X=y rm -r /srv/old",
        "cd /home && rm -r old",
        "cd /home; unset PWD; rm -r old",
        "pushd /home; rm -r old",
        "f() { rm -r /srv/old; }; f",
        "alias rm='rm -v'; rm -r /srv/old",
    ] {
        assert_eq!(say(line, false).decision, Decision::Approve, "{line}");
    }
    assert_eq!(say("rm -r /srv/old", true).decision, Decision::Approve, "typed");
    // One rule of the document's example is enough for what it lifts.
    let rules =
        |line: &str| verdict(line).findings.into_iter().map(|found| found.rule).collect::<Vec<_>>();
    assert_eq!(rules("systemctl restart myapp"), ["service.change"]);
}

#[test]
fn a_line_that_is_no_text_is_still_looked_through() {
    let say = |line: &[u8]| judge(line, &Context::default(), &Policy::built_in());
    assert_eq!(say(b"ls r\xe9sum\xe9").rule.as_deref(), Some("line.encoding"));
    assert_eq!(say(b"ls \xff; rm -rf /").decision, Decision::Block);
    let said = say(b"cat x\xff; rm -rf y\xff");
    let rules: Vec<&str> = said.findings.iter().map(|found| found.rule.as_str()).collect();
    assert!(!rules.contains(&"line.control") && rules.contains(&"line.encoding"), "{rules:?}");
    assert_eq!(said.resolved[0], ["cat", "x\u{fffd}"]);
    assert!(said.findings.iter().all(|found| !found.argv.concat().contains('\u{1a}')));
    assert!(say(b"cat \x1a \xff").findings.iter().any(|found| found.rule == "line.control"));
    assert_eq!(say("ls \u{fdd0}".as_bytes()).decision, Decision::Approve);
    assert_eq!(say(&vec![b'a'; 70_000]).rule.as_deref(), Some("line.length"));
}

#[test]
fn what_a_broken_line_runs_before_it_breaks_counts() {
    let _ = is("rm -rf /\nls )", Decision::Block);
    let _ = is("ls )", Decision::Approve);
}
