//! The counters end a line before the judge's stack does, in a build without optimisation, too.

use super::*;

/// As the judge's thread has it.
const STACK_BYTES: usize = 16 << 20;

fn on_the_judges_stack(line: String) -> Verdict {
    let judged = move || judge(line.as_bytes(), &Context::default(), &Policy::built_in());
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(judged).unwrap().join().unwrap()
}

/// Groups in each other, about as many as may be open, around a line.
fn within(open: &str, line: &str, close: &str, count: usize) -> String {
    format!("{}{line}{}", open.repeat(count), close.repeat(count))
}

#[test]
fn the_deepest_lines_that_are_read_fit_the_stack() {
    for (open, close) in [
        ("{ ", "; }"),
        ("(", ")"),
        ("if true; then ", "; fi"),
        ("while true; do ", "; done"),
        ("case x in x) ", ";; esac"),
        ("f() { ", "; }; f"),
        ("echo $(", ")"),
        ("echo \"${x:-$(", ")}\""),
        ("cat <(", ")"),
    ] {
        // Past the limit, and at every depth below it.
        for count in [1, 5, 10, 15, 20, 23, 24, 25, 28, 29, 30, 31, 40, 58, 59, 60, 61, 70] {
            let verdict = on_the_judges_stack(within(open, "rm -rf /", close, count));
            assert_ne!(verdict.decision, Decision::Allow, "{count} times {open}");
        }
    }
}

#[test]
fn texts_in_texts_with_deep_groups_fit_the_stack() {
    let mut line = String::new();
    for level in 0..40 {
        let next = within("{ ", &format!("eval \"$v{}\"", level + 1), "; }", 20);
        line.push_str(&format!("v{level}='{next}'; "));
    }
    line.push_str("v40='rm -rf /'; eval \"$v0\"");
    assert_ne!(on_the_judges_stack(line).decision, Decision::Allow);
    let mut line = String::new();
    for level in 0..40 {
        let next = within("(", &format!("f{}", level + 1), ")", 20);
        line.push_str(&format!("f{level}() {{ {next}; }}; "));
    }
    line.push_str("f40() { rm -rf /; }; f0");
    assert_ne!(on_the_judges_stack(line).decision, Decision::Allow);
}
