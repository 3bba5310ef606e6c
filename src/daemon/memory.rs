//! Keeps keys out of swap, where the machine allows it. Best effort: sgw works without, and `sgw doctor`
//! says what it finds.

use rustix::{
    mm::{MlockAllFlags, mlock, mlockall},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Takes as much lockable memory as may be had; where that is without end, all that this process ever
/// touches is locked, and [`lock`] has nothing left to do.
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

/// The pages of a key that lives as long as the daemon does. They stay locked: what else lies there later
/// is out of swap too.
pub fn lock(key: &[u8]) {
    let start = key.as_ptr().cast_mut().cast();
    // SAFETY: mlock(2) changes no byte, and the range is that of a slice which is alive.
    #[allow(unsafe_code, reason = "rustix leaves the range to the caller")]
    let locked = unsafe { mlock(start, key.len()) };
    if let Err(error) = locked {
        tracing::debug!(%error, "a key may be swapped");
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
        lock(&key[512 << 10..][..32]);
        assert!(locked() > before, "{before} KiB before and after");
    }
}
