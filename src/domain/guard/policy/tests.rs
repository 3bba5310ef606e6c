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
