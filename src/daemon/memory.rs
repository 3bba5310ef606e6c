//! Keeps keys in memory: not in swap, where they would outlive the daemon.

use rustix::mm::mlock;

use crate::domain::seal::{KEY_BYTES, Key};

/// The page that holds this key is not swapped out, where the kernel allows it (mlock(2);
/// `RLIMIT_MEMLOCK` leaves room for some). It stays so: pages are shared by keys, and a lock is not
/// counted.
pub fn keep(key: &Key) {
    keep_bytes(key.expose());
}

pub fn keep_bytes(key: &[u8; KEY_BYTES]) {
    // SAFETY: the range is a live borrow, and locking a page changes nothing in it.
    #[allow(unsafe_code, reason = "mlock takes an address")]
    let locked = unsafe { mlock(key.as_ptr().cast_mut().cast(), KEY_BYTES) };
    if let Err(error) = locked {
        tracing::warn!(%error, "a key could be swapped out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_key_is_what_it_was() {
        let locked = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmLck:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        let before = locked();
        let key = Key::new([7; 32]);
        keep(&key);
        assert_eq!(key.expose(), &[7; 32]);
        let allowed = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
        assert!(locked() > before || before > 0 || allowed.is_some_and(|bytes| bytes < 4096));
    }
}
