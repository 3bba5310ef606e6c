//! Times in alternation, A B A B …, so that what else the machine does falls on all alike.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// One way to do the same thing, and how long it took each time.
pub struct Series<'a> {
    pub name: &'static str,
    once: Box<dyn FnMut() -> Duration + 'a>,
    times: Vec<Duration>,
}

impl<'a> Series<'a> {
    pub fn new(name: &'static str, once: impl FnMut() -> Duration + 'a) -> Self {
        Self { name, once: Box::new(once), times: Vec::new() }
    }

    /// A command, from its start to its end; its output goes to /dev/null.
    pub fn of(name: &'static str, mut command: Command) -> Self {
        Self::new(name, move || timed(&mut command))
    }

    /// Once more; `counts` unless it only warms up.
    pub fn round(&mut self, counts: bool) {
        let took = (self.once)();
        if counts {
            self.times.push(took);
        }
    }

    pub fn median(&self) -> Duration {
        self.at(0.5)
    }

    fn at(&self, part: f64) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        let last = times.len() - 1;
        times[(last as f64 * part).round() as usize]
    }
}

/// Fails when the command does.
pub fn timed(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    let took = start.elapsed();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
    took
}

/// Runs all in turn. What comes before the rounds is not counted.
pub fn alternate(rounds: usize, series: &mut [Series<'_>]) {
    in_blocks(rounds, 1, series);
}

/// The same, but each runs `block` times before the next one's turn.
pub fn in_blocks(rounds: usize, block: usize, series: &mut [Series<'_>]) {
    for one in &mut *series {
        (0..3).for_each(|_| one.round(false));
    }
    for _ in 0..rounds.div_ceil(block) {
        for one in &mut *series {
            for _ in 0..block {
                one.round(true);
            }
        }
    }
}

/// Runs all in turn, once before the rounds: for what takes seconds.
pub fn once_before(rounds: usize, series: &mut [Series<'_>]) {
    series.iter_mut().for_each(|one| one.round(false));
    for round in 0..rounds {
        // In turn another begins: what one leaves to be written hits the next.
        for place in 0..series.len() {
            let place = (place + round) % series.len();
            series[place].round(true);
        }
    }
}

/// A table; the last column says what part of each one's median the first one takes.
pub fn print(title: &str, series: &[Series<'_>]) {
    let rounds = series[0].times.len();
    println!("{title} ({rounds} rounds)\n\n| | median | p95 | sgw takes, of this |");
    println!("|---|---|---|---|");
    for (place, one) in series.iter().enumerate() {
        let ratio = series[0].median().as_secs_f64() / one.median().as_secs_f64();
        let ratio = if place == 0 { String::new() } else { format!("{ratio:.3}x") };
        println!("| {} | {} | {} | {ratio} |", one.name, ms(one.median()), ms(one.at(0.95)));
    }
    println!();
}

pub fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
