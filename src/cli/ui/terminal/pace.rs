//! When to draw: at once what comes alone, and what comes in a flood so often as an eye can follow.

use std::time::Duration;

use tokio::time::Instant;

/// The least time between two pictures.
const GAP: Duration = Duration::from_millis(12);

#[derive(Debug, Default)]
pub struct Pace {
    changed: bool,
    last: Option<Instant>,
}

impl Pace {
    /// There is something new to draw.
    pub fn changed(&mut self) {
        self.changed = true;
    }

    pub fn drawn(&mut self) {
        self.changed = false;
        self.last = Some(Instant::now());
    }

    /// When to draw what is new; none where nothing is.
    pub fn next(&self) -> Option<Instant> {
        let at = self.last.map_or_else(Instant::now, |last| last + GAP);
        self.changed.then_some(at)
    }
}
