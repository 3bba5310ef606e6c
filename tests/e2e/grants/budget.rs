//! A budget is spent once, whatever happens meanwhile.

use std::fs::File;

use crate::support::{Outcome, Sgw, eventually};

use super::ready;

#[test]
fn a_budget_of_commands_ends_them_exactly_also_over_restarts() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--max-commands", "3"]);
    sgw.by(&token, ["exec", "web1", "--", "echo", "1"]).ok();
    sgw.kill_daemon();
    sgw.unlock();
    sgw.by(&token, ["exec", "web1", "--", "echo", "2"]).ok();
    sgw.lock();
    sgw.unlock();
    sgw.by(&token, ["exec", "web1", "--", "echo", "3"]).ok();
    let over = sgw.by(&token, ["exec", "web1", "--", "echo", "4"]);
    over.fails(77, "grant.exhausted").prints("").says("sgw request");
    sgw.kill_daemon();
    sgw.unlock();
    sgw.by(&token, ["exec", "web1", "--", "echo", "5"]).fails(77, "grant.exhausted");
    let listed = sgw.operator(["grant", "list", "--json"]).ok().json();
    assert_eq!(listed["grants"][0]["used_commands"], 3, "{listed}");
}

#[test]
fn what_failed_to_start_is_not_counted() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--max-commands", "1"]);
    let too_long = "x".repeat(130_000);
    sgw.by(&token, ["exec", "web1", "--", &too_long]).fails(125, "limit.command");
    sgw.by(&token, ["exec", "web1", "--", "echo", "one"]).ok().prints("one\n");
    sgw.by(&token, ["exec", "web1", "--", "echo", "two"]).fails(77, "grant.exhausted");
}

/// How many bytes of its only grant were used, and how many there are.
#[track_caller]
fn bytes_used(sgw: &Sgw) -> (u64, u64) {
    let listed = sgw.operator(["grant", "list", "--json"]).ok().json();
    let count = |field: &str| listed["grants"][0][field].as_u64().unwrap();
    (count("used_bytes"), count("max_bytes"))
}

#[test]
fn a_budget_of_bytes_ends_what_goes_beyond_it() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--max-bytes", "1M"]);
    let endless = sgw.by(&token, ["exec", "web1", "--", "yes"]);
    let printed = endless.bytes().len() as u64;
    endless.fails(77, "grant.exhausted");
    let (used, most) = bytes_used(&sgw);
    assert!(0 < printed && printed <= most, "{printed} bytes of a budget of {most}");
    assert_eq!(used, most);
    eventually("the session is over", || {
        let mine = sgw.by(&token, ["sessions", "--json"]).ok().json();
        mine["sessions"].as_array().is_some_and(Vec::is_empty)
    });
    sgw.by(&token, ["exec", "web1", "--", "true"]).fails(77, "grant.exhausted");
}

#[test]
fn a_budget_of_bytes_is_not_passed_by_many_at_once() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--max-bytes", "100k"]);
    let line = "head -c 200000000 /dev/zero";
    let calls: Vec<_> =
        (0..20).map(|_| sgw.start_by(&token, ["exec", "web1", "--", line])).collect();
    let outcomes: Vec<_> = calls.into_iter().map(|call| call.ends()).collect();
    let printed: u64 = outcomes.iter().map(|one| one.bytes().len() as u64).sum();
    let (_, most) = bytes_used(&sgw);
    assert!(0 < printed && printed <= most, "{printed} bytes of a budget of {most}");
    let exhausted = |one: &Outcome| one.error_code().as_deref() == Some("grant.exhausted");
    assert!(outcomes.iter().all(exhausted), "{outcomes:?}");
}

#[test]
fn a_small_output_is_cut_at_the_budget_and_that_is_told() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--max-bytes", "6144"]);
    sgw.by(&token, ["exec", "web1", "--", "head -c 5120 /dev/zero"]).ok();
    let cut = sgw.by(&token, ["exec", "web1", "--", "head -c 5000 /dev/zero"]);
    assert_eq!(cut.bytes().len(), 1024, "{cut:?}");
    cut.fails(77, "grant.exhausted");
}

