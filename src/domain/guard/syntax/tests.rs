//! What the parser makes of lines, and that it agrees with bash on what is a line at all.

use super::*;

#[test]
fn a_line_is_read() {
    assert!(parse("ls -l", None, false).error.is_none());
}
