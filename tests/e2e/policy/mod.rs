//! The operator's policy: a file is a proposal, what was shown is sealed, and what is sealed holds.

mod attacks;
mod edit;

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::support::{Outcome, Sgw, Sshd};

/// Blocks a program of no other rule.
const BLOCKS: &str = "version = 1\n\n[[rule]]\nid = \"own.deploy\"\ndecision = \"block\"\nprogram = [\"deploy\"]\nreason = \"by hand only\"\n";
const NOTHING: &str = "version = 1\n";

fn file(sgw: &Sgw) -> PathBuf {
    sgw.home().join("policy.toml")
}

fn propose(sgw: &Sgw, text: impl AsRef<[u8]>) {
    fs::write(file(sgw), text).unwrap();
}

#[track_caller]
fn accept(sgw: &Sgw) -> Outcome {
    sgw.operator(["policy", "accept", "--yes", "--json"])
}

/// What is said of a line by what is in force.
#[track_caller]
fn verdict(sgw: &Sgw, line: &str) -> String {
    let said = sgw.agent(["policy", "check", "--json", "--", line]).ok().json();
    said["verdict"].as_str().unwrap().to_owned()
}

fn recorded(sgw: &Sgw) -> Vec<Value> {
    let list = sgw.operator(["audit", "list", "--json"]).ok();
    list.json_lines().into_iter().filter(|record| record["kind"] == "policy.changed").collect()
}

#[test]
fn an_edited_file_changes_nothing_until_it_is_accepted() {
    let sgw = Sgw::unlocked();
    propose(&sgw, BLOCKS);
    assert_eq!(verdict(&sgw, "deploy web"), "allow");
    let told = "policy.toml differs from what is in force: sgw policy accept";
    assert!(sgw.agent(["status"]).ok().stdout().contains(told));
    sgw.lock();
    sgw.operator(["unlock"]).ok().says(told);
    sgw.daemon();
    assert_eq!(verdict(&sgw, "deploy web"), "allow");
    let accepted = accept(&sgw).ok().says("+ id = \"own.deploy\"").json();
    assert_eq!(accepted["status"], "accepted");
    assert_eq!(accepted["changes"][0]["name"], "own.deploy");
    assert_eq!(verdict(&sgw, "deploy web"), "block");
    assert!(!sgw.agent(["status"]).ok().stdout().contains("policy"));
    assert_eq!(accept(&sgw).ok().json()["status"], "same");
    let records = recorded(&sgw);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["action"]["before"], Value::Null);
    assert_eq!(records[0]["action"]["after"], accepted["digest"]);
    assert_eq!(records[0]["action"]["changes"], accepted["changes"]);
    // It holds after the next start, and without the file.
    fs::remove_file(file(&sgw)).unwrap();
    sgw.lock();
    sgw.unlock();
    assert_eq!(verdict(&sgw, "deploy web"), "block");
    sgw.agent(["policy", "show"]).ok().prints(BLOCKS);
    assert!(sgw.agent(["policy", "show", "--builtin"]).ok().stdout().contains("fs.rm-critical"));
}

