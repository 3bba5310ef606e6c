//! Which names in a home are sgw's.

use super::{AUDIT, HEADER, LOCK, LOG, OLD_LOG, RUN, STATE};

/// Every file that sgw keeps there by name.
const FILES: [&str; 6] = [HEADER, STATE, AUDIT, LOG, OLD_LOG, LOCK];

/// Whether sgw makes something of this name in its home; a file that is being written, or was when the
/// power went, counts.
pub fn is_ours(name: &str) -> bool {
    let new = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new"));
    FILES.contains(&new.unwrap_or(name)) || name == RUN || name.starts_with("spool-")
}
