//! Keeps keys in memory: not in swap, where they would outlive the daemon. Best effort: sgw works without,
//! and `sgw doctor` says what it finds.

use rustix::{
    mm::{MlockAllFlags, mlock, mlockall},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use crate::domain::seal::{KEY_BYTES, Key};

/// Takes as much lockable memory as may be had; where that is without end, all that this process ever
/// touches is locked, and [`keep`] has nothing left to do.
pub fn prepare() {
    let limit = getrlimit(Resource::Memlock);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _kept = setrlimit(Resource::Memlock, most);
    // Under a limit every later allocation beyond it would fail.
    if limit.maximum.is_none() {
        let _kept =
            mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    }
}

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
    fn a_locked_key_is_counted_by_the_kernel() {
        let locked = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        if getrlimit(Resource::Memlock).current.is_some_and(|bytes| bytes < 64 << 10) {
            return;
        }
        let before = locked();
        // Pages of its own, so that no other key's test has locked them already.
        let key = vec![7_u8; 1 << 20];
        keep_bytes(key[512 << 10..][..32].try_into().unwrap());
        assert!(locked() > before, "{before} KiB before and after");
    }
}
