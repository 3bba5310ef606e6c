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

/// `in 5m`, `2h ago`.
pub fn from_now(at: Timestamp) -> String {
    let seconds = at.as_second() - Timestamp::now().as_second();
    match u64::try_from(seconds) {
        Ok(ahead) => format!("in {}", spoken(ahead)),
        Err(_) => format!("{} ago", spoken(seconds.unsigned_abs())),
    }
}
