//! The kernel's and the machine's part: what it lets programs of one uid do to each other, and whether
//! there is room, time and memory enough.

use std::{
    fs,
    time::{Duration, UNIX_EPOCH},
};

use super::{Check, Finding, Ground, quoted, shown};

const TRACING: Check = Check {
    id: "machine.ptrace",
    why: "without it any program of yours can trace the shell that you start sgw from, and read what you type",
};
const CORES: Check = Check {
    id: "machine.core",
    why: "a core file of an ssh-agent or a shell holds what it knew; sgw itself never leaves one",
};
const SWAP: Check = Check {
    id: "machine.swap",
    why: "what was in memory may lie on the disk after the machine is off",
};
const CLOCK: Check =
    Check { id: "machine.clock", why: "approvals, grants and the audit go by this clock" };
const LIMITS: Check = Check {
    id: "machine.limits",
    why: "each session takes descriptors, and keys are kept out of swap where memory may be locked",
};
const ROOM: Check = Check {
    id: "machine.room",
    why: "what can't be recorded does not run: a full disk stops the work of agents",
};
const KERNEL: Check = Check {
    id: "machine.kernel",
    why: "`sgw run --sandbox` is as strong as the kernel's Landlock",
};

/// A vault, an audit and the spools of a few sessions.
const ROOM_BYTES: u64 = 256 << 20;
const LEAST_BYTES: u64 = 16 << 20;
/// A daemon, its sockets, and a few sessions with four connections each.
const LEAST_FILES: u64 = 256;
/// A page for each key that is locked.
const LEAST_LOCKED: u64 = 64 << 10;
/// Files from a time that is still to come by more than this were written under another clock.
const SKEW: Duration = Duration::from_secs(120);
/// 2026-01-01: before this program was written.
const WRITTEN: Duration = Duration::from_secs(1_767_225_600);
/// `pidfd_open` with all its kin, `close_range`, `O_TMPFILE` in overlays.
const LEAST_KERNEL: (u32, u32) = (5, 10);

pub fn tracing(ground: &Ground) -> Vec<Finding> {
    match ground.told("sys/kernel/yama/ptrace_scope").as_deref() {
        Some("0") => vec![TRACING.note(
            "any of your programs may trace any other (ptrace_scope is 0)",
            "echo kernel.yama.ptrace_scope=1 | sudo tee /etc/sysctl.d/60-ptrace.conf; sudo sysctl -w kernel.yama.ptrace_scope=1",
        )],
        Some(_) => vec![TRACING.ok("programs may trace only what they started")],
        None => vec![TRACING.note(
            "this kernel has no Yama: any of your programs may trace any other, but not the daemon",
            "sgw run --help    # --sandbox keeps an agent from tracing others",
        )],
    }
}

pub fn cores(ground: &Ground) -> Vec<Finding> {
    match ground.limits.core {
        Some(0) => vec![CORES.ok("programs started here leave no core files")],
        _ => vec![CORES.note("programs started here may leave core files", "ulimit -c 0")],
    }
}

pub fn swap(ground: &Ground) -> Vec<Finding> {
    let swaps = ground.told("swaps").unwrap_or_default();
    let plain: Vec<_> = swaps
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        // Compressed memory, and the device mapper, under which encryption lies.
        .filter(|name| !name.starts_with("/dev/zram") && !name.starts_with("/dev/dm-"))
        .collect();
    match plain.first() {
        None => vec![SWAP.ok("no swap outside of memory, or an encrypted one")],
        Some(first) => vec![SWAP.note(
            format!("{} is swap that may not be encrypted", shown(first.as_ref())),
            format!("sudo swapoff {}", quoted(first.as_ref())),
        )],
    }
}