#[test]
fn no_more_input_reaches_a_target_than_the_budget_has() {
    let (sgw, sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--max-bytes", "100k"]);
    let (input, there) =
        (sgw.write_private("input", vec![b'a'; 3_000_000]), sshd.directory().join("fed"));
    let line = format!("cat > {}", there.display());
    let mut call = sgw.command(["exec", "web1", "-i", "--", &line]);
    call.env("SGW_TOKEN", &token.text).stdin(File::open(&input).unwrap());
    let output = call.output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    let (_, most) = bytes_used(&sgw);
    let arrived = std::fs::metadata(&there).unwrap().len();
    assert!(arrived <= most, "{arrived} bytes of a budget of {most}");
}

#[test]
fn what_is_typed_and_shown_is_within_the_budget() {
    let (sgw, sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--max-bytes", "20k"]);
    let there = sshd.directory().join("typed");
    let line = format!("touch {}; : {}", there.display(), "x".repeat(30_000));
    sgw.by(&token, ["input", "web1", &line]).fails(77, "grant.exhausted");
    assert!(!there.exists());
    let more = ["--wait-for", "^never$", "--timeout", "60s", "--json"];
    let shown = sgw.by(&token, ["input", "web1", "yes"].into_iter().chain(more));
    let (used, most) = bytes_used(&sgw);
    assert_eq!(used, most, "{shown:?}");
    assert!((shown.bytes().len() as u64) < 2 * most, "{shown:?}");
}

#[test]
fn a_budget_is_one_for_all_sessions_under_it() {
    let (sgw, sshd, token) = ready();
    sgw.target("web2", &sshd);
    sgw.grant(&["--token", "ci", "--target", "web*", "--max-commands", "5"]);
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let target = if number % 2 == 0 { "web1" } else { "web2" };
            sgw.start_by(&token, ["exec", target, "--", "echo", "ran"])
        })
        .collect();
    let outcomes: Vec<_> = calls.into_iter().map(|call| call.ends()).collect();
    let ran = outcomes.iter().filter(|one| one.stdout() == "ran\n").count();
    assert_eq!(ran, 5, "{outcomes:?}");
    assert_eq!(sgw.recorded("exec.intent").len(), 5);
    let refused = outcomes.iter().filter(|one| one.stdout().is_empty());
    assert!(refused.clone().all(|one| one.error_code().as_deref() == Some("grant.exhausted")));
}

#[test]
fn what_a_budget_ended_is_named_and_can_be_read_again() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--max-bytes", "4k"]);
    let ended = sgw.by(&token, ["exec", "web1", "--", "yes"]);
    let stderr = ended.stderr();
    let told = "was ended: the standing grant's budget is used up";
    assert!(stderr.contains("error[grant.exhausted]: x-") && stderr.contains(told), "{stderr}");
    let (_, rest) = stderr.split_once("sgw output ").unwrap();
    let exec = rest.split(';').next().unwrap();
    let again = sgw.by(&token, ["output", exec]).ok();
    assert!(again.stdout().starts_with("y\ny\n"), "{again:?}");
    let shown = sgw.by(&token, ["show", exec, "--json"]).ok().json();
    assert_eq!(shown["id"], exec, "{shown}");
}

#[test]
fn a_session_shows_what_is_left_under_its_grant() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--max-commands", "3", "--max-bytes", "1k"]);
    let words = ["request", "web1", "--max-commands", "50", "--reason", "a test", "--json"];
    let session = sgw.by(&token, words).ok().json();
    assert_eq!(session["granted"]["max_commands"], 3, "{session}");
    sgw.by(&token, ["exec", "web1", "--", "printf 12345"]).ok();
    let session = sgw.by(&token, ["show", session["id"].as_str().unwrap(), "--json"]).ok().json();
    assert_eq!(session["granted"]["max_commands"], 3, "{session}");
    assert_eq!((&session["left_commands"], &session["left_bytes"]), (&2.into(), &1019.into()));
    let me = sgw.by(&token, ["whoami", "--json"]).ok().json();
    let reach = &me["targets"][0];
    assert_eq!((&reach["left_commands"], &reach["left_bytes"]), (&2.into(), &1019.into()), "{me}");
}

#[test]
fn a_session_without_budget_is_in_no_other_grant_s_way() {
    let (sgw, _sshd, token) = ready();
    for _ in 0..3 {
        sgw.grant(&["--token", "ci", "--target", "web1", "--max-commands", "1"]);
    }
    for _ in 0..3 {
        sgw.by(&token, ["exec", "web1", "--", "echo", "hi"]).ok().prints("hi\n");
    }
    sgw.by(&token, ["exec", "web1", "--", "echo", "hi"]).fails(77, "grant.exhausted");
}
