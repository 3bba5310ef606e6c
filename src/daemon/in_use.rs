//! Whether anybody uses sgw, and how long nobody has: what `auto-lock` asks.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// Who uses it now, and when somebody last did.
pub struct InUse(Mutex<Uses>);

struct Uses {
    now: usize,
    last: Duration,
}

/// Somebody uses it as long as this is there.
pub struct Using<'a>(&'a InUse);

impl InUse {
    pub fn new() -> Self {
        Self(Mutex::new(Uses { now: 0, last: since_boot() }))
    }

    /// An operator's proven connection, or an agent's input on its way. An agent that only asks and looks
    /// does not use it: whoever polls would keep it open for ever.
    pub fn begin(&self) -> Using<'_> {
        self.uses().now += 1;
        Using(self)
    }

    /// Something runs, or goes to a server, at this moment.
    pub fn touch(&self) {
        self.uses().last = since_boot();
    }

    /// How long nobody has used it; nothing while somebody does.
    pub fn idle(&self) -> Duration {
        let uses = self.uses();
        match uses.now {
            0 => since_boot().saturating_sub(uses.last),
            _ => Duration::ZERO,
        }
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        let mut uses = self.0.uses();
        uses.now -= 1;
        uses.last = since_boot();
    }
}

/// It goes on while the machine sleeps, unlike CLOCK_MONOTONIC (clock_gettime(2)): who closed the lid has
/// not used sgw.
fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ago(in_use: &InUse, time: Duration) {
        in_use.uses().last = since_boot().checked_sub(time).unwrap();
    }

    #[test]
    fn it_is_idle_when_the_last_one_has_left() {
        let second = Duration::from_secs(1);
        let in_use = InUse::new();
        ago(&in_use, second);
        assert!(in_use.idle() >= second);
        let first = in_use.begin();
        let another = in_use.begin();
        assert_eq!(in_use.idle(), Duration::ZERO);
        drop(first);
        ago(&in_use, second);
        assert_eq!(in_use.idle(), Duration::ZERO);
        drop(another);
        assert!(in_use.uses().last > since_boot() - second);
        ago(&in_use, second);
        in_use.touch();
        assert!(in_use.uses().last > since_boot() - second);
    }
}
