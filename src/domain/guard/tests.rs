//! Lines and what is said of them.

use super::*;

fn verdict(line: &str) -> Verdict {
    judge(line.as_bytes(), &Context::default(), &Policy::built_in())
}

#[test]
fn the_first_lines_are_judged() {
    assert_eq!(verdict("rm -rf /").decision, Decision::Block);
    assert_eq!(verdict("ls -l").decision, Decision::Allow);
}
