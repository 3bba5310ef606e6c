//! Which names in a home are sgw's.

use super::{
    AUDIT, HEADER, LOCK, LOG, NEW_VAULT, OLD_LOG, POLICY, RUN, STATE, VAULT, service::LOCKED,
};

/// Every file that sgw keeps there by name.
const FILES: [&str; 10] =
    [HEADER, STATE, VAULT, NEW_VAULT, AUDIT, POLICY, LOG, OLD_LOG, LOCK, LOCKED];

/// Whether sgw makes something of this name in its home; a file that is being written, or was when the
/// power went, counts.
pub fn is_ours(name: &str) -> bool {
    let new = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new"));
    let name = new.unwrap_or(name);
    // What SQLite keeps beside a database while it writes (sqlite.org/tempfiles.html).
    let beside = ["-journal", "-wal", "-shm"].iter().find_map(|end| name.strip_suffix(end));
    FILES.contains(&beside.unwrap_or(name)) || name == RUN || name.starts_with("spool-")
}
