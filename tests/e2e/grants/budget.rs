//! A budget is spent once, whatever happens meanwhile.

use crate::support::eventually;

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

#[test]
fn a_budget_of_bytes_ends_what_goes_beyond_it() {
    let (sgw, _sshd, token) = ready();
    sgw.grant(&["--token", "ci", "--target", "web1", "--max-bytes", "1M"]);
    let endless = sgw.by(&token, ["exec", "web1", "--", "yes"]);
    let printed = endless.bytes().len();
    endless.fails(77, "grant.exhausted");
    assert!(printed < 64 * 1024 * 1024, "{printed} bytes of a budget of 1M");
    eventually("the session is over", || {
        let mine = sgw.by(&token, ["sessions", "--json"]).ok().json();
        mine["sessions"].as_array().is_some_and(Vec::is_empty)
    });
    sgw.by(&token, ["exec", "web1", "--", "true"]).fails(77, "grant.exhausted");
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
