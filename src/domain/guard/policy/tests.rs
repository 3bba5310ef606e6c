//! The policy that sgw comes with, and what a file may say.

use super::*;
use crate::domain::guard::judge;

#[test]
fn the_built_in_policy_loads_and_its_examples_hold() {
    let policy = Policy::default().over(BUILT_IN).unwrap();
    let wrong = check(&policy);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_place() {
    let error = |text: &str| Policy::default().over(text).unwrap_err().to_string();
    assert!(error("version = 2").starts_with("line 1, column 11:"));
    let unknown =
        "version = 1\n[[rule]]\nid = \"x.y\"\ndecision = \"block\"\nprogramm = [\"rm\"]\n";
    assert!(
        error(unknown).starts_with("line 5, column 1: unknown field `programm`"),
        "{}",
        error(unknown)
    );
    let nothing = "version = 1\n[[rule]]\nid = \"x.y\"\ndecision = \"block\"\n";
    assert!(error(nothing).contains("no predicate"));
    let paths =
        "version = 1\n[[rule]]\nid = \"x.y\"\ndecision = \"block\"\nread = [\"@nowhere\"]\n";
    assert!(error(paths).starts_with("line 5, column 10:"), "{}", error(paths));
    assert!(error("version = 1\n[[rule]\n").starts_with("line 2,"));
}

#[test]
fn a_list_that_is_replaced_counts_in_every_rule() {
    let own = "version = 1\n[paths]\ncritical = [\"/srv/gold/**\"]\n";
    let policy = Policy::built_in().over(own).unwrap();
    let said = |line: &str| judge(line.as_bytes(), &Context::default(), &policy).rule;
    assert_eq!(said("rm -rf /srv/gold/x").as_deref(), Some("fs.rm-critical"));
    assert_ne!(said("rm -rf /boot/grub").as_deref(), Some("fs.rm-critical"));
}

#[test]
fn a_rule_that_is_there_can_be_given_another_verdict_alone() {
    let verdict = |id: &str, more: &str| {
        let text = format!("version = 1\n[[rule]]\nid = \"{id}\"\ndecision = \"block\"\n{more}");
        Policy::built_in().over(&text).map_err(|error| error.to_string())
    };
    let policy = verdict("fs.rm", "").unwrap();
    let context = Context::default();
    let said = judge(b"rm -rf /srv/old", &context, &policy);
    assert_eq!((said.decision, said.rule.as_deref()), (Decision::Block, Some("fs.rm")));
    assert_eq!(judge(b"ls", &context, &policy).decision, Decision::Allow);
    assert!(
        verdict("fs.rm", "reason = \"never\"").unwrap().rule("fs.rm").unwrap().reason == "never"
    );
    let unknown = verdict("fs.rmm", "").unwrap_err();
    assert!(unknown.starts_with("line 3, column 6: rule fs.rmm has no predicate"), "{unknown}");
    assert!(unknown.contains("did you mean fs.rm"), "{unknown}");
    assert!(verdict("fs.rm", "target = [\"web\"]").unwrap_err().contains("no predicate"));
}

#[test]
fn of_what_is_said_of_target_and_token_the_strictest_holds() {
    let own = "version = 1\n[defaults]\nopaque = \"approve\"\n\
        [target.\"prod-*\"]\nunmatched = \"approve\"\nopaque = \"block\"\n[target.\"lab-*\"]\nopaque = \"allow\"\n\
        [token.ansible]\nopaque = \"allow\"\n[token.new]\nunmatched = \"block\"\n";
    let policy = Policy::built_in().over(own).unwrap();
    let said = |target: &'static str, token: Option<&'static str>| {
        let context = Context { target: Some(target), token, ..Context::default() };
        let defaults = policy.defaults_for(&context);
        (defaults.unmatched, defaults.opaque)
    };
    use Decision::{Allow, Approve, Block};
    assert_eq!(said("web", None), (Allow, Approve));
    assert_eq!(said("web", Some("ansible")), (Allow, Allow));
    assert_eq!(said("prod-1", Some("ansible")), (Approve, Block));
    assert_eq!(said("prod-1", Some("new")), (Block, Block));
    assert_eq!(said("lab-1", Some("other")), (Allow, Allow));
}

#[test]
fn a_dated_rule_lifts_what_no_rule_speaks_of_but_not_in_read_mode() {
    let own = "version = 1\n[defaults]\nunmatched = \"approve\"\n\
        [[allow]]\nrule = \"unmatched\"\nargv = [\"deploy\", \"web\"]\nexpires = \"2027-01-31\"\n\
        [[allow]]\nrule = \"fs.rm\"\nargv = [\"rm\", \"-r\", \"/srv/x\"]\nexpires = \"2027-01-31\"\n";
    let policy = Policy::built_in().over_anew(own).unwrap();
    let said = |line: &str, mode| {
        let today = Some(jiff::civil::date(2027, 1, 30));
        judge(line.as_bytes(), &Context { today, mode, ..Context::default() }, &policy).decision
    };
    assert_eq!(said("deploy web", Mode::Guarded), Decision::Allow);
    assert_eq!(said("deploy db", Mode::Guarded), Decision::Approve);
    assert_eq!(said("rm -r /srv/x", Mode::Guarded), Decision::Allow);
    for line in ["deploy web", "rm -r /srv/x"] {
        assert_eq!(said(line, Mode::Read), Decision::Approve, "{line}");
    }
}

#[test]
fn what_sgw_puts_before_a_command_asks_nothing_on_an_allow_list() {
    let own = "version = 1\n[defaults]\nunmatched = \"approve\"\n[[rule]]\nid = \"own.cat\"\n\
        decision = \"allow\"\nprogram = [\"cat\"]\nread = [\"/srv/**\"]\n";
    let policy = Policy::built_in().over_anew(own).unwrap();
    let said = |line: &str| judge(line.as_bytes(), &Context::default(), &policy).rule;
    let passes = None;
    assert_eq!(said("export A='b' C='d'; cd -- '/srv' || exit 1; cat x"), passes);
    assert_eq!(said("cd -- '/etc' || exit 1; cat x").as_deref(), Some("unmatched"));
    assert_eq!(said("cd -- '/srv' || exit 1; deploy").as_deref(), Some("unmatched"));
    assert_eq!(said("cd -- /srv || exit 1; ./cat x").as_deref(), Some("unmatched"));
    let runs = "export PAGER='/srv/x'; cd -- /srv || exit 1; cat x";
    assert_eq!(said(runs).as_deref(), Some("env.runs"));
    let function = "export() { deploy; }; export A=b; cat /srv/x";
    assert_eq!(said(function).as_deref(), Some("unmatched"));
}

#[test]
fn an_allow_that_lifts_nothing_is_not_accepted() {
    let accepted = |rule: &str| {
        let allow = format!(
            "rule = \"{rule}\"\nargv = [\"rm\", \"-r\", \"/srv/x\"]\nexpires = \"2030-01-01\""
        );
        let text = format!("version = 1\n[[allow]]\n{allow}\n");
        assert!(Policy::built_in().over(&text).is_ok(), "what is sealed stays readable");
        Policy::built_in().over_anew(&text).map_err(|error| error.to_string())
    };
    assert_eq!(accepted("fs.rm").unwrap().allows().len(), 1);
    let block = accepted("fs.rm-critical").unwrap_err();
    assert_eq!(block, "line 3, column 8: fs.rm-critical blocks, and no [[allow]] lifts a block");
    let unknown = accepted("fs.rmm").unwrap_err();
    assert!(
        unknown.starts_with("line 3, column 8: there is no rule fs.rmm; did you mean fs.rm"),
        "{unknown}"
    );
}

#[test]
fn a_file_is_laid_over_the_built_in_policy_by_id() {
    let own = "version = 1\n[defaults]\nunmatched = \"approve\"\n[[rule]]\nid = \"fs.rm-critical\"\ndecision = \"approve\"\nprogram = [\"rm\"]\n";
    let policy = Policy::built_in().over(own).unwrap();
    assert_eq!(policy.defaults.unmatched, Decision::Approve);
    assert_eq!(policy.rule("fs.rm-critical").unwrap().decision, Decision::Approve);
    assert_eq!(policy.rules().count(), Policy::built_in().rules().count());
}
