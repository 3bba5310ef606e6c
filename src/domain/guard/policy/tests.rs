//! The policy that sgw comes with, and what a file may say.

use super::*;

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
fn a_file_is_laid_over_the_built_in_policy_by_id() {
    let own = "version = 1\n[defaults]\nunmatched = \"approve\"\n[[rule]]\nid = \"fs.rm-critical\"\ndecision = \"approve\"\nprogram = [\"rm\"]\n";
    let policy = Policy::built_in().over(own).unwrap();
    assert_eq!(policy.defaults.unmatched, Decision::Approve);
    assert_eq!(policy.rule("fs.rm-critical").unwrap().decision, Decision::Approve);
    assert_eq!(policy.rules().count(), Policy::built_in().rules().count());
}