pub fn clock(ground: &Ground) -> Vec<Finding> {
    const REMEDY: &str = "sudo timedatectl set-ntp true";
    if ground.now < UNIX_EPOCH + WRITTEN {
        return vec![
            CLOCK
                .fail("the clock stands before the time at which this program was written", REMEDY),
        ];
    }
    let entries = ground.sgw.iter().filter_map(|home| fs::read_dir(home).ok()).flatten().flatten();
    let latest = entries.take(256).filter_map(|entry| entry.metadata().ok()?.modified().ok()).max();
    if let Some(ahead) = latest.and_then(|time| time.duration_since(ground.now).ok())
        && ahead > SKEW
    {
        let what = format!("sgw's files are {} s ahead of this clock", ahead.as_secs());
        return vec![CLOCK.warn(what, REMEDY)];
    }
    match ground.synchronised {
        Some(false) => {
            vec![CLOCK.note("the clock was not set by another since the machine started", REMEDY)]
        }
        Some(true) => vec![CLOCK.ok("the clock is kept by others' clocks")],
        None => vec![CLOCK.ok("the clock is not behind sgw's files")],
    }
}

pub fn limits(ground: &Ground) -> Vec<Finding> {
    let limits = ground.limits;
    let mut found = Vec::new();
    if let Some(files) = limits.open_files.filter(|files| *files < LEAST_FILES) {
        found.push(
            LIMITS.warn(
                format!("a program may open {files} files"),
                format!("ulimit -n {LEAST_FILES}"),
            ),
        );
    }
    if let Some(bytes) = limits.locked_memory.filter(|bytes| *bytes < LEAST_LOCKED) {
        let what = format!("a program may lock {} KiB of memory", bytes >> 10);
        found.push(LIMITS.note(what, format!("ulimit -l {}", LEAST_LOCKED >> 10)));
    }
    if let Some(bytes) = limits.file_size {
        let what = format!("a program may write files of {} KiB at most", bytes >> 10);
        found.push(LIMITS.warn(what, "ulimit -f unlimited"));
    }
    LIMITS.all(found, "files and memory enough")
}

pub fn room(ground: &Ground) -> Vec<Finding> {
    let exists = |path: &&std::path::Path| path.exists();
    let Some(place) = ground.sgw.as_deref().and_then(|home| home.ancestors().find(exists)) else {
        return vec![];
    };
    let Ok(disk) = rustix::fs::statvfs(place) else { return vec![] };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    vec![room_of(&shown(place), free, (disk.f_files > 0).then_some(disk.f_favail), &quoted(place))]
}

/// `files`: how many more files there can be, where the file system counts them.
fn room_of(place: &str, free: u64, files: Option<u64>, typed: &str) -> Finding {
    let what = format!("{} MiB are free where {place} lies", free >> 20);
    let remedy = format!("df -h {typed}; df -i {typed}");
    match (free, files) {
        (..LEAST_BYTES, _) => ROOM.fail(what, remedy),
        (_, Some(..16)) => ROOM.fail(format!("no more files fit where {place} lies"), remedy),
        (..ROOM_BYTES, _) => ROOM.warn(what, remedy),
        _ => ROOM.ok(what),
    }
}

pub fn kernel(ground: &Ground) -> Vec<Finding> {
    let release = shown(ground.release.as_ref());
    let mut numbers = ground.release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    const NEWER: &str = "uname -r    # a newer kernel; in /sys/kernel/security/lsm: landlock";
    if version < LEAST_KERNEL {
        return vec![
            KERNEL.warn(format!("Linux {release} is older than sgw was tried with"), NEWER),
        ];
    }
    match ground.landlock {
        0 => vec![KERNEL.note(format!("Linux {release} has no Landlock: no --sandbox"), NEWER)],
        version @ ..6 => vec![KERNEL.note(
            format!("Linux {release} has Landlock {version}: --sandbox does not keep signals in"),
            NEWER,
        )],
        version => vec![KERNEL.ok(format!("Linux {release} with Landlock {version}"))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Status;

    #[test]
    fn little_room_warns_and_none_fails() {
        let status = |free, files| room_of("/x", free, files, "/x").status;
        assert_eq!(status(1 << 30, Some(1000)), Status::Ok);
        assert_eq!(status(1 << 30, None), Status::Ok);
        assert_eq!(status(1 << 30, Some(3)), Status::Fail);
        assert_eq!(status(100 << 20, None), Status::Warn);
        assert_eq!(status(1 << 20, None), Status::Fail);
    }
}
