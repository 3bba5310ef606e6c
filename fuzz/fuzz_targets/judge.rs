//! Any bytes are judged without a panic, and in time; what stands beside a line never weakens its verdict.
#![no_main]
#![allow(dead_code, reason = "only the guard's judge is called here")]

use libfuzzer_sys::fuzz_target;

mod domain;

use domain::guard::{Context, Mode, Policy, judge};

fuzz_target!(|bytes: &[u8]| {
    let policy = Policy::built_in();
    let context = Context::default();
    let verdict = judge(bytes, &context, &policy);
    let reading = Context { mode: Mode::Read, ..context };
    assert!(judge(bytes, &reading, &policy).decision >= verdict.decision, "reading is no laxer");
    let mut after = b"true\n".to_vec();
    after.extend_from_slice(bytes);
    if after.len() <= policy.defaults.max_bytes {
        let whole = judge(&after, &context, &policy).decision;
        assert!(whole >= verdict.decision, "a benign line before it weakens nothing");
    }
});
