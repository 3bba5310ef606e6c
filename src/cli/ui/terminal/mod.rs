//! The operator's terminal, taken whole: raw keys in, a picture out. What it was before (modes,
//! cursor, screen) is put back on every way out: see [`held`].
//!
//! Only what [`canvas`] makes of a model is ever written here: no byte of a server's reaches it.

pub mod canvas;
pub mod escape;
mod held;
pub mod keys;
pub mod model;
mod pace;
pub mod text;
pub mod window;

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, open},
    io::Errno,
    process::{Signal as Which, getpid, kill_process},
    termios::tcgetwinsize,
};
use tokio::{
    io::unix::AsyncFd,
    signal::unix::{Signal, SignalKind, signal},
};
use zeroize::Zeroizing;

use self::held::Held;
use crate::protocol::error::{Code, Failure};

/// The least that a picture needs to be of use.
const LEAST: Size = Size { rows: 3, columns: 20 };
/// More than any window has.
const MOST: Size = Size { rows: 500, columns: 1000 };
/// Keys that are read at once.
const KEYS: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

impl Size {
    /// A window that says 0 does not know.
    fn of(tty: impl AsFd) -> Option<Self> {
        let size = tcgetwinsize(tty).ok()?;
        let told = Self { rows: size.ws_row, columns: size.ws_col };
        (told.rows > 0 && told.columns > 0).then(|| told.within(MOST))
    }

    fn within(self, most: Self) -> Self {
        Self { rows: self.rows.min(most.rows), columns: self.columns.min(most.columns) }
    }

    /// What is left for a session above the status line; never less than a program can live with.
    pub fn above_the_status_line(self) -> Self {
        Self {
            rows: self.rows.saturating_sub(1).max(LEAST.rows - 1),
            columns: self.columns.max(LEAST.columns),
        }
    }
}

/// A terminal that can be taken.
#[derive(Debug)]
pub struct Tty {
    descriptor: OwnedFd,
    size: Size,
}

impl Tty {
    /// The terminal of this process, where it has one that can be drawn on. `for_what` is the
    /// command, for the sentence that says why not.
    pub fn find(for_what: &str) -> Result<Self, Failure> {
        let no = |message: String, hint: &str| Failure::new(Code::UsageArguments, message, hint);
        if !super::can_prompt() {
            let message = format!("{for_what} needs a terminal, and this is none");
            return Err(no(message, "type it in a terminal of your own"));
        }
        if let Err(name) = known(std::env::var("TERM").unwrap_or_default()) {
            let message = format!("{for_what} can't draw on this terminal (TERM={name})");
            return Err(no(message, "if it understands what xterm does, first: TERM=xterm"));
        }
        // A description of its own: that it never blocks is nobody else's business.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let descriptor = open("/dev/tty", flags, Mode::empty()).map_err(|errno| {
            no(format!("{for_what} can't open the terminal: {errno}"), "type it in another one")
        })?;
        Self::on(descriptor).map_err(|size| {
            let message = format!(
                "{for_what} needs a window of {} columns and {} rows; this one has {} and {}",
                LEAST.columns, LEAST.rows, size.columns, size.rows
            );
            no(message, "make the window larger")
        })
    }

    fn on(descriptor: OwnedFd) -> Result<Self, Size> {
        let size = Size::of(&descriptor).unwrap_or(Size { rows: 24, columns: 80 });
        if size.rows < LEAST.rows || size.columns < LEAST.columns {
            return Err(size);
        }
        Ok(Self { descriptor, size })
    }

    pub fn size(&self) -> Size {
        self.size
    }
}

/// Whether such a terminal understands what is drawn with; its name as it can be shown if not.
fn known(term: String) -> Result<(), String> {
    const FAMILIES: [&str; 26] = [
        "xterm",
        "screen",
        "tmux",
        "rxvt",
        "linux",
        "vt1",
        "vt2",
        "vt3",
        "vt4",
        "vte",
        "ansi",
        "alacritty",
        "kitty",
        "foot",
        "wezterm",
        "konsole",
        "gnome",
        "st",
        "putty",
        "contour",
        "ghostty",
        "iterm",
        "eterm",
        "mlterm",
        "mintty",
        "cygwin",
    ];
    let lower = term.to_lowercase();
    let names = |family: &&str| {
        let rest = lower.strip_prefix(*family);
        // `st`, `st-256color`, and not `stupid`.
        rest.is_some_and(|rest| family.len() > 2 || rest.is_empty() || rest.starts_with('-'))
    };
    if FAMILIES.iter().any(names) {
        return Ok(());
    }
    Err(match term.is_empty() {
        true => "nothing".to_owned(),
        false => crate::domain::escape::exact(term.as_bytes(), 30),
    })
}

