//! How a terminal was before it was taken, kept where a panic finds it too. Nothing can put it back
//! after `kill -9`: the help says what does (`reset`).

use std::{
    cell::Cell,
    io,
    os::fd::OwnedFd,
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::getpgrp,
    termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetpgrp, tcsetattr},
};

/// A screen of its own, cleared; nothing wraps at its right edge.
const TAKE: &[u8] = b"\x1b[?1049h\x1b[?7l\x1b[m\x1b[2J\x1b[H";
/// Everything that a picture or its program may have set, as a terminal is by itself.
const GIVE_BACK: &[u8] = b"\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\
    \x1b[?2004l\x1b[?1l\x1b>\x1b[0 q\x1b[m\x1b[2J\x1b[?7h\x1b[?25h\x1b[?1049l";
/// How long a terminal that takes nothing (Ctrl-S) is waited for.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

/// The terminals that this process has taken.
static TAKEN: Mutex<Vec<Before>> = Mutex::new(Vec::new());

struct Before {
    number: u64,
    tty: OwnedFd,
    modes: Termios,
    /// Who took it, and ends with a panic.
    by: ThreadId,
    /// Given back for the time of a stop.
    away: bool,
}

/// Gives the terminal back when it is dropped.
pub struct Held(u64);

impl Held {
    pub fn take(tty: OwnedFd) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let modes = tcgetattr(&tty)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        before_a_panic_is_told();
        let by = thread::current().id();
        let mut before = Before { number, tty, modes, by, away: true };
        before.take()?;
        taken().push(before);
        Ok(Self(number))
    }

    pub fn give_back(&self) {
        self.with(Before::give_back);
    }

    /// False: it is another's now (a shell's that put this process into the background).
    pub fn take_again(&self) -> bool {
        let mut mine = true;
        self.with(|before| {
            mine = before.is_mine();
            if mine {
                // A terminal that is gone shows when it is read.
                let _ = before.take();
            }
        });
        mine
    }

    fn with(&self, act: impl FnOnce(&mut Before)) {
        if let Some(before) = taken().iter_mut().find(|before| before.number == self.0) {
            act(before);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back();
        taken().retain(|before| before.number != self.0);
    }
}

impl Before {
    /// Whoever changes a terminal from the background is stopped (tcsetattr(3), SIGTTOU).
    fn is_mine(&self) -> bool {
        tcgetpgrp(&self.tty).map_or(true, |foreground| foreground == getpgrp())
    }

    fn take(&mut self) -> io::Result<()> {
        let mut raw = self.modes.clone();
        raw.make_raw();
        // What was typed before is not for what is shown from now on.
        let _ = tcflush(&self.tty, QueueSelector::IFlush);
        rustix::io::retry_on_intr(|| tcsetattr(&self.tty, OptionalActions::Now, &raw))?;
        self.write(TAKE);
        self.away = false;
        Ok(())
    }

    fn give_back(&mut self) {
        if std::mem::replace(&mut self.away, true) {
            return;
        }
        // What was typed for a server is not for the shell that reads next.
        let _ = tcflush(&self.tty, QueueSelector::IFlush);
        self.write(GIVE_BACK);
        let _ =
            rustix::io::retry_on_intr(|| tcsetattr(&self.tty, OptionalActions::Now, &self.modes));
        // Nor what came while this was done.
        let _ = tcflush(&self.tty, QueueSelector::IFlush);
    }

    /// As much as the terminal takes: nobody is held up by one that takes nothing.
    fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match rustix::io::write(&self.tty, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let mut waiting = [PollFd::new(&self.tty, PollFlags::OUT)];
                    if !matches!(poll(&mut waiting, Some(&PATIENCE)), Ok(1..)) {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}

fn taken() -> MutexGuard<'static, Vec<Before>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// A panic here and now is expected, and nobody's business.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// What `work` gives; none where it panics, of which nothing is told.
pub fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    before_a_panic_is_told();
    let outer = CONTAINED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(outer);
    result.ok()
}

/// What a panic says must be seen, on a terminal that shows it.
fn before_a_panic_is_told() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if CONTAINED.get() {
                return;
            }
            // A panic within this very code must not wait for itself.
            if let Ok(mut taken) = TAKEN.try_lock() {
                let me = thread::current().id();
                taken.iter_mut().filter(|b| b.by == me).for_each(Before::give_back);
            }
            tell(panic);
        }));
    });
}
