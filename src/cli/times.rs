//! Moments as people read them: local time, and how long from now.

use jiff::{Timestamp, tz::TimeZone};

use super::values::spoken;

/// `14:05` today, else `2026-01-02 14:05`, in this machine's time zone.
pub fn local(at: Timestamp) -> String {
    let zone = TimeZone::system();
    let (at, now) = (at.to_zoned(zone.clone()), Timestamp::now().to_zoned(zone));
    let format = if at.date() == now.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    at.strftime(format).to_string()
}

/// `in 5m`, `now`, `2h ago`.
pub fn from_now(at: Timestamp) -> String {
    between(at, Timestamp::now())
}

/// The same, as seen from another moment.
pub fn between(at: Timestamp, now: Timestamp) -> String {
    match at.as_second() - now.as_second() {
        0 => "now".to_owned(),
        seconds @ 1.. => format!("in {}", spoken(seconds.unsigned_abs())),
        seconds => format!("{} ago", spoken(seconds.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_just_now_is_not_to_come() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let at = |seconds: i64| Timestamp::from_second(1_700_000_000 + seconds).unwrap();
        for (seconds, text) in [(0, "now"), (1, "in 1s"), (-1, "1s ago"), (3600, "in 1h")] {
            assert_eq!(between(at(seconds), now), text);
        }
    }
}