/// What happened to the terminal, other than keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happened {
    Resized,
    /// Somebody asks this process to stop for a while.
    Stop,
    /// It goes on after a stop that could not be seen coming.
    Continued,
    Quit,
}

/// A terminal that is ours until this is dropped.
struct Terminal {
    tty: Line,
    size: Size,
    signals: Signals,
    /// What is drawn and not written yet: one picture at most.
    unwritten: Vec<u8>,
    written: usize,
    held: Held,
}

/// The way to the terminal and back.
struct Line {
    descriptor: AsyncFd<OwnedFd>,
    /// In the background after a stop: nothing is read or drawn until it is ours again.
    away: bool,
}

impl Terminal {
    /// Takes it: raw keys, a screen of its own.
    fn take(tty: Tty) -> io::Result<Self> {
        let signals = Signals::watch()?;
        let held = Held::take(tty.descriptor.try_clone()?)?;
        #[expect(deprecated, reason = "an owned descriptor that is never replaced; else unsafe")]
        let descriptor = AsyncFd::new(tty.descriptor)?;
        let line = Line { descriptor, away: false };
        Ok(Self { tty: line, size: tty.size, signals, unwritten: Vec::new(), written: 0, held })
    }

    /// Looks at the window again. One that says 0, or nothing, is as it was.
    fn measure(&mut self) -> Size {
        self.size = Size::of(self.tty.descriptor.get_ref()).unwrap_or(self.size);
        self.size
    }

    /// Whether everything that was drawn is written.
    fn is_idle(&self) -> bool {
        self.written == self.unwritten.len()
    }

    /// Whether there is anybody to draw for, who has seen the last picture.
    fn wants_a_picture(&self) -> bool {
        self.is_idle() && !self.tty.away
    }

    /// Takes what there is to write.
    fn put(&mut self, bytes: Vec<u8>) {
        if !self.tty.away {
            self.unwritten.drain(..self.written);
            self.unwritten.extend_from_slice(&bytes);
            self.written = 0;
            self.write();
        }
    }

    /// Writes what the terminal takes now; one that is gone takes everything.
    fn write(&mut self) {
        while !self.is_idle() {
            match rustix::io::write(self.tty.descriptor.get_ref(), &self.unwritten[self.written..])
            {
                Ok(count) => self.written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => break,
            }
        }
        self.unwritten.clear();
        self.written = 0;
    }

    /// Gives the terminal back, stops this process, and takes the terminal again when it goes on.
    /// Everything has to be drawn anew.
    fn stop(&mut self) {
        self.held.give_back();
        // Nothing runs here until somebody says SIGCONT.
        let _ = kill_process(getpid(), Which::STOP);
        self.take_again();
    }

    /// After a stop: whoever had the terminal meanwhile left it as they like it.
    fn take_again(&mut self) {
        self.tty.away = !self.held.take_again();
        self.unwritten.clear();
        self.written = 0;
    }
}

impl Line {
    /// The next keys, as the terminal sends them; none when it is gone. Cancel-safe.
    async fn keys(&self) -> Option<Zeroizing<Vec<u8>>> {
        if self.away {
            std::future::pending::<()>().await;
        }
        let mut keys = Zeroizing::new(vec![0; KEYS]);
        loop {
            let mut ready = self.descriptor.readable().await.ok()?;
            match rustix::io::read(self.descriptor.get_ref(), &mut **keys) {
                Ok(count @ 1..) => {
                    keys.truncate(count);
                    return Some(keys);
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                // A terminal that hung up reads as its end, or as EIO.
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// Until something can be written. Cancel-safe.
    async fn room(&self) {
        loop {
            let Ok(mut ready) = self.descriptor.writable().await else { return };
            let mut waiting = [PollFd::new(self.descriptor.get_ref(), PollFlags::OUT)];
            match poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
                Ok(0) => ready.clear_ready(),
                _ => return,
            }
        }
    }
}

struct Signals([Signal; 4]);

impl Signals {
    fn watch() -> io::Result<Self> {
        let raw = |which: Which| SignalKind::from_raw(which.as_raw());
        let kinds = [Which::WINCH, Which::TSTP, Which::CONT, Which::QUIT];
        let [resized, stop, continued, quit] = kinds.map(|which| signal(raw(which)));
        Ok(Self([resized?, stop?, continued?, quit?]))
    }

    /// Cancel-safe.
    async fn next(&mut self) -> Happened {
        let [resized, stop, continued, quit] = &mut self.0;
        tokio::select! {
            _ = quit.recv() => Happened::Quit,
            _ = stop.recv() => Happened::Stop,
            _ = continued.recv() => Happened::Continued,
            _ = resized.recv() => Happened::Resized,
        }
    }
}

#[cfg(test)]
pub mod played;
#[cfg(test)]
mod tests;
