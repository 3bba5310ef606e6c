//! What Landlock asks nothing of, and a program could do to others all the same: type into the terminal
//! that it shares with its operator, and lower the limits and priorities of any process of its uid. A
//! filter of system calls (seccomp(2)) answers EPERM to these, for the program and all that it starts.
//!
//! A filter sees the arguments as they are, not whose a process id is: 0, oneself, is let through, every
//! other is not, one's own children included.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, sock_filter,
};

/// Numbers from here on are x86-64's second table of calls (x32), which the rules know nothing of; no
/// other architecture has such.
const X32: u32 = 0x4000_0000;
/// ioprio_set(2)'s IOPRIO_WHO_PROCESS, which libc has no name for.
const WHO_PROCESS: u64 = 1;
const PERMIT: SeccompAction = SeccompAction::Allow;
const REFUSE: SeccompAction = SeccompAction::Errno(libc::EPERM as u32);

/// Made before the thread that it is for: where none can be made, nothing runs.
#[derive(Debug)]
pub struct Filter(BpfProgram);

#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("the filter of system calls can't be made: {0}")]
    Made(#[from] BackendError),
    #[error("the kernel did not take the filter of system calls: {0}")]
    Taken(#[from] seccompiler::Error),
}

impl Filter {
    pub fn new() -> Result<Self, FilterError> {
        // Another architecture's calls (32 bit programs) have other numbers: the filter ends who makes them.
        let architecture = std::env::consts::ARCH.try_into()?;
        let filter = SeccompFilter::new(rules()?, PERMIT, REFUSE, architecture)?;
        let mut program = no_second_table();
        program.extend(BpfProgram::try_from(filter)?);
        Ok(Self(program))
    }

    /// Holds from here on for this thread and all that it starts.
    pub fn hold(&self) -> Result<(), FilterError> {
        Ok(seccompiler::apply_filter(&self.0)?)
    }
}

/// Which calls are refused: one rule of each is enough, and none stands for always.
fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let any = SeccompRule::new;
    let other = |argument| not(argument, 0);
    let mut rules = BTreeMap::from([
        // What is typed so is read by the operator's shell, once the program has ended.
        (
            libc::SYS_ioctl,
            vec![any(vec![is(1, libc::TIOCSTI)?])?, any(vec![is(1, libc::TIOCLINUX)?])?],
        ),
        // One second of RLIMIT_CPU ends a process. Reading another's limits is no harm.
        (libc::SYS_prlimit64, vec![any(vec![other(0)?, given(2)?])?]),
        (
            libc::SYS_setpriority,
            vec![any(vec![not(0, u64::from(libc::PRIO_PROCESS))?])?, any(vec![other(1)?])?],
        ),
        (libc::SYS_ioprio_set, vec![any(vec![not(0, WHO_PROCESS)?])?, any(vec![other(1)?])?]),
    ]);
    for call in [
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setattr,
    ] {
        rules.insert(call, vec![any(vec![other(0)?])?]);
    }
    // The uid's keyring is everyone's of that uid; bpf(2) sees all of the machine.
    for call in [libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key, libc::SYS_bpf] {
        rules.insert(call, Vec::new());
    }
    Ok(rules)
}

// The kernel takes 32 bits of these arguments, whatever stands above: so does the filter.
fn is(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn not(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

/// A pointer that is not null.
fn given(argument: u8) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)
}

/// Refuses every call of the second table, in front of the rules.
fn no_second_table() -> BpfProgram {
    // Load the number; below it, jump over the refusal.
    let load = sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let below = sock_filter { code: 0x35, jt: 0, jf: 1, k: X32 };
    let refuse = sock_filter { code: 0x06, jt: 0, jf: 0, k: REFUSE.into() };
    vec![load, below, refuse]
}
