//! What a sandboxed program started ends with it. What it left running would still hold the terminal:
//! it could take the foreground and read the next line that is typed there, a passphrase perhaps.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io, thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpgrp, getpid, pidfd_open, pidfd_send_signal,
        set_child_subreaper, test_kill_process_group, waitpid,
    },
    termios::{QueueSelector, tcflush, tcgetpgrp, tcsetpgrp},
};

/// From TERM to KILL.
const GRACE: Duration = Duration::from_millis(1_000);
/// From TERM to giving up: what hangs in the kernel can't be ended.
const LIMIT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// The processes below this one, from a moment on.
pub struct Descendants {
    /// This process's children from before.
    others: BTreeSet<i32>,
    /// The terminal, if this process was in its foreground.
    terminal: Option<File>,
}

/// What was done at the end.
#[derive(Debug)]
pub struct Ended {
    /// So many had to be ended.
    pub signalled: usize,
    /// So many still run.
    pub left: usize,
}

impl Descendants {
    /// From here on, whatever is started below stays below: who loses its parent becomes this process's
    /// child.
    pub fn keep() -> io::Result<Self> {
        let own = getpid();
        set_child_subreaper(Some(own))?;
        let own = own.as_raw_pid();
        let others = processes().into_iter().filter(|one| one.parent == own).map(|one| one.pid);
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok();
        let is_ours = |tty: &File| tcgetpgrp(tty).is_ok_and(|group| group == getpgrp());
        Ok(Self { others: others.collect(), terminal: terminal.filter(is_ours) })
    }

    /// Takes the statuses of those that ended as this process's children; not that of `program`.
    pub fn reap(&self, program: Option<u32>) {
        let program = program.and_then(|pid| i32::try_from(pid).ok());
        let own = getpid().as_raw_pid();
        for one in self.alive_or_not() {
            if one.parent == own && one.is_over && Some(one.pid) != program {
                let pid = Pid::from_raw(one.pid);
                let _status = pid.map(|pid| waitpid(Some(pid), WaitOptions::NOHANG));
            }
        }
    }

    /// Ends all of them, and takes the terminal back. Returns within seconds.
    pub async fn end(self) -> Ended {
        let begun = Instant::now();
        let mut signalled = BTreeSet::new();
        let left = loop {
            self.reap(None);
            let mut alive = self.alive_or_not();
            alive.retain(|one| !one.is_over);
            if alive.is_empty() || begun.elapsed() > LIMIT {
                break alive.len();
            }
            let kill = begun.elapsed() > GRACE;
            for one in alive {
                // TERM once, and KILL until it is gone.
                if signalled.insert(one.pid) || kill {
                    one.signal(if kill { Signal::KILL } else { Signal::TERM });
                }
            }
            tokio::time::sleep(LOOK).await;
        };
        if let Some(terminal) = &self.terminal {
            take_back(terminal, !signalled.is_empty());
        }
        Ended { signalled: signalled.len(), left }
    }

    /// All below this process, but for its children from before and what is below those.
    fn alive_or_not(&self) -> Vec<Process> {
        let mut rest = processes();
        let mut parents = BTreeSet::from([getpid().as_raw_pid()]);
        let mut found = Vec::new();
        loop {
            let is_below =
                |one: &Process| parents.contains(&one.parent) && !self.others.contains(&one.pid);
            let (below, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_below);
            if below.is_empty() {
                return found;
            }
            parents = below.iter().map(|one| one.pid).collect();
            found.extend(below);
            rest = others;
        }
    }
}

struct Process {
    pid: i32,
    parent: i32,
    /// Only its status is still there.
    is_over: bool,
}

impl Process {
    /// From proc_pid_stat(5).
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        // Its name may hold anything.
        let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
        let mut fields = std::str::from_utf8(stat.get(after..)?).ok()?.split_ascii_whitespace();
        let is_over = matches!(fields.next()?, "Z" | "X");
        Some(Self { pid, parent: fields.next()?.parse().ok()?, is_over })
    }

    /// Signals it, and no other that has got its number meanwhile.
    fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        // Orphaned meanwhile: then it is seen again as a child.
        if Self::read(self.pid).is_some_and(|now| now.parent == self.parent) {
            let _gone = pidfd_send_signal(&held, signal);
        }
    }
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::read).collect()
}

/// Makes this process's group the terminal's foreground again, if the group that has it is no more, and
/// drops what was typed meanwhile for one that was ended.
fn take_back(terminal: &File, drop_typed: bool) {
    let taken = || {
        // Who is in the background and neither blocks nor ignores TTOU would be stopped.
        block_ttou()?;
        let holder = tcgetpgrp(terminal);
        let is_gone = |group: Pid| test_kill_process_group(group) == Err(Errno::SRCH);
        if holder == Err(Errno::OPNOTSUPP) || holder.is_ok_and(is_gone) {
            tcsetpgrp(terminal, getpgrp())?;
        }
        if drop_typed && tcgetpgrp(terminal)? == getpgrp() {
            tcflush(terminal, QueueSelector::IFlush)?;
        }
        Ok::<_, io::Error>(())
    };
    // A terminal that hung up can't be taken back, and need not be.
    let _taken = thread::scope(|scope| scope.spawn(taken).join());
}

/// For this thread.
fn block_ttou() -> io::Result<()> {
    // SAFETY: the set is this function's, made by sigemptyset(3) before it is read.
    #[allow(unsafe_code, reason = "a signal can be blocked with no safe call at hand")]
    let failed = unsafe {
        let mut signals = std::mem::zeroed();
        libc::sigemptyset(&mut signals);
        libc::sigaddset(&mut signals, libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut())
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(failed)) }
}