#[test]
fn what_no_policy_can_say_is_told_with_its_place_and_nothing_is_sealed() {
    let sgw = Sgw::unlocked();
    let rule = |more: &str| {
        format!("version = 1\n[[rule]]\nid = \"own.x\"\ndecision = \"block\"\n{more}\n")
    };
    let allow = |id: &str| {
        format!(
            "version = 1\n[[allow]]\nrule = \"{id}\"\nargv = [\"x\"]\nexpires = \"2030-01-01\"\n"
        )
    };
    let cases: [(Vec<u8>, &str); 10] = [
        (b"version = 1\n[[rule]\n".to_vec(), "line 2, column "),
        (rule("programm = [\"x\"]").into(), "line 5, column 1: unknown field `programm`"),
        (rule("program = [\"x\"]\nread = [\"@no-such-list\"]").into(), "line 6, column 10:"),
        (rule("").into(), "line 3, column 6: rule own.x has no predicate"),
        (
            rule("program = [\"x\"]\nmatch = [\"y\"]").into(),
            "rule own.x does not speak of its example y",
        ),
        (allow("fs.rm-critical").into(), "line 3, column 8: fs.rm-critical blocks"),
        (allow("fs.nowhere").into(), "line 3, column 8: there is no rule fs.nowhere"),
        (b"version = 2\n[novel]\n".to_vec(), "line 1, column 11: version 2 is newer than this sgw"),
        (b"version = 1\n# \xff\n".to_vec(), "line 2, column 3: it is not UTF-8"),
        ("# long\n".repeat(40_000).into(), "larger than"),
    ];
    for (text, told) in cases {
        propose(&sgw, &text);
        let failure = accept(&sgw).fails(2, "policy.invalid").json();
        let message = failure["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(told), "{message}");
    }
    assert!(recorded(&sgw).is_empty());
    assert!(sgw.agent(["policy", "show", "--json"]).ok().json()["own"].is_null());
    fs::remove_file(file(&sgw)).unwrap();
    accept(&sgw).fails(2, "policy.invalid");
}

#[test]
fn only_the_operator_puts_a_policy_into_force_and_only_while_sgw_is_unlocked() {
    let sgw = Sgw::unlocked();
    propose(&sgw, BLOCKS);
    let accept = ["policy", "accept", "--yes"];
    sgw.agent(accept).fails(77, "operator.proof");
    let wrong = sgw.write_private("wrong", "not the passphrase at all");
    let wrong = wrong.to_str().unwrap();
    sgw.agent(["policy", "accept", "--yes", "--i-am-the-operator", "--passphrase-file", wrong])
        .fails(77, "operator.proof");
    // With --json nothing is asked.
    sgw.operator(["policy", "accept", "--json"]).fails(77, "operator.proof");
    sgw.agent(["policy", "replay", "--i-am-the-operator"]).fails(77, "operator.proof");
    sgw.lock();
    sgw.operator(accept).fails(69, "daemon.unreachable");
    let check = sgw.agent(["policy", "check", "--", "deploy"]).ok();
    check.says("this is the policy that sgw comes with");
    sgw.unlock();
    assert_eq!(verdict(&sgw, "deploy"), "allow");
}

#[test]
fn replay_tells_what_would_have_been_said_of_the_commands_of_the_record() {
    let (sgw, sshd) = (Sgw::unlocked(), Sshd::start());
    let session = sgw.session(&sshd);
    for line in ["true", "true", "echo deploy"] {
        sgw.agent(["exec", &session, "--", line]).ok();
    }
    sgw.agent(["exec", &session, "--", "rm -rf /"]).fails(77, "guard.blocked");
    // Judged where it ran: in another directory it would only ask.
    let there = ["exec", &session, "--cwd", "/", "--", "rm -rf etc"];
    sgw.agent(there).fails(77, "guard.blocked");
    let own = sgw.write_private(
        "own.toml",
        "version = 1\n[[rule]]\nid = \"own.true\"\ndecision = \"block\"\nprogram = [\"true\"]\n",
    );
    let own = own.to_str().unwrap();
    let replayed = |more: &[&str]| {
        let words = ["policy", "replay", "--json"].into_iter().chain(more.iter().copied());
        sgw.operator(words).ok().json()
    };
    let now = replayed(&[]);
    assert_eq!(now["commands"], 4);
    assert!(now["newly_allowed"].as_array().unwrap().is_empty(), "{now}");
    assert!(now["newly_blocked"].as_array().unwrap().is_empty());
    assert!(now["newly_asked"].as_array().unwrap().is_empty(), "what was blocked still is: {now}");
    let with_own = replayed(&["--policy", own]);
    assert_eq!(with_own["newly_blocked"][0]["command"], "true");
    assert_eq!(with_own["newly_blocked"][0]["count"], 2);
    assert_eq!(with_own["newly_blocked"][0]["target"], sshd.destination());
    assert_eq!(with_own["newly_blocked"].as_array().unwrap().len(), 1);
    // Whoever accepts it is shown the same.
    let accepted = sgw.operator(["policy", "accept", own, "--yes", "--json"]).ok();
    let accepted = accepted.says("of the commands of the last 7 days, newly blocked: 1").json();
    assert_eq!(accepted["audit"]["newly_blocked"][0]["command"], "true");
    assert_eq!(fs::read_to_string(file(&sgw)).unwrap(), fs::read_to_string(own).unwrap());
    assert_eq!(replayed(&[])["newly_blocked"][0]["command"], "true");
    assert_eq!(replayed(&["--builtin"])["newly_allowed"][0]["command"], "true");
    let later = replayed(&["--since", "1s", "--policy", own]);
    assert!(later["commands"].as_u64().unwrap() <= 4);
}

#[test]
fn a_part_for_a_target_or_a_token_holds_there_alone() {
    let sgw = Sgw::unlocked();
    propose(
        &sgw,
        "version = 1\n[target.\"prod-*\"]\nunmatched = \"approve\"\n[token.new]\nunmatched = \"block\"\n",
    );
    accept(&sgw).ok();
    let said = |more: &[&str]| {
        let words = ["policy", "check", "--json"].into_iter().chain(more.iter().copied());
        let said = sgw.agent(words.chain(["--", "frobnicate"])).ok().json();
        said["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(said(&[]), "allow");
    assert_eq!(said(&["--target", "prod-1"]), "approve");
    assert_eq!(said(&["--target", "prod-1", "--token", "new"]), "block");
    assert_eq!(said(&["--token", "other"]), "allow");
}

#[test]
fn dated_rules_that_are_over_lift_nothing_and_are_told() {
    let sgw = Sgw::unlocked();
    let allow = |day: &str| {
        format!(
            "version = 1\n[[allow]]\nrule = \"fs.rm\"\nargv = [\"rm\", \"-r\", \"/srv/x\"]\nexpires = \"{day}\"\n"
        )
    };
    propose(&sgw, allow("2999-01-01"));
    accept(&sgw).ok();
    assert_eq!(verdict(&sgw, "rm -r /srv/x"), "allow");
    assert_eq!(verdict(&sgw, "rm -r /srv/y"), "approve");
    assert_eq!(verdict(&sgw, "rm -r /srv/x; rm -rf /"), "block");
    propose(&sgw, allow("2001-01-01"));
    accept(&sgw).ok();
    assert_eq!(verdict(&sgw, "rm -r /srv/x"), "approve");
    assert!(sgw.agent(["status"]).ok().stdout().contains("1 [[allow]] rule is over"));
}
