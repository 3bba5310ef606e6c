//! The figures of sgw, each against plain `ssh` in the same run: see benches/README.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench prints what it measured, and stops when it can't measure"
)]

use std::sync::OnceLock;

mod authority;
mod bridge;
mod bulk;
mod exec;
mod files;
mod flood;
mod ground;
mod guard;
mod many;
mod memory;
mod series;
mod start;
#[allow(dead_code, unused_imports, reason = "the tests use the rest")]
#[path = "../../tests/e2e/support/mod.rs"]
mod support;
mod terminal;

type Figure = (&'static str, fn());

const FIGURES: &[Figure] = &[
    ("start", start::figure),
    ("exec", exec::figure),
    ("far", exec::far),
    ("cat", bulk::figure),
    ("many", many::figure),
    ("memory", memory::figure),
    ("authority", authority::figure),
    ("files", files::figure),
    ("bridge", bridge::figure),
    ("guard", guard::figure),
    ("flood", flood::figure),
    ("terminal", terminal::figure),
];

static ROUNDS: OnceLock<usize> = OnceLock::new();

/// How often something is to be measured that takes long: `usual`, or as often as was said.
fn rounds(usual: usize) -> usize {
    ROUNDS.get().copied().unwrap_or(usual)
}

/// `cargo bench --bench figures -- [--rounds=N] [NAME]…`: those, or all.
fn main() {
    // Cargo adds `--bench`.
    let (flags, asked): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let said = flags.iter().find_map(|flag| flag.strip_prefix("--rounds=")?.parse().ok());
    if let Some(said @ 1..) = said {
        ROUNDS.get_or_init(|| said);
    }
    let unknown = asked.iter().find(|name| !FIGURES.iter().any(|(known, _)| known == name));
    if let Some(name) = unknown {
        let known: Vec<_> = FIGURES.iter().map(|(name, _)| *name).collect();
        eprintln!("no figure {name}; there are: {}", known.join(" "));
        return;
    }
    if cfg!(debug_assertions) {
        eprintln!("a debug build: these figures say nothing");
    }
    for (name, figure) in FIGURES {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            println!("\n## {name}\n");
            figure();
        }
    }
}
