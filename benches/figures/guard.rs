//! What judging costs: a line of the corpora, lines up to the bound on their bytes, and memory over many.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use sgw::domain::guard::{Context, Policy, corpus, judge};

const ROUNDS: usize = 9;
const MANY: usize = 1_000_000;

pub fn figure() {
    let policy = Policy::built_in();
    let lines = lines();
    println!("over {} lines, the best of {ROUNDS} each:\n", lines.len());
    let mut times: Vec<_> = lines.iter().map(|line| best(line, &policy)).collect();
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!("| median | p90 | p99 | most |\n|---|---|---|---|");
    println!("| {} | {} | {} | {} |\n", us(at(0.5)), us(at(0.9)), us(at(0.99)), us(at(1.0)));
    shapes(&policy);
    many(&lines, &policy);
}

fn lines() -> Vec<String> {
    let texts =
        [include_str!("../../tests/corpus/guard.tsv"), include_str!("../../tests/corpus/own.tsv")];
    let read = texts.into_iter().flat_map(|text| corpus::read(text).unwrap());
    read.map(|line| line.command).collect()
}

fn best(line: &str, policy: &Policy) -> Duration {
    let once = || {
        let start = Instant::now();
        drop(black_box(judge(line.as_bytes(), &Context::default(), policy)));
        start.elapsed()
    };
    (0..ROUNDS).map(|_| once()).min().unwrap()
}

/// Twice as long a line takes twice as long, whatever it is long of.
fn shapes(policy: &Policy) {
    type Shape = (&'static str, fn(usize) -> String);
    let shapes: [Shape; 10] = [
        ("words", |n| format!("echo{}", " a1".repeat(n))),
        ("files to delete", |n| format!("rm{}", " /a".repeat(n))),
        ("commands", |n| "ls;".repeat(n)),
        ("pipes", |n| format!("cat{}", "|cat".repeat(n))),
        ("subshells in each other", |n| format!("{}ls{}", "(".repeat(n), ")".repeat(n))),
        ("assignments", |n| (0..n).map(|at| format!("a{at}=1;")).collect()),
        ("assignments and subshells", |n| (0..n).map(|at| format!("a{at}=1;(ls);")).collect()),
        ("here-documents", |n| "cat <<A\nx\nA\n".repeat(n)),
        ("files written", |n| (0..n).map(|at| format!("ls>f{at};")).collect()),
        ("wrappers", |n| format!("{}ls", "sudo ".repeat(n))),
    ];
    println!("| of so many | 1,000 | 2,000 | 4,000 |\n|---|---|---|---|");
    for (name, line) in shapes {
        let took: Vec<_> = [1000, 2000, 4000].map(|n| us(best(&line(n), policy))).into();
        println!("| {name} | {} |", took.join(" | "));
    }
    println!();
}

fn many(lines: &[String], policy: &Policy) {
    let before = resident();
    let start = Instant::now();
    for line in lines.iter().cycle().take(MANY) {
        drop(black_box(judge(line.as_bytes(), &Context::default(), policy)));
    }
    let took = start.elapsed();
    println!("{MANY} lines took {took:.1?}; memory {before} KiB, then {} KiB", resident());
}

/// KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn us(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
